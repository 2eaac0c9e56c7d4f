//! How many cores it takes to use the memory: read bandwidth over the number of threads, and its knee.
//!
//! Threads are spread over the last-level caches as far as they go, since each has its own way to memory; second
//! hardware threads of a core come last.

use std::sync::Arc;

use serde_json::json;

use super::ceiling::DramCeiling;
use super::stream::{Home, Loop, Stream};
use crate::Result;
use crate::host::cpus::Cores;
use crate::host::{Topology, Workers};
use crate::measure::Subject;
use crate::record::figure::{Axis, CURVE, Curve, Series};
use crate::record::{MetricId, Unit};

/// The knee is the fewest threads that reach this share of the best.
const ENOUGH: f64 = 0.95;
/// Passes of a point; their median counts.
const PASSES: usize = 5;

/// Name of the metric: bandwidth at the knee.
pub fn id() -> MetricId {
    MetricId::new(["dram", Loop::Read.name(), "knee"])
}

/// Measures the curve on up to all of `cores`, and prepares a read by as many threads as the knee has.
///
/// # Errors
/// As [`Stream::new`].
pub fn at_the_knee(cores: &Cores, topology: &Topology, ceiling: DramCeiling) -> Result<Stream> {
    let order = spread(cores, topology);
    let mut points = Vec::new();
    for count in counts(cores.cores(), order.len()) {
        let rate = rate(&mut read(&order[..count], DramCeiling::not_known("a point of a curve"))?)?;
        points.push([count as f64, rate]);
    }
    let knee = knee(&points).unwrap_or([order.len() as f64, 0.0]);
    let threads = (knee[0] as usize).min(order.len());
    let mut stream = read(&order[..threads], ceiling)?;
    let curve = Curve {
        x: Axis::linear("threads", ""),
        y: Axis::linear("read", "GB/s"),
        series: vec![Series { name: String::new(), points }],
        knee: Some(knee),
    };
    stream.note(CURVE, json!(curve));
    stream.note("threads_at_knee", threads);
    Ok(stream)
}

fn read(cpus: &[usize], ceiling: DramCeiling) -> Result<Stream> {
    let workers = Arc::new(Workers::on(cpus)?);
    Stream::at(id(), workers, Loop::Read, &Home::Toucher, ceiling)
}

/// The median rate of some passes, in GB/s.
///
/// # Errors
/// When a pass reads a wrong sum.
pub fn rate(stream: &mut Stream) -> Result<f64> {
    let work = stream.work();
    stream.run(1)?;
    let mut rates = Vec::new();
    for _ in 0..PASSES {
        rates.push(Unit::GigaBytes.value(&work, stream.run(1)?.0.as_secs_f64()));
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[PASSES / 2])
}

/// The first point that reaches [`ENOUGH`] of the best.
fn knee(points: &[[f64; 2]]) -> Option<[f64; 2]> {
    let best = points.iter().map(|point| point[1]).max_by(f64::total_cmp)?;
    points.iter().find(|point| point[1] >= ENOUGH * best).copied()
}

/// Numbers of threads: powers of two with the middle between each two of them, all cores, all hardware threads.
fn counts(cores: usize, threads: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |count| count.checked_mul(2));
    let mut counts: Vec<usize> = powers
        .take_while(|&count| count < cores)
        .flat_map(|count| [count, count / 2 * 3])
        .filter(|&count| 0 < count && count < cores)
        .chain([cores, threads])
        .collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// The CPUs of `cores`, first ones of every core first, each next one from another last-level cache.
fn spread(cores: &Cores, topology: &Topology) -> Vec<usize> {
    let all = cores.first(cores.threads()).unwrap_or_default();
    let (first, second) = all.split_at(cores.cores().min(all.len()));
    let cache = |cpu: &usize| topology.last_level().position(|cache| cache.cpus.contains(cpu));
    let deal = |cpus: &[usize]| -> Vec<usize> {
        let mut seen = std::collections::BTreeMap::new();
        let mut turns: Vec<(usize, usize)> = cpus
            .iter()
            .map(|cpu| {
                let turn = seen.entry(cache(cpu)).or_insert(0usize);
                *turn += 1;
                (*turn, *cpu)
            })
            .collect();
        // Stable: within a turn the order of the caches stays.
        turns.sort_by_key(|&(turn, _)| turn);
        turns.into_iter().map(|(_, cpu)| cpu).collect()
    };
    [deal(first), deal(second)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Root;

    #[test]
    fn the_knee_is_the_fewest_threads_that_are_enough() {
        let points = [[1.0, 20.0], [2.0, 40.0], [4.0, 77.0], [8.0, 80.0], [16.0, 79.0]];
        assert_eq!(knee(&points), Some([4.0, 77.0]));
        assert_eq!(knee(&[[1.0, 5.0]]), Some([1.0, 5.0]));
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn counts_end_with_all_cores_and_all_threads() {
        assert_eq!(counts(1, 1), [1]);
        assert_eq!(counts(2, 4), [1, 2, 4]);
        assert_eq!(counts(8, 16), [1, 2, 3, 4, 6, 8, 16]);
        assert_eq!(counts(12, 12), [1, 2, 3, 4, 6, 8, 12]);
    }

    #[test]
    fn threads_go_to_every_cache_before_they_share_one() {
        // Two caches of two cores each, no SMT that this host would know of.
        let topology = Topology::synthetic("Package:1 [numa(memory=1GB)] L3:2 Core:2 PU:1");
        let cores = Cores::group(&Root::at("/nowhere"), &[0, 1, 2, 3]);
        assert_eq!(spread(&cores, &topology), [0, 2, 1, 3]);
        let unknown = Topology::from_sysfs(&Root::at("/nowhere"));
        assert_eq!(spread(&cores, &unknown), [0, 1, 2, 3]);
    }

    #[test]
    fn second_threads_of_a_core_come_last() {
        let dir = tempfile::tempdir().unwrap();
        for (cpu, list) in [(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")] {
            let at = dir.path().join(format!("sys/devices/system/cpu/cpu{cpu}/topology"));
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("thread_siblings_list"), list).unwrap();
        }
        let cores = Cores::group(&Root::at(dir.path()), &[0, 1, 2, 3]);
        let topology = Topology::synthetic("Package:1 [numa(memory=1GB)] L3:1 Core:2 PU:2");
        assert_eq!(spread(&cores, &topology), [0, 2, 1, 3]);
    }
}
