//! Synthetic shard sets: a published model's tensor layout, random bytes, scaled to the disk; made once, then reused.
//!
//! A set is written into a directory of its own under a temporary name, synced and renamed: what exists is whole. A
//! set that can't be finished (full disk, killed process) is removed, at the latest by the next run.

pub mod deepseek;
mod manifest;
pub mod model;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod transformer;
mod writer;

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use manifest::Manifest;
pub use model::Model;

use super::layout::ShardSet;
use crate::{Error, Result};

/// Environment variable that names the directory in which sets are kept.
pub const CACHE_VARIABLE: &str = "HOSTDYNO_MODEL_CACHE";

/// Largest part of the free space that a new set may take: one quarter.
pub const FREE_SHARE: f64 = 0.25;

/// What directories under construction are called, followed by the process that works on them.
const UNFINISHED: &str = ".making-";

/// Seed of the random content: any would do, a fixed one makes sets alike.
const SEED: u64 = 0x6465_6570_7365_656b;

/// A set that is on disk, with the hash of each shard in the order of the set.
#[derive(Debug, Clone)]
pub struct Synthetic {
    /// Its shards.
    pub set: ShardSet,
    /// XXH3 (64 bits) of each file, taken while it was written.
    pub hashes: Vec<u64>,
}

/// Removes every set in `cache`; the bytes that were freed.
///
/// # Errors
/// When a directory can't be listed or removed.
pub fn clean(cache: &Path) -> Result<u64> {
    let mut freed = 0;
    if !cache.exists() {
        return Ok(freed);
    }
    for entry in cache.read_dir().map_err(|e| Error::path("list", cache, e))?.flatten() {
        let dir = entry.path();
        // Only what this module made: the user may keep other things there.
        let name = entry.file_name();
        let ours = name.to_string_lossy().starts_with(UNFINISHED)
            || Manifest::of_whole_set(&dir).is_some()
            || name.to_string_lossy().starts_with(model::PREFIX);
        if ours && dir.is_dir() {
            for file in dir.read_dir().map_err(|e| Error::path("list", &dir, e))?.flatten() {
                freed += file.metadata().map_or(0, |m| m.len());
            }
            std::fs::remove_dir_all(&dir).map_err(|e| Error::path("remove", &dir, e))?;
        }
    }
    Ok(freed)
}

/// The set of `model`'s layout in `cache` that fits into `budget` bytes: found there, or made now.
///
/// # Errors
/// [`Error::Unavailable`] when the smallest set does not fit into `budget` or into [`FREE_SHARE`] of the free space;
/// others when files can't be written.
pub fn obtain(cache: &Path, model: &Model, budget: u64) -> Result<Synthetic> {
    if let Some(found) = model.scaled(budget).and_then(|m| reuse(&cache.join(m.slug()))) {
        return Ok(found);
    }
    std::fs::create_dir_all(cache).map_err(|e| Error::path("create", cache, e))?;
    remove_abandoned(cache);
    let free = free_bytes(cache)?;
    let disk = (free as f64 * FREE_SHARE) as u64;
    let Some(model) = model.scaled(budget.min(disk)) else {
        let (name, allowed) = (model.name(), budget.min(disk) as f64 / 1e9);
        let (limit, next) = if disk < budget {
            (
                format!("a quarter of the {:.1} GB free in {}", free as f64 / 1e9, cache.display()),
                format!("Free some space, name a directory on a larger disk in {CACHE_VARIABLE}"),
            )
        } else {
            let limit = "the profile and a quarter of the free memory".to_owned();
            (limit, "Choose a larger HOSTDYNO_PROFILE, stop other programs".to_owned())
        };
        return Err(Error::Unavailable(format!(
            "one layer of {name} does not fit into the {allowed:.1} GB that {limit} allow. {next}, or name a real model in \
             HOSTDYNO_MODEL_DIR"
        )));
    };
    let target = cache.join(model.slug());
    if let Some(found) = reuse(&target) {
        return Ok(found);
    }
    make(cache, &target, &model)?;
    reuse(&target).ok_or_else(|| {
        Error::input(
            format!("the synthetic set in {} changed while it was made", target.display()),
            "Try again when no other run works in that directory",
        )
    })
}

/// The set in `dir`, if it is whole.
fn reuse(dir: &Path) -> Option<Synthetic> {
    let manifest = Manifest::of_whole_set(dir)?;
    let mut set = ShardSet::open(dir).ok()?;
    set.description = manifest.description.clone();
    let hash = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        manifest.shards.iter().find(|made| made.file == name).map(|made| made.xxh3)
    };
    let hashes = set.shards.iter().map(|shard| hash(&shard.path)).collect::<Option<_>>()?;
    Some(Synthetic { set, hashes })
}

/// Makes the set beside `target` and renames it.
fn make(cache: &Path, target: &Path, model: &Model) -> Result<()> {
    let unfinished = tempfile::Builder::new()
        .prefix(&format!("{UNFINISHED}{}-", std::process::id()))
        .tempdir_in(cache)
        .map_err(|e| Error::path("create a directory in", cache, e))?;
    let made = writer::write_set(unfinished.path(), model.tensors(), SEED)?;
    Manifest::new(model.describe(), made).write(unfinished.path())?;
    let sync = |dir: &Path| File::open(dir).and_then(|d| d.sync_all());
    sync(unfinished.path()).map_err(|e| Error::path("sync", unfinished.path(), e))?;
    if target.exists() && Manifest::of_whole_set(target).is_none() {
        std::fs::remove_dir_all(target).map_err(|e| Error::path("remove", target, e))?;
    }
    match std::fs::rename(unfinished.path(), target) {
        Ok(()) => {
            let _ = unfinished.keep(); // renamed: nothing is left to remove
            sync(cache).map_err(|e| Error::path("sync", cache, e))
        }
        // Another process finished the same set first; ours is removed when it is dropped.
        Err(_) if Manifest::of_whole_set(target).is_some() => Ok(()),
        Err(e) => Err(Error::path("rename the finished set to", target, e)),
    }
}

/// Removes what processes that are gone left unfinished; what can't be removed stays for the next time.
fn remove_abandoned(cache: &Path) {
    for entry in cache.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let maker = name.strip_prefix(UNFINISHED).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Bytes that an unprivileged process may still write to the file system of `dir`.
fn free_bytes(dir: &Path) -> Result<u64> {
    let fail = |e| Error::path("ask for the free space of", dir, e);
    let path = CString::new(dir.as_os_str().as_bytes()).map_err(|e| fail(e.into()))?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is NUL-terminated and `stat` is large enough for the call to fill.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(fail(std::io::Error::last_os_error()));
    }
    // SAFETY: the call succeeded, so it filled `stat`.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_bavail * stat.f_frsize)
}
