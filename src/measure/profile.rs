//! How much time a number may cost: `HOSTDYNO_PROFILE=quick|standard|thorough`.

use std::time::Duration;

use crate::workload::Extent;
use crate::{Error, Result};

/// How thorough the whole run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Every part once, in under 3 minutes on 2 cores: does it work, roughly how fast.
    Quick,
    /// The default: under 10 minutes on 2 cores.
    Standard,
    /// For comparing settings: more shapes, more samples, tighter intervals.
    Thorough,
}

impl Profile {
    /// Environment variable that chooses it.
    pub const VARIABLE: &str = "HOSTDYNO_PROFILE";

    /// The profile named by `value`, the environment variable's text; standard when it is not set.
    ///
    /// # Errors
    /// `value` names no profile.
    pub fn parse(value: Option<&str>) -> Result<Self> {
        match value {
            None | Some("" | "standard") => Ok(Self::Standard),
            Some("quick") => Ok(Self::Quick),
            Some("thorough") => Ok(Self::Thorough),
            Some(other) => Err(Error::input(
                format!("{}={other:?} is not a profile", Self::VARIABLE),
                format!("Set {} to quick, standard or thorough", Self::VARIABLE),
            )),
        }
    }

    /// Name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Thorough => "thorough",
        }
    }

    /// How many problems are measured.
    pub const fn extent(self) -> Extent {
        match self {
            Self::Quick => Extent::Quick,
            Self::Standard => Extent::Standard,
            Self::Thorough => Extent::Thorough,
        }
    }

    /// What one metric may cost.
    pub const fn budget(self) -> Budget {
        let (warm_up_ms, settle_ms, sampling_ms, noise_target) = match self {
            Self::Quick => (300, 0, 500, 0.05),
            Self::Standard => (1_000, 3_000, 2_000, 0.02),
            Self::Thorough => (5_000, 5_000, 15_000, 0.005),
        };
        Budget {
            warm_up: Duration::from_millis(warm_up_ms),
            settle: Duration::from_millis(settle_ms),
            sampling: Duration::from_millis(sampling_ms),
            noise_target,
            samples: MIN_SAMPLES..=MAX_SAMPLES,
        }
    }
}

/// Fewest samples of a metric: Criterion shows no fewer, and the interval of the median needs 6.
pub const MIN_SAMPLES: usize = 10;

/// Most samples of a metric: the budget is cut into about this many.
pub const MAX_SAMPLES: usize = 100;

/// What one metric may cost, and how good it has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Most time to wait for a plateau, after [`Self::settle`].
    pub warm_up: Duration,
    /// Least time of work before the first sample, for subjects that have to settle: GPU clocks were seen to swing for about
    /// 3 s (CUTLASS, "GEMM Performance Measurement Methodology Guidelines").
    pub settle: Duration,
    /// Most time to spend on samples, once there are the fewest.
    pub sampling: Duration,
    /// Sampling ends when half the 95 % interval of the median over the median is below this.
    pub noise_target: f64,
    /// Fewest and most samples.
    pub samples: std::ops::RangeInclusive<usize>,
}

/// A metric that is one of many costs this fraction of the time.
const BRIEF: u32 = 4;

impl Budget {
    /// The budget of a metric that is one of many of its kind.
    pub fn brief(&self) -> Self {
        Self { warm_up: self.warm_up / BRIEF, sampling: self.sampling / BRIEF, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for profile in [Profile::Quick, Profile::Standard, Profile::Thorough] {
            assert_eq!(Profile::parse(Some(profile.name())).expect("a profile"), profile);
        }
        assert_eq!(Profile::parse(None).expect("default"), Profile::Standard);
        let error = Profile::parse(Some("fast")).expect_err("no such profile").to_string();
        assert!(error.contains("fast") && error.contains("quick, standard or thorough"), "{error}");
    }
}
