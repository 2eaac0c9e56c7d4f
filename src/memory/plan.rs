//! The metrics of the DRAM bench.

use std::sync::Arc;

use serde_json::json;

use super::ceiling::DramCeiling;
use super::handover::{FEW_CORES, Handover, Relation};
use super::latency::{Latency, Level, refuse_without_huge_pages};
use super::loaded::{Load, LoadedLatency};
use super::roles::{Pair, Role, pairs, representative};
use super::stream::{Home, Loop, Stream};
use super::{ceiling, scaling, shared_node, size};
use crate::Result;
use crate::host::cpus::affinity;
use crate::host::{Pages, Root, Topology, Workers};
use crate::measure::threads::Threads;
use crate::measure::{Plan, Profile};
use crate::record::figure::CELL;
use crate::record::{MetricId, Part, Unit};

/// Pairs of nodes beyond which only a thorough run measures each: 8 nodes.
const MANY_PAIRS: usize = 64;

/// Adds every DRAM metric of the plan's profile.
///
/// # Errors
/// When the workers can't be started (`HOSTDYNO_THREADS` is unusable, or pinning is denied), or `HOSTDYNO_DRAM_SIZE` is no
/// size that is free.
pub fn plan(plan: &mut Plan) -> Result<()> {
    size::requested()?;
    let workers = Arc::new(Workers::new()?);
    let topology = Topology::discover();
    let mut pairs = pairs(&topology, &affinity()?);
    // A quota, or the user, limits the threads of a node as it does those of the host.
    pairs.iter_mut().for_each(|pair| pair.cpus.truncate(workers.count()));
    let ceiling = DramCeiling::of(&Root::host());
    let host = Host { topology, pairs, ceiling, workers: workers.clone() };
    let quick = plan.profile() == Profile::Quick;
    host.whole(plan, if quick { &Loop::MAIN } else { &Loop::ALL });
    for pages in [Pages::Transparent, Pages::Small, Pages::Huge, Pages::Giant] {
        plan.add(Latency::id(pages), Part::Dram, Unit::Nanoseconds, move || Latency::new(pages));
    }
    if quick {
        return Ok(());
    }
    host.policies(plan);
    host.roles(plan);
    host.matrices(plan);
    host.scaling(plan)?;
    for level in Level::ALL {
        plan.add(level.metric(), Part::Dram, Unit::Nanoseconds, move || Latency::cached(level));
    }
    for pages in [Pages::Transparent, Pages::Small] {
        let id = Latency::sweep_id(pages);
        plan.add(id, Part::Dram, Unit::Nanoseconds, move || Latency::swept(pages));
    }
    for load in [Load::Full, Load::Knee] {
        let workers = workers.clone();
        plan.add(LoadedLatency::id(load), Part::Dram, Unit::Nanoseconds, move || {
            LoadedLatency::new(workers, load)
        });
    }
    host.handovers(plan)
}

/// What the plan is made from.
struct Host {
    topology: Topology,
    pairs: Vec<Pair>,
    ceiling: DramCeiling,
    workers: Arc<Workers>,
}

impl Host {
    /// All cores, each with memory that it touched first.
    fn whole(&self, plan: &mut Plan, loops: &[Loop]) {
        for &kind in loops {
            let (workers, ceiling) = (self.workers.clone(), self.ceiling.clone());
            let topology = self.topology.clone();
            plan.add(kind.metric(), Part::Dram, Unit::GigaBytes, move || {
                let ceiling = match kind {
                    Loop::Read => ceiling.with_links(&topology, workers.cpus())?,
                    _ => ceiling,
                };
                Stream::new(workers, kind, ceiling)
            });
        }
    }

    /// All cores read memory that is placed by other rules.
    fn policies(&self, plan: &mut Plan) {
        let nodes: Vec<usize> = self.topology.usable_nodes().map(|node| node.index).collect();
        let own = |cpu: &usize| self.topology.node_of(*cpu).map(|node| node.index);
        let each: Option<Vec<usize>> = self.workers.cpus().iter().map(own).collect();
        let each = each.filter(|own| own.iter().all(|node| nodes.contains(node)));
        let several = nodes.len() > 1;
        for (name, home, cause) in [
            (
                "all-nodes-local",
                each.map(Home::Each),
                "a core belongs to no node whose memory this process may use",
            ),
            (
                "interleaved",
                several.then_some(Home::Interleaved(nodes)),
                "one NUMA node: nothing to interleave",
            ),
            (
                "first-touch-by-one",
                several.then_some(Home::FirstWorker),
                "one NUMA node: whoever touches first, it is the same node",
            ),
        ] {
            let id = MetricId::new(["dram", Loop::Read.name(), name]);
            let Some(home) = home else {
                plan.skip(id, Part::Dram, Unit::GigaBytes, cause);
                continue;
            };
            let (workers, ceiling) = (self.workers.clone(), self.ceiling.clone());
            plan.add(id.clone(), Part::Dram, Unit::GigaBytes, move || {
                Stream::at(id, workers, Loop::Read, &home, ceiling)
            });
        }
    }

    /// Reads and latency for each role that two nodes can have; one pair stands for its role.
    fn roles(&self, plan: &mut Plan) {
        for role in Role::ALL {
            let read = MetricId::new(["dram", Loop::Read.name(), role.name()]);
            let latency = MetricId::new(["dram", "latency", role.name()]);
            let Some(pair) = representative(&self.topology, &self.pairs, role) else {
                let cause = role.missing(&self.topology);
                plan.skip(read, Part::Dram, Unit::GigaBytes, cause.clone());
                plan.skip(latency, Part::Dram, Unit::Nanoseconds, cause);
                continue;
            };
            let same = pair.clone();
            plan.add(read.clone(), Part::Dram, Unit::GigaBytes, move || {
                Stream::on_pair(read, &pair, Loop::Read)
            });
            plan.add(latency.clone(), Part::Dram, Unit::Nanoseconds, move || {
                Latency::on_pair(latency, &same, default_pages())
            });
        }
    }

