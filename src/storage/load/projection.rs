//! How long a model will take to load on a host: from its headers and the host's record, without reading any tensor.
//!
//! The model of the time is that of the load itself: every shard is opened and its header parsed, memory is allocated
//! and touched, every byte is read. Each rate is the median that the host's run has measured for whole shards by direct
//! reads; the band is the interval of that metric's median.

use serde::Serialize;

use crate::record::{MetricRecord, State};
use crate::storage::layout::ShardSet;

/// Name of the metric whose rates are used.
pub const METRIC: &str = "storage/load/io_uring-direct";

/// What a host has shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds to open a shard and parse its header.
    pub open_parse_s_per_shard: f64,
    /// 1e9 bytes of memory allocated and touched a second.
    pub prefault_gb_per_s: f64,
    /// 1e9 bytes read a second.
    pub read_gb_per_s: f64,
    /// Half the 95 % interval of the load's median over the median.
    pub uncertainty: f64,
}

impl Rates {
    /// The rates in a record of [`METRIC`]; `None` when it has no usable samples.
    pub fn of(record: &MetricRecord) -> Option<Self> {
        if record.id.as_str() != METRIC || matches!(record.state, State::Skipped | State::Invalid) {
            return None;
        }
        let number = |key: &str| record.details.get(key)?.as_f64().filter(|v| *v > 0.0);
        let gb = number("bytes")? / 1e9;
        let summary = record.summary.as_ref()?;
        let interval = summary.median_ci95.map_or(summary.max - summary.min, |ci| ci.high - ci.low);
        Some(Self {
            open_parse_s_per_shard: number("stage_open_parse_s")? / number("shards")?,
            prefault_gb_per_s: gb / number("stage_allocate_prefault_s")?,
            read_gb_per_s: gb / number("stage_read_s")?,
            uncertainty: interval / 2.0 / summary.median,
        })
    }
}

/// How long a load will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Bytes of all shards.
    pub bytes: u64,
    /// Number of files.
    pub shards: usize,
    /// Number of tensors.
    pub tensors: usize,
    /// Seconds to open and parse.
    pub open_parse_s: f64,
    /// Seconds to allocate memory and touch it.
    pub prefault_s: f64,
    /// Seconds to read.
    pub read_s: f64,
    /// Seconds in all.
    pub total_s: f64,
    /// Seconds that the total may be off in either direction.
    pub band_s: f64,
    /// The stage that takes longest.
    pub limited_by: &'static str,
}

impl Prediction {
    /// For the model `set` on a host of these `rates`.
    pub fn new(set: &ShardSet, rates: &Rates) -> Self {
        let gb = set.bytes() as f64 / 1e9;
        let open_parse_s = set.shards.len() as f64 * rates.open_parse_s_per_shard;
        let (prefault_s, read_s) = (gb / rates.prefault_gb_per_s, gb / rates.read_gb_per_s);
        let stages = [
            ("opening and parsing", open_parse_s),
            ("allocating memory", prefault_s),
            ("reading", read_s),
        ];
        let slowest = stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        Self {
            bytes: set.bytes(),
            shards: set.shards.len(),
            tensors: set.tensors(),
            open_parse_s,
            prefault_s,
            read_s,
            total_s: open_parse_s + prefault_s + read_s,
            band_s: (open_parse_s + read_s) * rates.uncertainty,
            limited_by: slowest.map_or("nothing", |(name, _)| name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::layout::{Header, Shard};

    fn set(gb: u64, shards: u64) -> ShardSet {
        let shard = |i| Shard {
            path: format!("{i}").into(),
            header: Header {
                data_offset: 8,
                file_bytes: gb * 1_000_000_000 / shards,
                tensors: Vec::new(),
            },
        };
        ShardSet {
            description: String::new(),
            shards: (0..shards).map(shard).collect(),
            left_out: 0,
        }
    }

    const RATES: Rates = Rates {
        open_parse_s_per_shard: 0.01,
        prefault_gb_per_s: 5.0,
        read_gb_per_s: 2.0,
        uncertainty: 0.1,
    };

    #[test]
    fn stages_add_up_and_the_longest_is_named() {
        let prediction = Prediction::new(&set(100, 50), &RATES);
        assert!((prediction.open_parse_s - 0.5).abs() < 1e-9);
        assert!((prediction.prefault_s - 20.0).abs() < 1e-9);
        assert!((prediction.read_s - 50.0).abs() < 1e-9);
        assert!((prediction.total_s - 70.5).abs() < 1e-9);
        assert!((prediction.band_s - 5.05).abs() < 1e-9);
        assert_eq!(prediction.limited_by, "reading");
        let fast = Rates { read_gb_per_s: 50.0, ..RATES };
        assert_eq!(Prediction::new(&set(100, 50), &fast).limited_by, "allocating memory");
        assert_eq!(Prediction::new(&set(1, 1000), &fast).limited_by, "opening and parsing");
    }
}
