//! The binary as its users meet it: results directories whole, damaged, hostile, absent.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A results directory and the commands run on it.
struct Results(tempfile::TempDir);

impl Results {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Two runs: `nps1`, older and complete, and `nps4`, whose storage bench was killed.
    fn two_runs() -> Self {
        let results = Self::empty();
        let gemm = vec![
            metric("gemm/cpu/bf16/m1n8k8", "compute", "TFLOP/s", 0.1462, Some(0.2)),
            skipped("gemm/gpu0/bf16/m1n8k8", "compute", "no NVIDIA GPU"),
        ];
        let dram = vec![metric("dram/read/all-cores", "dram", "GB/s", 31.23, Some(38.4))];
        let storage = vec![metric("storage/load/direct", "storage", "GB/s", 2.1, None)];
        let older = "2026-11-23T10-00-00Z-nps1";
        results.write(older, "gemm.json", &bench("gemm", "nps1", true, gemm.clone()));
        results.write(older, "dram.json", &bench("dram", "nps1", true, dram));
        let newer = "2026-11-24T10-00-00Z-nps4";
        results.write(newer, "gemm.json", &bench("gemm", "nps4", true, gemm));
        results.write(newer, "storage.json", &bench("storage", "nps4", false, storage));
        results
    }

    fn write(&self, run: &str, file: &str, content: &Value) {
        self.write_text(run, file, content.to_string());
    }

    fn write_text(&self, run: &str, file: &str, content: impl AsRef<[u8]>) {
        let directory = self.0.path().join("runs").join(run);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(file), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(command(self.0.path()).args(arguments))
    }
}

fn command(results: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hostdyno"));
    for variable in ["COLUMNS", "NO_COLOR", "TERM"] {
        command.env_remove(variable);
    }
    command.env("HOSTDYNO_RESULTS", results);
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Self { code: status.code().unwrap(), out: text(stdout), err: text(stderr) };
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        ran
    }

    /// Refused with exit code 2, nothing on standard output, and all of `facts` in the message.
    fn refused(self, facts: &[&str]) {
        assert_eq!(self.code, 2, "{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        for fact in facts {
            assert!(self.err.contains(fact), "no {fact:?} in {}", self.err);
        }
    }

    /// Exit code 0 and all of `facts` on standard output.
    fn shows(&self, facts: &[&str]) {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        for fact in facts {
            assert!(self.out.contains(fact), "no {fact:?} in\n{}", self.out);
        }
    }

    fn json(&self, kind: &str) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        let object: Value = serde_json::from_str(&self.out).unwrap();
        assert_eq!(object["schema"], 1);
        assert_eq!(object["kind"], kind);
        object[kind].clone()
    }
}

fn bench(name: &str, label: &str, complete: bool, metrics: Vec<Value>) -> Value {
    json!({
        "schema": 1, "tool": {"name": "hostdyno", "version": "0.1.0"}, "bench": name, "run": "r",
        "label": label, "profile": "standard", "boot_id": "b", "pid": 7,
        "started": "2026-11-24T10:00:00Z", "updated": "2026-11-24T10:01:00Z",
        "complete": complete, "metrics": metrics,
    })
}

fn metric(id: &str, part: &str, unit: &str, median: f64, ceiling: Option<f64>) -> Value {
    let (low, high) = (median * 0.99, median * 1.01);
    json!({
        "id": id, "part": part, "unit": unit, "direction": "higher",
        "work": {"flops": 128, "bytes_read": 80, "bytes_written": 8, "wire_bytes": null, "accesses": 0},
        "kernel_path": "cpu/avx2", "cache": "cold", "state": "ok", "reason": null,
        "ceiling": ceiling.map(|value| json!({
            "value": value, "origin": "measured", "source": "compute/peak/f32-fma"
        })),
        "samples": [1e-3, 1.01e-3], "batch": 1, "warm_up_iterations": 3, "stop": "noise-target",
        "summary": {
            "samples": 20, "median": median, "q1": low, "q3": high, "min": low, "max": high,
            "median_ci95": {"low": low, "high": high},
        },
        "error_over_tolerance": 0.25, "placement": {"cpus": [0, 1], "pages_by_node": {}, "unproved": null},
        "conditions": {}, "details": {},
    })
}

