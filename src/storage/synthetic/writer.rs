//! Writes shards of random bytes: incompressible, fully allocated, synced.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

use rand::{RngCore, SeedableRng};
use rand_pcg::Mcg128Xsl64;
use safetensors::tensor::{Metadata, TensorInfo};
use xxhash_rust::xxh3::Xxh3;

use super::manifest::Made;
use super::spec::Spec;
use crate::storage::layout::index::INDEX_NAME;
use crate::{Error, Result};

/// Bytes written at once.
const CHUNK: usize = 4 << 20;

/// Largest shard: DeepSeek-R1's 688.6 GB are in 163 files.
const MAX_SHARD_BYTES: u64 = 4_300_000_000;

/// Smaller sets are cut into about this many shards, so that there is more than one file to open.
const SHARDS_OF_SMALL_SETS: u64 = 8;

/// Writes `specs` into `dir` as safetensors shards with an index.
///
/// # Errors
/// When a file can't be written; `dir` then holds an incomplete set.
pub fn write_set(dir: &Path, specs: Vec<Spec>, seed: u64) -> Result<Vec<Made>> {
    let groups = split(specs);
    let mut random = Mcg128Xsl64::seed_from_u64(seed);
    let mut made = Vec::new();
    let mut weight_map = serde_json::Map::new();
    let count = groups.len();
    for (i, group) in groups.into_iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", i + 1);
        for spec in &group {
            weight_map.insert(spec.name.clone(), file.clone().into());
        }
        let path = dir.join(&file);
        let (bytes, xxh3) = write_shard(&path, group, &mut random)
            .map_err(|e| Error::path("write the synthetic shard", &path, e))?;
        made.push(Made { file, bytes, xxh3 });
    }
    let index = serde_json::json!({
        "metadata": { "total_size": made.iter().map(|m| m.bytes).sum::<u64>() },
        "weight_map": weight_map,
    });
    let path = dir.join(INDEX_NAME);
    std::fs::write(&path, index.to_string()).map_err(|e| Error::path("write", &path, e))?;
    Ok(made)
}

/// Cuts the list into shards, in order.
fn split(specs: Vec<Spec>) -> Vec<Vec<Spec>> {
    let total: u64 = specs.iter().map(Spec::bytes).sum();
    let target = (total / SHARDS_OF_SMALL_SETS).clamp(1, MAX_SHARD_BYTES);
    let mut groups = vec![Vec::new()];
    let mut filled = 0;
    for spec in specs {
        if filled > 0 && filled + spec.bytes() / 2 > target {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += spec.bytes();
        if let Some(group) = groups.last_mut() {
            group.push(spec);
        }
    }
    groups
}

/// Writes one shard and leaves none of it in the page cache; its length and hash.
fn write_shard(
    path: &Path,
    mut specs: Vec<Spec>,
    random: &mut Mcg128Xsl64,
) -> std::io::Result<(u64, u64)> {
    // The order of the reference implementation: wide types first, then by name.
    specs.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let mut at = 0;
    let tensors = specs.into_iter().map(|spec| {
        let begin = at;
        at += spec.bytes() as usize;
        let shape = spec.shape.iter().map(|&dim| dim as usize).collect();
        (spec.name, TensorInfo { dtype: spec.dtype, shape, data_offsets: (begin, at) })
    });
    let tensors: Vec<_> = tensors.collect();
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), tensors).map_err(std::io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = File::create_new(path)?;
    let total = 8 + header.len() as u64 + at as u64;
    reserve(&file, total)?;
    let mut hash = Xxh3::new();
    let mut put = |bytes: &[u8]| {
        hash.update(bytes);
        file.write_all(bytes)
    };
    put(&(header.len() as u64).to_le_bytes())?;
    put(&header)?;
    let mut chunk = vec![0; CHUNK.min(at)];
    let mut left = at;
    while left > 0 {
        let take = left.min(CHUNK);
        random.fill_bytes(&mut chunk[..take]);
        put(&chunk[..take])?;
        left -= take;
    }
    file.sync_all()?;
    // SAFETY: the descriptor is open; the call gives advice and touches no memory.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    Ok((total, hash.digest()))
}

/// Allocates the blocks up front: a full disk shows before gigabytes are written, and the file is less fragmented.
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(std::io::Error::other)?;
    // SAFETY: the descriptor is open; the call touches no memory.
    match unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } {
        0 => Ok(()),
        _ => match std::io::Error::last_os_error() {
            // File systems without the call allocate while writing.
            e if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(()),
            e => Err(e),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: usize, bytes: u64) -> Spec {
        Spec { name: format!("t{name}"), dtype: safetensors::Dtype::U8, shape: vec![bytes] }
    }

    #[test]
    fn splitting_keeps_order_and_loses_nothing() {
        let specs: Vec<Spec> = (0..100).map(|i| spec(i, (i as u64 * 37) % 1000)).collect();
        let groups = split(specs.clone());
        assert!((7..=10).contains(&groups.len()), "{}", groups.len());
        assert_eq!(groups.concat(), specs);
        assert_eq!(split(vec![spec(0, 0)]).len(), 1);
    }
}
