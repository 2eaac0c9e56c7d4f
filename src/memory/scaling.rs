//! How many cores it takes to use the memory: read bandwidth over the number of threads, and its knee.

use std::sync::Arc;

use super::ceiling::DramCeiling;
use super::stream::{Home, Loop, Stream};
use crate::Result;
use crate::host::Workers;
use crate::measure::threads::{Threads, rate};
use crate::record::MetricId;
use crate::record::figure::Axis;

/// Name of the metric: bandwidth at the knee.
pub fn id() -> MetricId {
    MetricId::new(["dram", Loop::Read.name(), "knee"])
}

/// Measures the curve over `threads`, and prepares a read by as many as the knee has.
///
/// # Errors
/// As [`Stream::new`].
pub fn at_the_knee(threads: &Threads, ceiling: DramCeiling) -> Result<Stream> {
    let scaling = threads.sweep(Axis::linear("read", "GB/s"), |cpus| {
        rate(&mut read(cpus, DramCeiling::not_known("a point of a curve"))?)
    })?;
    let mut stream = read(&scaling.cpus, ceiling)?;
    for (key, value) in scaling.details {
        stream.note(&key, value);
    }
    Ok(stream)
}

fn read(cpus: &[usize], ceiling: DramCeiling) -> Result<Stream> {
    let workers = Arc::new(Workers::on(cpus)?);
    Stream::at(id(), workers, Loop::Read, &Home::Toucher, ceiling)
}
