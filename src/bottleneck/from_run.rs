//! A host as one of its runs measured it.
//!
//! Of several GPUs the first stands for all. A metric that is skipped or invalid tells nothing; a noisy or throttled one
//! tells what it measured, and its source says so.

use super::figure::{Figure, Origin};
use super::host::{Dram, ExpertReads, Gpu, Host};
use crate::number::Format;
use crate::record::store::Run;
use crate::record::{MetricRecord, State, Unit};

impl Host {
    /// The host of `run`, in the figures that its benches recorded.
    pub fn of_run(run: &Run) -> Self {
        let found = Found { run };
        let record = run.host.as_ref();
        let field = |name: &str| {
            record.and_then(|host| host.environment.get(name)).map(|field| &field.value)
        };
        let sockets = record.map_or(1, |host| host.topology.packages.len().max(1));
        let nodes = record
            .map_or(1, |host| host.topology.nodes.iter().filter(|n| n.memory_bytes > 0).count());
        let near =
            found.figure("dram/read/all-nodes-local").or(found.figure("dram/read/all-cores"));
        let remote = found.figure("dram/read/remote-package");
        // One pair of nodes was measured; those of a socket read at the same time.
        let a_socket = (nodes / sockets).max(1) as f64;
        let capacity = field("memory.total_kib").and_then(|value| value.as_f64());
        let cpu = field("cpu.model_name").and_then(|value| value.as_str()).map(str::to_owned);
        Self {
            name: cpu.map_or_else(|| run.name.clone(), |cpu| format!("{cpu} (run {})", run.name)),
            sockets,
            dram: Dram {
                ceiling: found.metric("dram/read/all-cores").and_then(ceiling),
                read: near,
                remote_read: remote
                    .map(|figure| Figure { value: figure.value * a_socket, ..figure }),
                interleaved_read: found.figure("dram/read/interleaved"),
                capacity: capacity.map(|kib| {
                    Figure::new(kib * 1024.0 / 1e9, Origin::Measured, "memory.total_kib")
                }),
            },
            gpu: found.gpu(),
            cpu_tflops: found.cpu_products(),
            nvme_read: found.figure("storage/read/expert-random"),
            experts: found.experts(),
        }
    }
}

fn ceiling(metric: &MetricRecord) -> Option<Figure> {
    let ceiling = metric.ceiling.as_ref()?;
    let theoretical = ceiling.origin == crate::record::Origin::Theoretical;
    theoretical.then(|| Figure::new(ceiling.value, Origin::Theoretical, ceiling.source.clone()))
}

struct Found<'a> {
    run: &'a Run,
}

