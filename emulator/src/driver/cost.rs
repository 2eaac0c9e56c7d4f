//! The stated cost model: what event times are made of. **Not a performance figure.**
//!
//! Emulated time exists so that a harness can be tested: it is deterministic, additive, and moves the way hardware would
//! (twice the bytes, twice the time; half the clock, twice the instruction time). It is no prediction. Each stream has a
//! clock, in picoseconds; an operation starts at the latest of its stream's clock and of what it waits for, and takes:
//!
//! - **kernel**: `LAUNCH` + the larger of
//!   - memory: (32-byte sectors of loads and stores x 32 + bulk bytes) / memory bandwidth;
//!   - issue: warp instructions / (4 a clock a multiprocessor); bank conflicts add one issue slot each;
//!   - tensor: 2 x multiply-adds / the model's dense BF16 rate, for all formats alike;
//! - **copy between host and device**: `COPY` + bytes / PCIe rate (x16, 85 % of the raw line rate); pageable memory at half;
//! - **copy within the device**: `COPY` + 2 x bytes / memory bandwidth; **fill**: `COPY` + bytes / memory bandwidth;
//! - **graph**: `LAUNCH` once, then `GRAPH_NODE` a node instead of `LAUNCH`/`COPY`, along the longest path;
//! - **event, wait, host function**: nothing.
//!
//! Work of different streams does not slow each other down, caches do not exist, and a device idle between two
//! submissions of the host does not age: the same calls give the same times on every machine.

use super::model::Model;
use crate::machine::Counters;

/// Picoseconds of emulated device time.
pub type Picoseconds = u64;

/// Fixed cost of a kernel launch or graph launch: 2 us.
pub const LAUNCH: Picoseconds = 2_000_000;
/// Fixed cost of a copy or fill: 1 us.
pub const COPY: Picoseconds = 1_000_000;
/// Fixed cost of an operation inside a graph: 1 us.
pub const GRAPH_NODE: Picoseconds = 1_000_000;

/// Warp instructions that a multiprocessor issues a clock (four schedulers from capability 5.0 on).
const ISSUE_PER_CLOCK: u64 = 4;
/// Bytes of a memory sector.
const SECTOR: u64 = 32;

/// `numerator / rate`, where the rate is in units a second.
fn at_rate(units: f64, per_second: f64) -> Picoseconds {
    (units / per_second * 1e12).round() as Picoseconds
}

fn memory_rate(model: &Model) -> f64 {
    f64::from(model.memory_gbps) * 1e9
}

/// What a kernel's counters cost, without the fixed part. `clock` is the fraction of the model's clock (throttling).
#[must_use]
pub fn kernel(model: &Model, counters: &Counters, clock: f64) -> Picoseconds {
    let bytes = (counters.global_load_sectors + counters.global_store_sectors) * SECTOR
        + counters.bulk_load_bytes
        + counters.bulk_store_bytes;
    let hertz = f64::from(model.clock_khz) * 1e3 * clock;
    let multiprocessors = f64::from(model.multiprocessors);
    let slots = (counters.instructions + counters.bank_conflicts) as f64;
    let issue = at_rate(slots, ISSUE_PER_CLOCK as f64 * multiprocessors * hertz);
    let tensor_rate = f64::from(model.tensor_ops_per_clock) * multiprocessors * hertz;
    let tensor = at_rate(2.0 * counters.tensor_macs as f64, tensor_rate);
    at_rate(bytes as f64, memory_rate(model)).max(issue).max(tensor)
}

/// Where the bytes of a copy are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Between page-locked host memory and a device.
    Pinned,
    /// Between pageable host memory and a device.
    Pageable,
    /// Within device memory.
    Device,
    /// Host to host: no device time.
    Host,
}

/// What a copy costs, without the fixed part.
#[must_use]
pub fn copy(model: &Model, bytes: u64, route: Route) -> Picoseconds {
    // Raw rate of x16 after line coding, GB/s, one direction: generation 3 is 15.75 and each later one doubles it.
    let raw = 15.75e9 * f64::from(1_u32 << model.pcie_generation.saturating_sub(3));
    let pcie = raw * 0.85;
    let bytes = bytes as f64;
    match route {
        Route::Pinned => at_rate(bytes, pcie),
        Route::Pageable => at_rate(bytes, pcie / 2.0),
        Route::Device => at_rate(2.0 * bytes, memory_rate(model)),
        Route::Host => 0,
    }
}

/// What a fill costs, without the fixed part.
#[must_use]
pub fn fill(model: &Model, bytes: u64) -> Picoseconds {
    at_rate(bytes as f64, memory_rate(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h100() -> &'static Model {
        Model::find("h100").expect("known model")
    }

    #[test]
    fn the_slowest_resource_decides() {
        let mut counters = Counters { global_load_sectors: 1 << 20, ..Default::default() };
        // 32 MiB at 3350 GB/s.
        assert_eq!(kernel(h100(), &counters, 1.0), 10_016_248);
        counters.instructions = 132 * 4 * 1_830_000; // one millisecond of every issue slot
        assert_eq!(kernel(h100(), &counters, 1.0), 1_000_000_000);
        counters.tensor_macs = 132 * 2048 * 3_660_000; // two milliseconds of every tensor core
        assert_eq!(kernel(h100(), &counters, 1.0), 2_000_000_000);
        assert_eq!(kernel(h100(), &counters, 0.5), 4_000_000_000, "half the clock, twice the time");
    }

    #[test]
    fn copies_are_proportional_and_pageable_memory_is_slower() {
        let time = |bytes, route| copy(h100(), bytes, route);
        assert_eq!(time(2 << 30, Route::Pinned), 2 * time(1 << 30, Route::Pinned));
        assert_eq!(time(1 << 30, Route::Pageable), 2 * time(1 << 30, Route::Pinned));
        // 53.55e9 B/s.
        assert_eq!(time(53_550_000, Route::Pinned), 1_000_000_000);
    }
}
