//! The host: topology, binding and its proof, environment fingerprint.

mod barrier;
pub mod buffer;
pub mod cache;
mod cgroup;
pub mod conditions;
pub mod cpus;
pub mod disjoint;
pub mod environment;
pub mod pages;
pub mod record;
pub mod root;
pub mod threads;

pub use buffer::Buffer;
pub use cache::Caches;
pub use disjoint::Disjoint;
pub use environment::Environment;
pub use pages::{Census, Pages};
pub use record::{HostRecord, boot_id};
pub use root::{Reading, Root};
pub use threads::{Worker, Workers};
