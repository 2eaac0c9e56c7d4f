//! Is the page cache empty of a file? Asked for with `posix_fadvise`, proved with `mincore`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::{Error, Result};

/// Largest resident share of a file that still counts as cold.
pub const RESIDENT_LIMIT: f64 = 0.01;

/// Pages examined by one `mincore` call.
const WINDOW_PAGES: usize = 1 << 18;

/// How much of some files is in the page cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Residency {
    /// Pages in the cache.
    pub resident: u64,
    /// Pages of the files.
    pub pages: u64,
}

impl Residency {
    /// Resident share; 0 for empty files.
    pub fn share(self) -> f64 {
        self.resident as f64 / self.pages.max(1) as f64
    }

    /// Adds another file's pages.
    pub fn add(&mut self, other: Self) {
        self.resident += other.resident;
        self.pages += other.pages;
    }
}

/// Drops clean and dirty pages of `path` from the cache and counts what is left.
///
/// # Errors
/// When the file can't be opened, synced, advised on or examined.
pub fn drop_cache(path: &Path) -> Result<Residency> {
    let file = File::open(path).map_err(|e| Error::path("open", path, e))?;
    // Dirty pages are not dropped: write them first. A file that was opened for reading may refuse; then it is clean
    // or mincore tells.
    let _ = file.sync_all();
    // SAFETY: the descriptor is open; the call touches no memory.
    let status = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if status != 0 {
        let refused = std::io::Error::from_raw_os_error(status);
        return Err(Error::path("drop the page cache of", path, refused));
    }
    residency(&file).map_err(|e| Error::path("ask for the cached pages of", path, e))
}

/// Counts the pages of `file` that are in the cache.
///
/// For files that the user neither owns nor may write, Linux answers that every page is resident.
///
/// # Errors
/// What `mmap` or `mincore` answers.
pub fn residency(file: &File) -> std::io::Result<Residency> {
    // SAFETY: plain query of a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let bytes = file.metadata()?.len() as usize;
    let mut count = Residency::default();
    let mut vector = Vec::new();
    let mut at = 0;
    while at < bytes {
        let window = (bytes - at).min(WINDOW_PAGES * page);
        vector.resize(window.div_ceil(page), 0_u8);
        // SAFETY: a fresh read-only mapping chosen by the kernel, unmapped below and never dereferenced.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                window,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                at as libc::off_t,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the window is mapped and `vector` has one byte a page of it.
        let status = unsafe { libc::mincore(mapped, window, vector.as_mut_ptr()) };
        let failed = (status != 0).then(std::io::Error::last_os_error);
        // SAFETY: exactly what was mapped above.
        unsafe { libc::munmap(mapped, window) };
        if let Some(error) = failed {
            return Err(error);
        }
        count.pages += vector.len() as u64;
        count.resident += vector.iter().map(|v| u64::from(v & 1)).sum::<u64>();
        at += window;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_file_is_resident_and_a_dropped_one_is_not() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![1; 3_000_001]).unwrap();
        let cached = residency(&File::open(&path).unwrap()).unwrap();
        assert_eq!(cached.pages, 733);
        if cached.share() < 0.99 {
            return; // a memory limit or a file system without mincore: nothing to prove here
        }
        let dropped = drop_cache(&path).unwrap();
        assert_eq!(dropped.pages, 733);
        assert!(dropped.share() <= RESIDENT_LIMIT, "{dropped:?}");
        std::fs::read(&path).unwrap();
        assert!(residency(&File::open(&path).unwrap()).unwrap().share() > 0.99);
    }

    #[test]
    fn an_empty_file_has_no_pages() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(residency(&file).unwrap(), Residency::default());
        assert!(drop_cache(Path::new("/nonexistent")).is_err());
    }
}
