//! What a run is, and its files under `results/runs/<run>/`.
//!
//! A run is everything that one `cargo bench` measured: one JSON file per bench process and `host.json`. The schema
//! is described for users in `results/README.md`; [`vocabulary`] holds the words, [`metric`] one
//! metric, [`figure`] matrices and curves in its details, [`bench`] one process's file.

pub mod atomic;
pub mod bench;
pub mod clock;
pub mod figure;
#[cfg(test)]
pub mod fixture;
pub mod metric;
pub mod pattern;
mod placement;
pub mod run_directory;
pub mod store;
pub mod throttle;
pub mod vocabulary;

pub use bench::{BenchRecord, SCHEMA};
pub use metric::{Ceiling, Interval, MetricId, MetricRecord, Placement, Summary, Work};
pub use vocabulary::{Cache, Direction, Origin, Part, State, Stop, Unit};