fn skipped(id: &str, part: &str, cause: &str) -> Value {
    let mut record = metric(id, part, "GB/s", 1.0, None);
    let fields = record.as_object_mut().unwrap();
    for (field, value) in [
        ("state", json!("skipped")),
        ("reason", json!(cause)),
        ("summary", json!(null)),
        ("samples", json!([])),
        ("kernel_path", json!("")),
        ("cache", json!("n/a")),
    ] {
        fields.insert(field.into(), value);
    }
    record
}

#[test]
fn report_shows_the_newest_run() {
    let ran = Results::two_runs().run(&["report"]);
    ran.shows(&[
        "2026-11-24T10-00-00Z-nps4, label nps4",
        "146 GFLOP/s",
        "73 %",
        "145 - 148",
        "measured ceiling: 200 GFLOP/s, compute/peak/f32-fma",
        "no NVIDIA GPU",
        "incomplete: storage did not reach the end",
        "Run `cargo bench --bench storage` again",
    ]);
}

#[test]
fn a_run_is_found_by_label_name_prefix_and_path() {
    let results = Results::two_runs();
    let path = results.0.path().join("runs/2026-11-23T10-00-00Z-nps1");
    for name in ["nps1", "2026-11-23T10-00-00Z-nps1", "2026-11-23", path.to_str().unwrap()] {
        results.run(&["report", name]).shows(&["2026-11-23T10-00-00Z-nps1", "31.2 GB/s", "81 %"]);
    }
}

#[test]
fn report_as_json_has_the_documented_shape() {
    let report = Results::two_runs().run(&["report", "nps1", "--json"]).json("report");
    assert_eq!(report["run"]["label"], "nps1");
    assert_eq!(report["run"]["complete"], true);
    assert_eq!(report["run"]["states"]["ok"], 2);
    assert_eq!(report["run"]["states"]["skipped"], 1);
    let parts: Vec<_> = report["parts"].as_array().unwrap().iter().map(|p| &p["part"]).collect();
    assert_eq!(parts, ["compute", "vram", "pcie", "dram", "storage", "network"]);
    let dram = &report["parts"][3];
    assert_eq!(dram["headline"]["figure"]["id"], "dram/read/all-cores");
    assert_eq!(dram["rows"][0]["summary"]["median"], 31.23);
    assert_eq!(dram["rows"][0]["unit"], "GB/s");
    assert!((dram["rows"][0]["share"].as_f64().unwrap() - 31.23 / 38.4).abs() < 1e-12);
    assert_eq!(report["parts"][1]["headline"]["none"], "not measured in this run");
    assert_eq!(report["skipped"][0]["cause"], "no NVIDIA GPU");
    assert_eq!(report["skipped"][0]["metrics"], json!(["gemm/gpu0/bf16/m1n8k8"]));
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["rule"] == "missing-part" && f["next"].is_string()));
}

#[test]
fn runs_lists_every_run_with_label_and_states() {
    let results = Results::two_runs();
    let ran = results.run(&["runs"]);
    ran.shows(&["nps1", "nps4", "incomplete", "2 ok, 1 skipped", "gemm"]);
    assert!(ran.out.find("nps1").unwrap() < ran.out.find("nps4").unwrap(), "oldest first");
    let runs = results.run(&["runs", "--json"]).json("runs");
    assert_eq!(runs["runs"][1]["label"], "nps4");
    let storage = json!({"bench": "storage", "complete": false, "metrics": 1});
    assert_eq!(runs["runs"][1]["benches"][1], storage);
}

#[test]
fn an_unknown_run_is_refused_with_the_nearest_names() {
    let results = Results::two_runs();
    results.run(&["report", "nps3"]).refused(&["nps3", "nps4", "hostdyno runs"]);
    results.run(&["report", "2026-11-22T10-00-00Z-nps1"]).refused(&["2026-11-23T10-00-00Z-nps1"]);
    results.run(&["report", "zzz"]).refused(&["zzz", "hostdyno runs"]);
    results.run(&["report", "./no/such/run"]).refused(&["no/such/run"]);
    results.run(&["report", ""]).refused(&[]);
}

