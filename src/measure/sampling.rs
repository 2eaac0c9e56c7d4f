//! Warm up to a plateau, then sample until the median is known well enough.
//!
//! The sampler sees a subject only as a function from a number of iterations to the time they took, so that its rules
//! can be tested on made-up time series.
//!
//! 1. *Warm-up*: batches of a [`STEPS`]th of its budget until the last [`PLATEAU_STEPS`] agree within [`PLATEAU_TOLERANCE`], since
//!    clocks, page tables and caches settle after a time that no fixed count fits.
//! 2. *Batch*: iterations of one sample, so that the budget holds about the largest number of samples and a sample is
//!    never shorter than [`SHORTEST_SAMPLE`], a hundred thousand times the clock's resolution.
//! 3. *Samples*: until the noise target is met by at least [`SETTLED_SAMPLES`] samples (fewer would often stop on
//!    a lucky streak), or the budget is used up and the fewest samples are there.

use std::time::{Duration, Instant};

use super::profile::{Budget, MIN_SAMPLES};
use super::statistics::{quantile, relative_half_width, summarise};
use crate::record::Stop;
use crate::{Error, Result};

/// Warm-up steps that fit in the warm-up budget. A step has to be a fair share of it: short steps agree with each
/// other in the middle of a slow drift too.
const STEPS: u32 = 20;
/// Warm-up steps in a row that have to agree.
const PLATEAU_STEPS: usize = 4;
/// Largest over smallest of the steps that have to agree.
const PLATEAU_TOLERANCE: f64 = 1.03;
/// Shortest sample.
const SHORTEST_SAMPLE: Duration = Duration::from_millis(1);
/// Samples before the noise target is looked at.
const SETTLED_SAMPLES: usize = 20;
/// Sampling ends early, with too few samples, when it has taken this many times its budget.
const OVERRUN: u32 = 20;

/// What sampling gave.
#[derive(Debug)]
pub struct Sampled {
    /// Seconds of one iteration, one entry a sample, in the order taken.
    pub samples: Vec<f64>,
    /// Iterations of one sample.
    pub batch: u64,
    /// Iterations before the first sample.
    pub warm_up_iterations: u64,
    /// Seconds of one iteration of the fastest warm-up step: what the device does before it is hot or at its power limit.
    pub burst: Option<f64>,
    /// Whether warm-up ended on a plateau rather than on its budget.
    pub plateau: bool,
    /// Why sampling ended; the failure that cut it short, after at least one sample.
    pub stop: Result<Stop>,
}

/// Warms up and samples `run`, which takes a number of iterations and returns how long they took.
///
/// # Errors
/// Whatever `run` fails with before the first sample is taken, or a time of zero: the work was optimised away or the
/// clock stands still.
pub fn sample(budget: &Budget, mut run: impl FnMut(u64) -> Result<Duration>) -> Result<Sampled> {
    let mut seconds_of_one = |iterations: u64| -> Result<f64> {
        let elapsed = run(iterations)?;
        if elapsed.is_zero() {
            return Err(Error::Wrong(format!("{iterations} iterations took no time at all")));
        }
        Ok(elapsed.as_secs_f64() / iterations as f64)
    };
    let warm = warm_up(budget, &mut seconds_of_one)?;

    let share = budget.sampling / *budget.samples.end() as u32;
    let batch = batch_of(share.max(SHORTEST_SAMPLE), warm.seconds);
    let (mut samples, mut spent) = (Vec::new(), Spent::start());
    let stop = loop {
        let seconds = match seconds_of_one(batch) {
            Ok(seconds) => seconds,
            Err(error) if samples.is_empty() => return Err(error),
            Err(error) => break Err(error),
        };
        samples.push(seconds);
        spent.add(seconds * batch as f64);
        if samples.len() == *budget.samples.end() {
            break Ok(Stop::SampleCount);
        }
        let enough = samples.len() >= *budget.samples.start();
        if (enough && spent.total() >= budget.sampling)
            || spent.total() >= budget.sampling * OVERRUN
        {
            break Ok(Stop::TimeBudget);
        }
        if samples.len() >= SETTLED_SAMPLES.max(*budget.samples.start())
            && summarise(&samples).is_some_and(|s| relative_half_width(&s) <= budget.noise_target)
        {
            break Ok(Stop::NoiseTarget);
        }
    };
    Ok(Sampled {
        samples,
        batch,
        warm_up_iterations: warm.iterations,
        burst: Some(warm.burst),
        plateau: warm.plateau,
        stop,
    })
}

