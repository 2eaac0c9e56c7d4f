//! A model directory: its shards, found by `model.safetensors.index.json` where there is one, else by their names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::header::{Header, open_regular, quoted};
use crate::{Error, Result};

/// Name of the file that says which shard holds which tensor.
pub const INDEX_NAME: &str = "model.safetensors.index.json";

/// Largest index in bytes that is read; DeepSeek-R1's has 8.9 MB for 163 shards.
const MAX_INDEX_BYTES: u64 = 100_000_000;

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Where it is.
    pub path: PathBuf,
    /// What its header says.
    pub header: Header,
}

/// A model's shards, in the order in which they are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSet {
    /// What it is, for people: the directory's name, or how a synthetic set was made.
    pub description: String,
    /// At least one.
    pub shards: Vec<Shard>,
    /// Shards that the model has beyond these, left out by [`Self::within`].
    pub left_out: usize,
}

impl ShardSet {
    /// Finds the shards of the model in `dir` and reads their headers.
    ///
    /// # Errors
    /// When the directory can't be read or has no shards, a shard that the index names is missing, the index and the
    /// headers disagree, or a header is malformed.
    pub fn open(dir: &Path) -> Result<Self> {
        let names = dir.read_dir().map_err(|e| Error::path("list", dir, e))?;
        let index = dir.join(INDEX_NAME);
        let (paths, index) = if index.exists() {
            let weight_map = read_index(&index)?;
            let files: BTreeSet<&String> = weight_map.values().collect();
            (files.into_iter().map(|name| dir.join(name)).collect(), Some(weight_map))
        } else {
            let mut paths: Vec<PathBuf> = Vec::new();
            for entry in names {
                let path = entry.map_err(|e| Error::path("list", dir, e))?.path();
                if path.extension().is_some_and(|e| e == "safetensors") {
                    paths.push(path);
                }
            }
            paths.sort();
            (paths, None)
        };
        if paths.is_empty() {
            return Err(Error::input(
                format!("{} holds no *.safetensors file", dir.display()),
                "Name the directory that holds the model's shards in HOSTDYNO_MODEL_DIR, \
                 or leave it unset to load a synthetic set",
            ));
        }
        require_all(&paths, dir)?;
        let shards = paths
            .into_iter()
            .map(|path| Ok(Shard { header: Header::read(&path)?, path }))
            .collect::<Result<Vec<_>>>()?;
        agree(&shards, index.as_ref(), dir)?;
        Ok(Self { description: dir.display().to_string(), shards, left_out: 0 })
    }

    /// The first shards of the set that fit into `budget` bytes, at least one.
    pub fn within(mut self, budget: u64) -> Self {
        let mut bytes = 0;
        let fit = self.shards.iter().take_while(|shard| {
            bytes += shard.header.file_bytes;
            bytes <= budget
        });
        let keep = fit.count().max(1);
        self.left_out += self.shards.len().saturating_sub(keep);
        self.shards.truncate(keep);
        self
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.header.file_bytes).sum()
    }

    /// Number of all its tensors.
    pub fn tensors(&self) -> usize {
        self.shards.iter().map(|shard| shard.header.tensors.len()).sum()
    }
}

/// The part of an index that is used.
#[derive(Deserialize)]
struct Index {
    /// Tensor to file name.
    weight_map: BTreeMap<String, String>,
}

/// Which tensor is in which file; file names are checked to stay inside the directory.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let malformed = |fault: String| {
        Error::input(
            format!("{} can't be used: {fault}", path.display()),
            "Download it again, or remove it to load every *.safetensors file beside it",
        )
    };
    let mut text = String::new();
    open_regular(path)?
        .take(MAX_INDEX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| Error::path("read", path, e))?;
    if text.len() as u64 > MAX_INDEX_BYTES {
        return Err(malformed(format!("it is longer than {MAX_INDEX_BYTES} bytes")));
    }
    let index: Index = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    for file in index.weight_map.values() {
        let inside = Path::new(file).components().all(|c| matches!(c, Component::Normal(_)));
        if !inside || file.is_empty() || file.contains('\0') {
            return Err(malformed(format!("it names {}, outside the directory", quoted(file))));
        }
    }
    Ok(index.weight_map)
}

/// Fails with the names of the shards that are not there.
fn require_all(paths: &[PathBuf], dir: &Path) -> Result<()> {
    const NAMED: usize = 5;
    let missing: Vec<String> = paths
        .iter()
        .filter(|path| !path.exists())
        .map(|path| path.strip_prefix(dir).unwrap_or(path).display().to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = missing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = missing[..missing.len().min(NAMED)].join(", ");
    Err(Error::input(
        format!(
            "{} of {} shards are missing in {}: {named}{more}",
            missing.len(),
            paths.len(),
            dir.display()
        ),
        "Download them, then try again",
    ))
}

/// Fails when a tensor is in two shards, or the index names one that its shard does not hold.
fn agree(shards: &[Shard], index: Option<&BTreeMap<String, String>>, dir: &Path) -> Result<()> {
    let disagree = |fault: String| {
        Error::input(
            format!("the shards in {} do not fit together: {fault}", dir.display()),
            "Keep the files of one model only in the directory, and download again what was mixed up",
        )
    };
    let mut home: HashMap<&str, &Path> = HashMap::new();
    for shard in shards {
        for tensor in &shard.header.tensors {
            if let Some(first) = home.insert(&tensor.name, &shard.path) {
                return Err(disagree(format!(
                    "tensor {} is in {} and in {}",
                    quoted(&tensor.name),
                    first.display(),
                    shard.path.display()
                )));
            }
        }
    }
    for (tensor, file) in index.into_iter().flatten() {
        if home.get(tensor.as_str()) != Some(&dir.join(file).as_path()) {
            return Err(disagree(format!(
                "{INDEX_NAME} says that {} holds tensor {}, but it does not",
                quoted(file),
                quoted(tensor)
            )));
        }
    }
    Ok(())
}