    /// Each node's cores with each node's memory, a metric a pair; and the sign of what the firmware did.
    fn matrices(&self, plan: &mut Plan) {
        let thorough = plan.profile() == Profile::Thorough;
        let loops: &[Loop] = if thorough {
            &[Loop::Read, Loop::WriteNt, Loop::CopyNt, Loop::TriadNt]
        } else {
            &[Loop::Read]
        };
        let kinds = [Pages::Transparent, Pages::Small, Pages::Huge, Pages::Giant];
        let kinds: &[Pages] = if thorough { &kinds } else { &[default_pages()] };
        let cause = match self.pairs.len() {
            0 => Some(Role::NodeLocal.missing(&self.topology)),
            count if count > MANY_PAIRS && !thorough => {
                Some(format!("{count} pairs of nodes: HOSTDYNO_PROFILE=thorough measures them"))
            }
            _ => None,
        };
        for &kind in loops {
            let matrix = MetricId::new(["dram", "matrix", kind.name()]);
            if let Some(cause) = &cause {
                plan.skip(matrix, Part::Dram, Unit::GigaBytes, cause.clone());
                continue;
            }
            for pair in &self.pairs {
                let ((id, cell), pair) = (place(&matrix, pair), pair.clone());
                plan.add(id.clone(), Part::Dram, Unit::GigaBytes, move || {
                    let mut stream = Stream::on_pair(id, &pair, kind)?.brief();
                    stream.note(CELL, json!(cell));
                    Ok(stream)
                });
            }
        }
        for &pages in kinds {
            let matrix = MetricId::new(["dram", "matrix", "latency", pages.name()]);
            if let Some(cause) = &cause {
                plan.skip(matrix, Part::Dram, Unit::Nanoseconds, cause.clone());
                continue;
            }
            for pair in &self.pairs {
                let ((id, cell), pair) = (place(&matrix, pair), pair.clone());
                plan.add(id.clone(), Part::Dram, Unit::Nanoseconds, move || {
                    let mut latency = Latency::on_pair(id, &pair, pages)?.brief();
                    latency.note(CELL, json!(cell));
                    Ok(latency)
                });
            }
        }
        let Some(socket) = shared_node::divided(&self.topology, &self.pairs) else {
            let cause = "no socket with several nodes: there is nothing to tell apart";
            return plan.skip(shared_node::id(), Part::Dram, Unit::GigaBytes, cause);
        };
        let topology = self.topology.clone();
        plan.add(shared_node::id(), Part::Dram, Unit::GigaBytes, move || {
            shared_node::from_one_node(&topology, &socket)
        });
    }

    /// Reads by one core, by the cores below one cache, and by as many as it takes.
    fn scaling(&self, plan: &mut Plan) -> Result<()> {
        let complexes = ceiling::complexes(&self.topology, self.workers.cpus());
        let one = self.workers.cpus().first().map(|&first| vec![first]);
        let largest = complexes.iter().max_by_key(|cpus| cpus.len());
        let largest = largest.filter(|_| complexes.len() > 1).cloned();
        for (name, cpus, cause) in [
            ("one-core", one, "no core"),
            ("one-l3", largest, "one last-level cache: its cores are all cores"),
        ] {
            let id = MetricId::new(["dram", Loop::Read.name(), name]);
            let Some(cpus) = cpus else {
                plan.skip(id, Part::Dram, Unit::GigaBytes, cause);
                continue;
            };
            let ceiling = self.ceiling.clone();
            plan.add(id.clone(), Part::Dram, Unit::GigaBytes, move || {
                Stream::at(id, Arc::new(Workers::on(&cpus)?), Loop::Read, &Home::Toucher, ceiling)
            });
        }
        let threads = Threads::of_host(&self.workers, &self.topology)?;
        let ceiling = self.ceiling.clone();
        plan.add(scaling::id(), Part::Dram, Unit::GigaBytes, move || {
            scaling::at_the_knee(&threads, ceiling)
        });
        Ok(())
    }

    /// Cache lines from core to core.
    fn handovers(&self, plan: &mut Plan) -> Result<()> {
        let allowed = affinity()?;
        for relation in Relation::ALL {
            let id = relation.id();
            let cpus =
                if relation == Relation::SameCore { &allowed[..] } else { self.workers.cpus() };
            let Some(pair) = relation.pair(&self.topology, cpus) else {
                plan.skip(id, Part::Dram, Unit::Nanoseconds, relation.missing());
                continue;
            };
            plan.add(id.clone(), Part::Dram, Unit::Nanoseconds, move || Handover::new(id, pair));
        }
        let most = if plan.profile() == Profile::Thorough { usize::MAX } else { FEW_CORES };
        let cpus = self.workers.cpus().to_vec();
        plan.add(Handover::matrix_id(), Part::Dram, Unit::Nanoseconds, move || {
            Handover::of_all(&cpus, most).map(Handover::brief)
        });
        Ok(())
    }
}

/// Transparent huge pages where the kernel gives them, so that address translation plays the least role; else small ones.
fn default_pages() -> Pages {
    refuse_without_huge_pages().map_or(Pages::Small, |()| Pages::Transparent)
}

/// The metric of `pair` in the matrix, and its place there.
fn place(matrix: &MetricId, pair: &Pair) -> (MetricId, crate::record::figure::Cell) {
    let name = pair.labels.join("-");
    (MetricId::new([matrix.as_str(), &name]), pair.cell(matrix.as_str()))
}
