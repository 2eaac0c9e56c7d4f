//! Each rule fires on the run it is for, names figure and next step, and keeps quiet otherwise.

use super::findings;
use crate::record::{BenchRecord, Cache, Interval, MetricRecord, Origin, Part, State, Summary};
use crate::report::fixture::{below, bench, in_state, ok, run, skipped};

const GPU: &str = "no NVIDIA GPU";

fn found(benches: Vec<BenchRecord>) -> Vec<super::Finding> {
    findings(&run(benches))
}

fn rules(benches: Vec<BenchRecord>) -> Vec<&'static str> {
    found(benches).iter().map(|f| f.rule).collect()
}

fn finding(rule: &str, benches: Vec<BenchRecord>) -> super::Finding {
    found(benches).into_iter().find(|f| f.rule == rule).unwrap_or_else(|| panic!("no {rule}"))
}

/// Every part is there, nothing is wrong, everything is close to a ceiling.
fn healthy() -> Vec<MetricRecord> {
    let near = |name: &str, value| below(ok(name, value), value / 0.9, Origin::Measured, "peak");
    vec![
        near("gemm/cpu/bf16/m1", 0.1),
        near("gemm/cpu/int8/m1", 0.2),
        near("dram/read/all-cores", 31.0),
        near("storage/load/direct", 2.0),
        skipped("pcie/h2d/pinned", GPU),
        skipped("vram/read", GPU),
    ]
}

fn with(extra: Vec<MetricRecord>) -> Vec<BenchRecord> {
    let mut metrics = healthy();
    metrics.extend(extra);
    vec![bench("all", metrics)]
}

#[test]
fn a_healthy_run_names_only_its_largest_gap() {
    assert_eq!(rules(with(vec![])), ["largest-gap"]);
    let gap = finding("largest-gap", with(vec![]));
    assert!(gap.what.contains("90 % of its measured ceiling"), "{}", gap.what);
}

#[test]
fn what_makes_numbers_wrong_comes_before_what_makes_them_slow() {
    let slow = below(ok("dram/copy/all-cores", 9.0), 30.0, Origin::Theoretical, "8 x 4800 MT/s");
    let wrong = in_state(ok("gemm/cpu/fp8/m1", 9.0), State::Invalid, "error 3.2 x tolerance");
    let hot = in_state(ok("gemm/cpu/fp8/m4", 0.1), State::Throttled, "clock fell to 2.1 GHz");
    let noisy = in_state(ok("gemm/cpu/fp8/m8", 0.1), State::Noisy, "known to ±9 % only");
    let mut cut = bench("storage", vec![]);
    cut.complete = false;
    let mut benches = with(vec![slow, noisy, hot, wrong]);
    benches.push(cut);
    assert_eq!(
        rules(benches)[..5],
        ["invalid", "incomplete", "throttled", "noisy", "below-ceiling"]
    );
}

#[test]
fn an_invalid_metric_is_named_with_its_reason_and_how_to_repeat_it() {
    let wrong = in_state(ok("gemm/cpu/fp8/m1", 9.0), State::Invalid, "error 3.2 x tolerance");
    let finding = finding("invalid", with(vec![wrong]));
    assert!(finding.what.contains("1 metric is invalid"), "{}", finding.what);
    assert!(finding.what.contains("gemm/cpu/fp8/m1: error 3.2 x tolerance"), "{}", finding.what);
    assert!(finding.next.contains("`cargo bench -- 'gemm/cpu/fp8/m1'`"), "{}", finding.next);
}

#[test]
fn a_figure_above_its_ceiling_sends_the_reader_to_the_ceiling() {
    let fast = below(ok("dram/read/x", 400.0), 300.0, Origin::Theoretical, "8 x 4800 MT/s");
    let fast = in_state(fast, State::Invalid, "beats the ceiling");
    assert!(finding("invalid", with(vec![fast])).next.contains("check the ceiling's source"));
}

