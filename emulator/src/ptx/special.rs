//! Special registers.

/// A special register; see PTX ISA chapter 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `%tid.{x,y,z}`
    Tid(u8),
    /// `%ntid.{x,y,z}`
    Ntid(u8),
    /// `%ctaid.{x,y,z}`
    Ctaid(u8),
    /// `%nctaid.{x,y,z}`
    Nctaid(u8),
    /// `%clusterid.{x,y,z}`
    Clusterid(u8),
    /// `%nclusterid.{x,y,z}`
    Nclusterid(u8),
    /// `%cluster_ctaid.{x,y,z}`
    ClusterCtaid(u8),
    /// `%cluster_nctaid.{x,y,z}`
    ClusterNctaid(u8),
    /// `%cluster_ctarank`
    ClusterCtarank,
    /// `%cluster_nctarank`
    ClusterNctarank,
    /// `%is_explicit_cluster`
    IsExplicitCluster,
    /// `%laneid`
    Laneid,
    /// `%warpid`
    Warpid,
    /// `%nwarpid`
    Nwarpid,
    /// `%smid`
    Smid,
    /// `%nsmid`
    Nsmid,
    /// `%gridid`
    Gridid,
    /// `%lanemask_eq`
    LanemaskEq,
    /// `%lanemask_le`
    LanemaskLe,
    /// `%lanemask_lt`
    LanemaskLt,
    /// `%lanemask_ge`
    LanemaskGe,
    /// `%lanemask_gt`
    LanemaskGt,
    /// `%clock`, `%clock64`: the low or all 64 bits.
    Clock,
    /// `%clock_hi`
    ClockHi,
    /// `%globaltimer`, `%globaltimer_lo`
    GlobalTimer,
    /// `%globaltimer_hi`
    GlobalTimerHi,
    /// `%dynamic_smem_size`
    DynamicSharedSize,
    /// `%total_smem_size`
    TotalSharedSize,
}

impl Special {
    /// Parses a name with its `%`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix('%')?;
        if let Some((base, axis)) = name.split_once('.') {
            let axis = match axis {
                "x" => 0,
                "y" => 1,
                "z" => 2,
                _ => return None,
            };
            return Some(match base {
                "tid" => Self::Tid(axis),
                "ntid" => Self::Ntid(axis),
                "ctaid" => Self::Ctaid(axis),
                "nctaid" => Self::Nctaid(axis),
                "clusterid" => Self::Clusterid(axis),
                "nclusterid" => Self::Nclusterid(axis),
                "cluster_ctaid" => Self::ClusterCtaid(axis),
                "cluster_nctaid" => Self::ClusterNctaid(axis),
                _ => return None,
            });
        }
        Some(match name {
            "cluster_ctarank" => Self::ClusterCtarank,
            "cluster_nctarank" => Self::ClusterNctarank,
            "is_explicit_cluster" => Self::IsExplicitCluster,
            "laneid" => Self::Laneid,
            "warpid" => Self::Warpid,
            "nwarpid" => Self::Nwarpid,
            "smid" => Self::Smid,
            "nsmid" => Self::Nsmid,
            "gridid" => Self::Gridid,
            "lanemask_eq" => Self::LanemaskEq,
            "lanemask_le" => Self::LanemaskLe,
            "lanemask_lt" => Self::LanemaskLt,
            "lanemask_ge" => Self::LanemaskGe,
            "lanemask_gt" => Self::LanemaskGt,
            "clock" | "clock64" => Self::Clock,
            "clock_hi" => Self::ClockHi,
            "globaltimer" | "globaltimer_lo" => Self::GlobalTimer,
            "globaltimer_hi" => Self::GlobalTimerHi,
            "dynamic_smem_size" => Self::DynamicSharedSize,
            "total_smem_size" => Self::TotalSharedSize,
            _ => return None,
        })
    }
}