/// The fewest samples, of one iteration each, without warm-up: for a device whose times mean nothing, and whose
/// iterations take far longer than it says.
///
/// # Errors
/// Whatever `run` fails with before the first sample is taken.
pub fn sample_token(mut run: impl FnMut(u64) -> Result<Duration>) -> Result<Sampled> {
    let mut samples = Vec::with_capacity(MIN_SAMPLES);
    let stop = loop {
        match run(1) {
            Ok(elapsed) => samples.push(elapsed.as_secs_f64()),
            Err(error) if samples.is_empty() => return Err(error),
            Err(error) => break Err(error),
        }
        if samples.len() == MIN_SAMPLES {
            break Ok(Stop::SampleCount);
        }
    };
    Ok(Sampled { samples, batch: 1, warm_up_iterations: 0, burst: None, plateau: false, stop })
}

/// Iterations of `seconds` each that last about `duration`.
fn batch_of(duration: Duration, seconds: f64) -> u64 {
    ((duration.as_secs_f64() / seconds).round() as u64).max(1)
}

struct WarmUp {
    /// Seconds of one iteration at the end: the median of the last steps.
    seconds: f64,
    iterations: u64,
    /// Seconds of one iteration of the fastest step.
    burst: f64,
    plateau: bool,
}

fn warm_up(budget: &Budget, seconds_of_one: &mut impl FnMut(u64) -> Result<f64>) -> Result<WarmUp> {
    let (mut spent, mut iterations, mut batch) = (Spent::start(), 0, 1);
    let (most, mut burst) = (budget.settle + budget.warm_up, f64::INFINITY);
    let mut last = Vec::with_capacity(PLATEAU_STEPS + 1);
    loop {
        let seconds = seconds_of_one(batch)?;
        iterations += batch;
        burst = burst.min(seconds);
        spent.add(seconds * batch as f64);
        last.push(seconds);
        if last.len() > PLATEAU_STEPS {
            last.remove(0);
        }
        let mut sorted = last.clone();
        sorted.sort_by(f64::total_cmp);
        let plateau = sorted.len() == PLATEAU_STEPS
            && sorted[PLATEAU_STEPS - 1] <= sorted[0] * PLATEAU_TOLERANCE;
        if (plateau && spent.total() >= budget.settle) || spent.total() >= most {
            return Ok(WarmUp { seconds: quantile(&sorted, 0.5), iterations, burst, plateau });
        }
        batch = batch_of(budget.warm_up / STEPS, seconds);
    }
}

/// Time used up: the larger of the wall clock (set-up between timed parts costs too) and the time reported (a device's
/// clock, or a made-up one in tests).
struct Spent {
    start: Instant,
    reported: f64,
}

impl Spent {
    fn start() -> Self {
        Self { start: Instant::now(), reported: 0.0 }
    }

    fn add(&mut self, seconds: f64) {
        self.reported += seconds;
    }

