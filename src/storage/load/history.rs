//! What was seen of each load: its parts, how cold the cache was before, what the device read, what it cost in CPU time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::method::Stages;
use crate::measure::statistics::quantile;
use crate::record::Cache;
use crate::storage::cold::RESIDENT_LIMIT;
use crate::storage::read::Latencies;

/// Smallest share of the files' bytes that the device must have read for a load to count as cold.
const DEVICE_SHARE: f64 = 0.95;

/// One load.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Its parts.
    pub stages: Stages,
    /// Share of the files' pages that were cached before, or why that is unknown.
    pub resident: Result<f64, String>,
    /// Bytes read by the device during the load, or why they are unknown.
    pub device_bytes: Result<u64, String>,
    /// CPU seconds of this process, user and system.
    pub cpu_s: f64,
    /// Seconds to drop the page cache before.
    pub drop_s: f64,
}

/// All loads of one metric.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Bytes of the set.
    pub bytes: u64,
    /// Loads, in order.
    pub loads: Vec<Observation>,
}

impl History {
    /// Why the loads can't be called cold; `None` when every one was.
    pub fn not_cold(&self) -> Option<String> {
        if self.loads.is_empty() {
            return Some("nothing was loaded".into());
        }
        self.loads.iter().find_map(|load| {
            match &load.resident {
                Err(why) => return Some(format!("the page cache could not be examined: {why}")),
                Ok(share) if *share > RESIDENT_LIMIT => {
                    return Some(format!(
                        "{:.0} % of the pages were still cached (or the files belong to another user)",
                        share * 100.0
                    ));
                }
                Ok(_) => {}
            }
            match &load.device_bytes {
                Err(why) => Some(format!("the device's own count is unknown: {why}")),
                Ok(bytes) if (*bytes as f64) < DEVICE_SHARE * self.bytes as f64 => Some(format!(
                    "the device read {:.2} GB of {:.2} GB only",
                    *bytes as f64 / 1e9,
                    self.bytes as f64 / 1e9
                )),
                Ok(_) => None,
            }
        })
    }

    /// Cold if it is proved for every load.
    pub fn cache(&self) -> Cache {
        if self.not_cold().is_none() { Cache::Cold } else { Cache::Unknown }
    }

    /// The figures for the record: medians over the loads.
    pub fn details(&self) -> BTreeMap<String, Value> {
        let median = |value: &dyn Fn(&Observation) -> Option<f64>| {
            median(&self.loads.iter().filter_map(value).collect::<Vec<_>>())
        };
        let gb = self.bytes as f64 / 1e9;
        let device_bytes = |l: &Observation| l.device_bytes.as_ref().ok().map(|&b| b as f64);
        let mut details = BTreeMap::from([
            ("stage_open_parse_s".to_owned(), json!(median(&|l| Some(l.stages.open_parse_s)))),
            ("stage_read_s".to_owned(), json!(median(&|l| Some(l.stages.read_s)))),
            ("drop_cache_s".to_owned(), json!(median(&|l| Some(l.drop_s)))),
            ("cpu_s_per_gb".to_owned(), json!(median(&|l| Some(l.cpu_s / gb)))),
            ("device_bytes".to_owned(), json!(median(&device_bytes))),
            (
                "device_bytes_per_byte".to_owned(),
                json!(median(&|l| Some(device_bytes(l)? / self.bytes as f64))),
            ),
            (
                "resident_share_before".to_owned(),
                json!(median(&|l| l.resident.as_ref().ok().copied())),
            ),
        ]);
        if let Some(why) = self.not_cold() {
            details.insert("not_proved_cold".into(), json!(why));
        }
        details
    }
}

/// Median of `values`, if there are any.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

/// Percentiles of `latencies`, in milliseconds.
pub fn milliseconds(latencies: &Latencies) -> Value {
    let at = |p: f64| latencies.value_at_quantile(p) as f64 / 1e6;
    match latencies.is_empty() {
        true => Value::Null,
        false => json!({
            "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "p99.9": at(0.999),
            "max": latencies.max() as f64 / 1e6, "mean": latencies.mean() / 1e6,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(resident: Result<f64, String>, device_bytes: Result<u64, String>) -> Observation {
        let stages = Stages { open_parse_s: 0.1, read_s: 1.0 };
        Observation { stages, resident, device_bytes, cpu_s: 2.0, drop_s: 0.0 }
    }

    fn history(loads: Vec<Observation>) -> History {
        History { bytes: 1_000_000_000, loads }
    }

    #[test]
    fn cold_takes_both_proofs_for_every_load() {
        let cold = load(Ok(0.0), Ok(960_000_000));
        assert_eq!(history(vec![cold.clone(), cold.clone()]).cache(), Cache::Cold);
        for (other, why) in [
            (load(Ok(0.02), Ok(1_000_000_000)), "still cached"),
            (load(Err("denied".into()), Ok(1_000_000_000)), "denied"),
            (load(Ok(0.0), Ok(940_000_000)), "read 0.94 GB of 1.00 GB"),
            (load(Ok(0.0), Err("tmpfs".into())), "tmpfs"),
        ] {
            let mixed = history(vec![cold.clone(), other, cold.clone()]);
            assert_eq!(mixed.cache(), Cache::Unknown);
            assert!(mixed.not_cold().is_some_and(|reason| reason.contains(why)));
            assert!(mixed.details().contains_key("not_proved_cold"));
        }
        assert_eq!(history(vec![]).cache(), Cache::Unknown);
    }

    #[test]
    fn details_are_medians_per_gigabyte() {
        let details = history(vec![load(Ok(0.0), Ok(1_000_000_000)); 3]).details();
        assert_eq!(details["cpu_s_per_gb"], json!(2.0));
        assert_eq!(details["device_bytes_per_byte"], json!(1.0));
        assert_eq!(details["stage_read_s"], json!(1.0));
    }
}
