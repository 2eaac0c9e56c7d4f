//! Every verdict, every attribution, every refusal.

use serde_json::json;

use super::explain::Attribution;
use super::fixture::{boots, processes, run};
use super::group::Group;
use super::noise_floor::NoiseFloor;
use super::verdict::Verdict;
use super::{Comparison, Options, Row};
use crate::record::fixture::{in_state, ok, skipped};
use crate::record::{MetricRecord, State, Unit, Work};

fn compare(a: &Group, b: &Group) -> Comparison {
    Comparison::new(a, b, &Options::default()).unwrap()
}

fn row(a: &Group, b: &Group) -> Row {
    compare(a, b).metrics.remove(0)
}

fn with(group: &Group, change: impl Fn(&mut MetricRecord)) -> Group {
    let mut group = group.clone();
    for run in &mut group.runs {
        run.benches[0].metrics.iter_mut().for_each(&change);
    }
    group
}

const READ: &str = "dram/read/all-cores";

#[test]
fn better_worse_and_same() {
    let a = boots("a", READ, &[100.0, 100.4, 99.7]);
    let better = row(&a, &boots("b", READ, &[110.0, 110.3, 109.8]));
    assert_eq!(better.verdict, Verdict::Better, "{}", better.reason);
    assert!((better.ratio - 1.1).abs() < 0.003 && better.superiority == 1.0);
    let interval = better.ratio_ci95.unwrap();
    assert!(interval.low > 1.08 && interval.high < 1.12, "{interval:?}");
    assert_eq!(row(&a, &boots("b", READ, &[90.0, 90.3, 89.8])).verdict, Verdict::Worse);
    let same = row(&a, &boots("b", READ, &[100.2, 100.1, 99.9]));
    assert_eq!(same.verdict, Verdict::Same, "{}", same.reason);
}

#[test]
fn of_a_latency_less_is_better() {
    let (a, b) = (&[100.0, 100.4, 99.7], &[90.0, 90.3, 89.8]);
    let faster = row(&boots("a", "dram/latency", a), &boots("b", "dram/latency", b));
    assert_eq!((faster.verdict, faster.superiority), (Verdict::Better, 1.0));
}

#[test]
fn certain_but_tiny_is_no_change() {
    let a = boots("a", READ, &[100.0, 100.01, 99.99]);
    assert_eq!(row(&a, &boots("b", READ, &[100.5, 100.51, 100.49])).verdict, Verdict::Same);
}

#[test]
fn wide_spreads_are_underpowered_with_what_would_help() {
    let a = boots("a", READ, &[100.0, 108.0, 93.0]);
    let judged = row(&a, &boots("b", READ, &[101.0, 94.0, 107.0]));
    assert_eq!(judged.verdict, Verdict::Underpowered);
    assert!(judged.reason.contains("is possible"), "{}", judged.reason);
}

#[test]
fn one_process_a_side_supports_nothing_but_with_a_learned_floor() {
    let (a, b) = (processes("a", READ, &[100.0]), processes("b", READ, &[50.0]));
    let alone = row(&a, &b);
    assert_eq!((alone.verdict, alone.ratio_ci95), (Verdict::Underpowered, None));
    assert!(alone.reason.contains("noise-floor"));
    let floor = NoiseFloor::learn(&processes("n", READ, &[100.0, 101.0, 99.0, 100.5]));
    let options = Options { floor: Some(floor), ..Options::default() };
    let known = Comparison::new(&a, &b, &options).unwrap();
    assert_eq!(known.metrics[0].verdict, Verdict::Worse, "{}", known.metrics[0].reason);
}

