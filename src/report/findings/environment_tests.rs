//! Rules about the host: each setting known to hurt, with its command, and hosts that must not be accused.

use serde_json::{Value, json};

use super::{Finding, findings};
use crate::record::State;
use crate::report::fixture::{bench, host, in_state, ok, run};

fn found(fields: &[(&str, Value)]) -> Vec<Finding> {
    let mut run = run(vec![bench("all", vec![ok("dram/read", 31.0)])]);
    run.host = Some(host(fields));
    findings(&run)
}

/// The finding of `rule` shows `figure` and tells to run `command`.
fn accuses(rule: &str, fields: &[(&str, Value)], figure: &str, command: &str) {
    let found = found(fields);
    let finding = found.iter().find(|f| f.rule == rule).unwrap_or_else(|| panic!("no {rule}"));
    assert!(finding.what.contains(figure), "{}", finding.what);
    assert!(finding.next.contains(command), "{}", finding.next);
}

fn acquits(rule: &str, fields: &[(&str, Value)]) {
    assert!(found(fields).iter().all(|f| f.rule != rule), "{rule} with {fields:?}");
}

#[test]
fn a_healthy_host_is_accused_of_nothing() {
    let rules: Vec<_> = found(&[]).iter().map(|f| f.rule).collect();
    assert_eq!(rules, ["no-ceiling", "missing-part"]);
}

#[test]
fn a_governor_that_saves_power() {
    let fields = |governor: &str| {
        [
            ("cpu.freq.scaling_governor", json!(governor)),
            ("cpu.freq.scaling_driver", json!("acpi-cpufreq")),
        ]
    };
    accuses("governor", &fields("powersave"), "powersave", "cpupower frequency-set -g performance");
    acquits("governor", &fields("performance"));
}

#[test]
fn an_active_pstate_driver_is_judged_by_its_energy_preference() {
    let fields = |preference: &str| {
        [
            ("cpu.freq.scaling_governor", json!("powersave")),
            ("cpu.freq.scaling_driver", json!("amd-pstate-epp")),
            ("cpu.freq.energy_performance_preference", json!(preference)),
        ]
    };
    accuses("governor", &fields("balance_power"), "balance_power", "energy_performance_preference");
    accuses("governor", &fields("power"), "power", "echo performance");
    // "balance_performance" holds no "power", but a careless test for the word "performance" would differ.
    acquits("governor", &fields("performance"));
    acquits("governor", &fields("balance_performance"));
}

#[test]
fn boost_that_is_off() {
    accuses("boost-off", &[("cpu.freq.boost", json!(false))], "boost is 0", "echo 1 | sudo tee");
    accuses("boost-off", &[("cpu.intel_pstate.no_turbo", json!(true))], "no_turbo", "echo 0");
    acquits("boost-off", &[("cpu.freq.boost", json!(true))]);
}

#[test]
fn a_quota_below_the_cpus() {
    let quota = |text: Value| [("cgroup.cpu_max", text)];
    accuses("cpu-quota", &quota(json!("250000 100000")), "2.5 CPUs of 8", "CPU limit");
    accuses("cpu-quota", &quota(json!(400_000)), "4 CPUs of 8", "CPU limit");
    for harmless in
        [json!("max 100000"), json!("800000 100000"), json!(-1), json!("x"), json!("5 0")]
    {
        acquits("cpu-quota", &quota(harmless));
    }
}

#[test]
fn a_slow_clock_source() {
    let clock = |name: &str| [("kernel.clocksource.current", json!(name))];
    accuses("clock-source", &clock("hpet"), "hpet", "dmesg");
    acquits("clock-source", &clock("kvm-clock"));
}

#[test]
fn huge_pages_that_are_off() {
    let thp = |mode: &str| [("kernel.thp.enabled", json!(mode))];
    accuses("huge-pages", &thp("never"), "never", "echo madvise | sudo tee /sys/kernel/mm/");
    acquits("huge-pages", &thp("always"));
}

#[test]
fn numa_balancing_counts_only_with_several_nodes() {
    let nodes = |list: &str| [("numa.has_memory", json!(list))];
    accuses("numa-balancing", &nodes("0-1,4"), "3 nodes", "sysctl kernel.numa_balancing=0");
    acquits("numa-balancing", &nodes("0"));
    acquits("numa-balancing", &[("numa.has_memory", json!("0-1")), ("numa.balancing", json!(0))]);
}

#[test]
fn a_scheduler_in_front_of_nvme() {
    let fields = |disk: &str, name: &str| [(format!("block.{disk}.scheduler"), json!(name))];
    let check = |disk: &str, name: &str| {
        let [(field, value)] = fields(disk, name);
        found(&[(&field, value)]).into_iter().find(|f| f.rule == "io-scheduler")
    };
    let finding = check("nvme1n1", "bfq").unwrap();
    assert!(finding.what.contains("nvme1n1") && finding.what.contains("bfq"), "{}", finding.what);
    assert!(finding.next.contains("/sys/block/nvme1n1/queue/scheduler"), "{}", finding.next);
    assert_eq!(check("nvme1n1", "none"), None);
    assert_eq!(check("sda", "mq-deadline"), None, "a scheduler is right for a disk");
}

#[test]
fn memory_errors_come_before_anything_about_speed() {
    let found = found(&[
        ("memory.edac.mc0.corrected_errors", json!(12)),
        ("memory.edac.mc1.corrected_errors", json!(3)),
        ("memory.edac.mc0.uncorrected_errors", json!(0)),
    ]);
    assert_eq!(found[0].rule, "memory-errors");
    assert!(found[0].what.contains("15 corrected and 0 uncorrected"), "{}", found[0].what);
}

#[test]
fn others_on_the_host_explain_noise_or_stand_alone() {
    let with_load = |load: f64, state: State| {
        let mut metric = in_state(ok("dram/read", 31.0), state, "x");
        metric.conditions.insert("before".into(), json!({"load_average_1min": load}));
        let mut run = run(vec![bench("dram", vec![metric])]);
        run.host = Some(host(&[]));
        findings(&run)
    };
    let busy = with_load(14.0, State::Ok);
    assert!(busy.iter().any(|f| f.rule == "busy-host" && f.what.contains("14.0 on 8 CPUs")));
    let noisy = with_load(14.0, State::Noisy);
    assert!(noisy.iter().any(|f| f.rule == "noisy" && f.what.contains("14.0 on 8 CPUs")));
    assert!(noisy.iter().all(|f| f.rule != "busy-host"), "said once");
    let mut metric = ok("dram/read", 31.0);
    metric.conditions.insert("stolen_fraction".into(), json!(0.13));
    let mut stolen = run(vec![bench("dram", vec![metric])]);
    stolen.host = Some(host(&[]));
    assert!(findings(&stolen).iter().any(|f| f.rule == "busy-host" && f.what.contains("13 %")));
    let own = with_load(8.0, State::Ok);
    assert!(own.iter().all(|f| f.rule != "busy-host"), "the bench's own threads are no others");
}

#[test]
fn absent_fields_accuse_nobody() {
    let mut run = run(vec![bench("dram", vec![ok("dram/read", 31.0)])]);
    let mut host = host(&[]);
    host.environment.0.clear();
    run.host = Some(host);
    let rules: Vec<_> = findings(&run).iter().map(|f| f.rule).collect();
    assert_eq!(rules, ["no-ceiling", "missing-part"]);
}
