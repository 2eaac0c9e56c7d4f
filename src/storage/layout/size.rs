//! How large a model is: from the headers of its files, or from a hub's index alone, without the shards.

use std::path::Path;

use serde::Serialize;

use super::directory::{ShardSet, read_header};
use super::index::{INDEX_NAME, Index};
use crate::{Error, Result};

/// What loading a model has to move and to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelSize {
    /// What it is, for people.
    pub description: String,
    /// Bytes of all its files; without headers where only the index is known.
    pub bytes: u64,
    /// Number of files.
    pub shards: usize,
    /// Number of tensors.
    pub tensors: usize,
    /// Whether only the index was there.
    pub index_only: bool,
}

impl ModelSize {
    /// Of the model at `path`: a directory of shards, a single shard, or an index (`*.json`), in a directory of its own
    /// or not.
    ///
    /// # Errors
    /// When there is no such model, some but not all of its shards are there, or a header or the index is malformed.
    pub fn of(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let index = path.join(INDEX_NAME);
            if index.exists() {
                let read = Index::read(&index)?;
                if read.files().iter().all(|file| !path.join(file).exists()) {
                    return Self::of_index(&index, &read);
                }
            }
            return Ok(Self::of_set(&ShardSet::open(path)?));
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::of_index(path, &Index::read(path)?);
        }
        let header = read_header(path)?;
        Ok(Self {
            description: path.display().to_string(),
            bytes: header.file_bytes,
            shards: 1,
            tensors: header.tensors.len(),
            index_only: false,
        })
    }

    /// Of a set whose headers were read.
    pub fn of_set(set: &ShardSet) -> Self {
        Self {
            description: set.description.clone(),
            bytes: set.bytes(),
            shards: set.shards.len(),
            tensors: set.tensors(),
            index_only: false,
        }
    }

    fn of_index(path: &Path, index: &Index) -> Result<Self> {
        let bytes = index.total_bytes().ok_or_else(|| {
            Error::input(
                format!(
                    "{} does not say how large the model is (metadata.total_size)",
                    path.display()
                ),
                "Download the shards beside it: then their headers tell",
            )
        })?;
        Ok(Self {
            description: path.display().to_string(),
            bytes,
            shards: index.files().len(),
            tensors: index.weight_map.len(),
            index_only: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> (tempfile::TempDir, Result<ModelSize>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(INDEX_NAME), text).unwrap();
        let size = ModelSize::of(dir.path());
        (dir, size)
    }

    const MAP: &str =
        r#""weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}"#;

    #[test]
    fn an_index_alone_is_enough_where_it_tells_the_size() {
        for size in ["688586727753", "6.88586727753e11"] {
            let (dir, size) = index(&format!(r#"{{"metadata":{{"total_size":{size}}},{MAP}}}"#));
            let size = size.unwrap();
            assert_eq!((size.bytes, size.shards, size.tensors), (688_586_727_753, 2, 3));
            assert!(size.index_only);
            let named = ModelSize::of(&dir.path().join(INDEX_NAME)).unwrap();
            assert_eq!((named.bytes, named.index_only), (size.bytes, true));
        }
        for metadata in [
            "",
            r#""metadata":{},"#,
            r#""metadata":{"total_size":"big"},"#,
            r#""metadata":{"total_size":-1},"#,
        ] {
            let error = index(&format!("{{{metadata}{MAP}}}")).1.unwrap_err().to_string();
            assert!(error.contains("total_size"), "{error}");
        }
        assert!(index("{}").1.is_err());
    }

    #[test]
    fn some_shards_without_the_others_are_no_model() {
        let (dir, _) = index(&format!(r#"{{"metadata":{{"total_size":5}},{MAP}}}"#));
        std::fs::write(dir.path().join("1.safetensors"), "x").unwrap();
        let error = ModelSize::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("1 of 2 shards are missing"), "{error}");
    }

    #[test]
    fn a_single_shard_is_a_model() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let json = r#"{"t":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#;
        let mut content = (json.len() as u64).to_le_bytes().to_vec();
        content.extend(json.as_bytes());
        content.extend([1, 2, 3]);
        std::fs::write(&path, &content).unwrap();
        let size = ModelSize::of(&path).unwrap();
        assert_eq!((size.bytes, size.shards, size.tensors), (content.len() as u64, 1, 1));
        assert!(ModelSize::of(&dir.path().join("none")).is_err());
    }
}