#[test]
fn a_floor_within_one_boot_says_nothing_about_boots() {
    let floor = NoiseFloor::learn(&processes("n", READ, &[100.0, 101.0, 99.0, 100.5]));
    let options = Options { floor: Some(floor), ..Options::default() };
    let (a, b) = (boots("a", READ, &[100.0]), boots("b", READ, &[50.0]));
    let judged = Comparison::new(&a, &b, &options).unwrap();
    assert_eq!(judged.metrics[0].verdict, Verdict::Underpowered);
    let floor = NoiseFloor::learn(&boots("n", READ, &[100.0, 101.0, 99.0, 100.5]));
    let options = Options { floor: Some(floor), ..Options::default() };
    let judged = Comparison::new(&a, &b, &options).unwrap();
    assert_eq!(judged.metrics[0].verdict, Verdict::Worse);
}

#[test]
fn within_shared_boots_the_boots_own_level_cancels() {
    let side = |name: &str, gain: f64| {
        let level = [100.0, 120.0, 80.0];
        let mut group = boots(
            name,
            READ,
            &[level, level.map(|l| l * 1.002)]
                .concat()
                .iter()
                .map(|v| v * gain)
                .collect::<Vec<_>>(),
        );
        for (i, run) in group.runs.iter_mut().enumerate() {
            run.benches[0].boot_id = Some(format!("shared{}", i % 3));
        }
        group
    };
    let judged = row(&side("a", 1.0), &side("b", 1.05));
    assert_eq!(judged.verdict, Verdict::Better, "{}", judged.reason);
    assert!((judged.ratio - 1.05).abs() < 1e-9 && judged.noise.unwrap() < 0.01);
}

#[test]
fn bimodal_and_drifting_series_are_ambiguous() {
    let a = boots("a", READ, &[100.0, 100.4, 99.7]);
    let b = boots("b", READ, &[100.2, 100.1, 99.9]);
    let bimodal = with(&b, |m| {
        m.samples = (0..40).map(|i| if i * 7 % 5 < 2 { 1.1e-3 } else { 1e-3 }).collect();
    });
    let judged = row(&a, &bimodal);
    assert_eq!(judged.verdict, Verdict::Ambiguous);
    assert!(judged.reason.contains("two levels, 10.0 % apart"), "{}", judged.reason);
    let drifting = with(&a, |m| m.samples = (0..40).map(|i| 1e-3 + 2e-6 * f64::from(i)).collect());
    let judged = row(&drifting, &b);
    assert_eq!(judged.verdict, Verdict::Ambiguous);
    assert!(judged.reason.contains("drift"), "{}", judged.reason);
    // A change far larger than the doubt is still one.
    let halved = row(&drifting, &boots("c", READ, &[50.2, 50.1, 49.9]));
    assert_eq!(halved.verdict, Verdict::Worse);
}

#[test]
fn one_unsteady_process_of_three_shows_in_the_spread_not_in_the_verdict() {
    let a = boots("a", READ, &[100.0, 100.4, 99.7]);
    let mut b = boots("b", READ, &[50.2, 50.1, 49.9]);
    let two_levels: Vec<f64> = (0..40).map(|i| if i * 7 % 5 < 2 { 5e-3 } else { 1e-3 }).collect();
    b.runs[0].benches[0].metrics[0].samples = two_levels.clone();
    let judged = row(&a, &b);
    assert_eq!(judged.verdict, Verdict::Worse, "{}", judged.reason);
    b.runs[1].benches[0].metrics[0].samples = two_levels;
    assert_eq!(row(&a, &b).verdict, Verdict::Ambiguous);
}

#[test]
fn other_code_and_throttling_forbid_a_claim() {
    let a = boots("a", READ, &[100.0, 100.4, 99.7]);
    let b = boots("b", READ, &[110.0, 110.3, 109.8]);
    let other = row(&a, &with(&b, |m| m.kernel_path = "cpu/avx512".into()));
    assert_eq!(other.verdict, Verdict::Ambiguous);
    assert_eq!(other.reason, "other code ran: cpu/avx2 and cpu/avx512");
    let hot = with(&b, |m| *m = in_state(m.clone(), State::Throttled, "SW thermal slowdown"));
    assert!(row(&a, &hot).reason.contains("SW thermal slowdown"));
}

