//! Which metric this process is at, for errors that outlast their metric: a GPU's context that one metric loses is lost
//! for those after it.

use std::sync::{Mutex, PoisonError};

use crate::record::MetricId;

static METRIC: Mutex<Option<String>> = Mutex::new(None);

/// The next metric begins.
pub fn begin(metric: &MetricId) {
    *METRIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(metric.to_string());
}

/// The metric that was begun last; `None` before the first.
pub fn metric() -> Option<String> {
    METRIC.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
