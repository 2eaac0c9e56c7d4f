//! What a verification tells, and how single comparisons add up to it.

use crate::{Error, Result};

/// Outcome of a verification that passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verified {
    /// Outputs compared with the oracle.
    pub checked: u64,
    /// Largest error divided by its tolerance: at most 1.
    pub error_over_tolerance: f64,
}

/// An output outside its tolerance.
#[derive(Debug, Clone, Copy)]
struct Mismatch {
    index: usize,
    got: f32,
    expected: f64,
    tolerance: f64,
}

/// Comparisons so far, in any order and by any thread.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Comparisons {
    checked: u64,
    worst: f64,
    mismatches: u64,
    first: Option<Mismatch>,
}

impl Comparisons {
    /// Compares the output at `index` with what the oracle expects. NaN, on either side, never passes.
    pub(super) fn compare(&mut self, index: usize, got: f32, expected: f64, tolerance: f64) {
        self.checked += 1;
        let error = (f64::from(got) - expected).abs();
        if error <= tolerance {
            if error > 0.0 {
                self.worst = self.worst.max(error / tolerance);
            }
            return;
        }
        self.mismatches += 1;
        if self.first.is_none_or(|first| index < first.index) {
            self.first = Some(Mismatch { index, got, expected, tolerance });
        }
    }

    /// Both sets of comparisons.
    pub(super) fn merge(self, other: Self) -> Self {
        let first = match (self.first, other.first) {
            (Some(a), Some(b)) => Some(if b.index < a.index { b } else { a }),
            (a, b) => a.or(b),
        };
        Self {
            checked: self.checked + other.checked,
            worst: self.worst.max(other.worst),
            mismatches: self.mismatches + other.mismatches,
            first,
        }
    }

    /// The verdict; `coordinate` names an output by its index.
    ///
    /// # Errors
    /// [`Error::Wrong`] with the first output outside its tolerance and the seed that repeats the check.
    pub(super) fn finish(
        self,
        what: &str,
        seed: u64,
        coordinate: impl Fn(usize) -> String,
    ) -> Result<Verified> {
        let Some(Mismatch { index, got, expected, tolerance }) = self.first else {
            return Ok(Verified { checked: self.checked, error_over_tolerance: self.worst });
        };
        Err(Error::Wrong(format!(
            "{what}: {} is {got:e}, expected {expected:e} within {tolerance:.1e} \
             ({} of {} checked outputs are wrong, sample seed {seed})",
            coordinate(index),
            self.mismatches,
            self.checked,
        )))
    }
}

/// # Errors
/// [`Error::Wrong`] when the kernel did not write as many outputs as the problem has.
pub(super) fn check_length(what: &str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Wrong(format!("{what}: {got} outputs instead of {expected}")))
}