#[test]
fn what_cannot_be_compared_is_listed_and_never_averaged() {
    let side = |name: &str, metrics: Vec<MetricRecord>| {
        Group::new(name, vec![run(name, name, &[], metrics)]).unwrap()
    };
    let a = side(
        "a",
        vec![
            ok(READ, 1.0),
            ok("dram/read/node-local", 1.0),
            skipped("dram/read/same-package", "one NUMA node"),
            ok("pcie/h2d/pinned/gpu0", 1.0),
            ok("gemm/cpu/bf16/m1n8k8", 1.0),
            in_state(ok("vram/read/gpu0", 1.0), State::Invalid, "differs at 7"),
        ],
    );
    let b = side(
        "b",
        vec![
            ok(READ, 1.0),
            ok("dram/read/same-package", 1.0),
            MetricRecord { unit: Unit::Seconds, ..ok("pcie/h2d/pinned/gpu0", 1.0) },
            MetricRecord {
                work: Work { flops: 7, ..Work::default() },
                ..ok("gemm/cpu/bf16/m1n8k8", 1.0)
            },
            ok("vram/read/gpu0", 1.0),
        ],
    );
    let comparison = compare(&a, &b);
    assert_eq!(comparison.metrics.len(), 1);
    let why = |id: &str| {
        comparison
            .not_compared
            .iter()
            .find(|n| n.id.as_str() == id)
            .map(|n| n.why.as_str())
            .unwrap()
    };
    assert_eq!(why("dram/read/node-local"), "not measured in b");
    assert_eq!(why("dram/read/same-package"), "no usable value in a (skipped: one NUMA node)");
    assert_eq!(why("pcie/h2d/pinned/gpu0"), "in GB/s on one side, in s on the other");
    assert!(why("gemm/cpu/bf16/m1n8k8").contains("another mix"));
    assert!(why("vram/read/gpu0").contains("invalid: differs at 7"));
}

/// Three boots a side of one metric that moves by a tenth, with `a` and `b` as what differs.
fn settings(
    a: &[(&str, serde_json::Value)],
    b: &[(&str, serde_json::Value)],
    id: &str,
    gain: f64,
) -> Comparison {
    let side = |name: &str, fields: &[(&str, serde_json::Value)], level: f64| {
        let runs = [1.0, 1.003, 0.998].iter().enumerate().map(|(i, noise)| {
            run(&format!("{name}{i}"), &format!("{name}{i}"), fields, vec![ok(id, level * noise)])
        });
        Group::new(name, runs.collect()).unwrap()
    };
    compare(&side("a", a, 100.0), &side("b", b, 100.0 * gain))
}

#[test]
fn one_setting_that_differs_explains_as_expected_or_not() {
    let slow = [
        ("memory.dimm.0.configured_speed_mts", json!(4800)),
        ("memory.dimm.1.configured_speed_mts", json!(4800)),
    ];
    let fast = [
        ("memory.dimm.0.configured_speed_mts", json!(5600)),
        ("memory.dimm.1.configured_speed_mts", json!(5600)),
    ];
    let up = settings(&slow, &fast, READ, 1.15).explanation;
    assert_eq!(up.attribution, Attribution::OneSetting, "{}", up.text);
    assert_eq!(up.suspects[0].knob, Some("memory-speed"));
    assert_eq!(up.suspects[0].change, "4800 -> 5600");
    assert!(up.text.contains("of the kind that it is known to make"), "{}", up.text);
    let down = settings(&slow, &fast, READ, 0.85).explanation;
    assert!(down.text.contains("against what it is known to do"), "{}", down.text);
    let flat = settings(&slow, &fast, READ, 1.0).explanation;
    assert_eq!(flat.attribution, Attribution::NothingMoved);
    assert_eq!(flat.suspects[0].did_not_move.len(), 1);
    let vram = settings(&slow, &fast, "vram/read/gpu0", 1.15).explanation;
    assert!(vram.text.contains("not known to touch"), "{}", vram.text);
    assert_eq!(vram.unexplained.len(), 1);
}

