//! `manifest.json`: which kernels, launched how, with what answer.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A directory is not a corpus.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct CorpusError {
    /// What was read.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl CorpusError {
    pub(super) fn new(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), message: message.into() }
    }
}

/// The whole manifest.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Where the corpus comes from.
    #[serde(default)]
    pub about: String,
    /// The kernels.
    pub cases: Vec<Case>,
}

/// One kernel launch with a known answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Stem of its `.ptx` and `.safetensors` files.
    pub name: String,
    /// Name of the entry.
    pub entry: String,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads a block.
    pub block: [u32; 3],
    /// Blocks a cluster.
    #[serde(default)]
    pub cluster: Option<[u32; 3]>,
    /// Bytes of dynamic shared memory.
    #[serde(default)]
    pub dynamic_shared_bytes: u32,
    /// Arguments in parameter order.
    pub args: Vec<Argument>,
    /// Name of the tensor with the answer.
    #[serde(default = "expected")]
    pub output: String,
    /// Relative tolerance.
    #[serde(default)]
    pub rtol: f64,
    /// Absolute tolerance.
    #[serde(default)]
    pub atol: f64,
    /// Tensor maps that arguments name.
    #[serde(default)]
    pub tensor_maps: BTreeMap<String, TensorMapSpec>,
}

fn expected() -> String {
    "expected".to_owned()
}

/// One argument.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// A pointer to a copy of a tensor; `out` is the output buffer.
    Tensor(String),
    /// A value by its type, `{"i32": 5}`; `{"null": "u64"}` is a null pointer, `{"tensor_map": "a"}` a map by value.
    Typed(BTreeMap<String, serde_json::Value>),
}

/// Parameters of a tensor map, innermost dimension first.
#[derive(Clone, Debug, Deserialize)]
pub struct TensorMapSpec {
    /// The tensor it describes.
    pub tensor: String,
    /// Element type.
    pub dtype: String,
    /// Elements in each dimension.
    pub global_dim: Vec<u64>,
    /// Bytes between neighbours in dimensions 1 and up.
    #[serde(default)]
    pub global_strides_bytes: Vec<u64>,
    /// Elements of the box in each dimension.
    pub box_dim: Vec<u32>,
    /// Traversal strides.
    #[serde(default)]
    pub element_strides: Vec<u32>,
    /// `none`, `32B`, `64B`, `128B`.
    #[serde(default)]
    pub swizzle: String,
    /// `none`.
    #[serde(default)]
    pub interleave: String,
    /// `zero` or `nan`.
    #[serde(default)]
    pub oob: String,
}

impl Manifest {
    /// Reads and checks a corpus directory's manifest.
    ///
    /// # Errors
    /// [`CorpusError`] where it is missing, malformed, empty, or names files outside of the directory.
    pub fn load(directory: &Path) -> Result<Self, CorpusError> {
        let path: PathBuf = directory.join("manifest.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| CorpusError::new(&path, format!("cannot read the manifest: {e}")))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|e| CorpusError::new(&path, format!("malformed manifest: {e}")))?;
        if manifest.cases.is_empty() {
            return Err(CorpusError::new(&path, "the manifest has no cases"));
        }
        let mut names = std::collections::BTreeSet::new();
        for case in &manifest.cases {
            if case.name.is_empty()
                || case.name.contains(['/', '\\', '\0'])
                || case.name.starts_with('.')
            {
                return Err(CorpusError::new(&path, format!("{:?} is not a case name", case.name)));
            }
            if !names.insert(&case.name) {
                return Err(CorpusError::new(&path, format!("case {} is there twice", case.name)));
            }
            let tolerance = |x: f64| x.is_finite() && x >= 0.0;
            if !tolerance(case.rtol) || !tolerance(case.atol) {
                return Err(CorpusError::new(
                    &path,
                    format!("case {}: a tolerance is negative or not finite", case.name),
                ));
            }
            for extension in ["ptx", "safetensors"] {
                let file = directory.join(format!("{}.{extension}", case.name));
                if !file.is_file() {
                    return Err(CorpusError::new(
                        &file,
                        "the manifest names this file, which is missing",
                    ));
                }
            }
        }
        Ok(manifest)
    }
}
