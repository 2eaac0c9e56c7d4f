//! `hostdyno clean`: removes the synthetic models that benches made.

use serde::Serialize;

use super::output::Output;
use crate::Result;
use crate::storage::load::default_cache;
use crate::storage::synthetic;

#[derive(Serialize)]
struct Cleaned {
    /// Where synthetic models are kept.
    directory: String,
    /// Bytes that were freed.
    freed_bytes: u64,
}

/// Removes them.
///
/// # Errors
/// The directory can't be listed, or a model can't be removed.
pub fn run(output: &Output) -> Result<()> {
    let cache = default_cache();
    let freed_bytes = synthetic::clean(&cache)?;
    let cleaned = Cleaned { directory: cache.display().to_string(), freed_bytes };
    output.print("clean", &cleaned, |_, cleaned| {
        format!("{:.2} GB freed in {}\n", cleaned.freed_bytes as f64 / 1e9, cleaned.directory)
    })
}
