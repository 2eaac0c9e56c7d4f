//! What a metric's record says of the GPU that it was taken on: NVML's view before, after and under load.

use serde_json::Value;

use crate::record::MetricRecord;

/// The field `name` of the device's state after the metric, or before it.
pub fn state<'a>(metric: &'a MetricRecord, name: &str) -> Option<&'a Value> {
    ["after", "before"].iter().find_map(|when| metric.conditions.get(*when)?.get("gpu")?.get(name))
}

/// The number in such a field.
pub fn number(metric: &MetricRecord, name: &str) -> Option<f64> {
    state(metric, name)?.as_f64()
}

/// The highest value of the field `name` under load.
pub fn most(metric: &MetricRecord, name: &str) -> Option<f64> {
    metric.details.get("gpu_under_load")?.get(name)?.get("max")?.as_f64()
}

/// Why the clocks were lowered under load, by name.
pub fn throttle_reasons(metric: &MetricRecord) -> Vec<&str> {
    let under_load = metric.details.get("gpu_under_load");
    let reasons = under_load.and_then(|seen| seen.get("throttle_reasons")?.as_array());
    reasons.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The highest SM clock that was seen, in MHz: what was done can't have been done faster.
pub fn highest_clock(metric: &MetricRecord) -> Option<f64> {
    let own = ["sm_mhz", "sm_mhz_in_kernel"].iter();
    let own = own.filter_map(|name| metric.details.get(*name)?.get("max")?.as_f64());
    own.chain(most(metric, "sm_mhz")).filter(|mhz| *mhz > 0.0).reduce(f64::max)
}
