//! Which CPUs to use: those the process may run on, one a physical core first.
//!
//! The affinity mask already holds what cgroup cpusets, `taskset` and container runtimes allow. A CPU-time quota
//! (`docker --cpus=4`) leaves the mask alone and throttles whoever runs on more cores than it pays for, so it limits
//! the number of workers as well.

use std::collections::BTreeSet;

use super::root::Root;
use crate::{Error, Result};

/// The environment variable that limits the number of workers.
pub const THREADS_VARIABLE: &str = "HOSTDYNO_THREADS";

/// CPUs of this process, in groups that share a physical core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores(Vec<Vec<usize>>);

impl Cores {
    /// The cores that this process may run on.
    ///
    /// # Errors
    /// When the kernel does not tell the affinity mask.
    pub fn allowed() -> Result<Self> {
        Ok(Self::group(&Root::host(), &affinity()?))
    }

    /// Groups `cpus` by the core that sysfs says they share; a CPU that sysfs does not know is a core of its own.
    pub fn group(root: &Root, cpus: &[usize]) -> Self {
        let mut cores: Vec<Vec<usize>> = Vec::new();
        let mut seen = BTreeSet::new();
        for &cpu in cpus {
            if !seen.insert(cpu) {
                continue;
            }
            let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
            let siblings = root
                .list(&format!("{topology}/thread_siblings_list"))
                .or_else(|| root.list(&format!("{topology}/core_cpus_list")))
                .unwrap_or_default();
            let mut core = vec![cpu];
            core.extend(siblings.into_iter().filter(|s| cpus.contains(s) && seen.insert(*s)));
            cores.push(core);
        }
        Self(cores)
    }

    /// The CPUs of each core.
    pub fn groups(&self) -> impl Iterator<Item = &[usize]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Number of physical cores.
    pub fn cores(&self) -> usize {
        self.0.len()
    }

    /// Number of CPUs: hardware threads.
    pub fn threads(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The first `count` CPUs: one of every core, then the second threads of every core, and so on. `None` when there
    /// are fewer.
    pub fn first(&self, count: usize) -> Option<Vec<usize>> {
        let widest = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let chosen: Vec<usize> = (0..widest)
            .flat_map(|thread| self.0.iter().filter_map(move |core| core.get(thread).copied()))
            .take(count)
            .collect();
        (chosen.len() == count && count > 0).then_some(chosen)
    }

    /// The CPUs to work on: as many as `requested` says, else one a core within the quota of `quota` CPUs.
    ///
    /// # Errors
    /// When `requested` is no positive number, or exceeds what the process may use.
    pub fn choose(&self, requested: Option<&str>, quota: usize) -> Result<Vec<usize>> {
        let default = self.cores().min(quota.max(1));
        let count = match requested.map(str::trim) {
            None | Some("") => default,
            Some(text) => match text.parse::<usize>() {
                Ok(n) if n > 0 => n,
                _ => {
                    return Err(Error::input(
                        format!("{THREADS_VARIABLE}={text} is no positive number"),
                        format!(
                            "Unset it for one thread a core, or set it to 1..{}",
                            self.threads()
                        ),
                    ));
                }
            },
        };
        self.first(count).ok_or_else(|| {
            Error::input(
                format!(
                    "{count} threads are more than this process may use ({} cores, {} hardware threads)",
                    self.cores(),
                    self.threads()
                ),
                format!("Set {THREADS_VARIABLE} to at most {}", self.threads()),
            )
        })
    }
}

/// CPUs that the process's main thread may run on. The main thread's mask, because a pinned worker's own is narrower.
///
/// # Errors
/// When the kernel does not tell.
pub fn affinity() -> Result<Vec<usize>> {
    /// Room for 8,192 CPUs, the kernel's limit on x86-64.
    const WORDS: usize = 128;
    let mut mask = [0u64; WORDS];
    // SAFETY: the kernel writes at most the given number of bytes into `mask`.
    let written = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            std::process::id() as libc::pid_t,
            size_of_val(&mask),
            mask.as_mut_ptr(),
        )
    };
    if written < 0 {
        return Err(Error::os(
            "can't read the CPU affinity of this process",
            std::io::Error::last_os_error(),
            "Check whether a sandbox forbids sched_getaffinity",
        ));
    }
    Ok((0..WORDS * 64).filter(|cpu| mask[cpu / 64] >> (cpu % 64) & 1 == 1).collect())
}

