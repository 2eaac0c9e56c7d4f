//! Host to device and back: by the copy engine and by kernels, one way and both ways at once, between memory of every kind,
//! on every NUMA node, in every size; and how long a small copy takes.

mod copy;
mod latency;
pub mod link;
mod memory;
mod problem;
mod vram;

pub use copy::Transfer;
pub use latency::CopyLatency;
pub use memory::Kind;
pub use problem::{Direction, Engine, Problem, Site};
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
/// Bytes of a copy whose latency is measured.
const SMALL: usize = 4 << 10;

/// Plans every copy between this host and GPU `ordinal` that `plan`'s profile has.
pub fn plan(plan: &mut Plan, ordinal: usize) {
    let sites = match Gpu::open(ordinal) {
        Ok(gpu) => Site::all(&Root::host(), &Topology::discover(), gpu.pci_address()),
        Err(_) => vec![Site::FirstTouch],
    };
    for problem in problems(plan.extent(), &sites) {
        plan.add(problem.metric(ordinal), Part::Pcie, Unit::GigaBytes, move || {
            Transfer::new(Gpu::open(ordinal)?, ordinal, problem)
        });
    }
    for direction in Direction::ONE_WAY {
        let id = CopyLatency::metric_of(direction, ordinal, SMALL);
        plan.add(id, Part::Pcie, Unit::Nanoseconds, move || {
            CopyLatency::new(Gpu::open(ordinal)?, ordinal, direction, SMALL)
        });
    }
    let peers = MetricId::new(["pcie", "peer", &format!("gpu{ordinal}")]);
    plan.skip(peers, Part::Pcie, Unit::GigaBytes, "copies between GPUs are not measured yet");
}

/// What the profile copies, the most important first.
fn problems(extent: Extent, sites: &[Site]) -> Vec<Problem> {
    let pinned = |direction, site, bytes| Problem {
        direction,
        memory: Kind::Pinned,
        engine: Engine::Copy,
        site,
        bytes,
    };
    let directions = [Direction::HostToDevice, Direction::DeviceToHost, Direction::Both];
    let mut problems: Vec<Problem> = Vec::new();
    for &site in sites {
        problems.extend(directions.map(|direction| pinned(direction, site, LARGE)));
    }
    if extent == Extent::Quick {
        return problems;
    }
    let site = sites[0];
    for direction in Direction::ONE_WAY {
        let large = pinned(direction, site, LARGE);
        problems.push(Problem { engine: Engine::Multiprocessors, ..large });
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
            problems.push(pinned(direction, site, 1 << 30));
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
                [(Extent::Quick, 3), (Extent::Standard, 20), (Extent::Thorough, 22)]
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
