//! Whether a problem fits in memory: asked before anything is allocated, never left to the OOM killer.

use crate::{Error, Result};

/// # Errors
/// [`Error::Input`] when `what` needs more than `available` bytes.
pub(super) fn check_fits(what: &str, needed: u128, available: u64) -> Result<()> {
    if needed <= u128::from(available) {
        return Ok(());
    }
    let gigabytes = |bytes: u128| bytes as f64 / 1e9;
    Err(Error::input(
        format!(
            "{what} needs {:.1} GB of memory and {:.1} GB are free",
            gigabytes(needed),
            gigabytes(u128::from(available))
        ),
        "Use a smaller shape, or free some memory",
    ))
}
