//! Every verdict, and every reason for which there is none.

use super::*;
use crate::record::State;
use crate::record::fixture::{in_state, skipped};

#[test]
fn a_sound_host_passes() {
    let qualification = qualify(sound(&[]), metrics(|m| m));
    assert_eq!(qualification.verdict, Verdict::Pass, "{qualification:#?}");
    assert_eq!((qualification.judgements.len(), qualification.findings.len()), (5, 0));
    assert_eq!(qualification.identified[1], format!("GPU H100 SXM5 80 GB (10de:2330) at {GPU}"));
}

#[test]
fn shares_of_the_reference_decide() {
    // 3151 by attention kernels, 2540 by DCGM: only what both would say is said.
    for (value, expected) in [
        (2700.0, Verdict::Pass),
        (2500.0, Verdict::Inconclusive),
        (2100.0, Verdict::Inconclusive),
        (1800.0, Verdict::Fail),
    ] {
        assert_eq!(verdict(READ, |m| of_value(m, value)).0, expected, "{value}");
    }
    let gemm = "gemm/gpu0/bf16/m8192n8192k8192";
    for (share, expected) in [(0.86, Verdict::Pass), (0.84, Verdict::Warn), (0.74, Verdict::Fail)] {
        assert_eq!(verdict(gemm, |m| of_value(m, share * 794.5)).0, expected, "{share}");
    }
}

#[test]
fn an_invalid_measurement_never_passes() {
    let refused = |change: fn(MetricRecord) -> MetricRecord, why: &str| {
        let (verdict, reason) = verdict(READ, change);
        assert_eq!(verdict, Verdict::Inconclusive, "{reason}");
        assert!(reason.contains(why), "{reason}");
    };
    refused(|m| MetricRecord { cache: Cache::Unknown, ..m }, "cache may have been warm");
    refused(|m| MetricRecord { error_over_tolerance: Some(1.5), ..m }, "output was wrong");
    refused(|m| in_state(m, State::Invalid, "differs at 7"), "invalid: differs at 7");
    refused(|m| in_state(m, State::Noisy, "wide"), "noisy: wide");
    refused(|m| of_value(m, 3500.0), "more than the 3352 GB/s that physics allows");
    refused(|m| of_value(m, 3.1), "another unit");
    refused(|m| of_value(m, f64::NAN), "broken");
    let two = |mut m: MetricRecord| {
        m.summary.as_mut().unwrap().samples = 2;
        m
    };
    refused(two, "only 2 samples");
}

#[test]
fn a_part_that_is_there_but_was_skipped_is_inconclusive() {
    let (verdict, reason) = verdict(READ, |_| skipped(READ, "libcuda.so.1 was not found"));
    assert_eq!(
        (verdict, reason.as_str()),
        (Verdict::Inconclusive, "skipped: libcuda.so.1 was not found")
    );
    // Without a GPU on the bus it is no fault.
    let mut host = sound(&[]);
    host.topology.devices.clear();
    let metrics = vec![ok("dram/read/all-cores", 260.0), skipped(READ, "no NVIDIA driver")];
    let qualification = qualify(host, metrics);
    assert_eq!(qualification.verdict, Verdict::Pass, "{qualification:#?}");
    assert_eq!(qualification.not_judged[0].why, "skipped: no NVIDIA driver");
}

#[test]
fn a_result_above_the_measured_clocks_roof_is_no_record() {
    let peak = "compute/peak/gpu0/bf16";
    let at = |mhz: f64| {
        move |mut m: MetricRecord| {
            m.details
                .insert("sm_mhz_in_kernel".into(), json!({"min": mhz, "median": mhz, "max": mhz}));
            m
        }
    };
    // 132 x 4096 x 1500 MHz = 811 TFLOP/s, less than the 890 that are claimed.
    let (slow, reason) = verdict(peak, at(1500.0));
    assert_eq!(slow, Verdict::Inconclusive, "{reason}");
    assert!(reason.contains("physics"), "{reason}");
    let fast = with(peak, at(1700.0));
    assert_eq!(fast.verdict, Verdict::Pass);
    let scaled = judged(&fast, peak).share_at_clock.unwrap();
    assert!((scaled - 890.0 / 989.0 * 1830.0 / 1700.0).abs() < 1e-9, "{scaled}");
}

#[test]
fn a_lower_power_limit_excuses_but_does_not_fail() {
    let gemm = "gemm/gpu0/bf16/m8192n8192k8192";
    let limited =
        |value: f64| move |m| of_value(on_gpu(m, &[("power_limit_w", json!(500.0))], &[]), value);
    let (slow, reason) = verdict(gemm, limited(550.0));
    assert_eq!(slow, Verdict::Inconclusive);
    assert!(reason.contains("limited to 500 W"), "{reason}");
    assert_eq!(
        verdict(gemm, limited(790.0)).0,
        Verdict::Pass,
        "it reaches the figure all the same"
    );
    // Denied: NVML did not tell.
    let denied =
        |m: MetricRecord| of_value(MetricRecord { conditions: Default::default(), ..m }, 550.0);
    assert!(verdict(gemm, denied).1.contains("not recorded"));
}

