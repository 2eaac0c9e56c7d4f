mod faults;
mod refusals;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use proptest::prelude::*;
use rand::{RngCore, SeedableRng};

use super::*;
use crate::host::{Buffer, Pages};
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
