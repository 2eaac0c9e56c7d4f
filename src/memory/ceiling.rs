//! What DRAM could do at most: by the memory controllers' channels and clocks where the host shows them, by the links
//! between the last-level caches and memory, and by the best read that was measured.
//!
//! The links' width and clock are not readable without root, so their sum is measured: what the cores below one cache
//! read, times the number of caches. On hosts with few core complexes that is less than the channels give.

use std::time::{Duration, Instant};

use super::stream::{Loop, Stream};
use crate::Result;
use crate::host::environment::dram_channels;
use crate::host::topology::Cache;
use crate::host::{Environment, Root, Topology, Workers};
use crate::measure::Subject;
use crate::record::{Ceiling, Origin, Unit};

/// The ceiling of this host's DRAM, or why it is not known.
#[derive(Debug, Clone)]
pub struct DramCeiling(Result<Ceiling, String>);

/// Most time that measuring the links takes.
const LINK_BUDGET: Duration = Duration::from_millis(500);

impl DramCeiling {
    /// Looks at the host under `root`.
    pub fn of(root: &Root) -> Self {
        Self(dram_channels(&Environment::collect(root)).map(|channels| Ceiling {
            value: channels.gb_per_second(),
            origin: Origin::Theoretical,
            source: format!(
                "{} channels x 8 B x {} MT/s; {}",
                channels.channels, channels.mts, channels.source
            ),
        }))
    }

    /// The lower of this and the sum of the links, if there are several.
    ///
    /// # Errors
    /// When a link can't be measured.
    pub fn with_links(self, topology: &Topology, cpus: &[usize]) -> Result<Self> {
        let Some(links) = links(topology, cpus)? else { return Ok(self) };
        let lower = self.known().is_none_or(|channels| links.value < channels.value);
        Ok(if lower { Self(Ok(links)) } else { self })
    }

    /// None, and why.
    pub fn not_known(why: &str) -> Self {
        Self(Err(why.to_owned()))
    }

    /// The ceiling in GB/s.
    pub fn known(&self) -> Option<Ceiling> {
        self.0.as_ref().ok().cloned()
    }

    /// Why there is none.
    pub fn unknown(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }
}

/// CPUs of `cpus` below each last-level cache that has any of them, one list a cache.
pub fn complexes(topology: &Topology, cpus: &[usize]) -> Vec<Vec<usize>> {
    let below = |cache: &Cache| -> Vec<usize> {
        cpus.iter().copied().filter(|cpu| cache.cpus.contains(cpu)).collect()
    };
    topology.last_level().map(below).filter(|cpus| !cpus.is_empty()).collect()
}

/// The sum of what all core complexes could read: the largest one's best, for each of them. `None` when there is one.
fn links(topology: &Topology, cpus: &[usize]) -> Result<Option<Ceiling>> {
    let complexes = complexes(topology, cpus);
    let Some(largest) = complexes.iter().max_by_key(|cpus| cpus.len()) else { return Ok(None) };
    if complexes.len() < 2 {
        return Ok(None);
    }
    let one = measure_read_ceiling(&std::sync::Arc::new(Workers::on(largest)?), LINK_BUDGET)?;
    let count = complexes.len();
    Ok(Some(Ceiling {
        value: one.value * count as f64,
        origin: Origin::Measured,
        source: format!(
            "links of {count} last-level caches, {:.1} GB/s each, measured on {} cores below one",
            one.value,
            largest.len()
        ),
    }))
}

/// The most that `workers` read from DRAM, in GB/s: the best pass within `budget`, and of at least five.
///
/// # Errors
/// When there is not enough free memory for a cold stream.
pub fn measure_read_ceiling(
    workers: &std::sync::Arc<Workers>,
    budget: Duration,
) -> Result<Ceiling> {
    const PASSES: u32 = 5;
    let mut stream =
        Stream::new(workers.clone(), Loop::Read, DramCeiling::not_known("it is being measured"))?;
    let work = stream.work();
    let start = Instant::now();
    let (mut passes, mut best) = (0, 0.0f64);
    while passes < PASSES || start.elapsed() < budget {
        let seconds = stream.run(1)?.0.as_secs_f64();
        best = best.max(Unit::GigaBytes.value(&work, seconds));
        passes += 1;
    }
    Ok(Ceiling {
        value: best,
        origin: Origin::Measured,
        source: format!(
            "{}: best of {passes} passes over {} MiB by {} threads",
            stream.metric(),
            work.bytes_read >> 20,
            workers.count()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complexes_are_the_caches_that_are_used() {
        let host = Topology::synthetic("Package:2 [numa(memory=1GB)] L3:2 Core:2 PU:1");
        assert_eq!(complexes(&host, &[0, 1, 2, 6]), [vec![0, 1], vec![2], vec![6]]);
        assert!(complexes(&host, &[]).is_empty());
        let one = Topology::synthetic("Package:1 [numa(memory=1GB)] L3:1 Core:2 PU:1");
        assert_eq!(links(&one, &[0, 1]).unwrap(), None);
    }

    #[test]
    fn a_ceiling_names_its_inputs_or_says_why_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let udev = dir.path().join("run/udev/data");
        std::fs::create_dir_all(&udev).unwrap();
        let dimms: String = (0..12)
            .map(|i| {
                format!(
                    "E:MEMORY_DEVICE_{i}_SIZE=1\nE:MEMORY_DEVICE_{i}_CONFIGURED_SPEED_MTS=4800\n\
                     E:MEMORY_DEVICE_{i}_LOCATOR=DIMM_{}1\n",
                    (b'A' + i) as char
                )
            })
            .collect();
        std::fs::write(udev.join("+dmi:id"), dimms).unwrap();
        let known = DramCeiling::of(&Root::at(dir.path())).known().unwrap();
        assert!((known.value - 460.8).abs() < 1e-9, "{known:?}");
        assert!(known.source.starts_with("12 channels x 8 B x 4800 MT/s"), "{}", known.source);
        let unknown = DramCeiling::of(&Root::at("/nowhere"));
        assert!(unknown.known().is_none() && unknown.unknown().is_some());
    }
}
