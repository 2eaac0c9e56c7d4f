//! Latency over the size of what is walked: a step for each cache, then DRAM, and with small pages the steps of address
//! translation between them.

use std::time::Instant;

use super::chase::{Cycle, LINE};
use crate::Result;
use crate::host::Workers;
use crate::record::figure::{Axis, Curve, Series};

/// Smallest cycle: fits into every first-level cache.
const SMALLEST: usize = 8 << 10;
/// Accesses of one timing, and how many timings; their median counts.
const ACCESSES: u64 = 1 << 15;
const TIMINGS: usize = 3;

/// Sizes from [`SMALLEST`] to `largest`: powers of two, and the middle between each two of them.
pub fn sizes(largest: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(SMALLEST), |size| size.checked_mul(2));
    let both = powers.take_while(|&size| size < largest).flat_map(|size| [size, size / 2 * 3]);
    both.filter(|&size| size < largest).chain([largest]).collect()
}

/// The latency of cycles of every size up to `largest` in the memory of `cycle`, walked by the only one of `workers`.
/// The last cycle is left in place.
///
/// # Errors
/// [`crate::Error::Wrong`] when a cycle does not visit every line.
pub fn measure(workers: &Workers, cycle: &mut Cycle, largest: usize) -> Result<Curve> {
    let mut points = Vec::new();
    for size in sizes(largest) {
        let nanoseconds = workers.install(|| -> Result<f64> {
            cycle.link(size, rand::random())?;
            // Goes round once along the cycle, and so warms up the caches that hold it.
            cycle.verify()?;
            Ok(time(cycle))
        })?;
        points.push([(cycle.len() * LINE) as f64, nanoseconds]);
    }
    Ok(Curve {
        x: Axis::logarithmic("size of the cycle", "B"),
        y: Axis::logarithmic("latency", "ns"),
        series: vec![Series { name: String::new(), points }],
        knee: None,
    })
}

/// Nanoseconds of an access.
fn time(cycle: &mut Cycle) -> f64 {
    let mut times: Vec<f64> = (0..TIMINGS)
        .map(|_| {
            let start = Instant::now();
            cycle.walk(ACCESSES);
            start.elapsed().as_secs_f64() * 1e9 / ACCESSES as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[TIMINGS / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Pages, cpus::affinity};

    #[test]
    fn sizes_rise_from_the_first_level_to_the_largest() {
        let found = sizes(64 << 10);
        assert_eq!(found, [8, 12, 16, 24, 32, 48, 64].map(|kib| kib << 10));
        assert_eq!(sizes(20 << 10), [8, 12, 16, 20].map(|kib| kib << 10));
        assert_eq!(sizes(4096), [4096]);
    }

    #[test]
    fn every_size_has_a_point_and_the_last_cycle_stays() {
        let workers = Workers::on(&[affinity().unwrap()[0]]).unwrap();
        let mut cycle = Cycle::new(1 << 20, Pages::Small, 1).unwrap();
        let curve = measure(&workers, &mut cycle, 1 << 20).unwrap();
        let points = &curve.series[0].points;
        assert_eq!(points.len(), sizes(1 << 20).len());
        assert!(points.iter().all(|[_, ns]| *ns > 0.0) && points.is_sorted_by_key(|p| p[0]));
        assert_eq!(cycle.len(), (1 << 20) / LINE);
        cycle.verify().unwrap();
    }
}
