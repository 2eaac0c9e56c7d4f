//! Cuts byte ranges of files into aligned blocks and lays them out in memory.
//!
//! No model format is sector-aligned, so a range gets slack at its head and tail: its blocks start at the aligned
//! offset below it and end at the aligned offset above, and the payload is found at `placement` in memory.

use crate::storage::layout::Extent;

/// One read: at most a block, aligned in the file and in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Index of the file.
    pub file: usize,
    /// Aligned offset in the file.
    pub offset: u64,
    /// Aligned offset in memory.
    pub at: usize,
    /// Bytes that must arrive; less than is asked for only at the end of an extent.
    pub bytes: usize,
    /// Bytes to ask for: `bytes`, rounded up to the alignment.
    pub asked: usize,
}

/// Longest piece of memory that io_uring registers as one buffer; no block crosses a multiple of it.
pub const REGISTERED_BYTES: usize = 1 << 30;

/// Extents, cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The reads, in the order of the extents.
    pub blocks: Vec<Block>,
    /// Where in memory the first byte of each extent is.
    pub placements: Vec<usize>,
    /// Memory needed.
    pub memory: usize,
    /// What everything is aligned to.
    pub align: u64,
}

impl Blocks {
    /// Cuts `extents` into blocks of `block` bytes (rounded up to `align`, a power of two).
    pub fn cut(extents: &[Extent], block: usize, align: u64) -> Self {
        debug_assert!(align.is_power_of_two());
        let block = (block as u64).max(1).next_multiple_of(align).min(REGISTERED_BYTES as u64);
        let mut cut = Self { blocks: Vec::new(), placements: Vec::new(), memory: 0, align };
        for extent in extents {
            let end = extent.offset + extent.bytes;
            let mut offset = extent.offset - extent.offset % align;
            cut.placements.push(cut.memory + (extent.offset - offset) as usize);
            while offset < end {
                let room = REGISTERED_BYTES - cut.memory % REGISTERED_BYTES;
                let bytes = (end - offset).min(block).min(room as u64);
                let asked = bytes.next_multiple_of(align);
                let (bytes, asked_bytes) = (bytes as usize, asked as usize);
                cut.blocks.push(Block {
                    file: extent.file,
                    offset,
                    at: cut.memory,
                    bytes,
                    asked: asked_bytes,
                });
                cut.memory += asked_bytes;
                offset += asked;
            }
        }
        cut
    }

    /// Whole files of these lengths, one after the other.
    pub fn whole_files(lengths: &[u64], block: usize, align: u64) -> Self {
        let whole = |(file, &bytes)| Extent { file, offset: 0, bytes };
        let extents: Vec<Extent> = lengths.iter().enumerate().map(whole).collect();
        Self::cut(&extents, block, align)
    }
}
