//! Faults on demand: what a harness must survive, produced at a stated moment.
//!
//! A plan is a comma-separated list, from `HOSTDYNO_EMULATED_FAULTS` or from `hostdyno_emulator_inject`:
//!
//! | item | effect |
//! |---|---|
//! | `oom@N` | the N-th device allocation (from 1) returns `CUDA_ERROR_OUT_OF_MEMORY`; the next one works again |
//! | `busy@N` | the N-th context is refused with `CUDA_ERROR_DEVICE_UNAVAILABLE`, as on a device that another process holds in exclusive mode |
//! | `launch@N` | the N-th kernel launch ends in `CUDA_ERROR_LAUNCH_FAILED`: asynchronous, sticky |
//! | `ecc@N` | the N-th kernel launch ends in `CUDA_ERROR_ECC_UNCORRECTABLE`: asynchronous, sticky |
//! | `hang@N` | the N-th kernel launch never ends by itself; the watchdog ends it: `CUDA_ERROR_LAUNCH_TIMEOUT`, sticky |
//! | `lost@N` | at the N-th kernel launch the device falls off the bus: `CUDA_ERROR_UNKNOWN`, sticky; new contexts get `CUDA_ERROR_DEVICE_UNAVAILABLE` |
//! | `wrong@N` | the N-th kernel launch succeeds, then bit 6 of byte 3 is flipped behind each device pointer it was given: silent corruption |
//! | `slow-copy=F` or `slow-copy=F@N` | copies between host and device take F times as long, from the N-th on |
//! | `throttle=F` or `throttle=F@N` | the clock falls to the fraction F (0 < F <= 1), from the N-th kernel launch on |
//!
//! Anything else is refused, so that a typing error never becomes a test that passes because nothing was injected.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to one kernel launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchFault {
    /// `launch`: unspecified launch failure.
    Failed,
    /// `ecc`: uncorrectable ECC error.
    Ecc,
    /// `hang`: ended by the watchdog.
    Hang,
    /// `lost`: the device is gone.
    Lost,
    /// `wrong`: silent corruption.
    Wrong,
}

/// One item of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    OutOfMemory { at: u64 },
    Busy { at: u64 },
    Launch { fault: LaunchFault, at: u64 },
    SlowCopy { factor: f64, from: u64 },
    Throttle { factor: f64, from: u64 },
}

/// A plan was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    item: String,
    reason: &'static str,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, reason } = self;
        write!(
            f,
            "fault '{item}': {reason}. Known: oom@N, busy@N, launch@N, ecc@N, hang@N, lost@N, wrong@N, slow-copy=F[@N], \
             throttle=F[@N], separated by commas"
        )
    }
}

impl std::error::Error for PlanError {}

fn parse_item(text: &str) -> Result<Item, PlanError> {
    let refuse = |reason| PlanError { item: text.to_string(), reason };
    let (head, at) = match text.split_once('@') {
        None => (text, None),
        // `parse` alone would take a leading plus sign.
        Some((head, n)) => match n.parse::<u64>() {
            Ok(at) if at > 0 && n.starts_with(|c: char| c.is_ascii_digit()) => (head, Some(at)),
            _ => return Err(refuse("N must be a whole number from 1")),
        },
    };
    if let Some((kind, factor)) = head.split_once('=') {
        let factor = factor.parse::<f64>().ok().filter(|f| f.is_finite() && *f > 0.0);
        let factor = factor.ok_or_else(|| refuse("F must be a number above 0"))?;
        let from = at.unwrap_or(1);
        return match kind {
            "slow-copy" if factor >= 1.0 => Ok(Item::SlowCopy { factor, from }),
            "slow-copy" => Err(refuse("F must be at least 1")),
            "throttle" if factor <= 1.0 => Ok(Item::Throttle { factor, from }),
            "throttle" => Err(refuse("F must be at most 1")),
            _ => Err(refuse("no such fault with a factor")),
        };
    }
    let at = at.ok_or_else(|| refuse("the moment is missing"))?;
    let launch = |fault| Ok(Item::Launch { fault, at });
    match head {
        "oom" => Ok(Item::OutOfMemory { at }),
        "busy" => Ok(Item::Busy { at }),
        "launch" => launch(LaunchFault::Failed),
        "ecc" => launch(LaunchFault::Ecc),
        "hang" => launch(LaunchFault::Hang),
        "lost" => launch(LaunchFault::Lost),
        "wrong" => launch(LaunchFault::Wrong),
        _ => Err(refuse("no such fault with a moment")),
    }
}

