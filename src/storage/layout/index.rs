//! A hub's index: which shard holds which tensor, and how large the model is. It comes from outside, like headers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path};

use serde::Deserialize;

use super::header::{open_regular, quoted};
use crate::{Error, Result};

/// Name of the file that says which shard holds which tensor.
pub const INDEX_NAME: &str = "model.safetensors.index.json";

/// Largest index in bytes that is read; DeepSeek-R1's has 8.9 MB for 163 shards.
const MAX_INDEX_BYTES: u64 = 100_000_000;

/// The part of an index that is used.
#[derive(Debug, Deserialize)]
pub struct Index {
    /// Tensor to file name.
    pub weight_map: BTreeMap<String, String>,
    #[serde(default)]
    metadata: serde_json::Value,
}

impl Index {
    /// Reads the index `path`; file names in it stay inside its directory.
    ///
    /// # Errors
    /// When it can't be read, or is not a well-formed index.
    pub fn read(path: &Path) -> Result<Self> {
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
        let index: Self = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        for file in index.weight_map.values() {
            let inside = Path::new(file).components().all(|c| matches!(c, Component::Normal(_)));
            if !inside || file.is_empty() || file.contains('\0') {
                return Err(malformed(format!("it names {}, outside the directory", quoted(file))));
            }
        }
        Ok(index)
    }

    /// The shards that it names, each once, in the order of their names.
    pub fn files(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Bytes of all tensors, where it tells (`metadata.total_size`, an integer that some tools write as a float).
    pub fn total_bytes(&self) -> Option<u64> {
        let size = self.metadata.get("total_size")?;
        let float = || size.as_f64().filter(|f| (0.0..9e18).contains(f)).map(|f| f as u64);
        size.as_u64().or_else(float)
    }
}
