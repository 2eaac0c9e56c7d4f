//! What a run is, and its files under `results/runs/<run>/`.
//!
//! A run is everything that one `cargo bench` measured: one JSON file per bench process and `host.json`. The schema
//! is described for users in `results/README.md`; [`metric`] holds the vocabulary, [`bench`] one process's file.

pub mod atomic;
pub mod bench;
pub mod metric;
mod placement;
pub mod run_directory;
pub mod store;

pub use bench::{BenchRecord, SCHEMA};
pub use metric::{
    Cache, Ceiling, Direction, Interval, MetricId, MetricRecord, Origin, Part, Placement, State,
    Stop, Summary, Unit, Work,
};
