//! Page kinds, the memory that may be used, and where the kernel put the pages.
//!
//! The rule: what can't be had is refused before it is asked for. Memory beyond what is free is not left to the
//! out-of-memory killer, huge pages that were not reserved not to a bus error at first touch, and a binding that the
//! kernel denies is never silently dropped.

use std::collections::BTreeMap;

use super::cgroup;
use super::root::Root;
use crate::{Error, Result};

/// Size of a small page on x86-64.
pub const SMALL: usize = 4 << 10;
/// Size of a huge page on x86-64.
pub const HUGE: usize = 2 << 20;
/// Size of a giant page on x86-64.
pub const GIANT: usize = 1 << 30;

/// What a buffer's pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pages {
    /// 4 KiB: transparent huge pages are declined.
    Small,
    /// 2 MiB where the kernel finds them (`MADV_HUGEPAGE`), else 4 KiB.
    Transparent,
    /// 2 MiB from the reserved pool (hugetlb).
    Huge,
    /// 1 GiB from the reserved pool (hugetlb).
    Giant,
}

impl Pages {
    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "4k",
            Self::Transparent => "thp",
            Self::Huge => "2m",
            Self::Giant => "1g",
        }
    }

    /// The size that buffers are aligned to and rounded up to.
    pub const fn granule(self) -> usize {
        match self {
            Self::Small | Self::Transparent | Self::Huge => HUGE,
            Self::Giant => GIANT,
        }
    }

    /// Whether the pages come from a reserved pool.
    pub const fn reserved(self) -> bool {
        matches!(self, Self::Huge | Self::Giant)
    }

    /// sysfs name of the pool, for reserved pages.
    const fn pool(self) -> &'static str {
        match self {
            Self::Giant => "hugepages-1048576kB",
            _ => "hugepages-2048kB",
        }
    }

    /// Free bytes in the reserved pool, of the host or of one node. `None` when the kernel has no such pool.
    pub fn free_reserved(self, root: &Root, node: Option<usize>) -> Option<u64> {
        let directory = match node {
            Some(node) => format!("/sys/devices/system/node/node{node}/hugepages"),
            None => "/sys/kernel/mm/hugepages".into(),
        };
        let pages = root.number(&format!("{directory}/{}/free_hugepages", self.pool()))?;
        Some(pages * self.granule() as u64)
    }
}

/// Bytes that a process may still take without swapping or being killed: what the kernel calls available, and what
/// the memory cgroups above the process leave. `None` when neither tells.
pub fn available(root: &Root) -> Option<u64> {
    let meminfo = root.read("/proc/meminfo").text();
    let host = meminfo.as_deref().and_then(|text| kilobytes(text, "MemAvailable:"));
    [host, cgroup_headroom(root)].into_iter().flatten().min()
}

/// Bytes that a node can still give to a strict binding: free, and page cache that is not in use. On a host with
/// one node, [`available`] is the better answer.
pub fn available_on(root: &Root, node: usize) -> Option<u64> {
    let text = root.read(&format!("/sys/devices/system/node/node{node}/meminfo")).text()?;
    let cached = ["Inactive(file):", "SReclaimable:"].map(|f| kilobytes(&text, f).unwrap_or(0));
    Some(kilobytes(&text, "MemFree:")? + cached.iter().sum::<u64>())
}

/// The value after `field`, in bytes, in a file of lines like `Node 0 MemFree:  12 kB`.
pub(super) fn kilobytes(text: &str, field: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let value = line.split_once(field)?.1.trim().strip_suffix("kB")?;
        value.trim().parse::<u64>().ok().map(|kb| kb << 10)
    })
}

/// The least that the memory cgroups of this process and their parents leave; inactive page cache counts as free.
fn cgroup_headroom(root: &Root) -> Option<u64> {
    let left = |version: u8, directory: &str| {
        let (limit, used, cached) = match version {
            2 => ("memory.max", "memory.current", "inactive_file "),
            _ => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
        };
        // "max" is no number: no limit here.
        let limit = root.number(&format!("{directory}/{limit}"))?;
        let used = root.number(&format!("{directory}/{used}"))?;
        let stat = root.read(&format!("{directory}/memory.stat")).text().unwrap_or_default();
        let cache =
            stat.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse::<u64>().ok());
        Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
    };
    cgroup::hierarchies(root, "memory")
        .iter()
        .flat_map(|h| h.levels.iter().filter_map(|directory| left(h.version, directory)))
        .min()
}

/// Where pages are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Pages found on each NUMA node, by the operating system's index.
    pub by_node: BTreeMap<usize, u64>,
    /// Pages that nobody has touched yet.
    pub untouched: u64,
    /// What was not proved, and why.
    pub unproved: Option<String>,
}

