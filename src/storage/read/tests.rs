use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use proptest::prelude::*;
use rand::{RngCore, SeedableRng};

use super::*;
use crate::host::{Buffer, Disjoint, Pages};
use crate::storage::layout::Extent;

/// Files of random bytes of these lengths.
fn files(lengths: &[usize]) -> (tempfile::TempDir, Vec<std::path::PathBuf>, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut random = rand_pcg::Mcg128Xsl64::seed_from_u64(11);
    let mut contents = Vec::new();
    let mut paths = Vec::new();
    for (i, &length) in lengths.iter().enumerate() {
        let mut content = vec![0; length];
        random.fill_bytes(&mut content);
        let path = dir.path().join(format!("{i}"));
        fs::write(&path, &content).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        contents.push(content);
        paths.push(path);
    }
    (dir, paths, contents)
}

fn open(paths: &[std::path::PathBuf], flags: i32) -> io::Result<Vec<File>> {
    paths.iter().map(|p| File::options().read(true).custom_flags(flags).open(p)).collect()
}

fn poisoned(bytes: usize) -> Buffer {
    let mut memory = Buffer::new(bytes, Pages::Small).unwrap();
    memory.as_mut_slice::<u8>().fill(0xa5);
    memory
}

/// Asserts that memory holds every extent's bytes where they were placed.
#[track_caller]
fn arrived(memory: &Buffer, cut: &Blocks, extents: &[Extent], contents: &[Vec<u8>]) {
    for (extent, &at) in extents.iter().zip(&cut.placements) {
        let bytes = extent.bytes as usize;
        let expected = &contents[extent.file][extent.offset as usize..][..bytes];
        assert!(&memory.as_slice::<u8>()[at..at + bytes] == expected, "{extent:?}");
    }
}

const LENGTHS: [usize; 5] = [1, 4096, 1_000_003, 0, 2_500_000];

fn extents() -> Vec<Extent> {
    let whole = |(file, &bytes): (usize, &usize)| Extent { file, offset: 0, bytes: bytes as u64 };
    let mut extents: Vec<Extent> = LENGTHS.iter().enumerate().map(whole).collect();
    extents.push(Extent { file: 2, offset: 12_345, bytes: 67_891 });
    extents.push(Extent { file: 4, offset: 2_499_999, bytes: 1 });
    extents
}

#[test]
fn every_way_of_reading_brings_the_same_bytes() {
    let (_dir, paths, contents) = files(&LENGTHS);
    let buffered = open(&paths, 0).unwrap();
    let direct = open(&paths, libc::O_DIRECT).ok();
    for block in [4096, 65_536, 1 << 20] {
        for (files, align) in
            [(Some(&buffered), 1), (Some(&buffered), 512), (direct.as_ref(), 4096)]
        {
            let Some(files) = files else { continue };
            let cut = Blocks::cut(&extents(), block, align);
            for threads in [1, 3] {
                let mut memory = poisoned(cut.memory);
                pread::read(files, &cut.blocks, &mut memory, align, threads).unwrap();
                arrived(&memory, &cut, &extents(), &contents);
            }
            for depth in [1, 7, 64] {
                let Ok(mut ring) = ring::Ring::new(depth) else { continue };
                for register in [false, true] {
                    let mut memory = poisoned(cut.memory);
                    if register {
                        ring.register([&mut memory]);
                    }
                    let mut queue = ring.queue(files, &mut memory, align);
                    drive(&mut queue, cut.blocks.iter().copied()).unwrap();
                    drop(queue);
                    arrived(&memory, &cut, &extents(), &contents);
                }
            }
        }
    }
    for (path, content) in paths.iter().zip(&contents) {
        let mapping =
            mapped::Mapping::new(&File::open(path).unwrap(), content.len() as u64).unwrap();
        mapping.touch().unwrap();
        assert!(mapping.with(|bytes| bytes == content).unwrap());
    }
}

#[test]
fn memory_in_several_pieces_is_registered_once_and_read_into_by_piece() {
    let (_dir, paths, contents) = files(&[300_000]);
    let files = open(&paths, 0).unwrap();
    let cut = Blocks::whole_files(&[300_000], 1 << 16, 512);
    let Ok(mut ring) = ring::Ring::new(8) else { return };
    let mut memories: Vec<Buffer> = (0..3).map(|_| poisoned(cut.memory)).collect();
    ring.register(&mut memories);
    for memory in &mut memories {
        drive(&mut ring.queue(&files, memory, 512), cut.blocks.iter().copied()).unwrap();
        assert!(memory.as_slice::<u8>()[..300_000] == contents[0]);
    }
}

#[test]
fn the_ladder_ends_in_a_way_that_works_everywhere() {
    let (_dir, paths, _) = files(&[10_000]);
    let rungs = ladder::probe(&paths[0], 4096, None);
    assert_eq!(rungs.len(), 6);
    assert_eq!(rungs[0].refused.as_ref().map(|r| r.errno), Some(libc::ENODEV));
    assert_eq!(rungs[5].to_string(), "mmap: works");
    let missing = ladder::probe(std::path::Path::new("/nonexistent"), 512, Some("nvme99n9"));
    assert!(missing.iter().all(|rung| rung.refused.is_some()), "{missing:?}");
}

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
    let blocks = cut.blocks.iter().copied();
    let result = if ring {
        let Ok(mut ring) = ring::Ring::new(8) else { return };
        let queue = ring.queue(&files, &mut memory, 512);
        let mut queue = Faulty { queue, mishaps, seen: 0, in_flight: 0 };
        let result = drive(&mut queue, blocks);
        assert_eq!(queue.in_flight, 0, "nothing may write to memory after the end");
        result
    } else {
        let memory = Disjoint::new(memory.as_mut_slice());
        let queue = Blocking::new(&files, &memory, 512);
        drive(&mut Faulty { queue, mishaps, seen: 0, in_flight: 0 }, blocks)
    };
    check(result, &memory, &cut, &contents);
}

