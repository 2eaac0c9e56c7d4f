//! Put an LLM-inference host on the dyno: measure every ceiling that bounds tokens per second.
//!
//! Modules import downwards in this order, and no part imports another part (but for [`transfer`], which drives the
//! device through [`cuda`], and the cores that compete with it through [`memory`]):
//! [`number`] < [`workload`] < [`host`] < [`record`] < [`measure`] < the parts ([`cpu`], [`cuda`], [`memory`],
//! [`storage`], [`transfer`]) < [`ceilings`], where benches get the ceilings of several parts, and [`selftest`], which
//! knows every kernel; and, over records, [`compare`], [`qualify`] and [`bottleneck`] < [`report`] < [`cli`]. `number`,
//! `workload` and these three do no I/O and know no device.

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

pub mod ceilings;
pub mod selftest;

pub mod bottleneck;
pub mod compare;
pub mod qualify;

pub mod report;

pub mod cli;

pub use error::{Error, Result};