impl<'a> Found<'a> {
    fn usable(&self) -> impl DoubleEndedIterator<Item = &'a MetricRecord> {
        let metrics = self.run.benches.iter().flat_map(|bench| &bench.metrics);
        metrics
            .filter(|m| !matches!(m.state, State::Skipped | State::Invalid) && m.summary.is_some())
    }

    fn metric(&self, id: &str) -> Option<&'a MetricRecord> {
        self.usable().rfind(|metric| metric.id.as_str() == id)
    }

    fn figure(&self, id: &str) -> Option<Figure> {
        self.metric(id).and_then(|metric| median(metric, 1.0))
    }

    /// Nanoseconds as microseconds.
    fn microseconds(&self, id: &str) -> Option<Figure> {
        self.metric(id)
            .filter(|metric| metric.unit == Unit::Nanoseconds)
            .and_then(|metric| median(metric, 1e-3))
    }

    /// The fastest of the metrics whose name begins and ends so.
    fn fastest(&self, begin: &str, end: impl Fn(&str) -> bool) -> Option<Figure> {
        self.named(begin, end).max_by(|a, b| a.value.total_cmp(&b.value))
    }

    /// The slowest of the copies from `gpu` to another: what they do together waits for it.
    fn slowest_peer(&self, gpu: &str) -> Option<Figure> {
        let peers = format!("pcie/peer/{gpu}/");
        self.named(&peers, |_| true).min_by(|a, b| a.value.total_cmp(&b.value))
    }

    /// The metrics whose name begins and ends so.
    fn named(&self, begin: &str, end: impl Fn(&str) -> bool) -> impl Iterator<Item = Figure> {
        let named =
            move |metric: &&MetricRecord| metric.id.as_str().strip_prefix(begin).is_some_and(&end);
        self.usable().filter(named).filter_map(|metric| median(metric, 1.0))
    }

    fn gpu(&self) -> Option<Gpu> {
        let all = self.run.benches.iter().flat_map(|bench| &bench.metrics);
        let ordinal = |metric: &MetricRecord| {
            let segment = metric.id.as_str().split('/').find_map(|s| s.strip_prefix("gpu"));
            segment
                .and_then(|digits| digits.parse::<usize>().ok())
                .filter(|_| metric.summary.is_some())
        };
        let mut ordinals: Vec<usize> = all.filter_map(ordinal).collect();
        ordinals.sort_unstable();
        ordinals.dedup();
        let first = *ordinals.first()?;
        let gpu = format!("gpu{first}");
        let text = |key: &str| {
            let mut named = self.usable().filter(|m| m.id.as_str().contains(&gpu));
            named.find_map(|m| m.details.get(key).and_then(|v| v.as_str()).map(str::to_owned))
        };
        let bytes = |metric: &MetricRecord| {
            metric.conditions.get("before")?.get("gpu")?.get("memory_total_bytes")?.as_f64()
        };
        let capacity = self.usable().filter(|m| m.id.as_str().contains(&gpu)).find_map(bytes);
        Some(Gpu {
            name: text("device").unwrap_or_else(|| gpu.clone()),
            count: ordinals.len(),
            vram_read: self.figure(&format!("vram/read/{gpu}")),
            capacity: capacity.map(|bytes| Figure::new(bytes / 1e9, Origin::Measured, "NVML")),
            tflops: self.fastest(&format!("gemm/{gpu}/bf16/"), |_| true),
            attention_tflops: self.decode_attention(&gpu),
            pcie: self.fastest(&format!("pcie/h2d/pinned/{gpu}/"), |_| true),
            peer: self.slowest_peer(&gpu),
            kernel_us: None,
            empty_kernel_us: self.microseconds(&format!("launch/graph-node/{gpu}")),
            crossing_us: self.microseconds(&format!("pcie/latency/h2d/{gpu}/4KiB")),
            all_reduce_us: None,
        })
    }

    /// Operations a second of the fastest latent attention of decode in bf16, else of any other.
    fn decode_attention(&self, gpu: &str) -> Option<Figure> {
        let begin = format!("attention/{gpu}/bf16/decode-");
        let rate = |metric: &MetricRecord| {
            let median = metric.summary.as_ref()?.median;
            let seconds = match metric.unit {
                Unit::GigaBytes => metric.work.counted_bytes() as f64 / (median * 1e9),
                Unit::TeraFlops | Unit::TeraOps => metric.work.flops as f64 / (median * 1e12),
                _ => return None,
            };
            let value = metric.work.flops as f64 / seconds / 1e12;
            (value > 0.0 && value.is_finite())
                .then(|| Figure::new(value, Origin::Measured, metric.id.to_string()))
        };
        let all: Vec<(bool, Figure)> = self
            .usable()
            .filter(|metric| metric.id.as_str().starts_with(&begin))
            .filter_map(|metric| Some((metric.id.as_str().contains("-mla-"), rate(metric)?)))
            .collect();
        let latent = all.iter().any(|(latent, _)| *latent);
        let of = all.into_iter().filter(|(own, _)| *own == latent).map(|(_, figure)| figure);
        of.max_by(|a, b| a.value.total_cmp(&b.value))
    }

    /// The fastest product with at least 64 rows, whose operations rather than bytes are timed.
    fn cpu_products(&self) -> Option<Figure> {
        const ROWS: u64 = 64;
        self.fastest("gemm/cpu/bf16/", |shape| {
            let rows = shape.strip_prefix('m').and_then(|rest| rest.split('n').next());
            rows.and_then(|rows| rows.parse::<u64>().ok()).is_some_and(|rows| rows >= ROWS)
        })
    }

    /// What the experts bench learned in each format: its line through the times of experts of several sizes, so that
    /// bytes and all else are apart.
    fn experts(&self) -> Vec<ExpertReads> {
        let of = |metric: &MetricRecord| {
            let mut segments = metric.id.as_str().split('/');
            let name = (segments.next() == Some("experts")).then(|| segments.nth(1)).flatten()?;
            let format = Format::ALL.into_iter().find(|format| format.name() == name)?;
            let number = |key: &str| metric.details.get(key)?.as_f64().filter(|v| v.is_finite());
            let read = self.figure("dram/read/all-cores");
            let figure = |value, what: &str| {
                Figure::new(value, Origin::Measured, format!("{what} of {}", metric.id))
            };
            let line = number("large_expert_gb_per_second")
                .zip(read)
                .map(|(rate, read)| rate / read.value);
            let (eta, fix) = match line.filter(|eta| *eta > 0.0) {
                Some(eta) => (figure(eta, "large_expert_gb_per_second"), number("t_fix_us")),
                None => (figure(number("eta").filter(|eta| *eta > 0.0)?, "eta"), None),
            };
            let t_fix_us = fix.map(|us| figure(us.max(0.0), "t_fix_us"));
            Some(ExpertReads { bits: Some(format.element_bits() as f64), eta, t_fix_us })
        };
        self.usable().filter_map(of).collect()
    }
}

/// The metric's median times `scale`.
fn median(metric: &MetricRecord, scale: f64) -> Option<Figure> {
    let value = metric.summary.as_ref()?.median * scale;
    let state = if metric.state == State::Ok {
        String::new()
    } else {
        format!(" ({})", metric.state.name())
    };
    (value > 0.0 && value.is_finite())
        .then(|| Figure::new(value, Origin::Measured, format!("{}{state}", metric.id)))
}
