//! Simulated hosts whose truth is known.
//!
//! Noise as public reports have it for a quiet server: boots differ by 0.7 % (standard deviation), processes of a boot
//! by 0.5 %, both scaled per metric by a factor between 0.5 and 2. Each comparison has 20 metrics, 3 boots a side and 3
//! processes a boot, as the manual asks for.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::fixture::bare;
use super::group::Group;
use super::verdict::Verdict;
use super::{Comparison, Options};
use crate::record::fixture::ok;

const METRICS: usize = 20;
const PROCESSES: usize = 3;
const BOOT_SD: f64 = 0.007;
const PROCESS_SD: f64 = 0.005;

struct Host {
    random: Pcg64Mcg,
    scales: Vec<f64>,
}

impl Host {
    fn new(seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let scales = (0..METRICS).map(|_| 2f64.powf(random.random_range(-1.0..1.0))).collect();
        Self { random, scales }
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0
    }

    /// A side of `boots`, of which the first `changed` metrics are `gain` better.
    fn side(&mut self, side: &str, boots: usize, changed: usize, gain: f64) -> Group {
        let mut runs = Vec::new();
        for boot in 0..boots {
            let offsets: Vec<f64> =
                (0..METRICS).map(|m| self.scales[m] * BOOT_SD * self.normal()).collect();
            for process in 0..PROCESSES {
                let metrics = (0..METRICS).map(|m| {
                    let noise = offsets[m] + self.scales[m] * PROCESS_SD * self.normal();
                    let true_gain = if m < changed { gain } else { 1.0 };
                    ok(&format!("dram/read/{m}"), 100.0 * true_gain * noise.exp())
                });
                let metrics = metrics.collect();
                let (name, boot) = (format!("{side}{boot}.{process}"), format!("{side}{boot}"));
                runs.push(bare(&name, &boot, metrics));
            }
        }
        Group::new(side, runs).unwrap()
    }
}

fn compare(a: &Group, b: &Group) -> Comparison {
    Comparison::new(a, b, &Options::default()).unwrap()
}

#[test]
fn the_same_host_against_itself_rarely_changes() {
    let (mut metrics, mut comparisons) = (0, 0);
    for seed in 0..1000 {
        let mut host = Host::new(seed);
        let (a, b) = (host.side("a", 3, 0, 1.0), host.side("b", 3, 0, 1.0));
        let comparison = compare(&a, &b);
        let claims = comparison.count(Verdict::Better) + comparison.count(Verdict::Worse);
        metrics += claims;
        comparisons += usize::from(claims > 0);
    }
    println!("false claims: {metrics} of 20,000 metrics, in {comparisons} of 1,000 comparisons");
    assert!(comparisons <= 50, "false claims in {comparisons} of 1,000 comparisons, at most 5 %");
    assert!(metrics <= 200, "{metrics} of 20,000 metrics, at most 1 %");
}

#[test]
fn a_true_change_of_three_percent_is_found() {
    let (mut found, mut wrong_way, mut false_claims) = (0, 0, 0);
    for seed in 0..250 {
        let mut host = Host::new(5000 + seed);
        let (a, b) = (host.side("a", 3, 0, 1.0), host.side("b", 3, 4, 1.03));
        for row in &compare(&a, &b).metrics {
            let number: usize = row.id.as_str().rsplit('/').next().unwrap().parse().unwrap();
            match (number < 4, row.verdict) {
                (true, Verdict::Better) => found += 1,
                (true, Verdict::Worse) => wrong_way += 1,
                (false, Verdict::Better | Verdict::Worse) => false_claims += 1,
                _ => {}
            }
        }
    }
    println!("found: {found} of 1,000 true changes; false: {false_claims} of 4,000 metrics");
    assert!(found >= 800, "{found} of 1,000 true changes, at least 80 %");
    assert_eq!(wrong_way, 0);
    assert!(false_claims <= 80, "{false_claims} of 4,000 unchanged metrics, at most 2 %");
}

#[test]
fn a_boot_with_many_processes_is_still_one_boot() {
    // One bad boot on one side, measured ten times: a test over processes would be certain of it.
    let values =
        |level: f64| (0..10).map(|i| level * (1.0 + 1e-3 * f64::from(i % 3))).collect::<Vec<_>>();
    let (mut a, mut b) = (
        super::fixture::boots("a", "dram/read", &values(100.0)),
        super::fixture::boots("b", "dram/read", &values(97.0)),
    );
    for (side, boot) in [(&mut a, "first"), (&mut b, "second")] {
        side.runs.iter_mut().for_each(|run| run.benches[0].boot_id = Some(boot.into()));
    }
    let comparison = compare(&a, &b);
    assert_eq!(comparison.metrics[0].verdict, Verdict::Underpowered);
    assert!(comparison.metrics[0].reason.contains("reboot"), "{}", comparison.metrics[0].reason);
    assert!(comparison.warnings.iter().any(|w| w.contains("a side has one boot")));
}
