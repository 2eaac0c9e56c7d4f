//! DRAM: how many bytes a second cores move, from which node's memory, and how long one dependent access takes.
//!
//! Bandwidth ([`Stream`]): every worker reads, writes, copies or combines its own slice; streams are at least four times
//! the last-level caches in use. A slice lies where its worker touched it first, or where [`Home`] binds it, which is
//! proved before and after. Latency ([`Latency`]): one load after the other along a single random cycle over cache lines
//! ([`Cycle`]), so that neither prefetchers nor out-of-order execution help; alone, over sizes, and while the other cores
//! read ([`LoadedLatency`]). [`Handover`]: a line from core to core. NUMA nodes are named by their role ([`Role`]), pairs of
//! them by position. [`measure_read_ceiling`] is the figure that other parts hold their own reads against.

mod ceiling;
mod chase;
mod handover;
mod injectors;
pub mod kernels;
mod latency;
mod loaded;
mod plan;
mod roles;
mod scaling;
mod shared_node;
mod size;
mod stream;
mod sweep;

pub use ceiling::{DramCeiling, measure_read_ceiling};
pub use chase::Cycle;
pub use handover::{Handover, Relation};
pub use injectors::{Injectors, SLICE};
pub use kernels::Kernels;
pub use latency::{Latency, Level};
pub use loaded::{Load, LoadedLatency};
pub use plan::plan;
pub use roles::{Pair, Role, pairs};
pub use stream::{Home, Loop, Stream};
