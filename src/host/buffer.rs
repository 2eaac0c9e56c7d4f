//! Memory whose pages are known: kind, alignment, NUMA node, and where the kernel really put them.
//!
//! A [`Buffer`] is an anonymous mapping. Its pages are zero and belong to nobody until they are touched; the thread
//! that touches a page first decides its node, unless the buffer is bound. Fill buffers before measuring reads: pages
//! that were never written all read from one cached page of zeros.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Pod;

use super::pages::{self, Census, Pages, SMALL};
use super::policy::Policy;
use super::root::Root;
use crate::{Error, Result};

/// What a buffer leaves to the rest of the host.
const RESERVE: u64 = 256 << 20;

/// Bytes of small and transparent pages in live buffers: promised, but not yet missing from what the kernel calls
/// available until they are touched.
static PROMISED: AtomicU64 = AtomicU64::new(0);

/// Page-aligned memory of a known kind, freed when dropped.
#[derive(Debug)]
pub struct Buffer {
    start: NonNull<u8>,
    /// Bytes asked for.
    length: usize,
    /// Bytes mapped: `length` rounded up to the granule.
    mapped: usize,
    pages: Pages,
}

// SAFETY: the mapping is owned, and shared access to it is by `&self` for reads and `&mut self` for writes.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing in it changes under `&self`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `length` zero bytes, aligned to 2 MiB (1 GiB for giant pages). Whoever touches a page first decides its node.
    ///
    /// # Errors
    /// [`Error::Input`] when there is not enough free memory, [`Error::Unavailable`] when no huge pages are reserved,
    /// [`Error::Os`] when the kernel refuses the mapping.
    pub fn new(length: usize, pages: Pages) -> Result<Self> {
        Self::placed(length, pages, &Policy::FirstTouch)
    }

    /// `length` zero bytes on NUMA node `node` (the operating system's index): bound strictly and touched, so that
    /// every page is there already.
    ///
    /// # Errors
    /// As [`Self::new`]; also [`Error::Unavailable`] when the kernel or a sandbox denies the binding.
    pub fn on_node(length: usize, pages: Pages, node: usize) -> Result<Self> {
        Self::placed(length, pages, &Policy::Node(node))
    }

    /// `length` zero bytes where `policy` says: bound strictly and touched, so that every page is there already, unless
    /// the first touch is to decide.
    ///
    /// # Errors
    /// As [`Self::on_node`].
    pub fn placed(length: usize, pages: Pages, policy: &Policy) -> Result<Self> {
        let buffer = Self::map(length, pages, policy)?;
        policy.bind(buffer.start.as_ptr(), buffer.mapped)?;
        // A pool that another process empties now is then an error here, not a bus error at first touch.
        if policy.binds() || pages.reserved() {
            buffer.populate()?;
        }
        Ok(buffer)
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Kind of its pages.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Its address.
    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// Its address, for writing.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// As many `T` as fit.
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= SMALL) };
        // SAFETY: mapped, page-aligned, initialised by the kernel; any bits are a `T`; not written under `&self`.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr().cast(), self.length / size_of::<T>())
        }
    }

    /// As many `T` as fit, for writing.
    pub fn as_mut_slice<T: Pod>(&mut self) -> &mut [T] {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= SMALL) };
        // SAFETY: mapped, page-aligned, initialised by the kernel; any bits are a `T`; `&mut self` is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.length / size_of::<T>())
        }
    }

    /// Asks the kernel where the pages are.
    pub fn census(&self) -> Census {
        Census::take(self.start.as_ptr(), self.length)
    }

    /// Bytes that lie in transparent huge pages; `None` when the kernel does not tell.
    pub fn huge_bytes(&self) -> Option<u64> {
        let smaps = Root::host().read("/proc/self/smaps").text()?;
        let (start, end) = (self.start.as_ptr().addr(), self.start.as_ptr().addr() + self.mapped);
        let (mut inside, mut huge) = (false, 0);
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            let hex = |text: &str| usize::from_str_radix(text, 16).ok();
            if let Some((from, to)) = range.and_then(|(a, b)| Some((hex(a)?, hex(b)?))) {
                inside = from < end && to > start;
            } else if inside && line.starts_with("AnonHugePages:") {
                huge += pages::kilobytes(line, "AnonHugePages:").unwrap_or(0);
            }
        }
        Some(huge)
    }

    fn map(length: usize, pages: Pages, policy: &Policy) -> Result<Self> {
        let mapped = length.max(1).checked_next_multiple_of(pages.granule()).ok_or_else(|| {
            Error::input(format!("a buffer of {length} bytes is too large"), "Ask for less")
        })?;
        refuse_if_short(&Root::host(), mapped as u64, pages, policy)?;
        let start = match pages {
            Pages::Small | Pages::Transparent => map_aligned(mapped, pages.granule())?,
            Pages::Huge => map_anonymous(mapped, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB)?,
            Pages::Giant => map_anonymous(mapped, libc::MAP_HUGETLB | libc::MAP_HUGE_1GB)?,
        };
        let buffer = Self { start, length, mapped, pages };
        if !pages.reserved() {
            PROMISED.fetch_add(mapped as u64, Ordering::Relaxed);
            let advice = match pages {
                Pages::Small => libc::MADV_NOHUGEPAGE,
                _ => libc::MADV_HUGEPAGE,
            };
            buffer.advise(advice, "choose the page size of")?;
        }
        Ok(buffer)
    }

    /// Touches every page now.
    fn populate(&self) -> Result<()> {
        self.advise(libc::MADV_POPULATE_WRITE, "fill")
    }

    fn advise(&self, advice: i32, to: &str) -> Result<()> {
        loop {
            // SAFETY: the range is this mapping, which nobody else has seen yet; the advice changes no contents.
            let answer = unsafe { libc::madvise(self.start.as_ptr().cast(), self.mapped, advice) };
            if answer == 0 {
                return Ok(());
            }
            let error = std::io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR | libc::EAGAIN) => {}
                // A kernel without transparent huge pages has small pages only: what was asked for, or the nearest.
                Some(libc::EINVAL) if advice != libc::MADV_POPULATE_WRITE => return Ok(()),
                Some(libc::EINVAL) => {
                    self.touch();
                    return Ok(());
                }
                _ => {
                    let what = format!("can't {to} a buffer of {} bytes", self.mapped);
                    return Err(Error::os(what, error, "Free some memory, or ask for less"));
                }
            }
        }
    }

    /// Writes a zero to each page: kernels before 5.14 can't populate a mapping on request.
    fn touch(&self) {
        for offset in (0..self.mapped).step_by(SMALL) {
            // SAFETY: inside the mapping, which holds zeros and which nobody else has seen yet.
            unsafe { self.start.as_ptr().add(offset).write_volatile(0) };
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.pages.reserved() {
            PROMISED.fetch_sub(self.mapped as u64, Ordering::Relaxed);
        }
        // SAFETY: exactly the range that was mapped; no reference to it can be left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

/// Refuses what the host could only give by killing a process.
fn refuse_if_short(root: &Root, bytes: u64, pages: Pages, policy: &Policy) -> Result<()> {
    let needs = policy.needs(bytes);
    if pages.reserved() {
        let everywhere = needs.is_empty().then_some((None, bytes));
        let on_nodes = needs.iter().map(|&(node, need)| (Some(node), need));
        for (node, need) in everywhere.into_iter().chain(on_nodes) {
            let have = pages.free_reserved(root, node).unwrap_or(0);
            if need > have {
                return Err(Error::Unavailable(format!(
                    "{} of {} pages needed, {} reserved and free{}",
                    gib(need),
                    pages.name(),
                    gib(have),
                    node.map(|n| format!(" on node {n}")).unwrap_or_default()
                )));
            }
        }
        return Ok(());
    }
    let promised = PROMISED.load(Ordering::Relaxed);
    let left = |free: u64| room(free, promised, resident_bytes(root));
    let nodes = root.list("/sys/devices/system/node/has_memory").unwrap_or_default();
    // On one node the host's own figure is the better one.
    let on_nodes = needs.iter().filter(|_| nodes.len() > 1).filter_map(|&(node, need)| {
        Some((left(pages::available_on(root, node)?), need, format!(" of node {node}")))
    });
    let everywhere = pages::available(root).map(|free| (left(free), bytes, String::new()));
    for (have, need, of) in everywhere.into_iter().chain(on_nodes) {
        if need > have {
            return Err(Error::input(
                format!(
                    "a buffer of {} does not fit into the {} of free memory{of}",
                    gib(need),
                    gib(have)
                ),
                "Stop other programs, or choose a smaller size",
            ));
        }
    }
    Ok(())
}

/// What of `free` bytes is left for a new buffer, when `promised` bytes are in buffers and `resident` bytes of this
/// process were touched: pages that were promised and not touched yet are still among the free ones.
fn room(free: u64, promised: u64, resident: u64) -> u64 {
    free.saturating_sub(promised.saturating_sub(resident) + RESERVE)
}

/// Anonymous bytes that this process has touched.
fn resident_bytes(root: &Root) -> u64 {
    let status = root.read("/proc/self/status").text().unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB")?.trim().parse().ok()
        })
        .map_or(0, |kb: u64| kb << 10)
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// Maps zeros; the address is a multiple of the page size that `flags` ask for.
fn map_anonymous(length: usize, flags: i32) -> Result<NonNull<u8>> {
    // SAFETY: a new anonymous mapping, at an address of the kernel's choice.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags,
            -1,
            0,
        )
    };
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(start),
        _ => Err(Error::os(
            format!("can't map {}", gib(length as u64)),
            std::io::Error::last_os_error(),
            "Choose a smaller size, or raise ulimit -v",
        )),
    }
}

/// Maps zeros at a multiple of `alignment`: maps more, and gives the ends back.
fn map_aligned(length: usize, alignment: usize) -> Result<NonNull<u8>> {
    let start = map_anonymous(length + alignment, 0)?;
    let head = start.as_ptr().align_offset(alignment);
    // SAFETY: both ranges are inside the new mapping and outside the part that is kept, which is not null.
    unsafe {
        if head > 0 {
            libc::munmap(start.as_ptr().cast(), head);
        }
        if alignment > head {
            libc::munmap(start.as_ptr().add(head + length).cast(), alignment - head);
        }
        Ok(start.add(head))
    }
}

#[cfg(test)]
mod tests;
