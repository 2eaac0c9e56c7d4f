//! Empties the page cache, does one piece of work, and notes what was seen of it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::history::Observation;
use super::method::Stages;
use super::prepared::Prepared;
use crate::Result;
use crate::storage::cold::{Residency, drop_cache};

/// Runs `work` with the files of the set out of the page cache; only `work` is timed.
///
/// # Errors
/// What `work` fails with.
pub fn observe<R>(
    prepared: &Prepared,
    work: impl FnOnce() -> Result<(Stages, R)>,
) -> Result<(Duration, Observation, R)> {
    let clock = Instant::now();
    let resident = empty_cache(prepared.set.shards.iter().map(|shard| shard.path.as_path()));
    let drop_s = clock.elapsed().as_secs_f64();
    let device = &prepared.device;
    let (bytes_before, cpu_before) = (device.bytes_read(), cpu_seconds());
    let clock = Instant::now();
    let (stages, result) = work()?;
    let elapsed = clock.elapsed();
    let cpu_s = cpu_seconds() - cpu_before;
    let device_bytes = match (&device.number, bytes_before, device.bytes_read()) {
        (_, Some(before), Some(after)) => Ok(after.saturating_sub(before)),
        (Err(why), ..) => Err(why.clone()),
        _ => Err("the kernel keeps no statistics of it".into()),
    };
    Ok((elapsed, Observation { stages, resident, device_bytes, cpu_s, drop_s }, result))
}

fn empty_cache<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<f64, String> {
    let mut left = Residency::default();
    for path in paths {
        left.add(drop_cache(path).map_err(|e| e.to_string())?);
    }
    Ok(left.share())
}

/// User and system time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is large enough for the call to fill; it stays zero, which is valid too, if the call fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The CPU that the caller runs on, added to those seen before.
pub fn note_cpu(cpus: &mut Vec<usize>) {
    // SAFETY: plain query of the calling thread.
    let cpu = usize::try_from(unsafe { libc::sched_getcpu() }).ok();
    if let Some(cpu) = cpu.filter(|cpu| !cpus.contains(cpu)) {
        cpus.push(cpu);
        cpus.sort_unstable();
    }
}
