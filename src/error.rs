//! The one error type: what went wrong, and what the user can do about it.

use std::path::Path;

/// Result of a fallible hostdyno operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Every message ends with what the user can do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something the user gave can't be used: a shape, a file, a directory, an option. Exit code 2.
    #[error("{what}. {next}")]
    Input {
        /// What can't be used, and why.
        what: String,
        /// What to type or change.
        next: String,
    },
    /// The operating system refused: a full disk, a missing permission, a read error. Exit code 2.
    #[error("{what}: {source}. {next}")]
    Os {
        /// What was attempted, with the path.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
        /// What to type or change.
        next: String,
    },
    /// This host can't do it (no GPU, one NUMA node, binding denied): the metric is recorded as
    /// skipped with this cause and the rest goes on.
    #[error("{0}")]
    Unavailable(String),
    /// A kernel or a read gave a wrong result: its metric is recorded as invalid and never timed.
    #[error("wrong result: {0}")]
    Wrong(String),
}

impl Error {
    /// Bad input: `what` can't be used, `next` tells what to do.
    pub fn input(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Input { what: what.into(), next: next.into() }
    }

    /// The operating system refused `what`.
    pub fn os(what: impl Into<String>, source: std::io::Error, next: impl Into<String>) -> Self {
        Self::Os { what: what.into(), source, next: next.into() }
    }

    /// The operating system refused to `action` (read, write, create ...) `path`.
    pub fn path(action: &str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let next = match source.kind() {
            K::NotFound => "Check the path",
            K::PermissionDenied | K::ReadOnlyFilesystem => {
                "Check its permissions, or name another directory"
            }
            K::StorageFull | K::QuotaExceeded => "Free some space, or name another directory",
            _ => "Check the device and the file system (dmesg may say more)",
        };
        Self::os(format!("can't {action} {}", path.display()), source, next)
    }
}