    fn total(&self) -> Duration {
        self.start.elapsed().max(Duration::from_secs_f64(self.reported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::profile::Profile;

    /// Runs whose iterations take `seconds(nth iteration)`.
    fn series(mut seconds: impl FnMut(u64) -> f64) -> impl FnMut(u64) -> Result<Duration> {
        let mut done = 0;
        move |iterations| {
            let total: f64 = (0..iterations).map(|i| seconds(done + i)).sum();
            done += iterations;
            Ok(Duration::from_secs_f64(total))
        }
    }

    fn standard() -> Budget {
        Budget { settle: Duration::ZERO, ..Profile::Standard.budget() }
    }

    #[test]
    fn what_has_to_settle_is_not_sampled_before() {
        // As fast as it gets for a second, then slower by a tenth: the first plateau is not the last.
        let droop = |i: u64| if i < 1000 { 1e-3 } else { 1.1e-3 };
        let sampled = sample(&Profile::Standard.budget(), series(droop)).expect("sampled");
        assert!(sampled.samples.iter().all(|s| (s - 1.1e-3).abs() < 1e-9), "{sampled:?}");
        assert!((sampled.burst.expect("seen") - 1e-3).abs() < 1e-9);
    }

    #[test]
    fn a_steady_series_stops_on_the_noise_target() {
        let sampled = sample(&standard(), series(|_| 1e-3)).expect("sampled");
        assert!(matches!(sampled.stop, Ok(Stop::NoiseTarget)));
        assert_eq!(sampled.samples.len(), SETTLED_SAMPLES);
        assert!(sampled.plateau);
        assert_eq!(sampled.batch, 20, "20 ms of a 2 s budget of 100 samples");
        assert!(sampled.samples.iter().all(|s| (s - 1e-3).abs() < 1e-9));
    }

    #[test]
    fn warm_up_outlasts_a_ramp_and_keeps_it_out_of_the_samples() {
        // The first 300 iterations (half a second) are slower and falling.
        let ramp = |i: u64| if i < 300 { 2e-3 - i as f64 * 3e-6 } else { 1e-3 };
        let sampled = sample(&standard(), series(ramp)).expect("sampled");
        assert!(sampled.plateau && sampled.warm_up_iterations >= 300, "{sampled:?}");
        assert!(sampled.samples.iter().all(|s| (s - 1e-3).abs() < 1e-9));
    }

    #[test]
    fn warm_up_that_never_settles_ends_on_its_budget() {
        let sampled =
            sample(&standard(), series(|i| 1e-2 * (1.0 + (i % 2) as f64))).expect("sampled");
        assert!(!sampled.plateau);
    }

    #[test]
    fn noise_uses_up_the_budget() {
        // Alternating 10 and 20 ms: the interval of the median never closes.
        let sampled =
            sample(&standard(), series(|i| if i % 2 == 0 { 2e-2 } else { 4e-2 })).expect("sampled");
        assert!(matches!(sampled.stop, Ok(Stop::TimeBudget)));
        assert!(sampled.samples.len() >= *standard().samples.start());
    }

    #[test]
    fn slow_work_still_gets_the_fewest_samples() {
        let sampled = sample(&standard(), series(|_| 1.0)).expect("sampled");
        assert_eq!((sampled.batch, sampled.samples.len()), (1, *standard().samples.start()));
        assert!(matches!(sampled.stop, Ok(Stop::TimeBudget)));
    }

    #[test]
    fn hopelessly_slow_work_ends_early() {
        let sampled = sample(&standard(), series(|_| 30.0)).expect("sampled");
        assert!(sampled.samples.len() < *standard().samples.start());
    }

    #[test]
    fn a_fixed_count_is_kept_to() {
        let budget = Budget { samples: 37..=37, ..standard() };
        let sampled = sample(&budget, series(|_| 1e-4)).expect("sampled");
        assert_eq!(sampled.samples.len(), 37);
        assert!(matches!(sampled.stop, Ok(Stop::SampleCount)));
    }

    #[test]
    fn no_time_at_all_is_an_error() {
        let error = sample(&standard(), |_| Ok(Duration::ZERO)).expect_err("no time");
        assert!(matches!(error, Error::Wrong(_)), "{error}");
    }

    #[test]
    fn a_failure_is_passed_on() {
        let error = sample(&standard(), |_| Err(Error::Unavailable("gone".into())));
        assert!(matches!(error, Err(Error::Unavailable(_))));
        let token = sample_token(|_| Err(Error::Unavailable("gone".into())));
        assert!(matches!(token, Err(Error::Unavailable(_))));
    }

    #[test]
    fn what_was_sampled_before_a_failure_is_kept_with_it() {
        let gone = || Err(Error::Unavailable("gone".into()));
        let mut left = 2;
        let mut token = |_| {
            left -= 1;
            if left < 0 { gone() } else { Ok(Duration::from_secs(1)) }
        };
        let sampled = sample_token(&mut token).expect("two samples");
        assert_eq!(sampled.samples, [1.0; 2]);
        assert!(matches!(sampled.stop, Err(Error::Unavailable(_))));

        let mut steady = series(|_| 1.0);
        let mut calls = 0;
        let sampled = sample(&standard(), |iterations| {
            calls += 1;
            if calls > PLATEAU_STEPS + 3 { gone() } else { steady(iterations) }
        });
        let sampled = sampled.expect("sampled");
        assert!(!sampled.samples.is_empty() && sampled.samples.iter().all(|&s| s == 1.0));
        assert!(matches!(sampled.stop, Err(Error::Unavailable(_))));
    }
}