#[test]
fn an_ambiguous_prefix_is_refused_with_the_candidates() {
    let refused = Results::two_runs().run(&["report", "2026-11"]);
    refused.refused(&["2026-11-23T10-00-00Z-nps1", "2026-11-24T10-00-00Z-nps4"]);
}

#[test]
fn no_results_no_runs_and_no_directory_say_what_to_do() {
    let results = Results::empty();
    for verb in ["report", "runs"] {
        results.run(&[verb]).refused(&["cargo bench", "HOSTDYNO_RESULTS"]);
    }
    std::fs::create_dir(results.0.path().join("runs")).unwrap();
    for verb in ["report", "runs"] {
        results.run(&[verb]).refused(&["no runs", "cargo bench"]);
    }
    let file = Results::empty();
    std::fs::write(file.0.path().join("runs"), "a file in the way").unwrap();
    for verb in ["report", "runs"] {
        file.run(&[verb]).refused(&["runs"]);
    }
}

#[test]
fn damaged_files_are_named_and_the_rest_is_shown() {
    let results = Results::two_runs();
    let run = "2026-11-24T10-00-00Z-nps4";
    results.write_text(run, "dram.json", r#"{"schema": 1, "bench": "dram", "metr"#);
    results.write_text(run, "host.json", [0xff, 0x00, 0x80]);
    results.write_text(run, "vram.json", "[".repeat(200_000));
    results.write(run, "pcie.json", &json!({"schema": 1, "metrics": "none"}));
    let ran = results.run(&["report"]);
    ran.shows(&["146 GFLOP/s", "incomplete"]);
    for file in ["dram.json", "host.json", "vram.json", "pcie.json"] {
        assert!(ran.err.contains(file), "{file} in {}", ran.err);
    }
    let report = results.run(&["report", "--json"]).json("report");
    assert_eq!(report["run"]["problems"].as_array().unwrap().len(), 4);
    results.run(&["runs"]).shows(&["nps1", "nps4"]);
}

#[test]
fn a_run_without_anything_readable_is_refused_but_the_list_goes_on() {
    let results = Results::two_runs();
    results.write_text("2026-11-25T10-00-00Z", "gemm.json", "{");
    results.run(&["report"]).refused(&["gemm.json"]);
    let list = results.run(&["runs"]);
    list.shows(&["nps1", "nps4"]);
    assert!(list.err.contains("2026-11-25"), "{}", list.err);
}

#[test]
fn a_newer_schema_is_refused() {
    let results = Results::two_runs();
    let mut newer = bench("dram", "nps4", true, vec![]);
    newer["schema"] = json!(99);
    newer["metrics"] = json!({"of": "another shape"});
    results.write("2026-11-24T10-00-00Z-nps4", "dram.json", &newer);
    results.run(&["report"]).refused(&["schema 99", "Update hostdyno"]);
}

#[test]
fn unknown_fields_and_absurd_figures_are_no_trouble() {
    let results = Results::empty();
    let mut record = metric("dram/read", "dram", "GB/s", 31.0, Some(0.0));
    record["added_later"] = json!({"x": [1]});
    let mut absurd = metric("dram/copy", "dram", "GB/s", 1e300, Some(-1.0));
    absurd["summary"]["median_ci95"] = json!({"low": 1e308, "high": -1e308});
    let negative = metric("dram/write", "dram", "ns", -0.0, Some(1e-300));
    let mut hostile = metric("dram/\u{1b}[2J\u{7}", "dram", "s", 5e-324, None);
    hostile["kernel_path"] = json!("\u{9b}31m\u{202e}");
    let metrics = vec![record, absurd, negative, hostile];
    results.write("r", "dram.json", &bench("dram", "\u{1b}c", true, metrics));
    for columns in ["1", "80", "1000000", "-5", "x"] {
        let ran = Ran::of(command(results.0.path()).arg("report").env("COLUMNS", columns));
        ran.shows(&["31"]);
        let control = ran.out.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{}", ran.out);
    }
    results.run(&["report", "--json"]).json("report");
    results.run(&["runs"]).shows(&["r"]);
}

#[test]
fn an_empty_bench_is_a_run_without_figures() {
    let results = Results::empty();
    results.write("r", "gemm.json", &bench("gemm", "x", true, vec![]));
    results.run(&["report"]).shows(&["compute", "not measured in this run"]);
}

#[test]
fn output_is_as_wide_as_columns_says() {
    let results = Results::two_runs();
    for columns in [80, 100, 120] {
        let mut command = command(results.0.path());
        let ran = Ran::of(command.arg("report").env("COLUMNS", columns.to_string()));
        let longest = ran.out.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= columns, "{longest} columns of {columns}:\n{}", ran.out);
    }
}

