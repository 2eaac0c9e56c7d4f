//! DRAM: how many bytes a second all cores move, and how long one dependent access takes.
//!
//! Bandwidth ([`Stream`]): every worker reads, writes, copies or combines its own slice, which it touched first, so
//! that the slice lies on its own node; streams are at least four times the last-level caches in use. Latency
//! ([`Latency`]): one load after the other along a single random cycle over cache lines ([`Cycle`]), so that neither
//! prefetchers nor out-of-order execution help; alone, and while
//! the other cores read as fast as they can ([`LoadedLatency`]). NUMA nodes are named by their role ([`Role`]). [`measure_read_ceiling`] is the figure that other parts hold their
//! own reads against.

mod ceiling;
mod chase;
pub mod kernels;
mod latency;
mod loaded;
mod plan;
mod roles;
mod stream;

pub use ceiling::{DramCeiling, measure_read_ceiling};
pub use chase::Cycle;
pub use kernels::Kernels;
pub use latency::{Latency, Level};
pub use loaded::LoadedLatency;
pub use plan::plan;
pub use roles::{Pair, Role, pairs};
pub use stream::{Loop, Stream};