/// `taskset` shows in the CPUs that may be used and in the threads: one setting, of which both are named.
#[test]
fn fields_of_one_knob_are_named_together() {
    let side = |name: &str, cpus: &str, threads: u32, level: f64| {
        let runs = (0..3).map(|i| {
            let mut metric = ok(READ, level * (1.0 + 0.002 * f64::from(i)));
            metric.details.insert("threads".into(), json!(threads));
            let fields = [("process.cpus_allowed", json!(cpus))];
            run(&format!("{name}{i}"), &format!("{name}{i}"), &fields, vec![metric])
        });
        Group::new(name, runs.collect()).unwrap()
    };
    let explanation = compare(&side("a", "0-7", 8, 100.0), &side("b", "0-3", 4, 50.0)).explanation;
    assert_eq!(explanation.attribution, Attribution::OneSetting, "{}", explanation.text);
    assert_eq!(explanation.suspects[0].field, "hostdyno.threads, process.cpus_allowed");
    assert_eq!(explanation.suspects[0].change, "8 -> 4, 0-7 -> 0-3");
}

#[test]
fn a_bios_update_that_also_moved_microcode_is_confounded() {
    let a = [
        ("dmi.bios_version", json!("1.4")),
        ("dmi.bios_date", json!("x")),
        ("cpu.microcode", json!("0x10")),
    ];
    let b = [
        ("dmi.bios_version", json!("1.5")),
        ("dmi.bios_date", json!("y")),
        ("cpu.microcode", json!("0x11")),
    ];
    let explanation = settings(&a, &b, READ, 1.1).explanation;
    assert_eq!(explanation.attribution, Attribution::Confounded);
    assert_eq!(explanation.suspects.len(), 2, "date and version are one update");
    assert!(explanation.text.contains("cpu.microcode"), "{}", explanation.text);
}

#[test]
fn an_attached_firmware_export_tells_what_differs() {
    let export = |smt: &str| {
        [("bios.import.SmtControl", json!(smt)), ("bios.import.BootMode", json!("Uefi"))]
    };
    let comparison = settings(&export("Enabled"), &export("Disabled"), READ, 1.1);
    let differs: Vec<_> =
        comparison.environment.differences.iter().map(|d| d.field.as_str()).collect();
    assert_eq!(differs, ["bios.import.SmtControl"]);
    assert_eq!(comparison.explanation.suspects[0].knob, Some("smt"));
    let one_sided = settings(&export("Enabled"), &[], READ, 1.1);
    assert_eq!(one_sided.environment.differences, []);
    assert!(one_sided.warnings.iter().any(|w| w.contains("HOSTDYNO_BIOS")));
}

/// A made-up host of one socket whose memory is presented as `nodes` nodes, numbered from `first` on.
fn presented(nodes: usize, first: usize) -> crate::host::HostRecord {
    use crate::host::nps::{Confidence, Inference, Mode};
    use crate::host::topology::Node;
    let cpus = 8 / nodes;
    let mut fields = vec![("pci.0000:c1:00.0.numa_node".to_owned(), json!(first + nodes - 1))];
    for i in 0..nodes {
        let at = |name: &str| format!("numa.node{}.{name}", first + i);
        fields.push((at("cpulist"), json!(format!("{}-{}", i * cpus, (i + 1) * cpus - 1))));
        fields.push((at("distance"), json!(vec![12; nodes])));
    }
    fields.push(("numa.online".to_owned(), json!(format!("{first}-{}", first + nodes - 1))));
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut host = crate::record::fixture::host(&fields);
    host.topology.nodes = (0..nodes)
        .map(|i| Node {
            index: first + i,
            cpus: (i * cpus..(i + 1) * cpus).collect(),
            memory_bytes: (256 << 30) / nodes as u64,
            allowed: true,
            package: Some(0),
            kind: None,
        })
        .collect();
    host.topology.inference = Inference {
        mode: Mode::Nps(nodes as u32),
        confidence: Confidence::High,
        inferred_by: Vec::new(),
        reason: "made up".into(),
    };
    host
}

