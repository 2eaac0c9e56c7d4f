//! What a run keeps about its host: everything about the machine that its numbers depend on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::root::Root;
use super::topology::Topology;

/// Version of [`HostRecord`]'s schema. A reader refuses any other.
pub const SCHEMA: u32 = 1;

/// The host as it was when it was looked at: `host.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The kernel's id of this boot: numbers of one boot are not independent.
    pub boot_id: Option<String>,
    /// Environment fingerprint.
    pub environment: Environment,
    /// Sockets, nodes, caches, devices.
    pub topology: Topology,
    /// Fields of a newer writer.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl HostRecord {
    /// This host, now.
    pub fn collect() -> Self {
        Self::read(&Root::host())
    }

    /// The host under `root`, now; its topology from sysfs alone where that is not the running host.
    pub fn read(root: &Root) -> Self {
        Self {
            schema: SCHEMA,
            boot_id: root.read(BOOT_ID).text(),
            environment: Environment::collect(root),
            topology: if root.is_host() {
                Topology::discover()
            } else {
                Topology::from_sysfs(root)
            },
            unknown: BTreeMap::new(),
        }
    }
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's id of this boot.
pub fn boot_id() -> Option<String> {
    Root::host().read(BOOT_ID).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_kept() {
        let record = HostRecord::collect();
        assert_eq!(record.boot_id.as_deref().map(str::len), Some(36));
        let mut json = serde_json::to_value(&record).unwrap();
        json["future"] = serde_json::json!({"x": 1});
        let read: HostRecord = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), json);
    }
}