#[test]
fn a_pipe_gets_no_escape_codes() {
    assert!(!Results::two_runs().run(&["report"]).out.contains('\u{1b}'));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let results = Results::empty();
    let many = |i| metric(&format!("dram/read/{i}"), "dram", "GB/s", 31.0, None);
    results.write("r", "dram.json", &bench("dram", "x", true, (0..4000).map(many).collect()));
    let mut child = command(results.0.path())
        .arg("report")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn bad_usage_is_exit_code_2_and_help_is_0() {
    let results = Results::empty();
    results.run(&["reprot"]).refused(&["report"]);
    results.run(&[]).refused(&["Usage"]);
    results.run(&["report", "--findings", "many"]).refused(&["--findings"]);
    results.run(&["--help"]).shows(&["report", "runs", "env", "--json", "cargo bench"]);
    results.run(&["--version"]).shows(&["hostdyno 0.1.0"]);
}

#[test]
fn env_shows_this_host_with_the_status_of_every_field() {
    let results = Results::empty();
    let ran = results.run(&["env"]);
    ran.shows(&["CPU", "kernel.release", "identity", "bios", "runtime", "volatile", "ok"]);
    let env = results.run(&["env", "--json"]).json("env");
    assert_eq!(env["environment"]["kernel.release"]["status"], "ok");
    assert!(env["environment"]["kernel.release"]["source"].as_str().unwrap().starts_with('/'));
}

#[test]
fn env_reads_another_root_and_refuses_what_is_none() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("sys/kernel/mm/transparent_hugepage/enabled");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "always madvise [never]\n").unwrap();
    let results = Results::empty();
    let path = root.path().to_str().unwrap();
    let env = results.run(&["env", "--root", path, "--json"]).json("env");
    assert_eq!(env["environment"]["kernel.thp.enabled"]["value"], "never");
    assert_eq!(env["environment"]["cpu.model_name"]["status"], "absent");
    results.run(&["env", "--root", path, "--all"]).shows(&["kernel.thp.enabled", "absent"]);
    let file = file.to_str().unwrap();
    results.run(&["env", "--root", file]).refused(&["not a directory", "proc/"]);
}

/// A matrix of two nodes, one value of it invalid, and a curve with its knee.
fn with_figures() -> Results {
    let results = Results::empty();
    let cell = |row: &str, column: &str, value: f64| {
        let name = format!("dram/matrix/read/{row}-{column}");
        let mut record = metric(&name, "dram", "GB/s", value, None);
        record["details"]["cell"] = json!({
            "matrix": "dram/matrix/read", "row_title": "cores of", "column_title": "memory of",
            "row": row, "column": column,
        });
        record
    };
    let mut invalid = cell("p1n0", "p1n0", 9e9);
    invalid["state"] = json!("invalid");
    invalid["reason"] = json!("beats its ceiling");
    let mut curve = metric("dram/latency/loaded/all-cores", "dram", "ns", 250.0, None);
    curve["details"]["curve"] = json!({
        "x": {"name": "load", "unit": "GB/s", "division": "linear"},
        "y": {"name": "latency", "unit": "ns", "division": "linear"},
        "series": [{"name": "", "points": [[1.0, 100.0], [30.0, 140.0], [40.0, 250.0]]}],
        "knee": [30.0, 140.0],
    });
    let cells = vec![
        metric("dram/read/all-cores", "dram", "GB/s", 80.0, None),
        cell("p0n0", "p0n0", 41.5),
        cell("p0n0", "p1n0", 23.4),
        cell("p1n0", "p0n0", 24.6),
        invalid,
        curve,
    ];
    results.write("2026-11-24T10-00-00Z", "dram.json", &bench("dram", "nps1", true, cells));
    results
}

