//! What the host block says about hosts that this one is not.

use serde_json::json;

use super::*;
use crate::report::fixture::host;

fn line(label: &str, fields: &[(&str, Value)]) -> String {
    let lines = host_block(&host(fields));
    lines.into_iter().find(|line| line.label == label).expect("a line").text
}

#[test]
fn the_cpu_with_its_cores_and_threads() {
    assert_eq!(
        line("CPU", &[]),
        "AMD EPYC 9354 32-Core Processor, 1 package, 8 cores, 8 threads, SMT off"
    );
}

#[test]
fn the_ceiling_of_memory_or_why_it_is_unknown() {
    let unknown = line("memory", &[]);
    assert!(unknown.starts_with("24.0 GiB") && unknown.contains("not readable"), "{unknown}");
    let known = line(
        "memory",
        &[
            ("memory.dimms", json!(12)),
            ("memory.edac.channels", json!(12)),
            ("memory.dimm.0.configured_speed_mts", json!(4800)),
        ],
    );
    assert_eq!(known, "24.0 GiB, 12 modules, 12 channels x 8 B x 4800 MT/s = 461 GB/s");
}

#[test]
fn a_gpu_its_driver_or_neither() {
    assert!(line("GPU", &[]).starts_with("none"));
    let device = [
        ("pci.0000:01:00.0.vendor", json!("0x10de")),
        ("pci.0000:01:00.0.class", json!("0x030200")),
    ];
    assert_eq!(line("GPU", &device), "1 NVIDIA device, but no NVIDIA driver is loaded");
    let driven = [("nvidia.0000:01:00.0.model", json!("NVIDIA H100 PCIe"))];
    assert_eq!(line("GPU", &driven), "NVIDIA H100 PCIe at 0000:01:00.0");
}

#[test]
fn surroundings_name_machine_container_and_limit() {
    assert_eq!(line("runs in", &[]), "bare metal");
    let fields = [
        ("vm.cpu_flag", json!(true)),
        ("container.kind", json!("docker")),
        ("cgroup.cpu_max", json!("150000 100000")),
    ];
    let text = "a virtual machine, a docker container, limited to 1.5 CPUs by its control group";
    assert_eq!(line("runs in", &fields), text);
}

#[test]
fn a_host_that_tells_nothing_still_has_every_line() {
    let mut host = host(&[]);
    host.environment.0.clear();
    let lines = host_block(&host);
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| !line.text.is_empty()), "{lines:?}");
}
