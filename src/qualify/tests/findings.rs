//! Every finding, each alone on a host that is sound but for it.

use super::*;
use crate::record::State;
use crate::record::fixture::in_state;

/// Asserts that the only finding is `rule`, and returns what it says.
fn only(qualification: &Qualification, rule: &str, severity: Verdict) -> String {
    let rules: Vec<_> = qualification.findings.iter().map(|f| f.rule).collect();
    assert_eq!(rules, [rule], "{:#?}", qualification.findings);
    let finding = &qualification.findings[0];
    assert_eq!(finding.severity, severity);
    assert!(!finding.command.is_empty() && !finding.next.is_empty());
    assert!(qualification.verdict >= severity);
    finding.what.clone()
}

fn of_host(host: HostRecord, rule: &str, severity: Verdict) -> String {
    only(&qualify(host, metrics(|m| m)), rule, severity)
}

fn of_gpu(
    state: &[(&str, Value)],
    under_load: &[(&str, Value)],
    rule: &str,
    severity: Verdict,
) -> String {
    let metrics = metrics(|m| match m.id.as_str().contains("gpu0") {
        true => on_gpu(m, state, under_load),
        false => m,
    });
    only(&qualify(sound(&[]), metrics), rule, severity)
}

#[test]
fn throttling_is_seen_through_combined_reasons() {
    let reasons = json!(["power cap", "hardware slowdown", "hardware thermal slowdown"]);
    let what = of_gpu(&[], &[("throttle_reasons", reasons)], "gpu-throttled", Verdict::Warn);
    assert!(what.contains("hardware slowdown, hardware thermal slowdown, and 3 more"), "{what}");
    let stated = with(READ, |m| in_state(m, State::Throttled, "hot"));
    assert_eq!(stated.verdict, Verdict::Inconclusive);
    assert!(only(&stated, "gpu-throttled", Verdict::Warn).contains("hot"));
}

#[test]
fn memory_errors_of_a_gpu() {
    let count = json!(3);
    let uncorrected = [("ecc_uncorrected_since_boot", count.clone())];
    let what = of_gpu(&uncorrected, &[], "gpu-memory-errors", Verdict::Fail);
    assert_eq!(what, format!("GPU {GPU} counts 3 uncorrected memory errors since boot"));
    of_gpu(&[("ecc_corrected_since_boot", count.clone())], &[], "gpu-memory-errors", Verdict::Warn);
    of_gpu(&[("remapped_rows_failed", count.clone())], &[], "gpu-rows-remapped", Verdict::Fail);
    of_gpu(
        &[("remapped_rows_uncorrected", count.clone())],
        &[],
        "gpu-rows-remapped",
        Verdict::Warn,
    );
    of_gpu(&[("remapped_rows_pending", count)], &[], "gpu-rows-remapped", Verdict::Warn);
}

#[test]
fn a_busy_gpu_that_draws_no_power() {
    let power = json!({"min": 120.0, "max": 150.0});
    let what = of_gpu(&[], &[("power_w", power)], "gpu-busy-at-low-power", Verdict::Warn);
    assert!(what.contains("100 % busy at no more than 150 W of 700 W"), "{what}");
}

#[test]
fn a_link_below_its_maximum_under_load() {
    let range = |value: f64| json!({"min": 1.0, "max": value});
    let slow = of_gpu(&[], &[("pcie_generation", range(4.0))], "link-below-maximum", Verdict::Warn);
    assert!(slow.contains("16 GT/s x16, its path can do 32 GT/s x16"), "{slow}");
    of_gpu(&[], &[("pcie_lanes", range(8.0))], "link-below-maximum", Verdict::Warn);
    // Idle is no fault: the sound host's link is at 2.5 GT/s when nothing runs.
    let speed = format!("pci.{GPU}.max_link_speed");
    let (width, path) = (format!("pci.{GPU}.max_link_width"), format!("pci.{GPU}.path_capability"));
    let mut host =
        sound(&[(&speed, json!("32.0 GT/s PCIe")), (&width, json!(16)), (&path, link("16.0", 16))]);
    let qualification = qualify(
        host.clone(),
        metrics(|m| {
            of_value(
                m.clone(),
                if m.id.as_str().starts_with("pcie") { 25.0 } else { m.summary.unwrap().median },
            )
        }),
    );
    let what = only(&qualification, "link-below-maximum", Verdict::Warn);
    assert!(
        what.contains("can do 32 GT/s x16 here, the slot or a bridge above it 16 GT/s"),
        "{what}"
    );
    // A CPU of the generation before is no fault of the slot.
    let model = json!(106);
    let older = qualify(
        sound(&[
            ("cpu.model", model),
            (&speed, json!("32.0 GT/s PCIe")),
            (&path, link("16.0", 16)),
        ]),
        metrics(|m| m),
    );
    assert!(older.findings.iter().all(|f| !f.what.contains("slot")), "{:?}", older.findings);
    let (capability, current) =
        ("pci.0000:02:00.0.path_capability", "pci.0000:02:00.0.path_current");
    host = sound(&[(capability, link("16.0", 4)), (current, link("8.0", 4))]);
    host.topology.devices.push(drive(0));
    let what = of_host(host, "link-below-maximum", Verdict::Warn);
    assert!(what.contains("nvme"), "{what}");
}

