//! Our products beside others', at the same shapes in the same run.

use serde::Serialize;

use super::{HostLine, host_block};
use crate::record::store::Run;
use crate::record::{Interval, MetricRecord, State, Unit};

/// What a peer's kernel path begins with.
const PEER: &str = "peer/";

/// A run's products beside those of its peers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peers {
    /// Name of the run.
    pub run: String,
    /// Which host; empty when its record is missing.
    pub host: Vec<HostLine>,
    /// One entry a peer and shape, as measured.
    pub rows: Vec<PeerRow>,
}

/// One peer at one shape, and ours there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerRow {
    /// The shape, `m2048n2048k2048`.
    pub shape: String,
    /// The peer as it names itself, with its version where it tells.
    pub peer: String,
    /// Its operations a second, in TFLOP/s.
    pub tera_flops: f64,
    /// Whether its figure can be trusted.
    pub state: State,
    /// Ours, one entry a format.
    pub ours: Vec<Beside>,
}

/// One of our products beside the peer's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// Format of the operands.
    pub format: String,
    /// Which code ran.
    pub kernel_path: String,
    /// Our operations a second over the peer's: of the medians.
    pub ratio: f64,
    /// From the lower end of one 95 % interval over the upper end of the other, and the reverse: wider than an interval of
    /// 95 % would be.
    pub bounds: Option<Interval>,
    /// Whether our figure can be trusted.
    pub state: State,
}

impl Peers {
    /// What `run` tells of them.
    pub fn new(run: &Run) -> Self {
        let metrics: Vec<_> = run
            .benches
            .iter()
            .flat_map(|bench| &bench.metrics)
            .filter(|metric| !matches!(metric.state, State::Skipped | State::Invalid))
            .filter_map(Product::new)
            .collect();
        let rows = metrics.iter().filter_map(|peer| {
            let name = peer.metric.kernel_path.strip_prefix(PEER)?;
            let ours = metrics.iter().filter(|our| our.who == "cpu" && our.shape == peer.shape);
            Some(PeerRow {
                shape: peer.shape.into(),
                peer: name.into(),
                tera_flops: peer.median,
                state: peer.metric.state,
                ours: ours.map(|our| our.beside(peer)).collect(),
            })
        });
        Self {
            run: run.name.clone(),
            host: run.host.as_ref().map(host_block).unwrap_or_default(),
            rows: rows.collect(),
        }
    }
}

/// A measured product, `gemm/WHO/FORMAT/SHAPE`, in TFLOP/s whatever its unit is.
struct Product<'a> {
    metric: &'a MetricRecord,
    who: &'a str,
    format: &'a str,
    shape: &'a str,
    median: f64,
    interval: Option<Interval>,
}

impl<'a> Product<'a> {
    fn new(metric: &'a MetricRecord) -> Option<Self> {
        let segments: Vec<_> = metric.id.as_str().split('/').collect();
        let &["gemm", who, format, shape] = segments.as_slice() else { return None };
        let summary = metric.summary.as_ref()?;
        let tera_flops = |value: f64| match metric.unit {
            Unit::GigaBytes => {
                value * 1e9 / metric.work.counted_bytes() as f64 * metric.work.flops as f64 / 1e12
            }
            _ => value,
        };
        let median = tera_flops(summary.median);
        let interval = summary
            .median_ci95
            .map(|i| Interval { low: tera_flops(i.low), high: tera_flops(i.high) });
        (median > 0.0 && median.is_finite()).then_some(Self {
            metric,
            who,
            format,
            shape,
            median,
            interval,
        })
    }

    fn beside(&self, peer: &Self) -> Beside {
        let bounds = self
            .interval
            .zip(peer.interval)
            .map(|(our, their)| Interval { low: our.low / their.high, high: our.high / their.low });
        Beside {
            format: self.format.into(),
            kernel_path: self.metric.kernel_path.clone(),
            ratio: self.median / peer.median,
            bounds,
            state: self.metric.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Work, fixture};

    #[test]
    fn ratios_are_of_operations_a_second_whatever_the_units() {
        let peer = |name, value| MetricRecord {
            kernel_path: "peer/OpenBLAS 0.3".into(),
            ..fixture::ok(name, value)
        };
        let decode = MetricRecord {
            unit: Unit::GigaBytes,
            work: Work { flops: 4_000, bytes_read: 1_000, ..Work::default() },
            ..fixture::ok("gemm/cpu/bf16/m1n2k3", 50.0)
        };
        let metrics = vec![
            fixture::ok("gemm/cpu/int8/m64n64k64", 0.5),
            fixture::ok("gemm/gpu0/int8/m64n64k64", 500.0),
            decode,
            peer("gemm/openblas/f32/m64n64k64", 0.25),
            peer("gemm/openblas/f32/m1n2k3", 0.1),
            fixture::ok("attention/cpu/bf16/m64n64k64", 0.5),
        ];
        let run = fixture::run(vec![fixture::bench("gemm", metrics)]);
        let peers = Peers::new(&run);
        assert_eq!(peers.rows.len(), 2);
        let [big, small] = peers.rows.as_slice() else { panic!("{peers:?}") };
        assert_eq!((big.peer.as_str(), big.tera_flops), ("OpenBLAS 0.3", 0.25));
        let [int8] = big.ours.as_slice() else { panic!("{big:?}") };
        assert!((int8.ratio - 2.0).abs() < 1e-9);
        let bounds = int8.bounds.unwrap();
        assert!(bounds.low < 2.0 && bounds.high > 2.0);
        // 50 GB/s at four operations a byte: 0.2 TFLOP/s beside 0.1.
        assert!((small.ours[0].ratio - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_without_peers_has_no_rows() {
        let metrics = vec![fixture::ok("gemm/cpu/int8/m64n64k64", 0.5)];
        let run = fixture::run(vec![fixture::bench("gemm", metrics)]);
        assert!(Peers::new(&run).rows.is_empty());
    }
}
