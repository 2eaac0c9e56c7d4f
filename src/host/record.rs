//! What a run keeps about its host: `host.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The host as it was when a run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Version of the record's schema.
    pub schema: u32,
    /// Kernel boot id.
    pub boot_id: Option<String>,
    /// Fields of a newer writer.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl HostRecord {
    /// This host, now.
    pub fn collect() -> Self {
        Self { schema: 1, boot_id: boot_id(), unknown: BTreeMap::new() }
    }
}

/// The kernel's id of this boot: runs of one boot are not independent.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}