#[test]
fn a_bar_that_was_not_resized() {
    let bars = format!("pci.{GPU}.bar_bytes");
    let what =
        of_host(sound(&[(&bars, json!([16 << 20, 256 << 20]))]), "gpu-small-bar", Verdict::Warn);
    assert!(what.contains("256 MiB of 80 GB"), "{what}");
    of_host(sound(&[(&bars, json!([16 << 20, 1u64 << 35]))]), "gpu-small-bar", Verdict::Warn);
}

#[test]
fn errors_of_the_hosts_memory() {
    let corrected = sound(&[("memory.edac.mc0.corrected_errors", json!(7))]);
    assert!(of_host(corrected, "memory-errors", Verdict::Warn).contains("7 corrected"));
    of_host(
        sound(&[("memory.edac.mc0.uncorrected_errors", json!(1))]),
        "memory-errors",
        Verdict::Fail,
    );
}

fn node(index: usize, gib: u64) -> Node {
    Node {
        index,
        cpus: vec![index],
        memory_bytes: gib << 30,
        allowed: true,
        package: Some(index),
        kind: None,
    }
}

#[test]
fn modules_that_are_missing_or_slow() {
    let channels = sound(&[("memory.edac.channels", json!(7))]);
    let what = of_host(channels, "memory-modules-missing", Verdict::Warn);
    assert!(what.contains("7 of 8 memory channels"), "{what}");
    let mut uneven = sound(&[]);
    uneven.topology.nodes = vec![node(0, 256), node(1, 192)];
    assert!(of_host(uneven, "memory-modules-missing", Verdict::Warn).contains("192.0 GiB"));
    let slow = sound(&[("memory.dimm.3.speed_mts", json!(5600))]);
    let what = of_host(slow, "memory-below-rated-speed", Verdict::Warn);
    assert_eq!(what, "a module runs at 4800 MT/s and is rated for 5600");
}

#[test]
fn devices_on_the_remote_package() {
    let two = |node_of_gpu: usize, node_of_drive: usize, cpus: &str| {
        let mut host = sound(&[("process.cpus_allowed", json!(cpus))]);
        host.topology.packages = (0..2).map(|index| Package { index, cpus: vec![index] }).collect();
        host.topology.nodes = vec![node(0, 128), node(1, 128)];
        host.topology.devices =
            vec![Device { node: Some(node_of_gpu), ..gpu("10de:2330") }, drive(node_of_drive)];
        host
    };
    let rule = "device-on-remote-package";
    assert!(of_host(two(0, 1, "0-1"), rule, Verdict::Warn).contains("drive 0000:02:00.0"));
    assert!(of_host(two(1, 1, "0"), rule, Verdict::Warn).contains("GPU 0000:c1:00.0"));
    assert_eq!(qualify(two(1, 1, "0-1"), metrics(|m| m)).findings, []);
}

#[test]
fn what_was_denied_is_no_finding() {
    let mut host = sound(&[]);
    for field in host.environment.0.values_mut() {
        if field.source == "test" && !field.value.is_string() {
            field.status = crate::host::environment::Status::Denied;
            field.value = Value::Null;
        }
    }
    let qualification = qualify(host, metrics(|m| m));
    assert_eq!(qualification.findings, []);
    assert_eq!(qualification.verdict, Verdict::Inconclusive, "and no PASS either");
}