/// Metrics are named by role, so that a renumbering is one setting that differs and not a dozen.
#[test]
fn one_node_a_socket_and_four_compare_by_role() {
    let side =
        |name: &str, nodes: usize, first: usize, metrics: &dyn Fn(f64) -> Vec<MetricRecord>| {
            let runs = [1.0, 1.002, 0.999].iter().enumerate().map(|(i, noise)| {
                let mut run =
                    run(&format!("{name}{i}"), &format!("{name}{i}"), &[], metrics(*noise));
                run.host = Some(presented(nodes, first));
                run
            });
            Group::new(name, runs.collect()).unwrap()
        };
    let latency = "dram/latency/node-local";
    let nps1 = side("nps1", 1, 0, &|noise| {
        vec![
            ok(READ, 400.0 * noise),
            ok(latency, 110.0 * noise),
            ok("dram/read/node-local", 400.0 * noise),
        ]
    });
    let nps4 = side("nps4", 4, 2, &|noise| {
        vec![
            ok(READ, 401.0 * noise),
            ok(latency, 101.0 * noise),
            ok("dram/read/node-local", 99.0 * noise),
            ok("dram/read/same-package", 95.0 * noise),
        ]
    });
    let comparison = compare(&nps1, &nps4);
    let of = |id: &str| comparison.metrics.iter().find(|row| row.id.as_str() == id).unwrap();
    assert_eq!(of(READ).verdict, Verdict::Same, "{}", of(READ).reason);
    assert_eq!(of(latency).verdict, Verdict::Better);
    assert_eq!(of("dram/read/node-local").verdict, Verdict::Worse);
    assert_eq!(comparison.not_compared[0].id.as_str(), "dram/read/same-package");
    let explanation = &comparison.explanation;
    assert_eq!(explanation.attribution, Attribution::OneSetting, "{}", explanation.text);
    assert_eq!(explanation.suspects[0].change, "NPS1 -> NPS4, 1 -> 4");
    assert!(
        explanation.text.contains("of the kind that it is known to make"),
        "{}",
        explanation.text
    );
    assert_eq!(explanation.not_in_effect, [""; 0]);
    // Asked for and not in effect: the label says so.
    let mut refused = side("nps4", 1, 0, &|noise| vec![ok(READ, 400.0 * noise)]);
    refused.runs.iter_mut().for_each(|run| run.benches[0].label = Some("nps4".into()));
    let missing = compare(&nps1, &refused).explanation.not_in_effect;
    assert!(missing[0].contains("the label is nps4, but the topology is NPS1"), "{missing:?}");
}

#[test]
fn nothing_recorded_and_nothing_known_are_told_apart() {
    let explanation = settings(&[], &[], READ, 1.1).explanation;
    assert_eq!(explanation.attribution, Attribution::NothingRecorded);
    assert!(explanation.text.contains("HOSTDYNO_BIOS"));
    let (mut a, b) =
        (boots("a", READ, &[100.0, 100.1, 99.9]), boots("b", READ, &[110.0, 110.1, 109.9]));
    a.runs.iter_mut().for_each(|run| run.host = None);
    let comparison = compare(&a, &b);
    assert_eq!(comparison.explanation.attribution, Attribution::Unknown);
    assert!(comparison.environment.differences.is_empty(), "an unread side differs in nothing");
}

#[test]
fn consequences_and_incidentals_are_no_settings() {
    let a = [
        ("numa.balancing", json!(1)),
        ("limits.open_files", json!(1)),
        ("numa.node0.cpulist", json!("0-7")),
        ("memory.total_kib", json!(25_000_000)),
    ];
    let b = [
        ("numa.balancing", json!(0)),
        ("limits.open_files", json!(2)),
        ("numa.node0.cpulist", json!("0-3")),
        ("memory.total_kib", json!(25_000_100)),
    ];
    let comparison = settings(&a, &b, READ, 1.1);
    assert_eq!(comparison.explanation.attribution, Attribution::OneSetting);
    assert_eq!(comparison.environment.differences.len(), 4);
    assert_eq!(comparison.environment.settings()[0][0].field, "numa.balancing");
}

