use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::record::fixture::ok;

fn size(gb: u64, shards: usize, tensors: usize) -> ModelSize {
    let bytes = gb * 1_000_000_000;
    ModelSize { description: "m".into(), bytes, shards, tensors, index_only: false }
}

const RATES: Rates = Rates {
    open_s_per_shard: 0.01,
    parse_s_per_tensor: 1e-6,
    prefault_gb_per_s: 5.0,
    register_s_per_gb: 0.1,
    read_gb_per_s: 2.0,
    uncertainty: 0.1,
};

#[test]
fn stages_add_up_and_the_longest_is_named() {
    let prediction = Prediction::new(&size(100, 50, 1000), &RATES);
    for (seconds, expected) in [
        (prediction.open_s, 0.5),
        (prediction.parse_s, 0.001),
        (prediction.prefault_s, 20.0),
        (prediction.register_s, 10.0),
        (prediction.read_s, 50.0),
        (prediction.without_memory_s(), 50.501),
        (prediction.total_s, 80.501),
        (prediction.band_s, 5.0501),
    ] {
        assert!((seconds - expected).abs() < 1e-9, "{seconds} {expected}");
    }
    assert_eq!(prediction.limited_by, "reading");
    let fast = Rates { read_gb_per_s: 50.0, ..RATES };
    assert_eq!(Prediction::new(&size(100, 50, 9), &fast).limited_by, "allocating memory");
    assert_eq!(Prediction::new(&size(1, 1000, 9), &fast).limited_by, "opening files");
    assert_eq!(Prediction::new(&size(1, 1, 10_000_000), &fast).limited_by, "parsing headers");
}

#[test]
fn a_device_takes_while_the_disk_is_read() {
    let model = size(100, 50, 1000);
    let prediction = Prediction::new(&model, &RATES);
    let slow = prediction.into_device(&model, &RATES, 1.0);
    assert_eq!(slow.limited_by, "copying to the device");
    assert!((slow.total_s - 100.501).abs() < 1e-9, "reading is hidden: {}", slow.total_s);
    let fast = prediction.into_device(&model, &RATES, 50.0);
    assert_eq!((fast.limited_by, fast.total_s), ("reading", prediction.without_memory_s()));
}

/// A record of a load of `gb` in `shards` with `tensors`, read at 2 GB/s but for a factor of `slow`.
fn record(id: &str, gb: f64, shards: f64, tensors: f64, slow: f64) -> MetricRecord {
    let (open, parse, read) = (0.01 * shards, 1e-6 * tensors, gb / 2.0 * slow);
    let details = json!({
        "model": id, "bytes": gb * 1e9, "shards": shards, "tensors": tensors,
        "stage_open_parse_s": open + parse, "stage_parse_s": parse,
        "stage_allocate_prefault_s": gb / 5.0, "stage_register_s": gb * 0.1, "stage_read_s": read,
    });
    let details: BTreeMap<_, _> = details.as_object().unwrap().clone().into_iter().collect();
    MetricRecord { details, ..ok(id, gb / (open + parse + read)) }
}

#[test]
fn each_set_is_predicted_from_the_others() {
    let first = record(METRIC, 100.0, 50.0, 1000.0, 1.0);
    let second = record(&format!("{METRIC}/small"), 10.0, 4.0, 20_000.0, 1.1);
    let other = record("storage/load/io_uring-directly", 1.0, 1.0, 1.0, 9.0);
    let gpu = MetricRecord {
        details: [("bytes".into(), json!(8e9)), ("copy_only_s".into(), json!(0.4))].into(),
        ..ok("storage/load/pipelined/gpu0", 5.0)
    };
    let records = [first.clone(), second, other, gpu];
    let measured = Measured::of(records.iter()).unwrap();
    assert_eq!((measured.sets.len(), measured.checks.len()), (2, 2));
    // The first set's rates are too good for the second one, and the other way round.
    let errors: Vec<f64> = measured.checks.iter().map(Check::error).collect();
    assert!((errors[0] - 0.099).abs() < 0.002, "{errors:?}");
    assert!((errors[1] + 0.090).abs() < 0.002, "{errors:?}");
    assert_eq!(measured.destinations, [("gpu0".to_owned(), 20.0)]);
    let found = measured.of_model(&size(100, 50, 1000)).unwrap();
    assert!((found - 50.501).abs() < 1e-6, "{found}");
    assert_eq!(measured.of_model(&size(100, 50, 1001)), None);
    assert!((measured.rates.open_s_per_shard - 0.01).abs() < 1e-9);

    // Alone it is predicted from the raw reads of the device, where there are any.
    assert_eq!(Measured::of([first.clone()].iter()).unwrap().checks, []);
    let raw = ok("storage/read/sequential", 2.2);
    let checks = Measured::of([first, raw].iter()).unwrap().checks;
    assert!((checks[0].error() + 0.09).abs() < 0.002, "{checks:?}");

    let skipped = MetricRecord { state: State::Skipped, ..record(METRIC, 1.0, 1.0, 1.0, 1.0) };
    assert!(Measured::of([skipped].iter()).is_none());
}