#[test]
fn the_widest_of_the_noisy_is_named_with_its_noise() {
    let noisy = |name: &str, noise: f64| {
        let mut metric = in_state(ok(name, 10.0), State::Noisy, "noisy");
        let interval = Interval { low: 10.0 * (1.0 - noise), high: 10.0 * (1.0 + noise) };
        metric.summary.as_mut().unwrap().median_ci95 = Some(interval);
        metric
    };
    let extra = vec![noisy("dram/copy", 0.03), noisy("dram/triad", 0.2), noisy("dram/write", 0.05)];
    let finding = finding("noisy", with(extra));
    assert!(finding.what.contains("3 of 7 metrics are noisy"), "{}", finding.what);
    assert!(finding.what.contains("dram/triad at 10 GB/s ±20 %"), "{}", finding.what);
    assert!(finding.next.contains("'dram'"), "{}", finding.next);
    assert_eq!(finding.metrics[0].as_str(), "dram/triad");
}

#[test]
fn noise_without_an_interval_still_gets_its_reason() {
    let mut few = in_state(ok("storage/load/mmap", 1.0), State::Noisy, "only 3 samples");
    let summary = few.summary.take().unwrap();
    few.summary = Some(Summary { samples: 3, median_ci95: None, ..summary });
    assert!(finding("noisy", with(vec![few])).what.contains("only 3 samples"));
}

#[test]
fn storage_that_is_not_proved_cold_is_an_upper_bound() {
    let warm = MetricRecord { cache: Cache::Unknown, ..ok("storage/load/mmap", 9.3) };
    let finding = finding("not-cold", with(vec![warm]));
    assert!(finding.what.contains("storage/load/mmap at 9.30 GB/s"), "{}", finding.what);
    // A hot DRAM metric is hot on purpose.
    let hot = MetricRecord { cache: Cache::Hot, ..ok("dram/read/l2", 90.0) };
    assert!(!rules(with(vec![hot])).contains(&"not-cold"));
}

#[test]
fn processes_that_shared_the_gpu_are_counted() {
    let among = |others: u64| {
        let mut metric = ok("vram/gpu0/read", 900.0);
        let gpu = serde_json::json!({"gpu": {"other_processes": others}});
        metric.conditions.insert("after".into(), gpu);
        metric
    };
    let finding = finding("busy-gpu", with(vec![among(0), among(2)]));
    assert!(finding.what.contains("2 other processes were on the GPU"), "{}", finding.what);
    assert_eq!(finding.metrics.len(), 1);
    assert!(!rules(with(vec![among(0)])).contains(&"busy-gpu"));
}

#[test]
fn a_family_counts_as_far_below_only_when_its_best_member_is() {
    let at = |name: &str, share: f64| below(ok(name, share), 1.0, Origin::Measured, "fma peak");
    let mixed = vec![at("gemm/cpu/fp8/m1", 0.2), at("gemm/cpu/fp8/m64", 0.8)];
    assert!(!rules(with(mixed)).contains(&"below-ceiling"));
    let low = vec![at("gemm/cpu/mxfp4/m1", 0.2), at("gemm/cpu/mxfp4/m64", 0.31)];
    let finding = finding("below-ceiling", with(low));
    assert!(finding.what.contains("gemm/cpu/mxfp4/m64 reaches"), "{}", finding.what);
    assert!(finding.what.contains("31 % of its measured ceiling"), "{}", finding.what);
    assert!(finding.what.starts_with("the best of 2, "), "{}", finding.what);
}

#[test]
fn a_family_that_noise_may_have_kept_low_is_not_accused() {
    let mut noisy = below(ok("gemm/cpu/mxfp4/m1", 0.4), 1.0, Origin::Measured, "fma peak");
    noisy = in_state(noisy, State::Noisy, "noisy");
    noisy.summary.as_mut().unwrap().median_ci95 = Some(Interval { low: 0.1, high: 0.7 });
    assert!(!rules(with(vec![noisy.clone()])).contains(&"below-ceiling"));
    noisy.summary.as_mut().unwrap().median_ci95 = Some(Interval { low: 0.3, high: 0.5 });
    assert!(rules(with(vec![noisy])).contains(&"below-ceiling"));
}

