//! A model directory: its shards, found by `model.safetensors.index.json` where there is one, else by their names.
//!
//! Safetensors shards go before GGUF files where a directory has both. Of GGUF files there may be one model, in one file
//! or split into `<name>-00001-of-00003.gguf` and so on.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::gguf;
use super::header::{Header, quoted};
use super::index::{INDEX_NAME, Index};
use crate::{Error, Result};

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
            let index = Index::read(&index)?;
            (index.files().into_iter().map(|name| dir.join(name)).collect(), Some(index.weight_map))
        } else {
            (by_name(names, dir)?, None)
        };
        if paths.is_empty() {
            return Err(Error::input(
                format!("{} holds no *.safetensors or *.gguf file", dir.display()),
                "Name the directory that holds the model's shards in HOSTDYNO_MODEL_DIR, \
                 or leave it unset to load a synthetic set",
            ));
        }
        require_all(&paths, dir)?;
        let shards = paths
            .into_iter()
            .map(|path| Ok(Shard { header: read_header(&path)?, path }))
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

/// Reads the header of a shard of either format.
///
/// # Errors
/// When the file can't be read, or is not a well-formed shard with all its data.
pub fn read_header(path: &Path) -> Result<Header> {
    if has_extension(path, "gguf") { gguf::read(path) } else { Header::read(path) }
}

/// [`read_header`] of a shard whose whole content is in memory; `path` tells its format, and is for messages.
///
/// # Errors
/// As for [`read_header`].
pub fn header_of_content(content: &[u8], path: &Path) -> Result<Header> {
    if has_extension(path, "gguf") {
        gguf::of_content(content, path)
    } else {
        Header::of_content(content, path)
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

/// The shards of `dir`, in the order of their names.
fn by_name(names: std::fs::ReadDir, dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut safetensors, mut gguf) = (Vec::new(), Vec::new());
    for entry in names {
        let path = entry.map_err(|e| Error::path("list", dir, e))?.path();
        if has_extension(&path, "safetensors") {
            safetensors.push(path);
        } else if has_extension(&path, "gguf") {
            gguf.push(path);
        }
    }
    safetensors.sort();
    gguf.sort();
    if safetensors.is_empty() { one_model(gguf, dir) } else { Ok(safetensors) }
}

/// The files of the only GGUF model among `files`, those that are missing included.
fn one_model(files: Vec<PathBuf>, dir: &Path) -> Result<Vec<PathBuf>> {
    let Some(first) = files.first() else { return Ok(files) };
    let expected = match split_name(first) {
        Some((stem, count)) => {
            (1..=count).map(|n| dir.join(format!("{stem}-{n:05}-of-{count:05}.gguf"))).collect()
        }
        None => vec![first.clone()],
    };
    match files.iter().find(|file| !expected.contains(file)) {
        None => Ok(expected),
        Some(other) => Err(Error::input(
            format!(
                "{} holds more than one GGUF model: {} and {}",
                dir.display(),
                first.display(),
                other.display()
            ),
            "Keep the files of one model in a directory of its own",
        )),
    }
}

/// Stem and number of files of a split model, from `<stem>-<5 digits>-of-<5 digits>.gguf`.
fn split_name(path: &Path) -> Option<(String, u32)> {
    let name = path.file_stem()?.to_str()?;
    let (rest, count) = name.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let whole = digits(number) && digits(count);
    Some((stem.to_owned(), count.parse().ok()?)).filter(|&(_, count)| whole && count > 0)
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
