//! What is wrong with a PTX text, and where.

/// A PTX text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {message}")]
pub struct PtxError {
    /// 1-based line of the text.
    pub line: u32,
    /// What is wrong, with the offending text.
    pub message: String,
}
