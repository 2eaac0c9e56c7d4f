//! A bench whose GPU falls off the bus midway, on the emulated driver: what was measured before is kept, every later metric
//! of the device is skipped with its cause, those of the CPU go on, and the record reaches its end.
//!
//! A bench owns its command line, so this is a program without libtest: by itself it is the test, with `--bench` the bench.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use hostdyno::cpu::{Isa, Peak, PeakSubject};
use hostdyno::cuda::vram;
use hostdyno::host::Workers;
use hostdyno::measure::{Plan, bench};
use hostdyno::record::{BenchRecord, MetricRecord, Part, State};

const BENCH: &str = "lost";
/// The kernel launch at which the device is lost: some metrics of [`vram::plan`] are over by then, most are not.
const FAULT: &str = "lost@60";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--bench") {
        return bench(BENCH, "hostdyno", plan);
    }
    a_lost_device_costs_only_its_own_metrics();
    println!("{BENCH}: ok");
    ExitCode::SUCCESS
}

/// A metric of the CPU, those of the device's memory, a metric of the CPU.
fn plan(plan: &mut Plan) -> hostdyno::Result<()> {
    let isa = Isa::chosen()?;
    let workers = Arc::new(Workers::new()?);
    let cpu = |plan: &mut Plan, one_core| {
        let (id, workers) = (PeakSubject::metric_id(Peak::F32, one_core), workers.clone());
        plan.add(id, Part::Compute, Peak::F32.unit(), move || {
            PeakSubject::new(Peak::F32, isa, workers)
        });
    };
    cpu(plan, true);
    vram::plan(plan, 0);
    cpu(plan, false);
    Ok(())
}

fn a_lost_device_costs_only_its_own_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, results) = (folder.path().join("driver"), folder.path().join("results"));
    emulator::driver::install(&driver).expect("the driver is built with the tests that use it");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--bench", "--warm-up-time", "0.05", "--measurement-time", "0.05"])
        .env("LD_LIBRARY_PATH", &driver)
        .env("HOSTDYNO_EMULATED_FAULTS", FAULT)
        .env("HOSTDYNO_RESULTS", &results)
        .env("HOSTDYNO_PROFILE", "quick")
        // Criterion's own files.
        .env("CARGO_TARGET_DIR", folder.path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    // Nothing was wrong: there is only less than was asked for.
    assert!(output.status.success(), "{}: {said}", output.status);
    let metrics = read(&results).metrics;
    let [first, device @ .., last] = metrics.as_slice() else {
        panic!("{} metrics", metrics.len())
    };
    for cpu in [first, last] {
        assert!(!cpu.samples.is_empty() && cpu.state != State::Skipped, "{}: {cpu:?}", cpu.id);
    }
    let before = device.iter().take_while(|metric| metric.state != State::Skipped).count();
    assert!(before > 0 && before + 1 < device.len(), "{before} of {} ran", device.len());
    let (ran, lost) = device.split_at(before);
    for (index, metric) in ran.iter().enumerate() {
        let cut = index + 1 == before && reason(metric).contains("cut short");
        assert!(cut || reason(metric).contains("(emulated)"), "{metric:?}");
        assert!(!metric.samples.is_empty(), "what was measured is kept: {metric:?}");
    }
    for metric in lost {
        assert_eq!(metric.state, State::Skipped, "{}: {}", metric.id, reason(metric));
        assert!(metric.samples.is_empty() && !reason(metric).is_empty(), "{metric:?}");
    }
    let later = reason(lost.last().expect("one at least"));
    assert!(later.contains("context was lost by"), "{later}");
}

fn reason(metric: &MetricRecord) -> &str {
    metric.reason.as_deref().unwrap_or_default()
}

/// The one record below `results`.
fn read(results: &std::path::Path) -> BenchRecord {
    let runs = std::fs::read_dir(results.join("runs")).expect("runs").flatten();
    let runs: Vec<_> = runs.filter(|entry| entry.path().is_dir()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let text = std::fs::read(runs[0].path().join(format!("{BENCH}.json"))).expect("a record");
    let record: BenchRecord = serde_json::from_slice(&text).expect("of the schema");
    assert!(record.complete);
    record
}
