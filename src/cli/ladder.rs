//! `hostdyno ladder PATH`: every way of reading a file, best first, and why this host refuses it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::output::Output;
use crate::storage::alignment;
use crate::storage::device::Device;
use crate::storage::layout::ShardSet;
use crate::storage::read::ladder::{Rung, probe};
use crate::{Error, Result};

/// Which file.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A file on the device in question, or a model's directory
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

#[derive(Serialize)]
struct Ladder {
    file: String,
    /// What direct reads are aligned to; null where the file system has none.
    alignment: Option<u64>,
    /// What is known of the device.
    device: std::collections::BTreeMap<String, Value>,
    rungs: Vec<Rung>,
}

/// Tries every way with one read.
///
/// # Errors
/// There is no such file, or it can't be opened.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let path = if arguments.path.is_dir() {
        ShardSet::open(&arguments.path)?.shards.swap_remove(0).path
    } else {
        arguments.path.clone()
    };
    let file = std::fs::File::open(&path).map_err(|e| Error::path("open", &path, e))?;
    let kind = file.metadata().map_err(|e| Error::path("examine", &path, e))?.file_type();
    if !kind.is_file() {
        let what = format!("{} is not a regular file", path.display());
        return Err(Error::input(what, "Name a file, or the directory of a model"));
    }
    let (device, align) = (Device::of(&path), alignment::direct(&file));
    let ladder = Ladder {
        file: path.display().to_string(),
        alignment: align,
        device: device.describe(),
        rungs: probe(&path, align.unwrap_or(alignment::ASSUMED), device.disk_name().as_deref()),
    };
    output.print("ladder", &ladder, |_, ladder| text(ladder))
}

fn text(ladder: &Ladder) -> String {
    let mut lines = vec![ladder.file.clone()];
    for (name, value) in &ladder.device {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.push(format!("  {name}: {value}"));
    }
    lines.push(match ladder.alignment {
        Some(bytes) => format!("  direct reads: aligned to {bytes} bytes"),
        None => "  direct reads: none on this file system".into(),
    });
    lines.extend(ladder.rungs.iter().map(ToString::to_string));
    lines.join("\n") + "\n"
}