#[test]
fn a_denied_field_differs_from_nothing() {
    let mut comparison = settings(&[("cpu.microcode", json!("0x10"))], &[], READ, 1.1);
    assert_eq!(comparison.environment.differences.remove(0).b, "absent");
    let (mut a, mut b) = (boots("a", READ, &[1.0, 1.0, 1.0]), boots("b", READ, &[1.0, 1.0, 1.0]));
    for (group, status) in [(&mut a, "ok"), (&mut b, "denied")] {
        for run in &mut group.runs {
            let field = json!({"value": "x", "source": "s", "status": status, "class": "bios"});
            let host = run.host.as_mut().unwrap();
            host.environment
                .0
                .insert("pci.0.relaxed_ordering".into(), serde_json::from_value(field).unwrap());
        }
    }
    assert_eq!(compare(&a, &b).environment.differences, []);
}

#[test]
fn settings_that_did_not_take_effect_are_named() {
    let gpu = |bar: u64| {
        vec![
            ("pci.0000:c1:00.0.class", json!("0x030200")),
            ("pci.0000:c1:00.0.vendor", json!("0x10de")),
            ("pci.0000:c1:00.0.bar_bytes", json!([16 << 20, 0, bar])),
            ("bios.import.Resizable BAR", json!("Enabled")),
            ("bios.import.NUMA nodes per socket", json!("NPS4")),
            ("bios.import.SMT Control", json!("Enabled")),
            ("cpu.smt.active", json!(false)),
        ]
    };
    let small = settings(&gpu(256 << 20), &gpu(1 << 37), READ, 1.0).explanation.not_in_effect;
    let bar: Vec<_> =
        small.iter().filter(|text| text.contains("largest BAR has 256 MiB")).collect();
    assert_eq!(bar.len(), 3, "{small:?}");
    assert!(small.iter().any(|text| text.contains("SMT off")), "{small:?}");
}

#[test]
fn what_can_be_no_comparison_is_refused() {
    let a = boots("a", READ, &[1.0]);
    let refused =
        |a: &Group, b: &Group| Comparison::new(a, b, &Options::default()).unwrap_err().to_string();
    assert!(refused(&a, &a).contains("on both sides"));
    assert!(refused(&a, &boots("b", "dram/write", &[1.0])).contains("no metric in common"));
    let mut other = boots("b", READ, &[1.0]);
    other.runs[0].host = Some(crate::record::fixture::host(&[("cpu.model_name", json!("Xeon"))]));
    assert!(refused(&a, &other).contains("cpu.model_name is AMD EPYC"));
    let options = Options { across_hosts: true, ..Options::default() };
    assert!(Comparison::new(&a, &other, &options).is_ok());
    assert!(Group::new("empty", Vec::new()).unwrap_err().to_string().contains("no measured run"));
}

#[test]
fn a_change_of_clock_is_called_one() {
    let side = |name: &str, value: f64, mhz: f64| {
        with(&boots(name, "gemm/gpu0/bf16/m8", &[value, value * 1.002, value * 0.998]), |m| {
            m.details.insert("sm_clock_mhz".into(), json!(mhz));
        })
    };
    let a = side("a", 100.0, 1900.0);
    let clock = row(&a, &side("b", 80.0, 1520.0));
    assert_eq!(clock.verdict, Verdict::Worse);
    assert!(clock.reason.contains("it is the clock's (-20.0 %)"), "{}", clock.reason);
    let code = row(&a, &side("b", 80.0, 1900.0));
    assert!(code.reason.contains("confirmed in cycles"), "{}", code.reason);
}

#[test]
fn within_a_boot_the_order_counts() {
    let (a, b) = (processes("a", READ, &[1.0, 1.0, 1.0]), processes("b", READ, &[1.0, 1.0, 1.0]));
    assert!(compare(&a, &b).warnings.iter().any(|w| w.contains("A B B A")));
}
