//! Finding NVIDIA's libraries: by the loader (an installed CUDA toolkit), under `CUDA_PATH` or `CUDA_HOME`, in Python wheels
//! (those that `setup.sh` puts into `.cuda/`, and those of the virtual environment that the program runs in), and in
//! `/usr/local/cuda`, where toolkits are installed without the loader's knowledge.
//!
//! Opening a library by its full path makes its soname known to the loader, so that cudarc, which asks by name, finds it.

use std::path::{Path, PathBuf};

/// Where NVIDIA's installers put a toolkit, or a link to the newest.
const TOOLKIT: &str = "/usr/local/cuda";

/// Makes the library whose file name begins with `stem` (`libnvrtc.so`) known to the loader, unless `present` says that it
/// is already; whether it is then.
pub(super) fn find(stem: &str, present: impl Fn() -> bool) -> bool {
    present() || (candidates(stem, &folders()).iter().any(|path| open_for_good(path)) && present())
}

/// Opens the library at `path` and leaves it open, so that its soname stays known.
fn open_for_good(path: &Path) -> bool {
    // SAFETY: the initialisers of NVIDIA's libraries have no preconditions.
    unsafe { libloading::Library::new(path) }.map(std::mem::forget).is_ok()
}

/// Libraries in `folders`, best first.
fn candidates(stem: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(stem))
    };
    folders.iter().flat_map(|folder| entries(folder)).filter(named).collect()
}

/// Where libraries may be that the loader does not know, best first.
fn folders() -> Vec<PathBuf> {
    let root = |variable| std::env::var_os(variable).map(PathBuf::from);
    let named = ["CUDA_PATH", "CUDA_HOME"].into_iter().filter_map(root);
    let own = root("CARGO_MANIFEST_DIR").unwrap_or_default().join(".cuda");
    // pip replaces the `nvidia` of a target that it is given again, so what is fetched later has a target of its own.
    let targets = std::iter::once(own.clone()).chain(entries(&own));
    let pythons = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(root);
    let pythons = pythons.flat_map(|root| entries(&root.join("lib")));
    let sites = pythons.map(|python| python.join("site-packages"));
    let wheels = targets.chain(sites).flat_map(|site| wheel_folders(&site));
    let installed = toolkit_folders(PathBuf::from(TOOLKIT));
    named.flat_map(toolkit_folders).chain(wheels).chain(installed).collect()
}

/// Folders with libraries of the toolkit in `root`.
fn toolkit_folders(root: PathBuf) -> [PathBuf; 2] {
    ["lib64", "lib"].map(|folder| root.join(folder))
}

/// Folders with libraries in a folder that wheels were unpacked into: CUDA 13's are all in `nvidia/cu13/lib`, those of CUDA
/// 12 and of cuDNN in one `nvidia/NAME/lib` each.
fn wheel_folders(site: &Path) -> Vec<PathBuf> {
    entries(&site.join("nvidia")).into_iter().map(|package| package.join("lib")).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_of_either_layout_are_found_by_the_beginning_of_the_name() {
        let site = tempfile::tempdir().expect("a folder");
        let lay = |path: &str| {
            let path = site.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, "").expect("written");
            path
        };
        let old = lay("nvidia/cublas/lib/libcublasLt.so.12");
        let new = lay("nvidia/cu13/lib/libcublasLt.so.13");
        lay("nvidia/cu13/lib/libcublas.so.13");
        lay("nvidia/cu13/include/libcublasLt.so.h");
        let found = candidates("libcublasLt.so", &wheel_folders(site.path()));
        assert_eq!(found, [new, old]);
        let toolkit = folders();
        assert!(toolkit.ends_with(&toolkit_folders("/usr/local/cuda".into())), "{toolkit:?}");
        assert!(!find("libhostdyno-has-no-such.so", || false));
        assert!(find("libhostdyno-has-no-such.so", || true));
    }
}
