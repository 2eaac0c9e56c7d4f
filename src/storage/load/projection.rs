//! How long a model will take to load on a host: from its headers and the host's record, without reading any tensor.
//!
//! The model of the time is that of the load itself: every shard is opened and its header parsed, memory is allocated,
//! touched and registered, every byte is read, and moved on at the same time where the destination is not RAM:
//!
//! ```text
//! t = shards * t_open + tensors * t_parse + bytes / prefault + bytes / register + bytes / min(read, copy)
//! ```
//!
//! Rates are those that the host's run has measured on the sets that it loaded, taken together. The tool states its own
//! error: each set is predicted from the others, or, where there is only one, from the raw reads of the device.

use serde::Serialize;

use crate::record::{MetricRecord, State};
use crate::storage::layout::ModelSize;

/// Name of the metric whose rates are used; a further set's name may follow.
pub const METRIC: &str = "storage/load/io_uring-direct";

/// Name of the metric of raw reads.
const RAW: &str = "storage/read/sequential";

/// What the names of loads into devices begin with.
const INTO: &str = "storage/load/pipelined/";

/// One set that was loaded, and what that took: seconds, medians.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loaded {
    /// What it was.
    pub model: String,
    bytes: f64,
    shards: f64,
    tensors: f64,
    open_parse_s: f64,
    parse_s: f64,
    prefault_s: f64,
    register_s: f64,
    read_s: f64,
    /// Opening, parsing and reading.
    pub total_s: f64,
    /// Half the 95 % interval of the median of `total_s`, over it.
    uncertainty: f64,
}

impl Loaded {
    /// What a record of [`METRIC`] tells; `None` for other records and without usable samples.
    fn of(record: &MetricRecord) -> Option<Self> {
        let id = record.id.as_str().strip_prefix(METRIC)?;
        if !(id.is_empty() || id.starts_with('/')) || !usable(record) {
            return None;
        }
        let number = |key: &str| record.details.get(key)?.as_f64().filter(|v| *v > 0.0);
        let bytes = number("bytes")?;
        let summary = record.summary.as_ref()?;
        let interval = summary.median_ci95.map_or(summary.max - summary.min, |ci| ci.high - ci.low);
        let open_parse_s = number("stage_open_parse_s")?;
        Some(Self {
            model: record.details.get("model")?.as_str()?.to_owned(),
            bytes,
            shards: number("shards")?,
            tensors: number("tensors")?,
            open_parse_s,
            parse_s: number("stage_parse_s")?.min(open_parse_s),
            prefault_s: number("stage_allocate_prefault_s")?,
            register_s: number("stage_register_s").unwrap_or(0.0),
            read_s: number("stage_read_s")?,
            total_s: bytes / 1e9 / summary.median,
            uncertainty: interval / 2.0 / summary.median,
        })
    }

    /// Whether it was the model of this size.
    fn is(&self, size: &ModelSize) -> bool {
        self.bytes == size.bytes as f64
            && self.shards == size.shards as f64
            && self.tensors == size.tensors as f64
    }

    fn size(&self) -> ModelSize {
        ModelSize {
            description: self.model.clone(),
            bytes: self.bytes as u64,
            shards: self.shards as usize,
            tensors: self.tensors as usize,
            index_only: false,
        }
    }
}

fn usable(record: &MetricRecord) -> bool {
    !matches!(record.state, State::Skipped | State::Invalid)
}

/// What a host has shown, of all sets together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds to open a shard and read its header.
    pub open_s_per_shard: f64,
    /// Seconds to parse a tensor's part of a header.
    pub parse_s_per_tensor: f64,
    /// 1e9 bytes of memory allocated and touched a second.
    pub prefault_gb_per_s: f64,
    /// Seconds to register 1e9 bytes.
    pub register_s_per_gb: f64,
    /// 1e9 bytes read a second.
    pub read_gb_per_s: f64,
    /// Half the 95 % interval of the loads' medians over the median, the largest.
    pub uncertainty: f64,
}

impl Rates {
    /// Of `sets`, at least one.
    fn of(sets: &[&Loaded]) -> Option<Self> {
        let sum = |part: fn(&Loaded) -> f64| sets.iter().map(|set| part(set)).sum::<f64>();
        let gb = sum(|set| set.bytes) / 1e9;
        (!sets.is_empty()).then(|| Self {
            open_s_per_shard: sum(|set| set.open_parse_s - set.parse_s) / sum(|set| set.shards),
            parse_s_per_tensor: sum(|set| set.parse_s) / sum(|set| set.tensors),
            prefault_gb_per_s: gb / sum(|set| set.prefault_s),
            register_s_per_gb: sum(|set| set.register_s) / gb,
            read_gb_per_s: gb / sum(|set| set.read_s),
            uncertainty: sets.iter().map(|set| set.uncertainty).fold(0.0, f64::max),
        })
    }
}

/// A prediction of something that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was loaded.
    pub model: String,
    /// Seconds as they would have been predicted without that measurement, memory not counted.
    pub predicted_s: f64,
    /// Seconds that it took.
    pub measured_s: f64,
}

