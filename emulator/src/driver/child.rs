//! For tests: runs a test's body in a process of its own that finds the emulator as `libcuda.so.1` by `LD_LIBRARY_PATH`
//! alone. The body is then a program that knows nothing of the emulator, and a context that it kills is nobody else's.

use super::{install, install_cublaslt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Set in the child.
const CHILD: &str = "HOSTDYNO_EMULATOR_CHILD";

/// Where the driver was laid down, beside this program; once a process.
///
/// # Panics
/// Where the driver was not built or the folder cannot be written: the test cannot run.
fn library() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let program = std::env::current_exe().expect("the path of this program");
        let folder = program.with_file_name("libcuda-emulated");
        install(&folder).expect("the driver is built with the tests that use it");
        folder
    })
}

/// A folder with the emulated cuBLASLt, to be passed to [`in_child`] (and empty in the child itself). Without it a child has none.
///
/// # Panics
/// As [`in_child`].
#[must_use]
pub fn cublaslt_for_children() -> PathBuf {
    if std::env::var_os(CHILD).is_some() {
        // Laid by the parent. Laid again it would be another file, and another library for whoever opens it later.
        return PathBuf::new();
    }
    let driver = library();
    let folder = driver.with_file_name("libcublaslt-emulated");
    install_cublaslt(&folder, driver).expect("a folder beside the driver's");
    folder
}

/// The test that a closure was written in: what its type is called, less the crate and the closure itself.
#[must_use]
pub fn test_of<F: FnOnce()>(_: &F) -> &'static str {
    let name = std::any::type_name::<F>();
    let test = name.split_once("::").map_or(name, |parts| parts.1);
    test.split("::{{closure}}").next().unwrap_or(test)
}

/// Runs `body`, a closure in a test, in a child of this program that runs that test alone, with the environment `env` and
/// `libraries` as further folders of shared libraries; returns the child's stderr. In the child itself, runs the body and
/// returns nothing.
///
/// # Panics
/// Where the body does, with the child's output; and where the child cannot run.
pub fn in_child<F: FnOnce()>(
    env: &[(&str, &str)],
    libraries: &[PathBuf],
    body: F,
) -> Option<String> {
    let test = test_of(&body);
    if std::env::var_os(CHILD).is_some() {
        body();
        return None;
    }
    let folders = std::iter::once(library()).chain(libraries);
    let path = std::env::join_paths(folders).expect("no colon in a folder's name");
    let output = Command::new(std::env::current_exe().expect("the path of this program"))
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
