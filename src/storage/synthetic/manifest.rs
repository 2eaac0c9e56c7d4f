//! What a finished synthetic set says of itself, so that the next run can use it again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Version of the way in which sets are made; a set of another version is made anew.
const VERSION: u32 = 1;

/// Name of the manifest in the set's directory.
const NAME: &str = "hostdyno-set.json";

/// One finished file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its name in the directory.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// XXH3 (64 bits) of its content as it was written.
    pub xxh3: u64,
}

/// A finished set. It is written last, so a set with a manifest is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// How the set was made, in words.
    pub description: String,
    /// Its shards.
    pub shards: Vec<Made>,
}

impl Manifest {
    /// The manifest of a set made now.
    pub fn new(description: String, shards: Vec<Made>) -> Self {
        Self { version: VERSION, description, shards }
    }

    /// The manifest in `dir`, if it is of this version and every shard has its length; anything else means that the
    /// set has to be made anew.
    pub fn of_whole_set(dir: &Path) -> Option<Self> {
        let text = std::fs::read(dir.join(NAME)).ok()?;
        let manifest: Self = serde_json::from_slice(&text).ok()?;
        let whole = manifest.version == VERSION
            && manifest.shards.iter().all(|made| {
                dir.join(&made.file).metadata().is_ok_and(|m| m.is_file() && m.len() == made.bytes)
            });
        whole.then_some(manifest)
    }

    /// Writes it into `dir`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(NAME);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::path("write", &path, std::io::Error::other(e)))?;
        let written =
            std::fs::write(&path, text).and_then(|()| std::fs::File::open(&path)?.sync_all());
        written.map_err(|e| Error::path("write", &path, e))
    }
}