impl Check {
    /// Predicted over measured, less 1.
    pub fn error(&self) -> f64 {
        self.predicted_s / self.measured_s - 1.0
    }
}

/// What a run tells about loading.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The sets that were loaded.
    pub sets: Vec<Loaded>,
    /// Rates of all of them.
    pub rates: Rates,
    /// What the predictions are worth: each set from the others.
    pub checks: Vec<Check>,
    /// Devices that were loaded into, and 1e9 bytes a second that they take.
    pub destinations: Vec<(String, f64)>,
}

impl Measured {
    /// From the records of a run; `None` when it has not loaded anything.
    pub fn of<'a>(records: impl Iterator<Item = &'a MetricRecord> + Clone) -> Option<Self> {
        let sets: Vec<Loaded> = records.clone().filter_map(Loaded::of).collect();
        let rates = Rates::of(&sets.iter().collect::<Vec<_>>())?;
        let raw = records.clone().find(|r| r.id.as_str() == RAW && usable(r));
        let raw = raw.and_then(|r| Some(r.summary.as_ref()?.median));
        let check = |(index, set): (usize, &Loaded)| {
            let others = sets.iter().enumerate().filter(|(other, _)| *other != index);
            let others: Vec<&Loaded> = others.map(|(_, other)| other).collect();
            let rates = match Rates::of(&others) {
                Some(rates) => rates,
                None => Rates { read_gb_per_s: raw?, ..rates },
            };
            let prediction = Prediction::new(&set.size(), &rates);
            Some(Check {
                model: set.model.clone(),
                predicted_s: prediction.without_memory_s(),
                measured_s: set.total_s,
            })
        };
        let into = |record: &MetricRecord| {
            let name = record.id.as_str().strip_prefix(INTO)?;
            let number = |key: &str| record.details.get(key)?.as_f64().filter(|v| *v > 0.0);
            let rate = number("bytes")? / 1e9 / number("copy_only_s")?;
            usable(record).then(|| (name.to_owned(), rate))
        };
        Some(Self {
            checks: sets.iter().enumerate().filter_map(check).collect(),
            destinations: records.filter_map(into).collect(),
            rates,
            sets,
        })
    }

    /// Seconds that loading the model of this size took, if it was loaded.
    pub fn of_model(&self, size: &ModelSize) -> Option<f64> {
        self.sets.iter().find(|set| set.is(size)).map(|set| set.total_s)
    }
}

/// How long a load will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Seconds to open shards and read their headers.
    pub open_s: f64,
    /// Seconds to parse headers.
    pub parse_s: f64,
    /// Seconds to allocate memory and touch it.
    pub prefault_s: f64,
    /// Seconds to register memory.
    pub register_s: f64,
    /// Seconds to read.
    pub read_s: f64,
    /// Seconds to move on what was read, at the same time; 0 into RAM.
    pub copy_s: f64,
    /// Seconds in all.
    pub total_s: f64,
    /// Seconds that the total may be off in either direction, as far as the interval of the rates tells.
    pub band_s: f64,
    /// The stage that takes longest.
    pub limited_by: &'static str,
}

impl Prediction {
    /// Into RAM, for a model of this size on a host of these `rates`.
    pub fn new(size: &ModelSize, rates: &Rates) -> Self {
        let gb = size.bytes as f64 / 1e9;
        Self {
            open_s: size.shards as f64 * rates.open_s_per_shard,
            parse_s: size.tensors as f64 * rates.parse_s_per_tensor,
            prefault_s: gb / rates.prefault_gb_per_s,
            register_s: gb * rates.register_s_per_gb,
            read_s: gb / rates.read_gb_per_s,
            copy_s: 0.0,
            total_s: 0.0,
            band_s: 0.0,
            limited_by: "",
        }
        .summed(rates)
    }

    /// The same into a device that takes `gb_per_s`: there is no memory for the whole model, only slots.
    pub fn into_device(&self, size: &ModelSize, rates: &Rates, gb_per_s: f64) -> Self {
        let copy_s = size.bytes as f64 / 1e9 / gb_per_s;
        Self { copy_s, prefault_s: 0.0, register_s: 0.0, ..self.clone() }.summed(rates)
    }

    fn summed(mut self, rates: &Rates) -> Self {
        let stages = [
            ("opening files", self.open_s),
            ("parsing headers", self.parse_s),
            ("allocating memory", self.prefault_s),
            ("registering memory", self.register_s),
            ("reading", self.read_s),
            ("copying to the device", self.copy_s),
        ];
        let slowest = stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        self.limited_by = slowest.map_or("nothing", |(name, _)| name);
        self.band_s = self.without_memory_s() * rates.uncertainty;
        self.total_s = self.without_memory_s() + self.prefault_s + self.register_s;
        self
    }

    /// Seconds of a load into memory that is there already.
    pub fn without_memory_s(&self) -> f64 {
        self.open_s + self.parse_s + self.read_s.max(self.copy_s)
    }
}

#[cfg(test)]
mod tests;
