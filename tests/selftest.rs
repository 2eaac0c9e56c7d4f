//! `hostdyno selftest` on the emulated device: a table, an exit code, and a wrong kernel that does not hide.

use std::process::{Command, Output};

use emulator::driver::in_child;
use serde_json::Value;

fn selftest(arguments: &[&str]) -> (Output, Vec<Value>) {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("hostdyno"))
        .args(["selftest", "--json"])
        .args(arguments)
        .output()
        .expect("runs");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let rows = json.as_object().into_iter().flat_map(|map| map.values());
    let rows = rows.filter_map(Value::as_array).flatten().cloned().collect();
    (output, rows)
}

#[test]
fn every_kind_of_kernel_is_checked_and_right() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "h100")], &[], || {
        for (part, least) in [
            ("vram/latency", 3),
            ("launch/", 4),
            ("compute/peak", 5),
            ("pcie/latency", 2),
            ("gemm/gpu0/int8/m13", 1),
            ("attention/gpu0/bf16", 3),
        ] {
            let (output, rows) = selftest(&[part]);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{part}: {stderr}");
            let right = rows.iter().filter(|row| row["outcome"] == "right").count();
            assert!(right >= least, "{part}: {right} right of {rows:?}");
            assert!(rows.iter().all(|row| row["outcome"] != "wrong"), "{rows:?}");
        }
    });
}

#[test]
fn a_wrong_kernel_fails_the_test() {
    in_child(&[("HOSTDYNO_EMULATED_FAULTS", "wrong@1")], &[], || {
        let (output, rows) = selftest(&["compute/peak/gpu0/bf16"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(rows.iter().any(|row| row["outcome"] == "wrong"), "{rows:?}");
    });
}

#[test]
fn a_kernel_that_crashes_is_named_and_the_others_are_still_checked() {
    // Each chase launches once: the second one of every process crashes.
    in_child(&[("HOSTDYNO_EMULATED_FAULTS", "launch@2")], &[], || {
        let (output, rows) = selftest(&["vram/latency"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str()).collect();
        assert_eq!(outcomes, [Some("right"), Some("wrong"), Some("right")], "{rows:?}");
        let reason = rows[1]["reason"].as_str().expect("a reason");
        assert!(reason.contains("a kernel faulted"), "{reason}");
        assert!(stderr.contains("1 of 3 subjects"), "{stderr}");
    });
}

#[test]
fn a_device_that_is_lost_fails_the_test() {
    in_child(&[("HOSTDYNO_EMULATED_FAULTS", "lost@1")], &[], || {
        let (output, rows) = selftest(&["vram/latency"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(!rows.is_empty() && rows.iter().all(|row| row["outcome"] == "failed"), "{rows:?}");
    });
}

#[test]
fn without_a_gpu_it_says_so() {
    let (output, rows) = selftest(&[]);
    assert_eq!((output.status.code(), rows.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no NVIDIA driver"));
}