impl Census {
    /// Asks the kernel for the node of every small page of `length` bytes at `start`; of a regular sample beyond 16 GiB.
    pub fn take(start: *const u8, length: usize) -> Self {
        /// A query costs about 100 ns: this many take less than half a second.
        const MOST: usize = 1 << 22;
        /// Pages of one call, so that the lists stay small.
        const CALL: usize = 1 << 16;
        let total = length.div_ceil(SMALL);
        // An odd step, so that the sample does not see one position within huge pages only.
        let step = if total <= MOST { 1 } else { (total / MOST) | 1 };
        let mut census = Self::default();
        if step > 1 {
            census.unproved = Some(format!("sampled {} of {total} pages", total.div_ceil(step)));
        }
        let mut pages = (0..total).step_by(step).map(|page| start.wrapping_add(page * SMALL));
        loop {
            let call: Vec<*const u8> = pages.by_ref().take(CALL).collect();
            if call.is_empty() {
                return census;
            }
            match nodes_of(&call) {
                Ok(status) => census.count(&status),
                Err(error) => {
                    census.unproved = Some(format!("move_pages refused: {error}"));
                    return census;
                }
            }
        }
    }

    fn count(&mut self, status: &[i32]) {
        for &node in status {
            match usize::try_from(node) {
                Ok(node) => *self.by_node.entry(node).or_default() += 1,
                Err(_) => self.untouched += 1,
            }
        }
    }

    /// Adds another buffer's pages.
    pub fn merge(&mut self, other: &Self) {
        for (&node, &pages) in &other.by_node {
            *self.by_node.entry(node).or_default() += pages;
        }
        self.untouched += other.untouched;
        if self.unproved.is_none() {
            self.unproved.clone_from(&other.unproved);
        }
    }

    /// Proves that every touched page is on one of `nodes`.
    ///
    /// # Errors
    /// [`Error::Wrong`] when a page is elsewhere, [`Error::Unavailable`] when the kernel does not tell.
    pub fn prove(&self, nodes: &[usize]) -> Result<()> {
        let elsewhere: BTreeMap<_, _> =
            self.by_node.iter().filter(|(node, _)| !nodes.contains(node)).collect();
        if !elsewhere.is_empty() {
            return Err(Error::Wrong(format!(
                "pages asked for on node {nodes:?} are on other nodes: {elsewhere:?}"
            )));
        }
        match &self.unproved {
            Some(why) if self.by_node.is_empty() => {
                Err(Error::Unavailable(format!("placement can't be proved: {why}")))
            }
            _ => Ok(()),
        }
    }
}

/// The node of each page, or a negative error number for those that nobody has touched.
fn nodes_of(pages: &[*const u8]) -> std::io::Result<Vec<i32>> {
    let mut status = vec![0i32; pages.len()];
    // SAFETY: both arrays have `pages.len()` entries; without target nodes nothing is moved, and addresses that are not
    // mapped only give an error status.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            pages.len(),
            pages.as_ptr(),
            std::ptr::null::<i32>(),
            status.as_mut_ptr(),
            0,
        )
    };
    if answer < 0 { Err(std::io::Error::last_os_error()) } else { Ok(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let at = dir.path().join(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        }
        let root = Root::at(dir.path());
        (dir, root)
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemFree: 5 kB\nMemAvailable:    8388608 kB\n");

    #[test]
    fn the_tightest_cgroup_counts() {
        let (_dir, root) = fake(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("sys/fs/cgroup/outer/memory.max", "3000000\n"),
            ("sys/fs/cgroup/outer/memory.current", "1500000\n"),
            ("sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 500000\n"),
            ("sys/fs/cgroup/outer/inner/memory.max", "max\n"),
            ("sys/fs/cgroup/outer/inner/memory.current", "1500000\n"),
        ]);
        assert_eq!(available(&root), Some(2_000_000));
    }

    #[test]
    fn version_1_cgroups_count_too() {
        let (_dir, root) = fake(&[
            MEMINFO,
            ("proc/self/cgroup", "4:cpu,memory:/job\n0::/\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000000"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1200000"),
        ]);
        assert_eq!(available(&root), Some(0));
    }

    #[test]
    fn without_limits_the_host_counts_and_nothing_is_invented() {
        let (_dir, root) = fake(&[MEMINFO, ("proc/self/cgroup", "0::/\n")]);
        assert_eq!(available(&root), Some(8 << 30));
        assert_eq!(available(&Root::at("/nowhere")), None);
        let (_dir, garbled) = fake(&[("proc/meminfo", "MemAvailable: lots\n")]);
        assert_eq!(available(&garbled), None);
    }

    #[test]
    fn nodes_tell_their_free_memory() {
        let (_dir, root) = fake(&[(
            "sys/devices/system/node/node3/meminfo",
            "Node 3 MemFree:  100 kB\nNode 3 Inactive(file): 20 kB\nNode 3 SReclaimable:  4 kB\n",
        )]);
        assert_eq!(available_on(&root, 3), Some(124 << 10));
        assert_eq!(available_on(&root, 0), None);
    }

    #[test]
    fn pages_elsewhere_are_caught() {
        let census = Census { by_node: [(0, 10), (1, 1)].into(), ..Census::default() };
        assert!(matches!(census.prove(&[0]), Err(Error::Wrong(_))));
        assert!(matches!(census.prove(&[]), Err(Error::Wrong(_))));
        census.prove(&[0, 1]).unwrap();
        let silent = Census { unproved: Some("denied".into()), ..Census::default() };
        assert!(matches!(silent.prove(&[0]), Err(Error::Unavailable(_))));
    }
}
