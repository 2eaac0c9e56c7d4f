//! Put an LLM-inference host on the dyno: measure every ceiling that bounds tokens per second.
//!
//! Modules import downwards in this order, and no part imports another part:
//! [`number`] < [`workload`] < [`host`] < [`record`] < [`measure`] < the parts ([`cpu`], [`memory`],
//! [`storage`], `cuda`, `transfer`) < the consumers of records (`report`, `cli`).
//! `number` and `workload` do no I/O and know no device.

pub mod error;

pub mod number;
pub mod workload;

pub mod host;
pub mod record;

pub mod measure;

pub mod cpu;
pub mod cuda;
pub mod memory;
pub mod storage;
pub mod transfer;

pub mod report;

pub mod cli;

pub mod ceilings;

pub use error::{Error, Result};
