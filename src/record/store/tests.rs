//! Finding runs, and reading damaged ones.

use super::*;
use crate::record::bench::Tool;

fn bench(name: &str, started: &str, label: Option<&str>) -> BenchRecord {
    BenchRecord {
        schema: SCHEMA,
        tool: Tool::current(),
        bench: name.into(),
        run: "r".into(),
        label: label.map(Into::into),
        profile: "quick".into(),
        boot_id: None,
        pid: 1,
        started: started.into(),
        updated: started.into(),
        complete: true,
        metrics: Vec::new(),
        unknown: [("from_the_future".to_owned(), 7.into())].into(),
    }
}

fn write(results: &Path, run: &str, record: &BenchRecord) {
    let dir = results.join("runs").join(run);
    std::fs::create_dir_all(&dir).expect("made");
    crate::record::atomic::write_json(&dir.join(format!("{}.json", record.bench)), record)
        .expect("written");
}

fn results() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    write(
        dir.path(),
        "2026-01-01T00-00-00Z-nps1",
        &bench("gemm", "2026-01-01T00:01:00Z", Some("nps1")),
    );
    write(
        dir.path(),
        "2026-01-01T00-00-00Z-nps1",
        &bench("dram", "2026-01-01T00:00:00Z", Some("nps1")),
    );
    write(dir.path(), "2026-01-02T00-00-00Z", &bench("gemm", "2026-01-02T00:00:00Z", None));
    write(
        dir.path(),
        "2026-01-03T00-00-00Z-nps1",
        &bench("gemm", "2026-01-03T00:00:00Z", Some("nps1")),
    );
    dir
}

fn read(results: &Path, name: Option<&str>) -> Result<Run> {
    Store::new(results).read(name)
}

#[test]
fn a_run_is_found_by_name_prefix_label_path_or_newest() {
    let dir = results();
    let name = |wanted| read(dir.path(), wanted).expect("found").name;
    assert_eq!(name(None), "2026-01-03T00-00-00Z-nps1");
    assert_eq!(name(Some("2026-01-02T00-00-00Z")), "2026-01-02T00-00-00Z");
    assert_eq!(name(Some("2026-01-02")), "2026-01-02T00-00-00Z");
    assert_eq!(name(Some("nps1")), "2026-01-03T00-00-00Z-nps1", "the newest with the label");
    let path = dir.path().join("runs/2026-01-01T00-00-00Z-nps1");
    assert_eq!(name(path.to_str()), "2026-01-01T00-00-00Z-nps1");
}

#[test]
fn benches_come_by_start_time_and_unknown_fields_survive() {
    let dir = results();
    let run = read(dir.path(), Some("2026-01-01")).expect("read");
    let names: Vec<&str> = run.benches.iter().map(|b| b.bench.as_str()).collect();
    assert_eq!(names, ["dram", "gemm"]);
    assert_eq!(run.benches[0].unknown["from_the_future"], 7);
    assert_eq!(serde_json::to_value(&run.benches[0]).expect("JSON")["from_the_future"], 7);
}

#[test]
fn ambiguous_unknown_and_missing_are_explained() {
    let dir = results();
    let error = |name| read(dir.path(), name).expect_err("refused").to_string();
    assert!(error(Some("2026-01")).contains("2026-01-02T00-00-00Z"), "lists the candidates");
    assert!(error(Some("nps9")).contains("Did you mean nps1?"), "{}", error(Some("nps9")));
    assert!(error(Some("zz")).contains("hostdyno runs"));
    let empty = tempfile::tempdir().expect("temporary directory");
    assert!(read(empty.path(), None).expect_err("none").to_string().contains("cargo bench"));
    std::fs::create_dir(empty.path().join("runs")).expect("made");
    assert!(read(empty.path(), None).expect_err("none").to_string().contains("cargo bench"));
}

#[test]
fn a_damaged_file_is_named_and_the_rest_is_read() {
    let dir = results();
    let run = dir.path().join("runs/2026-01-02T00-00-00Z");
    std::fs::write(run.join("dram.json"), r#"{"schema": 1, "bench": "dr"#).expect("written");
    std::fs::write(run.join("peak.json"), r#"{"some": "thing"}"#).expect("written");
    std::fs::write(run.join("vram.json"), [0xff, 0xfe]).expect("written");
    std::fs::write(run.join("notes.txt"), "not a record").expect("written");
    let run = read(dir.path(), Some("2026-01-02")).expect("read");
    assert_eq!(run.benches.len(), 1);
    assert_eq!(run.problems.len(), 3, "{:?}", run.problems);
    assert!(run.problems.iter().all(|p| p.contains(".json")), "{:?}", run.problems);
}

#[test]
fn a_run_of_which_nothing_can_be_read_is_an_error() {
    let dir = results();
    let run = dir.path().join("runs/2026-01-02T00-00-00Z");
    std::fs::write(run.join("gemm.json"), "{").expect("written");
    let error = read(dir.path(), Some("2026-01-02")).expect_err("nothing left").to_string();
    assert!(error.contains("gemm.json"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = results();
    let newer = BenchRecord { schema: SCHEMA + 1, ..bench("dram", "2026", None) };
    write(dir.path(), "2026-01-02T00-00-00Z", &newer);
    let error = read(dir.path(), Some("2026-01-02")).expect_err("refused").to_string();
    assert!(error.contains("schema 2") && error.contains("Update hostdyno"), "{error}");
}
