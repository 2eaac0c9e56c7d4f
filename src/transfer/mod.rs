//! Host to device and back: by the copy engine and by kernels, one way and both ways at once, between memory of every kind,
//! on every NUMA node, in every size, alone and while the cores read DRAM; all GPUs at once, and from GPU to GPU; and how
//! long a small copy takes.

mod copy;
mod lane;
mod latency;
mod link;
mod load;
mod memory;
mod peer;
mod problem;
mod together;
mod vram;

pub use copy::Transfer;
pub use latency::CopyLatency;
pub use memory::Kind;
pub use peer::PeerCopy;
pub use problem::{Direction, Engine, Problem, Site};
pub use together::Together;
pub use vram::VramDestination;

use crate::cuda::Gpu;
use crate::host::{Root, Topology};
use crate::measure::Plan;
use crate::record::{MetricId, Part, Unit};
use crate::workload::Extent;

/// A byte that means that nothing was copied.
const POISON: u8 = 0xa5;
/// Bytes of one large copy.
const LARGE: usize = 256 << 20;
/// Bytes of smaller copies of the standard profile.
const SMALLER: [usize; 4] = [4 << 10, 64 << 10, 1 << 20, 16 << 20];
/// Bytes of larger copies of the thorough profile.
const LARGER: [usize; 2] = [1 << 30, 4 << 30];
/// Bytes of a copy whose latency is measured.
const SMALL: usize = 4 << 10;

/// Plans the copies of every GPU of this host: all that `plan`'s profile has for the first, the large ones of the others, and
/// all at once.
pub fn plan_host(plan: &mut Plan) {
    plan_gpu(plan, 0);
    let count = Gpu::count().unwrap_or(0);
    for ordinal in 1..count {
        let sites = sites(ordinal);
        add_copies(plan, ordinal, large(&sites));
        add_peers(plan, ordinal, count);
    }
    let near: Vec<_> = (0..count).map(|ordinal| (ordinal, sites(ordinal)[0])).collect();
    for direction in Direction::ONE_WAY {
        let id = Together::metric_of(direction, LARGE);
        let near = near.clone();
        plan.add(id, Part::Pcie, Unit::GigaBytes, move || Together::new(&near, direction, LARGE));
    }
}

/// Plans every copy of GPU `ordinal`, to and from this host and to the other GPUs, that `plan`'s profile has.
pub fn plan_gpu(plan: &mut Plan, ordinal: usize) {
    let mut problems = problems(plan.extent(), &sites(ordinal));
    if plan.extent() == Extent::Thorough {
        problems.extend(other_nodes(ordinal));
    }
    add_copies(plan, ordinal, problems);
    for direction in Direction::ONE_WAY {
        let id = CopyLatency::metric_of(direction, ordinal, SMALL);
        plan.add(id, Part::Pcie, Unit::Nanoseconds, move || {
            CopyLatency::new(Gpu::open(ordinal)?, ordinal, direction, SMALL)
        });
    }
    match Gpu::count() {
        Ok(count) if count > 1 => add_peers(plan, ordinal, count),
        outcome => {
            let id = MetricId::new(["pcie", "peer", &format!("gpu{ordinal}")]);
            let cause = outcome.map_or_else(|e| e.to_string(), |_| "one GPU has no peer".into());
            plan.skip(id, Part::Pcie, Unit::GigaBytes, cause);
        }
    }
}

fn add_copies(plan: &mut Plan, ordinal: usize, problems: Vec<Problem>) {
    for problem in problems {
        plan.add(problem.metric(ordinal), Part::Pcie, Unit::GigaBytes, move || {
            Transfer::new(Gpu::open(ordinal)?, ordinal, problem)
        });
    }
}

/// Plans copies from GPU `ordinal` to the others: to all where the profile is thorough, else to the next.
fn add_peers(plan: &mut Plan, ordinal: usize, count: usize) {
    let others = (1..count).map(|step| (ordinal + step) % count);
    let wanted = if plan.extent() == Extent::Thorough { count } else { 1 };
    for other in others.take(wanted) {
        let pair = (ordinal, other);
        plan.add(PeerCopy::metric_of(pair), Part::Pcie, Unit::GigaBytes, move || {
            PeerCopy::new(pair, LARGE)
        });
    }
}

/// Where memory for copies of GPU `ordinal` may lie, the nearest first.
fn sites(ordinal: usize) -> Vec<Site> {
    match Gpu::open(ordinal) {
        Ok(gpu) => Site::roles(&Root::host(), &Topology::discover(), gpu.pci_address()),
        Err(_) => vec![Site::FirstTouch],
    }
}

/// Large copies at every node by its index, where there are more nodes than roles: the rows of a matrix of nodes and GPUs.
fn other_nodes(ordinal: usize) -> Vec<Problem> {
    let named: Vec<_> = sites(ordinal).into_iter().filter_map(Site::node).collect();
    let topology = Topology::discover();
    let nodes: Vec<_> = topology.usable_nodes().map(|node| node.index).collect();
    let others = nodes.iter().filter(|&node| nodes.len() > 1 && !named.contains(node));
    others
        .flat_map(|&node| Direction::ONE_WAY.map(|way| pinned(way, Site::Node(node), LARGE)))
        .collect()
}

/// Page-locked memory, by the copy engine.
const fn pinned(direction: Direction, site: Site, bytes: usize) -> Problem {
    let (memory, engine) = (Kind::Pinned, Engine::Copy);
    Problem { direction, memory, engine, site, bytes, under_load: false }
}

/// Large copies every way at every site.
fn large(sites: &[Site]) -> Vec<Problem> {
    let directions = [Direction::HostToDevice, Direction::DeviceToHost, Direction::Both];
    sites.iter().flat_map(|&site| directions.map(|way| pinned(way, site, LARGE))).collect()
}

/// What the profile copies, the most important first.
fn problems(extent: Extent, sites: &[Site]) -> Vec<Problem> {
    let mut problems = large(sites);
    if extent == Extent::Quick {
        return problems;
    }
    let site = sites[0];
    for direction in Direction::ONE_WAY {
        let large = pinned(direction, site, LARGE);
        problems.push(Problem { engine: Engine::Multiprocessors, ..large });
        problems.push(Problem { under_load: true, ..large });
        for memory in Kind::ALL.into_iter().filter(|&memory| memory != Kind::Pinned) {
            // Reading write-combined memory is not what it is for.
            if memory == Kind::WriteCombined && direction == Direction::DeviceToHost {
                continue;
            }
            let site = if memory.of_driver() { Site::FirstTouch } else { site };
            problems.push(Problem { memory, site, ..large });
        }
        problems.extend(SMALLER.map(|bytes| pinned(direction, site, bytes)));
        if extent == Extent::Thorough {
            problems.extend(LARGER.map(|bytes| pinned(direction, site, bytes)));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_name_of_its_own() {
        for sites in [vec![Site::FirstTouch], vec![Site::NodeLocal(0), Site::Remote(1)]] {
            for (extent, least) in
                [(Extent::Quick, 3), (Extent::Standard, 24), (Extent::Thorough, 28)]
            {
                let problems = problems(extent, &sites);
                let names: std::collections::HashSet<_> =
                    problems.iter().map(|problem| problem.metric(0)).collect();
                assert_eq!(names.len(), problems.len());
                assert!(names.len() >= least, "{extent:?}: {}", names.len());
            }
        }
    }
}
