//! Reads of devices and files that misbehave.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use super::super::pread::Blocking;
use super::super::*;
use super::{LENGTHS, arrived, extents, files, open, poisoned, through};
use crate::host::{Buffer, Disjoint};

/// What a faulty device does to a read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    /// Only so many bytes arrive.
    Short(usize),
    /// The read fails.
    Errno(i32),
}

/// A queue whose completions are tampered with: the n-th one by `mishaps[n]`.
struct Faulty<Q> {
    queue: Q,
    mishaps: HashMap<usize, Mishap>,
    seen: usize,
    in_flight: usize,
}

impl<Q: Queue> Queue for Faulty<Q> {
    fn depth(&self) -> usize {
        self.queue.depth()
    }
    fn align(&self) -> usize {
        self.queue.align()
    }
    fn push(&mut self, tag: usize, read: Read) -> io::Result<()> {
        assert_eq!(read.offset as usize % self.align(), 0, "direct reads stay aligned");
        self.queue.push(tag, read)?;
        self.in_flight += 1;
        Ok(())
    }
    fn wait(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        let before = done.len();
        self.queue.wait(done)?;
        for (_, result) in &mut done[before..] {
            self.in_flight -= 1;
            match self.mishaps.get(&self.seen) {
                Some(&Mishap::Short(bytes)) => *result = (*result).min(bytes as i64),
                Some(&Mishap::Errno(errno)) => *result = -i64::from(errno),
                None => {}
            }
            self.seen += 1;
        }
        Ok(())
    }
}

/// Reads the standard extents through a ring (or blocking reads) that meets `mishaps`.
fn with_mishaps(
    ring: bool,
    mishaps: &[(usize, Mishap)],
    check: impl FnOnce(Result<(), Fault>, &Buffer, &Blocks, &[Vec<u8>]),
) {
    let (_dir, paths, contents) = files(&LENGTHS);
    let files = open(&paths, 0).unwrap();
    let cut = Blocks::cut(&extents(), 65_536, 512);
    let mut memory = poisoned(cut.memory);
    let mishaps = mishaps.iter().copied().collect();
    let mut blocks = Each(cut.blocks.iter().copied());
    let shared = Disjoint::new(memory.as_mut_slice());
    let result = if ring {
        let Ok(mut ring) = ring::Ring::new(8) else { return };
        let queue = ring.queue(&files, &shared, 512);
        let mut queue = Faulty { queue, mishaps, seen: 0, in_flight: 0 };
        let result = drive(&mut queue, &mut blocks);
        assert_eq!(queue.in_flight, 0, "nothing may write to memory after the end");
        result
    } else {
        let queue = Blocking::new(&files, &shared, 512);
        drive(&mut Faulty { queue, mishaps, seen: 0, in_flight: 0 }, &mut blocks)
    };
    check(result, &memory, &cut, &contents);
}

#[test]
fn short_and_interrupted_reads_are_taken_up_again() {
    let mishaps = [
        (0, Mishap::Errno(libc::EINTR)),
        (3, Mishap::Short(512)),
        (4, Mishap::Short(1000)),
        (5, Mishap::Errno(libc::EAGAIN)),
        (20, Mishap::Short(60_000)),
    ];
    for ring in [false, true] {
        with_mishaps(ring, &mishaps, |result, memory, cut, contents| {
            result.unwrap();
            arrived(memory, cut, &extents(), contents);
        });
    }
}

#[test]
fn an_error_in_the_middle_ends_the_read_with_the_place() {
    for ring in [false, true] {
        with_mishaps(ring, &[(9, Mishap::Errno(libc::EIO))], |result, _, _, _| {
            let fault = result.unwrap_err();
            assert_eq!(fault.error.raw_os_error(), Some(libc::EIO));
            assert!(fault.file < LENGTHS.len());
        });
        with_mishaps(ring, &[(9, Mishap::Short(0))], |result, _, _, _| {
            assert_eq!(result.unwrap_err().error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}

#[test]
fn a_read_that_always_has_to_be_tried_again_does_not_hang() {
    let busy: Vec<_> = (0..100_000).map(|n| (n, Mishap::Errno(libc::EAGAIN))).collect();
    with_mishaps(false, &busy, |result, _, _, _| {
        assert_eq!(result.unwrap_err().error.raw_os_error(), Some(libc::EAGAIN));
    });
}

#[test]
fn a_file_that_shrank_is_an_error_in_every_way_of_reading() {
    let (_dir, paths, contents) = files(&[3_000_000, 3_000_000]);
    let lengths: Vec<u64> = contents.iter().map(|c| c.len() as u64).collect();
    let mapping = mapped::Mapping::new(&File::open(&paths[1]).unwrap(), lengths[1]).unwrap();
    File::options().write(true).open(&paths[1]).unwrap().set_len(1_000_100).unwrap();

    for (flags, align) in [(0, 1), (libc::O_DIRECT, 4096)] {
        let Ok(files) = open(&paths, flags) else { continue };
        let cut = Blocks::whole_files(&lengths, 1 << 16, align);
        let mut memory = poisoned(cut.memory);
        let fault = pread::read(&files, &cut.blocks, &mut memory, align, 2).unwrap_err();
        assert_eq!((fault.file, fault.error.kind()), (1, io::ErrorKind::UnexpectedEof));
        if let Ok(mut ring) = ring::Ring::new(16) {
            let fault = through(&mut ring, &files, &cut, &mut memory).unwrap_err();
            assert_eq!((fault.file, fault.error.kind()), (1, io::ErrorKind::UnexpectedEof));
            assert!(fault.offset >= 999_424, "{}", fault.offset);
        }
    }
    // Without the guard this ends the process.
    assert_eq!(mapping.touch().unwrap_err().raw_os_error(), Some(libc::EIO));
    assert!(mapping.with(|_| ()).is_ok(), "a guard reports only its own faults");
}
