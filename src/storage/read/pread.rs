//! Blocking reads by `pread`: what works everywhere, and the reference for the other ways.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::blocks::Block;
use super::drive::{Completion, Fault, Queue, Read, drive};
use super::reader::Shared;
use crate::host::{Buffer, Disjoint};

/// One thread's reads: one in flight, done when it is waited for.
pub struct Blocking<'a> {
    files: &'a [File],
    memory: &'a Disjoint<'a, u8>,
    align: usize,
    pending: Option<(usize, Read)>,
}

impl<'a> Blocking<'a> {
    /// Reads from `files` into `memory`, whose parts no other thread reads into.
    pub fn new(files: &'a [File], memory: &'a Disjoint<'a, u8>, align: u64) -> Self {
        Self { files, memory, align: align as usize, pending: None }
    }
}

impl Queue for Blocking<'_> {
    fn depth(&self) -> usize {
        1
    }

    fn align(&self) -> usize {
        self.align
    }

    fn push(&mut self, tag: usize, read: Read) -> io::Result<()> {
        let inside = read.at.checked_add(read.bytes).is_some_and(|end| end <= self.memory.len());
        if !inside || read.file >= self.files.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.pending = Some((tag, read));
        Ok(())
    }

    fn wait(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        let (tag, read) = self.pending.take().ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: blocks are disjoint, each is read by one thread only, and this one has one read at a time.
        let target = unsafe { self.memory.slice(read.at..read.at + read.bytes) };
        let result = match self.files[read.file].read_at(target, read.offset) {
            Ok(bytes) => bytes as i64,
            Err(e) => -i64::from(e.raw_os_error().unwrap_or(libc::EIO)),
        };
        done.push((tag, result));
        Ok(())
    }
}

/// Reads `blocks` of `files` into `memory` with `threads` threads, each taking the next block.
///
/// # Errors
/// The first fault; every thread has stopped when it is returned.
pub fn read(
    files: &[File],
    blocks: &[Block],
    memory: &mut Buffer,
    align: u64,
    threads: usize,
) -> Result<(), Fault> {
    let memory = Disjoint::new(memory.as_mut_slice());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let fault = Mutex::new(None);
    let work = || {
        let mut mine = Shared::new(blocks, &next, &stop);
        if let Err(e) = drive(&mut Blocking::new(files, &memory, align), &mut mine) {
            stop.store(true, Ordering::Relaxed);
            fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(e);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    fault.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
}