use pread::Blocking;

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
            let mut queue = ring.queue(&files, &mut memory, align);
            let fault = drive(&mut queue, cut.blocks.iter().copied()).unwrap_err();
            assert_eq!((fault.file, fault.error.kind()), (1, io::ErrorKind::UnexpectedEof));
            assert!(fault.offset >= 999_424, "{}", fault.offset);
        }
    }
    // Without the guard this ends the process.
    assert_eq!(mapping.touch().unwrap_err().raw_os_error(), Some(libc::EIO));
    assert!(mapping.with(|_| ()).is_ok(), "a guard reports only its own faults");
}

/// Runs `operation` on a thread of its own, so that what it does to itself ends with it.
fn on_a_thread(operation: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(operation).join().unwrap());
}

#[test]
fn a_container_that_forbids_io_uring_is_recognised() {
    on_a_thread(|| {
        let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        let answer = (libc::BPF_RET | libc::BPF_K) as u16;
        let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut program = [
            op(load, 0, 0, 0), // number of the system call
            op(equal, 0, 1, libc::SYS_io_uring_setup as u32),
            op(answer, 0, 0, refuse),
            op(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
        // SAFETY: both calls affect this thread only, which ends with the test; the program outlives the call.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
        };
        if !installed {
            return; // filters are themselves forbidden here
        }
        let refusal = ring::Ring::new(4).err().expect("forbidden");
        assert_eq!(refusal.errno, libc::EPERM);
        assert!(refusal.to_string().contains("seccomp"), "{refusal}");
    });
}

#[test]
fn too_little_lockable_memory_leaves_a_ring_that_works() {
    on_a_thread(|| {
        // Drop every capability of this thread, CAP_IPC_LOCK among them.
        let header = [0x2008_0522_u32, 0];
        let none = [0_u32; 6];
        let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
        // SAFETY: capset affects this thread; both arrays have the layout of version 3 of the call.
        let dropped =
            unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } == 0;
        let mut before = limit;
        // SAFETY: plain query and change of a limit that only this test depends on.
        unsafe {
            libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut before);
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &libc::rlimit { rlim_cur: 64 << 10, ..before });
        }
        let outcome = dropped.then(|| ring::Ring::new(4)).and_then(Result::ok).map(|mut ring| {
            let (_dir, paths, contents) = files(&[3_000_000]);
            let files = open(&paths, 0).unwrap();
            let cut = Blocks::whole_files(&[3_000_000], 1 << 16, 512);
            let mut memory = poisoned(cut.memory);
            ring.register([&mut memory]);
            let mut queue = ring.queue(&files, &mut memory, 512);
            drive(&mut queue, cut.blocks.iter().copied()).unwrap();
            drop(queue);
            (
                ring.refusals().to_vec(),
                ring.path(),
                memory.as_slice::<u8>()[..3_000_000] == contents[0],
            )
        });
        // SAFETY: restores what was found.
        unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &before) };
        let Some((refusals, path, right)) = outcome else { return };
        assert!(right);
        assert!(!path.contains("registered-memory"), "{path}");
        assert!(refusals.iter().any(|r| r.to_string().contains("ulimit -l")), "{refusals:?}");
    });
}

proptest! {
    #[test]
    fn blocks_tile_every_extent(
        extents in prop::collection::vec((0_usize..3, 0_u64..1_000_000, 0_u64..300_000), 0..8),
        block in 1_usize..200_000,
        align in (0_u32..13).prop_map(|n| 1_u64 << n),
    ) {
        let extents: Vec<Extent> =
            extents.into_iter().map(|(file, offset, bytes)| Extent { file, offset, bytes }).collect();
        let cut = Blocks::cut(&extents, block, align);
        let mut memory = 0;
        for b in &cut.blocks {
            prop_assert_eq!((b.offset % align, b.at as u64 % align, b.asked as u64 % align), (0, 0, 0));
            prop_assert!(b.bytes <= b.asked && b.asked - b.bytes < align as usize);
            prop_assert_eq!(b.at, memory);
            memory += b.asked;
        }
        prop_assert_eq!(memory, cut.memory);
        for (extent, &at) in extents.iter().zip(&cut.placements) {
            // Each byte of the extent is where its block puts it.
            for offset in [extent.offset, (extent.offset + extent.bytes).saturating_sub(1)] {
                if extent.bytes == 0 { continue; }
                let to = at + (offset - extent.offset) as usize;
                prop_assert!(cut.blocks.iter().any(|b| b.file == extent.file
                    && (b.at..b.at + b.bytes).contains(&to)
                    && b.offset + (to - b.at) as u64 == offset));
            }
        }
    }
}
