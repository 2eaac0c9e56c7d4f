//! Is what direct reads bring into memory what the files hold? Compared with plain buffered reads.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::prepared::{POISON, Prepared};
use crate::storage::read::Block;
use crate::workload::Verified;
use crate::{Error, Result};

/// Most bytes that are compared.
const MOST_BYTES: usize = 256 << 20;

/// Has `read` bring blocks of `set` into its memory, and compares them with buffered reads: all of `blocks`, or as many
/// of them as make about [`MOST_BYTES`], evenly spread.
///
/// # Errors
/// [`Error::Wrong`] with the place of the first block that differs; whatever `read` fails with.
pub fn compare(
    prepared: &Prepared,
    blocks: &[Block],
    read: impl FnOnce(&[Block]) -> Result<()>,
) -> Result<Verified> {
    let total: usize = blocks.iter().map(|block| block.bytes).sum();
    let blocks: Vec<Block> =
        blocks.iter().step_by(total.div_ceil(MOST_BYTES).max(1)).copied().collect();
    {
        let memory = &mut prepared.memory.borrow_mut();
        let memory = memory.as_mut_slice::<u8>();
        blocks.iter().for_each(|block| memory[block.at..block.at + block.bytes].fill(POISON));
    }
    read(&blocks)?;
    let memory = prepared.memory.borrow();
    let (mut plain, mut checked) = (Vec::new(), 0);
    for block in &blocks {
        let path = &prepared.set.shards[block.file].path;
        plain.resize(block.bytes, 0);
        let file = File::open(path).map_err(|e| Error::path("open", path, e))?;
        file.read_exact_at(&mut plain, block.offset).map_err(|e| Error::path("read", path, e))?;
        if plain != memory.as_slice::<u8>()[block.at..block.at + block.bytes] {
            return Err(Error::Wrong(format!(
                "{} bytes at {} of {} differ from a buffered read; check the device (dmesg)",
                block.bytes,
                block.offset,
                path.display()
            )));
        }
        checked += block.bytes as u64;
    }
    Ok(Verified { checked, error_over_tolerance: 0.0 })
}