/// Pins the calling thread to `cpu`.
///
/// # Errors
/// The kernel's answer: the CPU is offline or not allowed, or a sandbox forbids the call.
pub fn pin_current_thread(cpu: usize) -> std::io::Result<()> {
    let mut mask = vec![0u64; cpu / 64 + 1];
    mask[cpu / 64] = 1 << (cpu % 64);
    // SAFETY: the kernel reads the given number of bytes from `mask`; 0 is the calling thread.
    let answer = unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask[..]), mask.as_ptr())
    };
    if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The CPU that the calling thread is on right now.
pub fn current_cpu() -> Option<usize> {
    // SAFETY: no preconditions.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(siblings: &[(usize, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (cpu, list) in siblings {
            let at = dir.path().join(format!("sys/devices/system/cpu/cpu{cpu}/topology"));
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("thread_siblings_list"), list).unwrap();
        }
        dir
    }

    #[test]
    fn one_thread_a_core_comes_first() {
        // AMD numbers siblings at a distance, Intel clients side by side.
        let distant =
            fake(&[(0, "0,4"), (1, "1,5"), (2, "2,6"), (3, "3,7"), (4, "0,4"), (5, "1,5")]);
        let cores = Cores::group(&Root::at(distant.path()), &[0, 1, 2, 3, 4, 5]);
        assert_eq!((cores.cores(), cores.threads()), (4, 6));
        assert_eq!(cores.choose(None, 64).unwrap(), [0, 1, 2, 3]);
        assert_eq!(cores.choose(Some("5"), 64).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(cores.choose(Some(" 2 "), 64).unwrap(), [0, 1]);
        let adjacent = fake(&[(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")]);
        let cores = Cores::group(&Root::at(adjacent.path()), &[0, 1, 2, 3]);
        assert_eq!(cores.choose(None, 64).unwrap(), [0, 2]);
        assert_eq!(cores.choose(Some("3"), 64).unwrap(), [0, 2, 1]);
    }

    #[test]
    fn only_allowed_cpus_are_used() {
        let dir = fake(&[(0, "0,4"), (1, "1,5"), (4, "0,4"), (5, "1,5")]);
        let cores = Cores::group(&Root::at(dir.path()), &[4, 5]);
        assert_eq!(cores.choose(None, 64).unwrap(), [4, 5]);
        assert!(cores.choose(Some("3"), 64).is_err());
    }

    #[test]
    fn a_quota_limits_the_default_but_not_the_user() {
        let cores = Cores::group(&Root::at("/nowhere"), &[0, 1, 2, 3]);
        assert_eq!(cores.choose(None, 2).unwrap(), [0, 1]);
        assert_eq!(cores.choose(None, 0).unwrap(), [0]);
        assert_eq!(cores.choose(Some("4"), 2).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn bad_counts_are_refused_with_advice() {
        let cores = Cores::group(&Root::at("/nowhere"), &[0, 1]);
        for bad in ["0", "-1", "two", "1.5", "3", "99999999999999999999999"] {
            let error = cores.choose(Some(bad), 64).unwrap_err();
            assert!(matches!(error, Error::Input { .. }), "{bad}");
            assert!(error.to_string().contains(THREADS_VARIABLE), "{error}");
        }
        assert_eq!(cores.choose(Some(""), 64).unwrap(), [0, 1]);
    }

    #[test]
    fn pinning_holds() {
        let cpu = affinity().unwrap()[0];
        std::thread::spawn(move || {
            pin_current_thread(cpu).unwrap();
            assert_eq!(current_cpu(), Some(cpu));
        })
        .join()
        .unwrap();
        // One CPU beyond what any kernel has.
        assert!(pin_current_thread(1 << 16).is_err());
    }
}
