//! `emulator corpus DIR`: its closing line and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

fn corpus(directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_emulator")).arg("corpus").arg(directory).output().unwrap()
}

fn own() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

#[test]
fn a_good_corpus_ends_with_zero() {
    let output = corpus(&own());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().last(), Some("5 passed, 0 failed"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_failing_case_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(own()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    // The answer's last bytes, changed.
    let file = folder.path().join("sm80_mma_bf16.safetensors");
    let mut data = std::fs::read(&file).unwrap();
    let end = data.len();
    data[end - 2] ^= 0x40;
    std::fs::write(&file, data).unwrap();
    std::fs::write(folder.path().join("sm120_mma_scales.ptx"), "this is no PTX").unwrap();
    let output = corpus(folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().last(), Some("3 passed, 2 failed"));
    assert!(text.contains("FAIL sm120_mma_scales: PTX line 1"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_is_no_corpus_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |manifest: Option<&str>| {
        if let Some(text) = manifest {
            std::fs::write(folder.path().join("manifest.json"), text).unwrap();
        }
        let output = corpus(folder.path());
        assert_eq!(output.status.code(), Some(2), "{manifest:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(None).contains("cannot read the manifest"));
    assert!(refused(Some("{")).contains("malformed manifest"));
    assert!(refused(Some(r#"{"cases": []}"#)).contains("no cases"));
    let case = |name: &str| {
        format!(
            r#"{{"cases": [{{"name": "{name}", "entry": "k", "grid": [1,1,1], "block": [1,1,1], "args": []}}]}}"#
        )
    };
    assert!(refused(Some(&case("absent"))).contains("missing"));
    assert!(refused(Some(&case("../up"))).contains("not a case name"));
}
