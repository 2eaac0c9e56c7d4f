//! Every way of reading that there is, best first, each tried on the file with one read: what this host gives.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::drive::{Each, Fault, drive};
use super::mapped::Mapping;
use super::refusal::{POLLED, Refusal};
use super::ring::{Memories, Polling, Ring};
use super::{pread, ring};
use crate::host::{Buffer, Disjoint, Pages};
use crate::storage::layout::Extent;

/// The rung that polls for completions.
pub const IOPOLL: &str = "io_uring with IOPOLL";

/// Milliseconds after which the kernel's submission thread sleeps.
pub const IDLE_MS: u32 = 100;

/// Bytes of the read that tries a way.
const TRIED_BYTES: u64 = 4096;

/// One way of reading, and the host's answer to it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rung {
    /// Which way.
    pub name: &'static str,
    /// Why the host refuses it, if it does.
    pub refused: Option<Refusal>,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            None => write!(f, "{}: works", self.name),
            Some(refusal) => write!(f, "{}: refused: {refusal}", self.name),
        }
    }
}

/// Tries every way on the regular file `path`, whose direct reads are aligned to `align`; `disk` is the name of its
/// block device, where that is known.
///
/// The ways above the one that the loads use are tried because a refusal tells what to change. NVMe passthrough reads
/// blocks of the device instead of files, so only its character device is opened; polling spends a core, so that
/// loads use it only when they are told to.
pub fn probe(path: &Path, align: u64, disk: Option<&str>) -> Vec<Rung> {
    let direct = || File::options().read(true).custom_flags(libc::O_DIRECT).open(path);
    let ring = |polling, register| {
        let mut ring = Ring::with(1, polling).map_err(|r| io::Error::from_raw_os_error(r.errno))?;
        read_one(direct()?, align, |file, blocks, memory| {
            if register {
                ring.register(&Memories::of([&mut *memory]), None);
                if let Some(refusal) = ring.refusals().iter().find(|r| r.asked == ring::REGISTERED)
                {
                    return Err(io::Error::from_raw_os_error(refusal.errno));
                }
            }
            let memory = Disjoint::new(memory.as_mut_slice());
            let mut blocks = Each(blocks.blocks.iter().copied());
            drive(&mut ring.queue(file, &memory, align), &mut blocks).map_err(io_error)
        })
    };
    let attempts: [(&'static str, &dyn Fn() -> io::Result<()>); 7] = [
        ("NVMe passthrough", &|| passthrough(disk)),
        (IOPOLL, &|| ring(Polling::Completions, false)),
        ("io_uring with SQPOLL", &|| ring(Polling::Submissions(IDLE_MS), false)),
        ("io_uring with registered memory", &|| ring(Polling::None, true)),
        ("io_uring", &|| ring(Polling::None, false)),
        ("preadv in threads, direct", &|| {
            read_one(direct()?, align, |file, blocks, memory| {
                pread::read(file, &blocks.blocks, memory, align, 1).map_err(io_error)
            })
        }),
        ("mmap", &|| {
            Mapping::new(&File::open(path)?, TRIED_BYTES.min(path.metadata()?.len()))?.touch()
        }),
    ];
    let tried = attempts.map(|(name, attempt)| Rung {
        name,
        refused: attempt()
            .err()
            .map(|e| Refusal::new(if name == IOPOLL { POLLED } else { "one read" }, &e)),
    });
    tried.into()
}

/// Reads the first bytes of `file` by `read`.
fn read_one(
    file: File,
    align: u64,
    read: impl FnOnce(&[File], &Blocks, &mut Buffer) -> io::Result<()>,
) -> io::Result<()> {
    let bytes = TRIED_BYTES.min(file.metadata()?.len());
    let blocks = Blocks::cut(&[Extent { file: 0, offset: 0, bytes }], TRIED_BYTES as usize, align);
    let mut memory = Buffer::new(blocks.memory, Pages::Small).map_err(io::Error::other)?;
    read(&[file], &blocks, &mut memory)
}

/// Opens the character device that takes raw NVMe commands.
fn passthrough(disk: Option<&str>) -> io::Result<()> {
    let namespace = disk.and_then(|name| name.strip_prefix("nvme"));
    let namespace = namespace.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    File::open(PathBuf::from(format!("/dev/ng{namespace}"))).map(drop)
}

fn io_error(fault: Fault) -> io::Error {
    fault.error
}