#[test]
fn report_prints_matrices_and_curves_and_draws_them() {
    let results = with_figures();
    let ran = results.run(&["report"]);
    ran.shows(&["dram/matrix/read, GB/s: cores of (down), memory of (across)", "41.5", "23.4"]);
    ran.shows(&[
        "knee: 140 ns at 30 GB/s",
        "dram/matrix/read/p1n0-p1n0 is invalid: beats its ceiling",
    ]);
    // A matrix stands for its metrics: no line of the table repeats them.
    assert!(!ran.out.contains("matrix/read/p0n0"), "{}", ran.out);
    let report = results.run(&["report", "--json"]).json("report");
    let dram =
        report["parts"].as_array().unwrap().iter().find(|part| part["part"] == "dram").unwrap();
    assert_eq!(dram["figures"][0]["matrix"]["values"], json!([[41.5, 23.4], [24.6, null]]));

    let directory = results.0.path().join("pictures");
    results.run(&["report", "--svg", directory.to_str().unwrap()]).shows(&["41.5"]);
    let picture = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(picture("dram-matrix-read.svg").contains("memory of p1n0: 23.4"));
    assert!(picture("dram-latency-loaded-all-cores.svg").contains("knee: 30 GB/s"));
    let file = directory.join("dram-matrix-read.svg").join("below");
    results.run(&["report", "--svg", file.to_str().unwrap()]).refused(&["can't create"]);
}

#[test]
fn topology_is_a_tree_or_a_picture() {
    let results = Results::empty();
    results.run(&["topology"]).shows(&["Host: sockets", "NUMA nodes"]);
    let picture = results.run(&["topology", "--svg"]);
    picture.shows(&["<svg", "Socket", "</svg>"]);
    assert_eq!(results.run(&["topology", "--svg", "--json"]).code, 2);
}

/// Three boots a side of two metrics: one falls by a fifth in B, one stays.
fn two_settings() -> Results {
    let results = Results::empty();
    for (label, level) in [("nps1", 100.0), ("nps4", 80.0)] {
        for boot in 0..3 {
            let noise = 1.0 + 0.002 * f64::from(boot);
            let metrics = vec![
                metric("dram/read/all-cores", "dram", "GB/s", level * noise, None),
                metric("gemm/cpu/bf16/m1n8k8", "compute", "TFLOP/s", 0.5 * noise, None),
            ];
            let mut record = bench("dram", label, true, metrics);
            record["boot_id"] = json!(format!("{label}-{boot}"));
            results.write(&format!("2026-11-24T1{boot}-00-00Z-{label}"), "dram.json", &record);
        }
    }
    results
}

#[test]
fn compare_takes_labels_as_groups_and_says_what_moved() {
    let results = two_settings();
    let ran = results.run(&["compare", "nps1", "--", "nps4"]);
    ran.shows(&["B = nps4 against A = nps1", "-20.0 %", "WORSE", "SAME", "no readable host.json"]);
    results
        .run(&["compare", "nps1", "nps4", "--format", "markdown"])
        .shows(&["| metric | A | B |"]);
    results
        .run(&["compare", "nps1", "nps4", "--format", "html"])
        .shows(&["<svg", "class=\"WORSE\""]);
    let json = results.run(&["compare", "nps1", "nps4", "--json"]).json("compare");
    assert_eq!(json["metrics"][0]["verdict"], "WORSE");
    assert_eq!(json["metrics"][0]["boots"], json!([3, 3]));
    assert_eq!(json["explanation"]["attribution"], "unknown");
    for (arguments, code) in [
        (vec!["compare", "nps1", "nps4", "--fail-on", "worse"], 1),
        (vec!["compare", "nps4", "nps1", "--fail-on", "worse"], 0),
        (vec!["compare", "nps4", "nps1", "--fail-on", "change"], 1),
    ] {
        assert_eq!(results.run(&arguments).code, code, "{arguments:?}");
    }
}

