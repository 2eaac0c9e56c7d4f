//! Which device a metric is about.

use crate::record::MetricRecord;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The host's cores.
    Cpu,
    /// A GPU, by the driver's ordinal.
    Gpu(u32),
}

impl Device {
    /// The device that `metric` names, or else the one that its kernel path begins with; `None` for disks and links.
    pub fn of(metric: &MetricRecord) -> Option<Self> {
        let named = metric.id.as_str().split('/').find_map(|segment| match segment {
            "cpu" => Some(Self::Cpu),
            _ => segment.strip_prefix("gpu")?.parse().ok().map(Self::Gpu),
        });
        named.or_else(|| metric.kernel_path.starts_with("cpu/").then_some(Self::Cpu))
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("CPU"),
            Self::Gpu(ordinal) => write!(f, "GPU {ordinal}"),
        }
    }
}
