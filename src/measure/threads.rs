//! How many threads it takes: a rate over the number of threads, its knee, and what second hardware threads add.
//!
//! Threads are spread over the last-level caches as far as they go, since each has its own way to memory; second
//! hardware threads of a core come last.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::subject::Subject;
use crate::Result;
use crate::host::cpus::{Cores, affinity};
use crate::host::{Root, Topology, Workers};
use crate::record::figure::{Axis, CURVE, Curve, Series};

/// The knee is the fewest threads that reach this share of the best.
const ENOUGH: f64 = 0.95;
/// Passes of a point; their median counts.
const PASSES: usize = 5;
/// Least time of a pass: starting threads together takes microseconds.
const PASS: Duration = Duration::from_millis(10);

/// CPUs in the order in which threads are added to them.
#[derive(Debug, Clone)]
pub struct Threads {
    order: Vec<usize>,
    /// How many of them are first hardware threads of their cores.
    cores: usize,
}

/// What a sweep over threads found.
#[derive(Debug, Clone)]
pub struct Scaling {
    /// The CPUs of the knee.
    pub cpus: Vec<usize>,
    /// For the record: the curve, `threads_at_knee`, and `smt_gain`, what all hardware threads reach over all cores
    /// less 1, where cores have second ones.
    pub details: BTreeMap<String, Value>,
}

impl Threads {
    /// Of `cores` on `topology`.
    pub fn new(cores: &Cores, topology: &Topology) -> Self {
        Self { order: spread(cores, topology), cores: cores.cores() }
    }

    /// Of this host, as far as `workers` may use it: with fewer workers than cores, a quota or the user limits them, and
    /// second hardware threads are then left out too.
    ///
    /// # Errors
    /// When the system does not tell which CPUs are allowed.
    pub fn of_host(workers: &Workers, topology: &Topology) -> Result<Self> {
        let cores = Cores::group(&Root::host(), &affinity()?);
        let limited = workers.count() != cores.cores();
        let cores =
            if limited { Cores::group(&Root::at("/nowhere"), workers.cpus()) } else { cores };
        Ok(Self::new(&cores, topology))
    }

    /// The `rate` of each number of threads, on the CPUs that it is given, along the axis `y`.
    ///
    /// # Errors
    /// The first of `rate`.
    pub fn sweep(&self, y: Axis, mut rate: impl FnMut(&[usize]) -> Result<f64>) -> Result<Scaling> {
        let mut points = Vec::new();
        for count in counts(self.cores, self.order.len()) {
            points.push([count as f64, rate(&self.order[..count])?]);
        }
        let knee = knee(&points).unwrap_or([self.order.len() as f64, 0.0]);
        let threads = (knee[0] as usize).min(self.order.len());
        let mut details = BTreeMap::from([("threads_at_knee".to_owned(), json!(threads))]);
        if let Some(gain) = smt_gain(&points, self.cores) {
            details.insert("smt_gain".into(), json!(gain));
        }
        let curve = Curve {
            x: Axis::linear("threads", ""),
            y,
            series: vec![Series { name: String::new(), points }],
            knee: Some(knee),
        };
        details.insert(CURVE.into(), json!(curve));
        Ok(Scaling { cpus: self.order[..threads].to_vec(), details })
    }
}

/// The median rate of some passes of `subject`, in its unit.
///
/// # Errors
/// As [`Subject::run`].
pub fn rate(subject: &mut impl Subject) -> Result<f64> {
    let (work, unit) = (subject.work(), subject.unit());
    let once = subject.run(1)?.0.max(Duration::from_nanos(1));
    let iterations = PASS.as_nanos().div_ceil(once.as_nanos()) as u64;
    let mut rates = Vec::new();
    for _ in 0..PASSES {
        let seconds = subject.run(iterations)?.0.as_secs_f64() / iterations as f64;
        rates.push(unit.value(&work, seconds));
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[PASSES / 2])
}

/// The first point that reaches [`ENOUGH`] of the best.
fn knee(points: &[[f64; 2]]) -> Option<[f64; 2]> {
    let best = points.iter().map(|point| point[1]).max_by(f64::total_cmp)?;
    points.iter().find(|point| point[1] >= ENOUGH * best).copied()
}

/// What all hardware threads reach over all `cores`, less 1.
fn smt_gain(points: &[[f64; 2]], cores: usize) -> Option<f64> {
    let (all, of_cores) = (points.last()?, points.iter().find(|point| point[0] == cores as f64)?);
    (all[0] > of_cores[0]).then(|| all[1] / of_cores[1] - 1.0)
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

    #[test]
    fn a_sweep_ends_at_the_knee_and_tells_what_second_threads_add() {
        let threads = Threads { order: vec![4, 5, 6, 7, 8, 9, 10, 11], cores: 4 };
        let rates = [(1, 20.0), (2, 39.0), (3, 50.0), (4, 50.0), (8, 55.0)];
        let rate = |cpus: &[usize]| {
            assert_eq!(cpus[0], 4);
            Ok(rates.iter().find(|(count, _)| *count == cpus.len()).expect("a count").1)
        };
        let scaling = threads.sweep(Axis::linear("read", "GB/s"), rate).unwrap();
        assert_eq!(scaling.cpus.len(), 8, "all threads are 5 % beyond three");
        assert!((scaling.details["smt_gain"].as_f64().unwrap() - 0.1).abs() < 1e-12);
        let no_smt = Threads { order: vec![0, 1], cores: 2 };
        let scaling = no_smt.sweep(Axis::linear("read", "GB/s"), |_| Ok(7.0)).unwrap();
        assert_eq!((scaling.cpus, scaling.details.get("smt_gain")), (vec![0], None));
    }

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
