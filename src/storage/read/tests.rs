mod faults;
mod refusals;

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

/// Reads `cut` through `ring`.
fn through(
    ring: &mut ring::Ring,
    files: &[File],
    cut: &Blocks,
    memory: &mut Buffer,
) -> Result<(), Fault> {
    let memory = Disjoint::new(memory.as_mut_slice());
    let mut queue = ring.queue(files, &memory, cut.align);
    drive(&mut queue, &mut Each(cut.blocks.iter().copied()))
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
                        ring.register(&ring::Memories::of([&mut memory]), None);
                        ring.register_files(files);
                    }
                    through(&mut ring, files, &cut, &mut memory).unwrap();
                    ring.forget_files();
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
    ring.register(&ring::Memories::of(&mut memories), None);
    for memory in &mut memories {
        through(&mut ring, &files, &cut, memory).unwrap();
        assert!(memory.as_slice::<u8>()[..300_000] == contents[0]);
    }
}

#[test]
fn the_ladder_ends_in_a_way_that_works_everywhere() {
    let (_dir, paths, _) = files(&[10_000]);
    let rungs = ladder::probe(&paths[0], 4096, None);
    assert_eq!(rungs[0].refused.as_ref().map(|r| r.errno), Some(libc::ENODEV));
    assert_eq!(rungs[6].to_string(), "mmap: works");
    let missing = ladder::probe(std::path::Path::new("/nonexistent"), 512, Some("nvme99n9"));
    assert!(missing.iter().all(|rung| rung.refused.is_some()), "{missing:?}");
}

#[test]
fn several_threads_bring_every_block_once_whatever_the_ring_gives() {
    let (_dir, paths, contents) = files(&LENGTHS);
    let files = open(&paths, 0).unwrap();
    let cut = Blocks::cut(&extents(), 16_384, 512);
    for polling in [ring::Polling::None, ring::Polling::Submissions(10)] {
        let mut reader = Reader::new(&[0, 0, 0], 8, polling).unwrap();
        for (threads, depth, register) in [(3, 8, false), (1, 4, true), (2, 1, true)] {
            let mut memory = poisoned(cut.memory);
            reader.limit(threads, depth);
            if register {
                reader.register([&mut memory]);
            }
            let mut session = reader.open(&files, 512);
            session.read(&cut.blocks, &mut memory).unwrap();
            arrived(&memory, &cut, &extents(), &contents);
            let latencies = session.read_noting(&cut.blocks, &mut memory).unwrap();
            assert_eq!(latencies.len(), cut.blocks.len() as u64);
            assert!(latencies.min() > 0);
        }
        assert!(reader.path().contains("x2"), "{}", reader.path());
        assert_eq!(reader.cpus_seen(), [0]);
        // A file that is too short stops every thread.
        let mut memory = poisoned(cut.memory);
        let short = [Extent { file: 4, offset: 0, bytes: 3_000_000 }];
        let short = Blocks::cut(&short, 16_384, 512);
        let fault = reader.open(&files, 512).read(&short.blocks, &mut memory).unwrap_err();
        assert_eq!((fault.file, fault.error.kind()), (4, io::ErrorKind::UnexpectedEof));
    }
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
