//! The environment fingerprint: what of the machine, its firmware, its kernel and what surrounds this process can
//! change a number, as far as it can be read without root.
//!
//! Every field says where it came from and whether it could be read: absent, denied and garbled are results too, and
//! nothing is guessed. Serial numbers and UUIDs are never read, the machine id only as a hash. Everything is read from
//! a [`Root`], so that tests can show hosts that this one is not.

mod block;
mod collector;
mod cpu;
mod kernel;
mod machine;
mod memory;
mod pci;
mod process;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use memory::{DramChannels, dram_channels};
pub use pci::{link_gb_per_second, upstream};
pub use process::pressure;

use super::root::Root;
use collector::Collector;

/// Whether a field could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Read and understood.
    Ok,
    /// This host has no such file or entry.
    Absent,
    /// The kernel refused to tell; root may see it.
    Denied,
    /// Read, but not what it should be; `value` holds the text where there is one.
    Garbled,
}

impl Status {
    /// As printed and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Denied => "denied",
            Self::Garbled => "garbled",
        }
    }
}

/// What a field tells about, and so what a difference in it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Which machine: its parts and models.
    Identity,
    /// The firmware's version, and what its settings decide.
    Bios,
    /// The kernel, its command line and its settings.
    Kernel,
    /// What surrounds this process: container, limits, drivers, mounts.
    Runtime,
    /// Changes by itself: load, clocks, temperatures.
    Volatile,
}

impl Class {
    /// As printed and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Bios => "bios",
            Self::Kernel => "kernel",
            Self::Runtime => "runtime",
            Self::Volatile => "volatile",
        }
    }
}

/// One fact about the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// What it is; null when it could not be read.
    pub value: Value,
    /// The file, or the call, that told.
    pub source: String,
    /// Whether it could be read.
    pub status: Status,
    /// What a difference means.
    pub class: Class,
}

/// The fields, by their stable names: `cpu.model_name`, `kernel.thp.enabled`, `pci.0000:01:00.0.current_link_speed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, Field>);

impl Environment {
    /// Reads the environment of the host under `root`. Takes some milliseconds.
    pub fn collect(root: &Root) -> Self {
        let mut collector = Collector::new(root);
        machine::collect(&mut collector);
        cpu::collect(&mut collector);
        kernel::collect(&mut collector);
        memory::collect(&mut collector);
        pci::collect(&mut collector);
        block::collect(&mut collector);
        process::collect(&mut collector);
        Self(collector.finish())
    }

    /// The field called `name`.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0.get(name)
    }

    /// The text of a field that was read.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.readable(name)?.as_str()
    }

    /// The number in a field that was read.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.readable(name)?.as_f64()
    }

    /// The truth of a field that was read.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.readable(name)?.as_bool()
    }

    fn readable(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|field| field.status == Status::Ok).map(|field| &field.value)
    }

    /// Hash of every readable field of `class`: equal in two runs when the class did not change.
    pub fn fingerprint(&self, class: Class) -> String {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for (name, field) in
            self.0.iter().filter(|(_, f)| f.class == class && f.status == Status::Ok)
        {
            hash.update(format!("{name}={}\n", field.value).as_bytes());
        }
        format!("{:016x}", hash.digest())
    }
}

#[cfg(test)]
mod tests;
