//! One bench process's file.

use serde::{Deserialize, Serialize};

use super::metric::{MetricRecord, Unknown};

/// Version of the record's schema. A reader refuses any other.
pub const SCHEMA: u32 = 1;

/// What wrote a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
}

impl Tool {
    /// This build.
    pub fn current() -> Self {
        Self { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// Everything that one bench process measured: `results/runs/<run>/<bench>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What wrote it.
    pub tool: Tool,
    /// Name of the bench executable.
    pub bench: String,
    /// Name of the run it belongs to.
    pub run: String,
    /// The user's `HOSTDYNO_LABEL`.
    pub label: Option<String>,
    /// `quick`, `standard` or `thorough`.
    pub profile: String,
    /// Kernel boot id: runs of one boot are not independent.
    pub boot_id: Option<String>,
    /// Process id.
    pub pid: u32,
    /// Start, RFC 3339 in UTC.
    pub started: String,
    /// Last write, RFC 3339 in UTC.
    pub updated: String,
    /// Whether the process reached its end; false in the file of a killed bench.
    pub complete: bool,
    /// What was measured, in the order in which it was.
    pub metrics: Vec<MetricRecord>,
    /// Fields of a newer writer.
    #[serde(flatten)]
    pub unknown: Unknown,
}
