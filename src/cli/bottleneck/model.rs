//! The model that `--model` means: of the catalogue, of a `config.json`, or of the headers of its files.

use std::path::Path;

use crate::bottleneck::tensors;
use crate::storage::layout::directory::read_header;
use crate::storage::layout::{ShardSet, gguf};
use crate::workload::{Mix, Model, find_model, model_of_config};
use crate::{Error, Result};

/// A model, and how its files are stored where there are any.
pub struct Found {
    /// For people.
    pub name: String,
    /// The model.
    pub model: Model,
    /// As its files are.
    pub mix: Option<Mix>,
}

impl Found {
    /// As its files are, else the format that such models are mostly run in.
    ///
    /// # Errors
    /// The model can't be stored in that format.
    pub fn usual_mix(&self) -> Result<Mix> {
        self.mix.clone().map_or_else(|| Mix::parse("q4_k_m", &self.model), Ok)
    }
}

/// Longest `config.json` that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 24;

/// Finds the model that `name` means.
///
/// # Errors
/// There is neither a model nor a file of that name, or the file can't be used.
pub fn find(name: &str) -> Result<Found> {
    let path = Path::new(name);
    let found = |model, mix| Found { name: name.to_owned(), model, mix };
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if path.is_dir() {
        return in_directory(path, name);
    }
    match extension {
        "json" => Ok(found(config(path)?, None)),
        "gguf" => {
            let tensors = read_header(path)?.tensors;
            let named: Vec<(&str, u64)> =
                tensors.iter().map(|t| (t.name.as_str(), t.bytes)).collect();
            let model = of_gguf(path, &named)?;
            if split(path) {
                // One of several: the others are beside it.
                return in_directory(path.parent().unwrap_or(Path::new(".")), name);
            }
            let mix = tensors::mix(name, &model, named)?;
            Ok(found(model, Some(mix)))
        }
        "safetensors" => in_directory(
            path.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new(".")),
            name,
        ),
        _ if path.exists() => Err(Error::input(
            format!("{name} is no model file"),
            "Give a config.json, a .gguf or .safetensors file, or the directory that holds them",
        )),
        _ => find_model(name).map(|model| found(model, None)),
    }
}

fn split(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains("-of-"))
}

fn in_directory(directory: &Path, name: &str) -> Result<Found> {
    let file = directory.join("config.json");
    let has_config = file.is_file();
    let set = match ShardSet::open(directory) {
        Ok(set) => set,
        // Shapes alone are worth an answer; broken shards are not to be passed over.
        Err(_) if has_config && !has_shards(directory) => {
            return Ok(Found { name: name.to_owned(), model: config(&file)?, mix: None });
        }
        Err(error) => return Err(error),
    };
    let tensors = || set.shards.iter().flat_map(|shard| &shard.header.tensors);
    let named: Vec<(&str, u64)> =
        tensors().map(|tensor| (tensor.name.as_str(), tensor.bytes)).collect();
    let first = &set.shards[0].path;
    let model = match (has_config, first.extension().is_some_and(|e| e == "gguf")) {
        (true, _) => config(&file)?,
        (false, true) => of_gguf(first, &named)?,
        (false, false) => {
            return Err(Error::input(
                format!(
                    "{} holds no config.json, and safetensors headers don't tell heads and experts",
                    directory.display()
                ),
                "Put the model's config.json beside its shards",
            ));
        }
    };
    let mix = tensors::mix(name, &model, named)?;
    Ok(Found { name: name.to_owned(), model, mix: Some(mix) })
}

fn has_shards(directory: &Path) -> bool {
    let Ok(entries) = directory.read_dir() else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        matches!(extension, "safetensors" | "gguf")
            || path.to_string_lossy().ends_with(".index.json")
    })
}

fn of_gguf(path: &Path, tensors: &[(&str, u64)]) -> Result<Model> {
    let tied = !tensors.iter().any(|(name, _)| *name == "output.weight");
    // The first file of several holds the pairs, the last perhaps the output: the catalogue's models have one.
    let tied = tied && !split(path);
    tensors::model_of_gguf(&gguf::metadata(path)?, tied)
}

fn config(path: &Path) -> Result<Model> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| Error::path("read", path, e))?;
    let mut text = String::new();
    file.take(MAX_CONFIG_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| Error::path("read", path, e))?;
    model_of_config(&text).map_err(|error| match error {
        Error::Input { what, next } => Error::input(format!("{}: {what}", path.display()), next),
        other => other,
    })
}
