//! Lays the driver library into a folder under the names that programs look for.

use std::io;
use std::path::{Path, PathBuf};

/// What the vendor's driver is called.
const NAME: &str = "libcuda.so.1";
/// What some programs look for instead (cudarc tries it first).
const LINK: &str = "libcuda.so";

/// What programs look for to multiply (cudarc tries it first).
const CUBLASLT: &str = "libcublasLt.so";

/// The library as cargo built it: beside the running program, or in `deps`.
fn built() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folders = program.ancestors().skip(1).take(2);
    let mut found = Vec::new();
    for folder in folders {
        for place in [folder.join("libemulator.so"), folder.join("deps/libemulator.so")] {
            if let Ok(modified) = place.metadata().and_then(|metadata| metadata.modified()) {
                found.push((modified, place));
            }
        }
    }
    // `cargo build` and `cargo test` leave it in different places: the newest is the one that belongs to this program.
    found.into_iter().max().map(|(_, place)| place).ok_or_else(|| {
        let hint =
            "libemulator.so is not beside this program; build it with `cargo build -p emulator`";
        io::Error::new(io::ErrorKind::NotFound, hint)
    })
}

/// Installs the library into `folder`, which is made if it is missing. A program then runs on the emulator by
/// `LD_LIBRARY_PATH=folder` alone.
///
/// # Errors
/// Where the library was not built, or the folder cannot be written.
pub fn install(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    // Written aside and renamed, so that a program that starts meanwhile never sees half a library.
    let aside = folder.join(format!(".{NAME}.{}", std::process::id()));
    std::fs::copy(built()?, &aside)?;
    std::fs::rename(&aside, folder.join(NAME))?;
    link(Path::new(NAME), &folder.join(LINK))
}

/// Lays `libcublasLt.so` into `folder`: a link to the driver in `driver`, a folder of [`install`]'s. One file is both
/// libraries, so that they share what they know.
///
/// # Errors
/// Where the folder cannot be written.
pub fn install_cublaslt(folder: &Path, driver: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    link(&std::path::absolute(driver.join(NAME))?, &folder.join(CUBLASLT))
}

/// Lets `path` lead to `target`.
fn link(target: &Path, path: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(target, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}
