//! Floors and baselines of one's own.

use super::*;
use crate::record::{Direction, Unit};

fn against(floors: &str, baseline: Option<Baseline>, metrics: Vec<MetricRecord>) -> Qualification {
    let floors = Floors::parse(floors, "floors.toml").unwrap();
    let standards = Standards { baseline, floors, ..standards() };
    Qualification::new(&[measured(sound(&[]), metrics)], &standards).unwrap()
}

fn refused<T: std::fmt::Debug>(result: crate::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_floor_comes_first() {
    let floors = "[\"dram/*\"]\npass = 200\n[\"dram/read/all-cores\"]\npass = 300\nfail = 280\nwhy = \"order 17\"\n";
    let at = |value: f64| {
        let qualification = against(floors, None, vec![ok("dram/read/all-cores", value)]);
        let judgement = judged(&qualification, "dram/read/all-cores");
        assert_eq!(judgement.yardstick.as_ref().unwrap().source, "floor: order 17");
        judgement.verdict
    };
    assert_eq!([300.0, 290.0, 270.0].map(at), [Verdict::Pass, Verdict::Warn, Verdict::Fail]);
    // A floor may be given for what nobody publishes; of a time it is the most.
    let latency = |value: f64| {
        let metric = ok("dram/latency/random/thp", value);
        assert_eq!((metric.unit, metric.direction), (Unit::Nanoseconds, Direction::Lower));
        let floors = "[\"dram/latency/*\"]\npass = 120\nfail = 150\n";
        judged(&against(floors, None, vec![metric]), "dram/latency/random/thp").verdict
    };
    assert_eq!([110.0, 130.0, 160.0].map(latency), [Verdict::Pass, Verdict::Warn, Verdict::Fail]);
}

#[test]
fn a_floor_in_another_unit_is_noticed() {
    // 2333 MB/s where 2.3 TB/s were meant: every GPU would pass.
    let qualification = against("[\"vram/read/*\"]\npass = 2.333\n", None, metrics(|m| m));
    let judgement = judged(&qualification, READ);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.contains("another unit"), "{}", judgement.reason);
}

#[test]
fn floors_that_are_none_are_refused() {
    for (text, why) in [
        ("dram = 3", "holds no floors"),
        ("[\"dram\"]\npas = 3", "holds no floors"),
        ("[\"dram\"]\npass = -3", "no positive number"),
        ("[\"dram\"]\npass = nan", "no positive number"),
        ("{", "holds no floors"),
    ] {
        let message = refused(Floors::parse(text, "f.toml"));
        assert!(message.starts_with("f.toml") && message.contains(why), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let floors = Floors::parse("[\"dram/raed\"]\npass = 3\n", "f.toml").unwrap();
    assert_eq!(floors.unmet([ok("dram/read", 1.0)].iter()), ["dram/raed"]);
}

fn runs(values: &[f64]) -> Vec<Run> {
    let run = |(index, value): (usize, &f64)| Run {
        name: format!("run{index}"),
        ..measured(sound(&[]), vec![ok("dram/read/all-cores", *value)])
    };
    values.iter().enumerate().map(run).collect()
}

#[test]
fn a_baseline_is_robust_and_names_outliers() {
    let baseline = Baseline::make(&runs(&[200.0, 202.0, 198.0, 201.0, 120.0])).unwrap();
    let level = &baseline.metrics[&ok("dram/read/all-cores", 1.0).id];
    assert_eq!((level.centre, level.runs), (200.0, 5));
    assert!(level.spread < 0.02, "{level:?}");
    assert_eq!(level.outliers, ["run4"]);
    let read = Baseline::parse(&serde_json::to_string(&baseline).unwrap(), "b.json").unwrap();
    assert_eq!(read, baseline);
    let at = |value: f64| {
        let metrics = vec![ok("dram/read/all-cores", value)];
        judged(&against("", Some(baseline.clone()), metrics), "dram/read/all-cores").verdict
    };
    assert_eq!([199.0, 188.0, 170.0].map(at), [Verdict::Pass, Verdict::Warn, Verdict::Fail]);
}

#[test]
fn a_baseline_of_few_runs_decides_nothing() {
    let baseline = Baseline::make(&runs(&[200.0, 201.0])).unwrap();
    let qualification = against("", Some(baseline), vec![ok("dram/read/all-cores", 260.0)]);
    let judgement = judged(&qualification, "dram/read/all-cores");
    assert_eq!(judgement.verdict, Verdict::Pass, "what others published goes before it");
    assert!(!judgement.yardstick.as_ref().unwrap().source.contains("baseline"));
    let latency = vec![ok("dram/latency/random/thp", 100.0)];
    let baseline = Baseline::make(&[measured(sound(&[]), latency.clone())]).unwrap();
    let judgement = &against("", Some(baseline), latency).judgements[0];
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.contains("baseline of 1 run,"), "{}", judgement.reason);
}

#[test]
fn a_baseline_of_another_kind_of_host_is_not_used() {
    let mut other = runs(&[200.0, 201.0, 202.0]);
    for run in &mut other {
        run.host.as_mut().unwrap().topology.devices = vec![gpu("10de:2bb1")];
    }
    let mixed: Vec<Run> = runs(&[200.0]).into_iter().chain(other.clone()).collect();
    assert!(refused(Baseline::make(&mixed)).contains("gpus is 10de:2330 and 10de:2bb1"));
    let baseline = Baseline::make(&other).unwrap();
    let qualification = against("", Some(baseline), vec![ok("dram/read/all-cores", 200.0)]);
    let judgement = judged(&qualification, "dram/read/all-cores");
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.contains("another kind of host"), "{}", judgement.reason);
}

#[test]
fn what_is_no_baseline_is_refused() {
    assert!(refused(Baseline::make(&[])).contains("state ok"));
    for text in ["{}", "[", "{\"schema\":9,\"runs\":[],\"parts\":{},\"metrics\":{}}"] {
        assert!(refused(Baseline::parse(text, "b.json")).contains("b.json is no baseline"));
    }
}

#[test]
fn runs_of_two_hosts_are_refused() {
    let (mut a, b) = (measured(sound(&[]), metrics(|m| m)), measured(sound(&[]), metrics(|m| m)));
    a.host = Some(sound(&[("cpu.model_name", json!("another"))]));
    let message = refused(Qualification::new(&[a, b], &standards()));
    assert!(message.contains("different hosts: cpu.model_name"), "{message}");
    assert!(refused(Qualification::new(&[], &standards())).contains("no metric to judge"));
}