#[test]
fn a_page_is_written_whole_and_over_pages_only() {
    let results = Results::two_runs();
    let page = results.0.path().join("page.html");
    let file = page.to_str().unwrap();
    results.run(&["report", "nps1", "--html", file]).shows(&["written to"]);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!DOCTYPE html>") && text.trim_end().ends_with("</html>"));
    assert!(text.contains("146 GFLOP/s") && text.contains("no NVIDIA GPU"));
    results.run(&["report", "nps4", "--html", file]).shows(&["written to"]);
    assert!(std::fs::read_to_string(&page).unwrap().contains("storage did not reach the end"));

    let record = results.0.path().join("runs/2026-11-23T10-00-00Z-nps1/gemm.json");
    let before = std::fs::read(&record).unwrap();
    let refused = |path: &str, facts: &[&str]| {
        results.run(&["report", "nps1", "--html", path]).refused(facts);
    };
    refused(record.to_str().unwrap(), &["is no HTML page", "Name another file"]);
    assert_eq!(std::fs::read(&record).unwrap(), before, "a record is never lost to a page");
    refused(results.0.path().to_str().unwrap(), &["is a directory"]);
    refused("/dev/null", &["is no ordinary file"]);
    refused("/nonexistent/page.html", &["/nonexistent", "Check the path"]);
}

#[test]
fn compare_refuses_what_is_no_comparison() {
    let results = two_settings();
    results.run(&["compare", "nps1"]).refused(&["second group is empty"]);
    results.run(&["compare", "nps1", "nps1"]).refused(&["on both sides"]);
    results.run(&["compare", "nps1", "--", "nps5"]).refused(&["nps5", "Did you mean"]);
    results.run(&["compare", "nps1", "nps4", "--margin", "-1"]).refused(&[]);
    let file = results.0.path().join("floor.json");
    std::fs::write(&file, "{\"schema\": 9}").unwrap();
    let floor = file.to_str().unwrap();
    results.run(&["compare", "nps1", "nps4", "--noise-floor", floor]).refused(&["noise floor"]);
    results.write_text("2026-11-24T19-00-00Z-x", "dram.json", "{\"schema\": 99}");
    results.run(&["compare", "nps1", "2026-11-24T19"]).refused(&["schema 99"]);
    results.write_text("2026-11-24T18-00-00Z-y", "dram.json", "{\"schema\": 1, \"met");
    results.run(&["compare", "nps1", "2026-11-24T18"]).refused(&["not whole JSON"]);
}

#[test]
fn a_learned_noise_floor_is_used() {
    let results = two_settings();
    let file = results.0.path().join("floor.json");
    let floor = file.to_str().unwrap();
    results
        .run(&["noise-floor", "nps1", "--save", floor])
        .shows(&["dram/read/all-cores", "unknown"]);
    let one = ["compare", "2026-11-24T10-00-00Z-nps1", "2026-11-24T10-00-00Z-nps4"];
    results.run(&one).shows(&["UNDERPOWERED", "a side has one boot"]);
    results.run(&[&one[..], &["--noise-floor", floor]].concat()).shows(&["WORSE"]);
    results.run(&["noise-floor", "2026-11-24T10-00-00Z-nps1"]).refused(&["two processes"]);
}

#[test]
fn order_is_a_b_b_a() {
    let ran = Results::empty().run(&["order", "on", "off", "--times", "2", "--json"]).json("order");
    assert_eq!(ran["order"], json!(["on", "off", "off", "on"]));
}

/// What a run keeps of a host of this model, and of nothing else.
fn host(model: &str) -> Value {
    let field =
        |value: &str| json!({"value": value, "source": "s", "status": "ok", "class": "identity"});
    json!({
        "schema": 1, "boot_id": "b", "environment": {"cpu.model_name": field(model)},
        "topology": {
            "source": "sysfs", "packages": [], "cores": [], "nodes": [], "caches": [], "distances": [], "devices": [],
            "inference": {"mode": "unknown", "confidence": "none", "inferred_by": [], "reason": "made up"},
        },
    })
}

