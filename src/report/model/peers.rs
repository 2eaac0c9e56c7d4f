//! Our products beside others', at the same shapes in the same run.

use serde::Serialize;

use super::{HostLine, host_block};
use crate::record::store::Run;
use crate::record::{Interval, MetricRecord, State, Unit};

/// What the kernel path of a peer on the CPU begins with.
const PEER: &str = "peer/";
/// What the kernel path of NVIDIA's library begins with, and the second segment of its metrics.
const CUBLASLT: &str = "cublaslt";

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
    /// The peer as it names itself, with its version where it tells, and its format where that is not f32.
    pub peer: String,
    /// Its operations a second, in TFLOP/s.
    pub tera_flops: f64,
    /// Whether its figure can be trusted.
    pub state: State,
    /// Ours on the same device, one entry a format: all of them beside f32, else those of as many bits.
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
            let name = peer.name()?;
            let ours = metrics.iter().filter(|our| peer.stands_beside(our));
            Some(PeerRow {
                shape: peer.shape.into(),
                peer: name,
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

/// A measured product, `gemm/WHO/FORMAT/SHAPE` or `gemm/cublaslt/gpuN/FORMAT/SHAPE`, in TFLOP/s whatever its unit is.
struct Product<'a> {
    metric: &'a MetricRecord,
    /// Whether it is by NVIDIA's library.
    vendor: bool,
    /// The device that ours names itself by, or a peer on the CPU.
    who: &'a str,
    format: &'a str,
    shape: &'a str,
    median: f64,
    interval: Option<Interval>,
}

impl<'a> Product<'a> {
    fn new(metric: &'a MetricRecord) -> Option<Self> {
        let segments: Vec<_> = metric.id.as_str().split('/').collect();
        let (vendor, who, format, shape) = match *segments.as_slice() {
            ["gemm", CUBLASLT, gpu, format, shape] => (true, gpu, format, shape),
            ["gemm", who, format, shape] => (false, who, format, shape),
            _ => return None,
        };
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
            vendor,
            who,
            format,
            shape,
            median,
            interval,
        })
    }

    /// The peer's name; `None` for ours.
    fn name(&self) -> Option<String> {
        if !self.vendor {
            return self.metric.kernel_path.strip_prefix(PEER).map(Into::into);
        }
        let mut path = self.metric.kernel_path.split('/').skip_while(|part| *part != CUBLASLT);
        let version = path.nth(1).unwrap_or_default();
        Some(format!("cuBLASLt {version}, {}", self.format))
    }

    /// Whether `our` figure belongs beside this peer's.
    fn stands_beside(&self, our: &Self) -> bool {
        if our.vendor || our.shape != self.shape {
            return false;
        }
        if !self.vendor {
            return our.who == "cpu";
        }
        let same = our.format == self.format
            || matches!((self.format, our.format), ("mxfp8", "fp8") | ("nvfp4", "mxfp4"));
        our.who == self.who && same
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
    fn the_vendor_s_products_stand_beside_ours_of_the_same_device_and_bits() {
        let vendor = |name, value| MetricRecord {
            kernel_path: "cublaslt/13.10.0/sm_120a/algo66-tile20".into(),
            ..fixture::ok(name, value)
        };
        let metrics = vec![
            fixture::ok("gemm/cpu/bf16/m64n64k64", 0.5),
            fixture::ok("gemm/gpu0/bf16/m64n64k64", 380.0),
            fixture::ok("gemm/gpu0/mxfp4/m64n64k64", 1500.0),
            fixture::ok("gemm/gpu1/bf16/m64n64k64", 1.0),
            vendor("gemm/cublaslt/gpu0/bf16/m64n64k64", 400.0),
            vendor("gemm/cublaslt/gpu0/nvfp4/m64n64k64", 1200.0),
            vendor("gemm/cublaslt/gpu0/int8/m64n64k64", 700.0),
        ];
        let run = fixture::run(vec![fixture::bench("gemm", metrics)]);
        let peers = Peers::new(&run);
        let [bf16, nvfp4, int8] = peers.rows.as_slice() else { panic!("{peers:?}") };
        assert_eq!(bf16.peer, "cuBLASLt 13.10.0, bf16");
        let ratios = |row: &PeerRow| -> Vec<(String, f64)> {
            row.ours.iter().map(|ours| (ours.format.clone(), ours.ratio)).collect()
        };
        assert_eq!(ratios(bf16), [("bf16".to_owned(), 0.95)]);
        assert_eq!(ratios(nvfp4), [("mxfp4".to_owned(), 1.25)]);
        assert_eq!(ratios(int8), [], "shown without ours");
    }

    #[test]
    fn a_run_without_peers_has_no_rows() {
        let metrics = vec![fixture::ok("gemm/cpu/int8/m64n64k64", 0.5)];
        let run = fixture::run(vec![fixture::bench("gemm", metrics)]);
        assert!(Peers::new(&run).rows.is_empty());
    }
}
