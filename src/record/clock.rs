//! The clock at which a metric's device ran while it was measured.

use serde_json::Value;

use super::MetricRecord;

/// Details and conditions in which benches keep it: a number, a list of one a sample, or an object with `median`.
const KEYS: [&str; 5] = ["sm_mhz_in_kernel", "sm_clock_mhz", "sm_mhz", "clock_mhz", "core_mhz"];

/// MHz under load; `None` where no one looked. What cpufreq says before and after is no such clock: the CPU is idle
/// then.
pub fn under_load(metric: &MetricRecord) -> Option<f64> {
    let recorded = KEYS
        .iter()
        .find_map(|key| middle(metric.details.get(*key).or(metric.conditions.get(*key))?));
    recorded.or_else(|| measured(&metric.ceiling.as_ref()?.source)).filter(|mhz| *mhz > 0.0)
}

fn middle(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Array(values) => {
            let mut numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
            numbers.sort_by(f64::total_cmp);
            numbers.get(numbers.len() / 2).copied()
        }
        Value::Object(fields) => fields.get("median")?.as_f64(),
        _ => None,
    }
}

/// Peaks name the clock that they measured in their ceiling: `16 cores x 1.86 GHz (measured) x ...`.
fn measured(source: &str) -> Option<f64> {
    [(" GHz (measured)", 1e3), (" MHz (measured)", 1.0)].into_iter().find_map(|(unit, factor)| {
        let (before, _) = source.split_once(unit)?;
        before.rsplit(' ').next()?.parse::<f64>().ok().map(|clock| clock * factor)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Origin;
    use crate::record::fixture::{below, ok};

    #[test]
    fn clocks_are_found_where_benches_keep_them() {
        let with = |key: &str, value: Value| {
            let mut metric = ok("gemm/gpu0/bf16/m8", 1.0);
            metric.details.insert(key.into(), value);
            under_load(&metric)
        };
        assert_eq!(with("sm_clock_mhz", json!(1755)), Some(1755.0));
        assert_eq!(with("sm_mhz_in_kernel", json!([1700.0, 1755.0, 1980.0])), Some(1755.0));
        assert_eq!(with("sm_mhz", json!({"median": 1755.0, "min": 1.0})), Some(1755.0));
        assert_eq!(with("threads", json!(2)), None);
        for (source, clock) in [
            ("16 cores x 1.86 GHz (measured) x 64 operations a cycle", Some(1860.0)),
            ("132 multiprocessors x 4096 operations a cycle x 1755 MHz (measured)", Some(1755.0)),
            ("2 x 2619 MHz x 5120 bit, as the driver reports them", None),
        ] {
            let metric = below(ok("compute/peak", 1.0), 2.0, Origin::Theoretical, source);
            assert_eq!(under_load(&metric), clock, "{source}");
        }
    }
}
