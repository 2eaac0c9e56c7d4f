//! What a verification tells.

/// Outcome of a verification that passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verified {
    /// Outputs compared with the oracle.
    pub checked: u64,
    /// Largest error divided by its tolerance: at most 1.
    pub error_over_tolerance: f64,
}
