//! The host in a few lines.

use serde::Serialize;

use crate::host::HostRecord;

/// One line about the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostLine {
    /// What it is about.
    pub label: &'static str,
    /// What there is to say.
    pub text: String,
}

/// The host in the order in which it is read.
pub fn host_block(_host: &HostRecord) -> Vec<HostLine> {
    Vec::new()
}