#[test]
fn compare_refuses_runs_of_two_hosts_unless_told_otherwise() {
    let results = two_settings();
    for (run, model) in [("2026-11-24T10-00-00Z-nps1", "a"), ("2026-11-24T10-00-00Z-nps4", "b")] {
        results.write(run, "host.json", &host(model));
    }
    let two = ["compare", "2026-11-24T10-00-00Z-nps1", "2026-11-24T10-00-00Z-nps4"];
    results.run(&two).refused(&["different hosts: cpu.model_name is a and b", "--across-hosts"]);
    results.run(&[&two[..], &["--across-hosts"]].concat()).shows(&["UNDERPOWERED"]);
}

#[test]
fn qualify_judges_by_floors_in_every_form() {
    let results = two_settings();
    results.write("2026-11-24T12-00-00Z-nps4", "host.json", &host("a CPU"));
    let file = results.0.path().join("floors.toml");
    let floors = |text: &str| {
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    // 80.3 GB/s in the newest run.
    for (pass, fail, code, verdict) in [
        (80.0, 70.0, 0, "PASS"),
        (90.0, 70.0, 0, "WARN"),
        (100.0, 90.0, 1, "FAIL"),
        (0.08, 0.07, 3, "INCONCLUSIVE"),
    ] {
        let floors = floors(&format!("[\"dram/read/*\"]\npass = {pass}\nfail = {fail}\n"));
        let ran = results.run(&["qualify", "--floors", &floors]);
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
        assert!(ran.out.starts_with(verdict), "{}", ran.out);
        let json = results.run(&["qualify", "--floors", &floors, "--format", "json"]);
        let object: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(
            (&object["kind"], &object["qualify"]["verdict"]),
            (&json!("qualify"), &json!(verdict))
        );
        let junit = results.run(&["qualify", "--floors", &floors, "--format", "junit"]);
        assert!(
            junit.out.starts_with("<?xml") && junit.out.ends_with("</testsuites>\n"),
            "{}",
            junit.out
        );
        let markdown = results.run(&["qualify", "--floors", &floors, "--format", "markdown"]);
        assert!(markdown.out.starts_with(&format!("# {verdict}: ")), "{}", markdown.out);
    }
    let warned = floors("[\"dram/read/all-cores\"]\npass = 90\n[\"dram/raed\"]\npass = 1\n");
    let ran = results.run(&["qualify", "--floors", &warned, "--fail-on", "warn"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no metric of this run is called dram/raed"), "{}", ran.err);
}

#[test]
fn qualify_and_baseline_refuse_what_they_cannot_use() {
    let results = two_settings();
    let file = results.0.path().join("x");
    let name = file.to_str().unwrap();
    results.run(&["qualify", "nps5"]).refused(&["nps5", "Did you mean"]);
    results.run(&["qualify", "--floors", name]).refused(&["can't read"]);
    std::fs::write(&file, "dram = 3").unwrap();
    results.run(&["qualify", "--floors", name]).refused(&[
        "holds no floors",
        "line 1",
        "pass = 400",
    ]);
    results.run(&["qualify", "--baseline", name]).refused(&["is no baseline", "baseline make"]);
    results.run(&["qualify", "--format", "xml"]).refused(&["junit"]);
    results.run(&["baseline", "make"]).refused(&[]);
    results
        .run(&["baseline", "make", "nps1", "--save", "/nonexistent/b"])
        .refused(&["can't write"]);
}

#[test]
fn a_baseline_of_ones_own_is_used() {
    let results = two_settings();
    let file = results.0.path().join("baseline.json");
    let name = file.to_str().unwrap();
    results.run(&["baseline", "make", "nps1", "--save", name]).shows(&[
        "baseline of 3 runs",
        "100 GB/s",
        "±0.3 %",
    ]);
    let ran = results.run(&["qualify", "nps4", "--baseline", name]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("FAIL dram/read/all-cores: 80 % of the reference, below 90 %"),
        "{}",
        ran.out
    );
}

#[test]
fn a_firmware_export_is_shown_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bios");
    let env = |content: &str| {
        std::fs::write(&file, content).unwrap();
        Ran::of(command(directory.path()).arg("env").env("HOSTDYNO_BIOS", &file))
    };
    env("{\"Attributes\": {\"NumaNodesPerSocket\": \"NPS4\"}}")
        .shows(&["bios.import.NumaNodesPerSocket", "NPS4"]);
    env("<xml/>").refused(&["HOSTDYNO_BIOS=", "line 1 is no key=value", "ilorest"]);
}

/// A run that has loaded two sets, the second one 10 % slower than the first.
fn loads() -> Results {
    let results = Results::empty();
    let load = |id: &str, gb: f64, shards: f64, tensors: f64, gb_per_s: f64| {
        let read = gb / gb_per_s;
        let mut record =
            metric(id, "storage", "GB/s", gb / (read + 0.01 * shards + 1e-6 * tensors), None);
        record["details"] = json!({
            "model": id, "bytes": gb * 1e9, "shards": shards, "tensors": tensors,
            "stage_open_parse_s": 0.01 * shards + 1e-6 * tensors,
            "stage_parse_s": 1e-6 * tensors, "stage_allocate_prefault_s": gb / 5.0,
            "stage_register_s": gb * 0.1, "stage_read_s": read,
        });
        record
    };
    let metrics = vec![
        load("storage/load/io_uring-direct", 4.0, 8.0, 700.0, 2.0),
        load("storage/load/io_uring-direct/qwen3-30b-a3b", 4.0, 8.0, 1200.0, 1.8),
    ];
    let storage = bench("storage", "", true, metrics);
    results.write("2026-11-24T10-00-00Z", "storage.json", &storage);
    results
}

#[test]
fn load_time_takes_an_index_alone_and_states_its_own_error() {
    let (results, hub) = (loads(), tempfile::tempdir().unwrap());
    let index = hub.path().join("model.safetensors.index.json");
    std::fs::write(
        &index,
        r#"{"metadata":{"total_size":38000000000},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#,
    )
    .unwrap();
    for path in [hub.path(), &index] {
        let ran = results.run(&["load-time", path.to_str().unwrap()]);
        // 38 GB at 8 GB in 4.222 s, memory at 5 GB/s and registered in 0.1 s a GB.
        ran.shows(&[
            "38.00 GB in 2 files, 2 tensors (by its index alone)",
            "31.48 s ± 0.20 s, disk to RAM, limited by reading",
            "Own error +10.",
            "Own error -9.",
            "predicted from the other sets of the run",
        ]);
    }
    let json = results.run(&["load-time", "--json", index.to_str().unwrap()]).json("load-time");
    assert_eq!(json["model"]["bytes"], 38_000_000_000_u64);
    assert_eq!(json["prediction"]["limited_by"], "reading");
    assert_eq!(json["basis"]["checks"].as_array().unwrap().len(), 2);

    let directory = hub.path().to_str().unwrap();
    Results::two_runs()
        .run(&["load-time", directory])
        .refused(&["has not measured storage/load/io_uring-direct", "cargo bench --bench storage"]);
    std::fs::write(hub.path().join("1.safetensors"), "short").unwrap();
    results.run(&["load-time", directory]).refused(&["1 of 2 shards are missing", "2.safetensors"]);
    std::fs::write(&index, r#"{"weight_map":{"a":"../../etc/passwd"}}"#).unwrap();
    results.run(&["load-time", directory]).refused(&["outside the directory"]);
}

#[test]
fn the_ladder_of_a_file_tells_every_way_and_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, vec![1; 10_000]).unwrap();
    let (results, path) = (Results::empty(), file.to_str().unwrap());
    results.run(&["ladder", path]).shows(&[
        "file_system: ",
        "direct reads: ",
        "NVMe passthrough: ",
        "io_uring with IOPOLL: ",
        "preadv in threads, direct: ",
        "mmap: works",
    ]);
    let json = results.run(&["ladder", "--json", path]).json("ladder");
    assert_eq!(json["rungs"].as_array().unwrap().len(), 7);
    for rung in json["rungs"].as_array().unwrap() {
        let refused = &rung["refused"];
        assert!(refused.is_null() || refused["errno"].as_i64().is_some_and(|e| e > 0), "{rung}");
    }
    let empty = dir.path().to_str().unwrap();
    results.run(&["ladder", empty]).refused(&["holds no *.safetensors"]);
    results.run(&["ladder", "/nonexistent"]).refused(&["/nonexistent", "Check the path"]);
    results.run(&["ladder", "/dev/null"]).refused(&["not a regular file"]);
}
