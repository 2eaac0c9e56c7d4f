//! Runs the body of a test in a child process that finds the emulator as `libcuda.so.1`, by `LD_LIBRARY_PATH` alone: the
//! bodies are programs on cudarc that know nothing of the emulator.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod kernels;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Set in the child.
const CHILD: &str = "HOSTDYNO_EMULATOR_CHILD";

/// Where the driver was laid down; once a test process.
fn library() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libcuda");
        emulator::driver::install(&folder).expect("the driver was built with this test");
        folder
    })
}

/// Folders with NVRTC: `.cuda` of the workspace, as `setup.sh` fills it.
pub fn nvrtc_folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cuda/nvidia");
    let packages = std::fs::read_dir(root).into_iter().flatten().flatten();
    packages.map(|package| package.path().join("lib")).filter(|lib| lib.is_dir()).collect()
}

/// Runs `body` in a child of this test with the environment `env`; returns the child's stderr. In the child itself,
/// runs the body and returns nothing.
pub fn on_emulator(test: &str, env: &[(&str, &str)], body: impl FnOnce()) -> Option<String> {
    if std::env::var_os(CHILD).is_some() {
        body();
        return None;
    }
    let mut folders = vec![library().to_path_buf()];
    folders.extend(nvrtc_folders());
    let path = std::env::join_paths(folders).expect("no colon in a folder's name");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("LD_LIBRARY_PATH", path)
        .envs(env.iter().copied())
        .output()
        .expect("the child starts");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} in the child:\n{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "no test is named {test}:\n{stdout}");
    Some(stderr.into_owned())
}

/// A test whose body runs on the emulator: `on_emulator! { fn name() ["VARIABLE" = "value"] { body } }`.
#[macro_export]
macro_rules! on_emulator {
    ($($(#[$meta:meta])* fn $name:ident() [$($key:literal = $value:expr),*] $body:block)*) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::support::on_emulator(stringify!($name), &[$(($key, $value)),*], || $body);
        }
    )*};
}
