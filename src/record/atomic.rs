//! Files that are either the old version or the new one, never half of either.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;

use crate::{Error, Result};

/// Writes `value` as indented JSON to `path`, as [`write`] does.
///
/// # Errors
/// When the directory can't be written or is full; the old file, if any, is still whole.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|e| Error::path("write", path, e.into()))?;
    text.push(b'\n');
    write(path, &text)
}

/// Writes `content` to `path`: temporary file in the same directory, fsync, rename, fsync of the directory, so that a
/// killed process or a power cut leaves a whole file behind.
///
/// # Errors
/// When the directory can't be written or is full; the old file, if any, is still whole.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |e| Error::path("write", path, e);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".partial-")
        // As any other file of the user's: results are there to be shared.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|e| Error::path("write in", directory, e))?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    std::fs::File::open(directory).and_then(|d| d.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a.json");
        write_json(&path, &[1, 2]).expect("written");
        write_json(&path, &[3]).expect("replaced");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(serde_json::from_str::<Vec<u8>>(&text).expect("JSON"), [3]);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = write_json(Path::new("/nonexistent/x/a.json"), &1).expect_err("no directory");
        assert!(error.to_string().contains("/nonexistent/x"), "{error}");
    }
}