#[test]
fn a_latency_below_its_ceiling_is_no_bandwidth_problem() {
    let latency = below(ok("dram/latency", 98.0), 20.0, Origin::Theoretical, "CAS");
    assert!(!rules(with(vec![latency])).contains(&"below-ceiling"));
}

#[test]
fn a_narrow_format_slower_than_a_wider_one_is_named_with_both_times() {
    let timed =
        |name: &str, seconds: f64| MetricRecord { samples: vec![seconds; 9], ..ok(name, 1.0) };
    let slower = vec![
        timed("gemm/cpu/bf16/m64n8k8", 1e-3),
        timed("gemm/cpu/fp8/m64n8k8", 1.05e-3),
        timed("gemm/cpu/mxfp4/m64n8k8", 2.1e-3),
    ];
    let finding = finding("narrow-format-slower", with(slower));
    assert!(finding.what.contains("mxfp4 takes 2.1 times"), "{}", finding.what);
    assert!(finding.what.contains("2.10 ms against 1.00 ms"), "{}", finding.what);
    assert_eq!(finding.metrics.len(), 1, "5 % is not slower: {:?}", finding.metrics);
}

#[test]
fn different_problems_are_not_compared() {
    let timed =
        |name: &str, seconds: f64| MetricRecord { samples: vec![seconds; 9], ..ok(name, 1.0) };
    let other = vec![timed("gemm/cpu/bf16/m3", 1e-3), timed("gemm/cpu/mxfp4/m64", 9.0)];
    assert!(!rules(with(other)).contains(&"narrow-format-slower"));
    let mut loops = [timed("compute/peak/bf16", 1e-3), timed("compute/peak/mxfp4", 9.0)];
    loops[1].work.flops *= 4;
    assert!(!rules(with(loops.into())).contains(&"narrow-format-slower"));
}

#[test]
fn a_part_without_a_ceiling_is_said_to_be_unjudged() {
    let mut metrics = healthy();
    metrics.iter_mut().filter(|m| m.part == Part::Dram).for_each(|m| m.ceiling = None);
    let finding = finding("no-ceiling", vec![bench("all", metrics.clone())]);
    assert!(finding.what.contains("dram/read/all-cores at 31"), "{}", finding.what);
    metrics[2].details.insert("ceiling_unknown".into(), "no DIMM data".into());
    let told = self::finding("no-ceiling", vec![bench("all", metrics)]);
    assert!(told.what.contains("dram (no DIMM data)"), "{}", told.what);
}

#[test]
fn parts_that_nobody_measured_are_named_but_skipped_ones_are_not_missing() {
    let finding = finding("missing-part", vec![bench("dram", vec![ok("dram/read", 31.0)])]);
    assert!(finding.what.ends_with("compute, vram, pcie, storage"), "{}", finding.what);
    assert!(!rules(with(vec![])).contains(&"missing-part"));
}

#[test]
fn a_cut_bench_is_named_with_the_command_that_repeats_it() {
    let mut cut = bench("storage", vec![ok("storage/load/direct", 2.0)]);
    cut.complete = false;
    let finding = finding("incomplete", vec![bench("all", healthy()), cut]);
    assert!(finding.what.contains("storage did not reach the end"), "{}", finding.what);
    assert_eq!(finding.next, "Run `cargo bench --bench storage` again");
}

#[test]
fn an_unreadable_file_is_a_finding() {
    let mut run = run(with(vec![]));
    run.problems = vec!["results/runs/x/dram.json: not whole JSON".into()];
    let found = findings(&run);
    assert_eq!(found[0].rule, "incomplete");
    assert!(found[0].what.contains("dram.json"), "{}", found[0].what);
}

#[test]
fn nothing_at_all_is_no_panic() {
    assert!(found(vec![]).iter().any(|f| f.rule == "missing-part"));
    let empty = MetricRecord { samples: vec![], summary: None, ..ok("", 0.0) };
    found(vec![bench("", vec![empty])]);
}
