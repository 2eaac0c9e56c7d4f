//! Facts that the drawn report must hold, at every width; not its looks.

use super::{Screen, report};
use crate::record::store::Run;
use crate::record::{Cache, MetricRecord, Origin, State};
use crate::report::fixture::{below, bench, in_state, ok, run, skipped};
use crate::report::model::Report;

fn every_state() -> Run {
    let fma = |metric| below(metric, 0.2, Origin::Measured, "compute/peak/f32-fma");
    let gemm = vec![
        fma(ok("gemm/cpu/bf16/m2048n2048k2048", 0.1462)),
        fma(in_state(ok("gemm/cpu/fp8-e4m3/m1n7168k2048", 0.05), State::Noisy, "known to ±9 %")),
        fma(in_state(ok("gemm/cpu/mxfp4/m1n7168k2048", 7.7), State::Invalid, "differs at [0, 7]")),
        in_state(ok("gemm/cpu/int8/m1n7168k2048", 0.11), State::Throttled, "2.1 GHz"),
    ];
    let dram = vec![
        below(ok("dram/read/all-cores", 31.23), 38.4, Origin::Theoretical, "1 x 8 B x 4800 MT/s"),
        ok("dram/latency/all-cores", 98.44),
        skipped("dram/read/remote", "one NUMA node"),
    ];
    let storage = vec![
        MetricRecord { kernel_path: "io_uring/direct".into(), ..ok("storage/load/direct", 2.1) },
        MetricRecord { cache: Cache::Unknown, ..ok("storage/load/mmap", 3.2) },
    ];
    let gpu = vec![skipped("pcie/h2d", "no NVIDIA GPU"), skipped("vram/read", "no NVIDIA GPU")];
    let mut cut = bench("storage", storage);
    cut.complete = false;
    run(vec![bench("gemm", gemm), bench("dram", dram), cut, bench("transfer", gpu)])
}

fn drawn(width: usize) -> String {
    report(Screen { width, color: false }, &Report::new(&every_state()), 3)
}

fn line<'a>(text: &'a str, with: &str) -> &'a str {
    text.lines().find(|line| line.contains(with)).unwrap_or_else(|| panic!("no {with} in\n{text}"))
}

#[test]
fn a_row_has_median_interval_percent_ceiling_state_and_path() {
    let text = drawn(160);
    let row = text.lines().rfind(|l| l.contains("gemm/cpu/bf16/m2048n2048k2048")).unwrap();
    for fact in ["146 GFLOP/s", "145 - 148", "73 % a", "200 GFLOP/s", "ok", "cpu/avx2"] {
        assert!(row.contains(fact), "{fact} in {row}");
    }
    assert!(text.contains("a measured ceiling: 200 GFLOP/s, compute/peak/f32-fma"), "{text}");
    assert!(text.contains("a theoretical ceiling: 38.4 GB/s, 1 x 8 B x 4800 MT/s"), "{text}");
}

#[test]
fn invalid_figures_are_never_shown_as_figures() {
    let text = drawn(160);
    assert!(!text.contains("7.70") && !text.contains("7.7 "), "{text}");
    assert!(text.contains("invalid: gemm/cpu/mxfp4/m1n7168k2048: differs at [0, 7]"), "{text}");
}

#[test]
fn the_order_is_summary_tables_skipped_findings() {
    let text = drawn(120);
    let mut last = 0;
    for heading in [
        "run 2026",
        "a number for each part",
        "\ncompute\n",
        "\ndram\n",
        "\nstorage\n",
        "skipped, and why",
        "the three things",
    ] {
        let at = text.find(heading).unwrap_or_else(|| panic!("no {heading:?} in\n{text}"));
        assert!(at >= last, "{heading:?} comes too early");
        last = at;
    }
}

#[test]
fn each_part_has_a_number_or_says_why_not() {
    let text = drawn(120);
    let summary: String = text
        .lines()
        .skip_while(|l| !l.contains("a number for each"))
        .take(12)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(line(&summary, "dram ").contains("31.2 GB/s"));
    assert!(line(&summary, "dram ").contains("81 % theoretical"));
    assert!(line(&summary, "pcie ").contains("no NVIDIA GPU"));
    assert!(line(&summary, "network ").contains("not measured"));
}

#[test]
fn an_incomplete_run_says_so_at_the_top() {
    let text = drawn(120);
    let head: Vec<_> = text.lines().take(6).collect();
    assert!(head.iter().any(|l| l.contains("incomplete: storage did not reach the end")), "{text}");
}

#[test]
fn every_width_keeps_every_figure_and_fits() {
    for width in [60, 80, 100, 120, 200] {
        let text = drawn(width);
        let facts = ["146 GFLOP/s", "73 % a", "31.2 GB/s", "81 % a", "98.4 ns", "io_uring/direct"];
        for fact in facts {
            assert!(text.contains(fact), "{fact} at width {width}:\n{text}");
        }
        if width >= 80 {
            let too_long = text.lines().find(|l| console::measure_text_width(l) > width);
            assert_eq!(too_long, None, "at width {width}");
        }
    }
}

#[test]
fn three_findings_with_what_to_do_next() {
    let text = drawn(120);
    assert!(text.contains("1. 1 metric is invalid"), "{text}");
    assert!(text.contains("2. the run is incomplete"), "{text}");
    assert!(text.contains("3. 1 metric is throttled"), "{text}");
    assert_eq!(text.matches("\n     -> ").count(), 3, "{text}");
    assert!(text.contains("more: --findings"), "{text}");
}

#[test]
fn a_hostile_record_commands_no_terminal() {
    let mut run = every_state();
    run.name = "\u{1b}[2J".into();
    for bench in &mut run.benches {
        bench.bench.push_str("\u{1b}[31m");
        bench.label = Some("\u{9b}0m".into());
        bench.updated.push('\u{7}');
        bench.profile.push('\u{8}');
        for metric in &mut bench.metrics {
            metric.id = crate::record::MetricId::new([metric.id.as_str(), "\u{1b}[1m"]);
            metric.kernel_path.push_str("\u{1b}c");
            metric.reason = metric.reason.take().map(|r| r + "\u{1b}]0;x\u{7}");
            if let Some(ceiling) = &mut metric.ceiling {
                ceiling.source.push('\u{1b}');
            }
        }
    }
    run.problems.push("\u{1b}[5m".into());
    for width in [80, 160] {
        let text = report(Screen { width, color: false }, &Report::new(&run), 99);
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{text}");
    }
}