/// The plan, and how far the process has come.
#[derive(Debug, Default)]
pub struct Faults {
    items: Mutex<Vec<Item>>,
    allocations: AtomicU64,
    contexts: AtomicU64,
    launches: AtomicU64,
    copies: AtomicU64,
}

impl Faults {
    /// Adds a plan; moments count from now on (the process's start, for the environment's plan).
    ///
    /// # Errors
    /// [`PlanError`] names the item; nothing of the plan is then taken.
    pub fn add(&self, plan: &str) -> Result<(), PlanError> {
        let parsed =
            plan.split(',').map(str::trim).map(parse_item).collect::<Result<Vec<_>, _>>()?;
        let base = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let shifted = parsed.into_iter().map(|item| match item {
            Item::OutOfMemory { at } => Item::OutOfMemory { at: at + base(&self.allocations) },
            Item::Busy { at } => Item::Busy { at: at + base(&self.contexts) },
            Item::Launch { fault, at } => Item::Launch { fault, at: at + base(&self.launches) },
            Item::SlowCopy { factor, from } => {
                Item::SlowCopy { factor, from: from + base(&self.copies) }
            }
            Item::Throttle { factor, from } => {
                Item::Throttle { factor, from: from + base(&self.launches) }
            }
        });
        self.lock().extend(shifted);
        Ok(())
    }

    /// Counts a device allocation; true if it must fail.
    pub fn next_allocation_fails(&self) -> bool {
        let now = self.allocations.fetch_add(1, Ordering::SeqCst) + 1;
        self.lock().contains(&Item::OutOfMemory { at: now })
    }

    /// Counts a context that is asked for; true if it must be refused.
    pub fn next_context_is_refused(&self) -> bool {
        let now = self.contexts.fetch_add(1, Ordering::SeqCst) + 1;
        self.lock().contains(&Item::Busy { at: now })
    }

    /// Counts a kernel launch; what happens to it, and the fraction of the clock that it runs at.
    pub fn next_launch(&self) -> (Option<LaunchFault>, f64) {
        let now = self.launches.fetch_add(1, Ordering::SeqCst) + 1;
        let (mut fault, mut clock) = (None, 1.0);
        for item in self.lock().iter() {
            match *item {
                Item::Launch { fault: f, at } if at == now => fault = fault.or(Some(f)),
                Item::Throttle { factor, from } if now >= from => clock = factor,
                _ => {}
            }
        }
        (fault, clock)
    }

    /// Counts a copy between host and device; how many times its cost it takes.
    pub fn next_copy(&self) -> f64 {
        let now = self.copies.fetch_add(1, Ordering::SeqCst) + 1;
        self.lock().iter().fold(1.0, |slow, item| match *item {
            Item::SlowCopy { factor, from } if now >= from => factor,
            _ => slow,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Item>> {
        self.items.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_refused_by_name() {
        for bad in [
            "",
            "oom",
            "oom@",
            "oom@0",
            "oom@-1",
            "oom@1.5",
            "oom@+1",
            "omm@1",
            "oom=3",
            "oom@1,",
            "launch@1;ecc@2",
            "slow-copy",
            "slow-copy@3",
            "slow-copy=0.5",
            "throttle=1.5",
            "throttle=0",
            "throttle=nan",
            "slow-copy=inf",
            "oom@3 launch@5",
        ] {
            let error = Faults::default().add(bad).expect_err(bad).to_string();
            assert!(error.contains("Known:"), "{error}");
        }
    }

    #[test]
    fn each_fault_strikes_at_its_moment_only() {
        let faults = Faults::default();
        faults
            .add("busy@2,oom@2, launch@3,ecc@4,throttle=0.5@2,slow-copy=8@2")
            .expect("valid plan");
        assert_eq!([(); 3].map(|()| faults.next_allocation_fails()), [false, true, false]);
        assert_eq!([(); 3].map(|()| faults.next_context_is_refused()), [false, true, false]);
        let launches = [(); 5].map(|()| faults.next_launch());
        assert_eq!(launches.map(|l| l.1), [1.0, 0.5, 0.5, 0.5, 0.5]);
        assert_eq!(
            launches.map(|l| l.0),
            [None, None, Some(LaunchFault::Failed), Some(LaunchFault::Ecc), None]
        );
        assert_eq!([(); 3].map(|()| faults.next_copy()), [1.0, 8.0, 8.0]);
    }

    #[test]
    fn a_later_plan_counts_from_its_own_start() {
        let faults = Faults::default();
        faults.next_allocation_fails();
        faults.add("oom@1").expect("valid plan");
        assert!(faults.next_allocation_fails());
    }
}
