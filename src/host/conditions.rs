//! What else was going on while a metric was taken.

use serde_json::{Map, Value};

/// Load average over the last minute.
pub fn sample() -> Map<String, Value> {
    let load = std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    Map::from_iter([("load_average_1min".to_owned(), load.into())])
}
