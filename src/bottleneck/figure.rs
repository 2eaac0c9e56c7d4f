//! A number with where it comes from: every input of a projection keeps its origin to the end.

use serde::{Deserialize, Serialize};

/// How a number came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// By a run on this host.
    Measured,
    /// From clocks and widths: what the part can't exceed.
    Theoretical,
    /// Somebody else's measurement, on another host or of other software.
    Published,
    /// By nobody: what is usual.
    Assumed,
}

impl Origin {
    /// As printed and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Theoretical => "theoretical",
            Self::Published => "published",
            Self::Assumed => "assumed",
        }
    }
}

/// A number with its origin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// In the unit of the field that holds it.
    pub value: f64,
    /// How it is known.
    pub origin: Origin,
    /// The metric, document or rule that it is from.
    pub source: String,
}

impl Figure {
    /// `value` from `source`.
    pub fn new(value: f64, origin: Origin, source: impl Into<String>) -> Self {
        Self { value, origin, source: source.into() }
    }

    /// `self` times `share`, which `source` explains. A nominal figure becomes an estimate: its origin is `origin`.
    pub fn derated(&self, share: f64, origin: Origin, source: &str) -> Self {
        Self::new(self.value * share, origin, format!("{} x {share} ({source})", self.source))
    }
}
