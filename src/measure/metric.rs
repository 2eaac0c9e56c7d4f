//! One metric from its preparation to its record.

use std::collections::BTreeMap;
use std::time::Duration;

use super::criterion_glue;
use super::plan::Planned;
use super::profile::Budget;
use super::sampling::{Sampled, sample, sample_token};
use super::statistics::summarise;
use super::subject::Subject;
use super::underway;
use super::validity::judge;
use crate::host::Conditions;
use crate::record::{Cache, MetricRecord, Placement, State, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// A metric's record, whatever happened, and the error that explains it.
pub struct Outcome {
    /// What is stored.
    pub record: MetricRecord,
    /// What went wrong.
    pub error: Option<Error>,
}

/// Prepares, verifies, warms up, samples, verifies again and judges one metric.
pub fn measure(planned: Planned, budget: &Budget) -> Outcome {
    underway::begin(&planned.id);
    let mut record = blank(&planned);
    let error = fill(&mut record, planned, budget).err();
    if let Some(error) = &error {
        // Samples that no verification followed may be of wrong results.
        let sampled = record.samples.len();
        let invalid = matches!(error, Error::Wrong(_)) || sampled > 0;
        record.state = if invalid { State::Invalid } else { State::Skipped };
        let cut = sampled > 0 && record.stop.is_none();
        let when = if cut { format!("cut short after sample {sampled}: ") } else { String::new() };
        record.reason = Some(format!("{when}{error}"));
    }
    Outcome { record, error }
}

/// Prepares and verifies one metric and lets Criterion run it as its command line says.
///
/// # Errors
/// Whatever preparing, verifying or running fails with.
pub fn try_once(planned: Planned) -> Result<()> {
    let (id, unit) = (planned.id, planned.unit);
    underway::begin(&id);
    let mut subject = (planned.prepare)()?;
    subject.verify()?;
    let mut failure = None;
    criterion_glue::delegate(&id, unit, &subject.work(), |iterations| {
        match subject.run(iterations) {
            Ok(elapsed) => elapsed.0.as_secs_f64(),
            Err(error) => {
                failure = Some(error);
                0.0
            }
        }
    });
    failure.map_or(Ok(()), Err)
}

fn blank(planned: &Planned) -> MetricRecord {
    MetricRecord {
        id: planned.id.clone(),
        part: planned.part,
        unit: planned.unit,
        direction: planned.unit.direction(),
        work: Work::default(),
        kernel_path: String::new(),
        cache: Cache::NotApplicable,
        state: State::Skipped,
        reason: None,
        ceiling: None,
        samples: Vec::new(),
        batch: 0,
        warm_up_iterations: 0,
        stop: None,
        summary: None,
        error_over_tolerance: None,
        placement: Placement::default(),
        conditions: BTreeMap::new(),
        details: BTreeMap::new(),
        unknown: BTreeMap::new(),
    }
}

fn fill(record: &mut MetricRecord, planned: Planned, budget: &Budget) -> Result<()> {
    let mut subject = (planned.prepare)()?;
    record.work = subject.work();
    record.kernel_path = subject.kernel_path();
    let before = subject.verify()?;
    let (conditions_before, device_before) = (Conditions::sample(), subject.conditions());
    let disqualified = subject.disqualified();
    let settle = if subject.settles() { budget.settle } else { Duration::ZERO };
    let budget = if subject.brief() { budget.brief() } else { budget.clone() };
    let budget = &Budget { settle, ..budget };
    let mut run = |iterations| Ok(subject.run(iterations)?.0);
    let sampled =
        if disqualified.is_some() { sample_token(&mut run)? } else { sample(budget, &mut run)? };
    let device_after = subject.conditions();
    let conditions_after = Conditions::sample();
    // Asked now: some ceilings (a PCIe link) are what they are only under load.
    record.ceiling = subject.ceiling();
    let cut = keep(record, sampled, budget)?;
    judge_kept(record, budget);
    if record.state == State::Invalid && subject.raise_ceiling()? {
        record.ceiling = subject.ceiling();
        judge_kept(record, budget);
    }
    if let (State::Ok | State::Noisy, Some(reason)) = (record.state, subject.throttled()) {
        (record.state, record.reason) = (State::Throttled, Some(reason));
    }
    if let Some(reason) = disqualified {
        (record.state, record.reason) = (State::Invalid, Some(reason));
    }
    record.conditions = Conditions::between(&conditions_before, &conditions_after);
    for (moment, device) in [("before", device_before), ("after", device_after)] {
        if let Some(serde_json::Value::Object(map)) = record.conditions.get_mut(moment) {
            map.extend(device);
        }
    }
    observe(record, subject.as_ref());
    if let Some(error) = cut {
        return Err(error);
    }
    // From here on there are samples: a wrong result now makes them invalid, and they are kept to show it.
    let after = subject.verify()?;
    record.error_over_tolerance = Some(worst(before, after));
    Ok(())
}

/// Keeps what was sampled; what cut it short, if anything did.
fn keep(record: &mut MetricRecord, sampled: Sampled, budget: &Budget) -> Result<Option<Error>> {
    let values: Vec<f64> =
        sampled.samples.iter().map(|&s| record.unit.value(&record.work, s)).collect();
    let summary = summarise(&values).ok_or_else(|| {
        Error::Wrong(format!("the samples give no finite {}", record.unit.symbol()))
    })?;
    record.summary = Some(summary);
    record.samples = sampled.samples;
    record.batch = sampled.batch;
    record.warm_up_iterations = sampled.warm_up_iterations;
    let (stop, cut) = match sampled.stop {
        Ok(stop) => (Some(stop), None),
        Err(error) => (None, Some(error)),
    };
    record.stop = stop;
    record.details.insert("warm_up_plateau".into(), sampled.plateau.into());
    if let Some(burst) = sampled.burst.filter(|_| !budget.settle.is_zero()) {
        let burst = record.unit.value(&record.work, burst);
        record.details.insert("burst".into(), burst.into());
    }
    Ok(cut)
}

/// State and reason by the samples that were kept and the ceiling.
fn judge_kept(record: &mut MetricRecord, budget: &Budget) {
    let (Some(summary), Some(stop)) = (&record.summary, record.stop) else { return };
    let ceiling = record.ceiling.as_ref();
    (record.state, record.reason) =
        judge(summary, record.direction, ceiling, stop, budget.noise_target);
}

/// What the subject can say only after it ran.
fn observe(record: &mut MetricRecord, subject: &dyn Subject) {
    record.cache = subject.cache();
    record.placement = subject.placement();
    record.details.append(&mut subject.details());
}

fn worst(a: Verified, b: Verified) -> f64 {
    a.error_over_tolerance.max(b.error_over_tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Elapsed, Profile};
    use crate::record::{Ceiling, MetricId, Origin, Part, Unit};

    /// A subject of 1 GB in 100 ms whose verifications give what `wrong` says, first to last.
    struct Fake {
        wrong: Vec<bool>,
        ceiling: f64,
        /// What the ceiling is when it is measured again.
        again: f64,
    }

    impl Subject for Fake {
        fn metric(&self) -> MetricId {
            MetricId::new(["fake", "read"])
        }
        fn part(&self) -> Part {
            Part::Dram
        }
        fn unit(&self) -> Unit {
            Unit::GigaBytes
        }
        fn work(&self) -> Work {
            Work { bytes_read: 1_000_000_000, ..Work::default() }
        }
        fn ceiling(&self) -> Option<Ceiling> {
            Some(Ceiling {
                value: self.ceiling,
                origin: Origin::Theoretical,
                source: "test".into(),
            })
        }
        fn raise_ceiling(&mut self) -> Result<bool> {
            let before = self.ceiling;
            self.ceiling = before.max(self.again);
            Ok(self.ceiling > before)
        }
        fn kernel_path(&self) -> String {
            "fake/path".into()
        }
        fn cache(&self) -> Cache {
            Cache::Cold
        }
        fn verify(&mut self) -> Result<Verified> {
            if self.wrong.remove(0) {
                return Err(Error::Wrong("C[0] = NaN".into()));
            }
            Ok(Verified { checked: 1, error_over_tolerance: 0.25 })
        }
        fn run(&mut self, iterations: u64) -> Result<Elapsed> {
            Ok(Elapsed(Duration::from_millis(100) * iterations as u32))
        }
    }

    fn planned(prepare: impl FnOnce() -> Result<Fake> + 'static) -> Planned {
        Planned {
            id: MetricId::new(["fake", "read"]),
            part: Part::Dram,
            unit: Unit::GigaBytes,
            prepare: Box::new(|| Ok(Box::new(prepare()?) as Box<dyn Subject>)),
        }
    }

    fn measured(wrong: [bool; 2], ceiling: f64) -> Outcome {
        let fake = Fake { wrong: wrong.to_vec(), ceiling, again: 0.0 };
        measure(planned(|| Ok(fake)), &Profile::Quick.budget())
    }

    #[test]
    fn a_right_and_steady_subject_is_ok() {
        let Outcome { record, error } = measured([false, false], 20.0);
        assert!(error.is_none());
        assert_eq!((record.state, record.reason), (State::Ok, None));
        let summary = record.summary.expect("summarised");
        assert!((summary.median - 10.0).abs() < 1e-9, "1 GB in 100 ms is 10 GB/s");
        assert_eq!((record.cache, record.kernel_path.as_str()), (Cache::Cold, "fake/path"));
        assert_eq!(record.error_over_tolerance, Some(0.25));
        assert!(record.samples.iter().all(|&s| (s - 0.1).abs() < 1e-9));
    }

    #[test]
    fn a_wrong_kernel_is_never_timed() {
        let Outcome { record, error } = measured([true, false], 20.0);
        assert!(matches!(error, Some(Error::Wrong(_))));
        assert_eq!((record.state, record.samples.len()), (State::Invalid, 0));
        assert!(record.reason.expect("a reason").contains("NaN"));
    }

    #[test]
    fn a_kernel_that_goes_wrong_while_timed_is_invalid_and_its_samples_are_kept() {
        let Outcome { record, .. } = measured([false, true], 20.0);
        assert_eq!(record.state, State::Invalid);
        assert!(!record.samples.is_empty());
    }

    #[test]
    fn faster_than_physics_is_invalid_but_no_error() {
        let Outcome { record, error } = measured([false, false], 5.0);
        assert!(error.is_none());
        assert_eq!(record.state, State::Invalid);
    }

    #[test]
    fn a_ceiling_that_was_measured_too_low_is_measured_again() {
        let once = |again| {
            let fake = Fake { wrong: vec![false; 2], ceiling: 5.0, again };
            measure(planned(move || Ok(fake)), &Profile::Quick.budget()).record
        };
        let raised = once(11.0);
        assert_eq!((raised.state, raised.ceiling.map(|c| c.value)), (State::Ok, Some(11.0)));
        let still_too_low = once(7.0);
        assert_eq!(still_too_low.state, State::Invalid);
        assert!(still_too_low.reason.expect("a reason").contains("7.0"));
    }

    #[test]
    fn what_this_host_lacks_is_skipped_with_the_cause() {
        let absent = || Err(Error::Unavailable("no GPU".into()));
        let Outcome { record, .. } = measure(planned(absent), &Profile::Quick.budget());
        assert_eq!((record.state, record.reason.as_deref()), (State::Skipped, Some("no GPU")));
        assert_eq!(record.unit, Unit::GigaBytes);
    }
}
