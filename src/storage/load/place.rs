//! Where the threads and the memory of a load belong: on the NUMA node of the device, in the largest pages there are.

use crate::host::cpus::{Cores, affinity};
use crate::host::{Buffer, Pages, Root};
use crate::storage::device::Device;
use crate::{Error, Result};

/// Most threads that a search tries: each has a ring of its own.
const MOST_THREADS: usize = 8;

/// Where a load runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The device's node, where it is known.
    pub node: Option<usize>,
    /// One CPU a thread, near the device where that is known, one a core.
    pub cpus: Vec<usize>,
}

impl Place {
    /// Near `device`.
    ///
    /// # Errors
    /// When the kernel does not tell which CPUs this process may use.
    pub fn near(device: &Device) -> Result<Self> {
        Self::of(&Root::host(), device.node(), &affinity()?)
    }

    /// [`Self::near`] for a device on `node` and a process that may use the CPUs `allowed`.
    fn of(root: &Root, node: Option<usize>, allowed: &[usize]) -> Result<Self> {
        let list = |n| root.list(&format!("/sys/devices/system/node/node{n}/cpulist"));
        let near = node.and_then(list).unwrap_or_default();
        let mut cpus: Vec<usize> = near.into_iter().filter(|cpu| allowed.contains(cpu)).collect();
        if cpus.is_empty() {
            cpus = allowed.to_vec();
        }
        let cores = Cores::group(root, &cpus);
        let count = cores.cores().min(MOST_THREADS);
        let cpus = cores.first(count).ok_or_else(|| {
            Error::Unavailable("this process may not run on any CPU that is known".into())
        })?;
        Ok(Self { node, cpus })
    }
}

/// Memory whose pages are all there, and what could not be had: huge pages, the node.
#[derive(Debug)]
pub struct Memory {
    /// The memory.
    pub buffer: Buffer,
    /// The node it is bound to.
    pub node: Option<usize>,
    /// What was asked for first, and why it was not given.
    pub refused: Vec<String>,
}

impl Memory {
    /// `bytes` on `node`, filled with `value`: in reserved huge pages where there are enough, else in transparent ones.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(bytes: usize, node: Option<usize>, value: u8) -> Result<Self> {
        let mut refused = Vec::new();
        let nodes = [node, None];
        let nodes = if node.is_some() { &nodes[..] } else { &nodes[1..] };
        for &node in nodes {
            for pages in [Pages::Huge, Pages::Transparent] {
                let made = match node {
                    Some(node) => Buffer::on_node(bytes, pages, node),
                    None => Buffer::new(bytes, pages),
                };
                match made {
                    Ok(mut buffer) => {
                        buffer.as_mut_slice::<u8>().fill(value);
                        return Ok(Self { buffer, node, refused });
                    }
                    Err(Error::Unavailable(why)) => refused.push(why),
                    Err(other) => return Err(other),
                }
            }
        }
        Err(Error::Unavailable(refused.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_run_near_the_device_one_a_core() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("sys/devices/system/node/node1/cpulist", "4-7\n");
        for (cpu, siblings) in [(4, "4,6"), (5, "5,7"), (6, "4,6"), (7, "5,7")] {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            put(&path, siblings);
        }
        let root = Root::at(dir.path());
        let all: Vec<usize> = (0..8).collect();
        assert_eq!(Place::of(&root, Some(1), &all).unwrap().cpus, [4, 5]);
        assert_eq!(Place::of(&root, Some(1), &[0, 7]).unwrap().cpus, [7], "what is allowed");
        assert_eq!(Place::of(&root, Some(1), &[0, 1]).unwrap().cpus, [0, 1], "not near at all");
        assert_eq!(Place::of(&root, None, &all).unwrap().cpus.len(), 6);
        assert!(Place::of(&root, None, &[]).is_err());
    }

    #[test]
    fn memory_is_filled_and_says_what_it_is_not() {
        let memory = Memory::new(3_000_000, Some(0), 0x5a).unwrap();
        assert!(memory.buffer.as_slice::<u8>().iter().all(|&byte| byte == 0x5a));
        let asked_less = memory.buffer.pages() == Pages::Huge && memory.node == Some(0);
        assert_eq!(memory.refused.is_empty(), asked_less, "{:?}", memory.refused);
        let nowhere = Memory::new(1 << 12, Some(4000), 0).unwrap();
        assert_eq!(nowhere.node, None);
        assert!(nowhere.refused.iter().any(|why| why.contains("4000")), "{:?}", nowhere.refused);
    }
}