#[test]
fn an_unknown_device_is_inconclusive_with_what_to_do() {
    let mut host = sound(&[]);
    host.topology.devices = vec![gpu("10de:ffff")];
    let qualification = qualify(host, metrics(|m| m));
    assert_eq!(qualification.verdict, Verdict::Inconclusive);
    let judgement = judged(&qualification, READ);
    assert!(judgement.reason.contains("10de:ffff") && judgement.reason.contains("baseline make"));
    let unreadable = Run { host: None, ..measured(sound(&[]), metrics(|m| m)) };
    let qualification = Qualification::new(&[unreadable], &standards()).unwrap();
    assert_eq!(qualification.verdict, Verdict::Inconclusive);
}

#[test]
fn gpus_of_several_kinds_are_told_apart_by_address_only() {
    let mut host = sound(&[]);
    host.topology.devices.push(Device { bdf: "0000:e1:00.0".into(), ..gpu("10de:2bb1") });
    let unclear = qualify(host.clone(), metrics(|m| m));
    assert!(judged(&unclear, READ).reason.contains("several kinds"));
    let address = json!("00000000:C1:00.0");
    let known = metrics(|m| match m.id.as_str().contains("gpu0") {
        true => on_gpu(m, &[("pci_address", address.clone())], &[]),
        false => m,
    });
    let known = qualify(host, known);
    assert_eq!(judged(&known, READ).verdict, Verdict::Pass, "{known:#?}");
}

#[test]
fn figures_of_low_confidence_decide_nothing() {
    let mut host = sound(&[]);
    host.topology.devices = vec![gpu("10de:2bb1")];
    let gemm = "gemm/gpu0/mxfp4/m8192n8192k8192";
    for value in [1500.0, 900.0] {
        let metric = on_gpu(ok(gemm, value), &[("power_limit_w", json!(600.0))], &[]);
        let qualification = qualify(host.clone(), vec![metric]);
        let judgement = judged(&qualification, gemm);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert!(judgement.reason.contains("low confidence"), "{}", judgement.reason);
    }
}

#[test]
fn memory_is_judged_by_the_modules_that_there_are() {
    let dram = "dram/read/all-cores";
    // 8 x 8 B x 4800 MT/s = 307.2 GB/s, of which 85.4 % are 262.
    for (value, expected) in
        [(230.0, Verdict::Pass), (215.0, Verdict::Warn), (180.0, Verdict::Fail)]
    {
        assert_eq!(verdict(dram, |m| of_value(m, value)).0, expected, "{value}");
    }
    let guest = qualify(
        sound(&[("vm.cpu_flag", json!(true)), ("memory.dimm.0.configured_speed_mts", Value::Null)]),
        metrics(|m| m),
    );
    assert_eq!(
        judged(&guest, dram).verdict,
        Verdict::Pass,
        "the modules are readable all the same"
    );
    let mut blind = sound(&[("vm.cpu_flag", json!(true))]);
    blind.environment.0.retain(|name, _| !name.starts_with("memory."));
    let blind = qualify(blind, metrics(|m| m));
    assert!(judged(&blind, dram).reason.contains("--floors"), "{}", judged(&blind, dram).reason);
    let few = verdict(dram, |mut m| {
        m.details.insert("threads".into(), json!(1));
        m
    });
    assert!(few.1.contains("1 of 8 cores"), "{}", few.1);
}

#[test]
fn slow_links_and_drives_fail() {
    let copy = "pcie/h2d/pinned/gpu0/node-local/256MiB";
    assert_eq!(verdict(copy, |m| of_value(m, 26.0)).0, Verdict::Fail);
    let small = ok("pcie/h2d/pinned/gpu0/node-local/4KiB", 1.0);
    let mut all = metrics(|m| m);
    all.push(small);
    assert!(qualify(sound(&[]), all).not_judged[0].why.contains("large copies"));
    let load = |value: f64| {
        let path = "pci.0000:02:00.0.path_capability";
        let mut host = sound(&[(path, link("16.0", 4))]);
        host.topology.devices.push(drive(0));
        let mut metric = ok("storage/load/direct", value);
        metric.details.insert("device".into(), json!({"device": "nvme0n1"}));
        let mut all = metrics(|m| m);
        all.push(metric);
        let qualification = qualify(host, all);
        judged(&qualification, "storage/load/direct").verdict
    };
    assert_eq!([6.2, 4.0, 3.0].map(load), [Verdict::Pass, Verdict::Warn, Verdict::Fail]);
}

#[test]
fn the_worst_part_is_the_hosts_verdict() {
    let order = [Verdict::Pass, Verdict::Warn, Verdict::Inconclusive, Verdict::Fail];
    assert!(order.is_sorted());
    let both = qualify(
        sound(&[]),
        metrics(|m| match m.id.as_str() {
            READ => MetricRecord { cache: Cache::Unknown, ..m },
            "dram/read/all-cores" => of_value(m, 100.0),
            _ => m,
        }),
    );
    assert_eq!(both.verdict, Verdict::Fail);
    assert_eq!((both.count(Verdict::Inconclusive), both.count(Verdict::Fail)), (1, 1));
}

#[test]
fn a_part_of_which_nothing_was_judged_is_no_pass() {
    let qualification = qualify(sound(&[]), vec![ok("dram/read/all-cores", 260.0)]);
    assert_eq!(qualification.verdict, Verdict::Inconclusive);
    let rules: Vec<_> = qualification.findings.iter().map(|f| f.rule).collect();
    assert_eq!(rules, ["part-not-judged"; 3], "arithmetic, memory and link of the GPU");
}
