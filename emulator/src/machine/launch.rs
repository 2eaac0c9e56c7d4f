//! One launch: its configuration, and the run to its end or its fault.

use super::context::Machine;
use super::schedule::{Cluster, Progress};
use super::{Counters, Fault, FaultKind, GlobalMemory, Image};
use crate::ptx::{DYNAMIC_ALIGN, Function, SHARED_BASE};
use std::sync::atomic::AtomicBool;

/// More shared memory than any device has, bytes a block.
const MAX_SHARED: usize = 1 << 18;
/// Clusters that may wait for each other at one time: about as many as a large device holds.
const MAX_RESIDENT: usize = 160;
/// Rounds that a cluster runs before another gets its turn.
const SLICE: u32 = 512;

/// How a kernel is launched. Dimensions are x, y, z.
#[derive(Clone, Debug)]
pub struct LaunchConfig {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads a block.
    pub block: [u32; 3],
    /// Blocks a cluster; `[1, 1, 1]` is a launch without clusters (a `.reqnctapercluster` of the kernel then counts).
    pub cluster: [u32; 3],
    /// Bytes of dynamic shared memory a block.
    pub dynamic_shared: u32,
    /// Warp schedule: 0 runs warps in order, each until it waits; any other value permutes them, always the same way.
    pub seed: u64,
    /// The most warp instructions that the whole launch may execute.
    pub step_limit: u64,
}

impl Default for LaunchConfig {
    fn default() -> Self {
        Self {
            grid: [1; 3],
            block: [1; 3],
            cluster: [1; 3],
            dynamic_shared: 0,
            seed: 0,
            step_limit: 20_000_000_000,
        }
    }
}

/// What the outside gives a running kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks<'a> {
    /// Raise it to stop the launch with [`FaultKind::Cancelled`].
    pub cancel: Option<&'a AtomicBool>,
    /// What `%globaltimer` reads when the launch starts, nanoseconds. It advances one nanosecond an instruction.
    pub global_timer_ns: u64,
    /// `%nsmid`: streaming multiprocessors of the device; 0 stands for 1.
    pub multiprocessors: u32,
}

/// Runs entry `function` (an index into `image.module.functions`) with a parameter buffer laid out as its
/// [`crate::ptx::Param`]s say.
///
/// Blocks run one after another unless they wait for each other; the same seed gives the same run.
///
/// # Errors
/// [`Fault`]; memory then holds what was written before it.
pub fn launch(
    image: &Image,
    function: usize,
    config: &LaunchConfig,
    params: &[u8],
    memory: &mut GlobalMemory,
    hooks: &Hooks<'_>,
) -> Result<Counters, Fault> {
    let index = function;
    let function = image.module.functions.get(index).ok_or_else(|| {
        Fault::new(FaultKind::InvalidLaunch, format!("no entry number {index} in this module"))
    })?;
    let cluster = check(function, config, params)?;
    let shared_bytes = shared_bytes(function, config.dynamic_shared);
    let counters = Counters::default();
    let mut machine = Machine { image, function, config, cluster, params, memory, hooks, counters };
    run(&mut machine, shared_bytes)?;
    Ok(machine.counters)
}

/// Bytes of a block's shared memory: static, then dynamic at its alignment.
fn shared_bytes(function: &Function, dynamic: u32) -> usize {
    let end = SHARED_BASE + function.static_shared;
    let start = if function.dynamic_shared { end.next_multiple_of(DYNAMIC_ALIGN) } else { end };
    (start - SHARED_BASE) as usize + dynamic as usize
}

/// Checks a launch against the function and the limits of every device; returns the cluster's dimensions.
fn check(function: &Function, config: &LaunchConfig, params: &[u8]) -> Result<[u32; 3], Fault> {
    let refuse = |message: String| Err(Fault::new(FaultKind::InvalidLaunch, message));
    let product = |d: [u32; 3]| d.iter().map(|&x| u64::from(x)).product::<u64>();
    let (threads, grid) = (product(config.block), config.grid);
    if !(1..=1024).contains(&threads) || config.block[2] > 64 {
        return refuse(format!(
            "a block of {:?} threads: 1 to 1024 are possible, at most 64 in z",
            config.block
        ));
    }
    if product(grid) == 0 || grid[0] > i32::MAX as u32 || grid[1] > 65535 || grid[2] > 65535 {
        return refuse(format!("a grid of {grid:?} blocks is out of range"));
    }
    if let Some(required) = function.required_threads
        && required != config.block
    {
        return refuse(format!(
            "{} requires blocks of {required:?} threads, not {:?}",
            function.name, config.block
        ));
    }
    if let Some(most) = function.max_threads
        && product(most) < threads
    {
        return refuse(format!(
            "{} allows {most:?} threads a block, not {:?}",
            function.name, config.block
        ));
    }
    let cluster = match function.required_cluster {
        Some(required) if config.cluster == [1; 3] || config.cluster == required => required,
        Some(required) => {
            return refuse(format!(
                "{} requires clusters of {required:?}, not {:?}",
                function.name, config.cluster
            ));
        }
        None => config.cluster,
    };
    if !(1..=16).contains(&product(cluster)) || (0..3).any(|i| grid[i] % cluster[i] != 0) {
        return refuse(format!(
            "clusters of {cluster:?} blocks do not divide a grid of {grid:?}, or have more than 16"
        ));
    }
    if params.len() != function.param_bytes as usize {
        return refuse(format!(
            "{} takes {} bytes of parameters, {} given",
            function.name,
            function.param_bytes,
            params.len()
        ));
    }
    if shared_bytes(function, 0).saturating_add(config.dynamic_shared as usize) > MAX_SHARED {
        return refuse(format!(
            "{} bytes of dynamic shared memory: no device has so much",
            config.dynamic_shared
        ));
    }
    Ok(cluster)
}

/// Runs all clusters. One that polls for others' results (a grid barrier, say) stays resident while later ones start.
fn run(machine: &mut Machine<'_>, shared_bytes: usize) -> Result<(), Fault> {
    let [gx, gy, gz] = machine.config.grid;
    let [cx, cy, cz] = machine.cluster;
    let (nx, ny, nz) = (gx / cx, gy / cy, gz / cz);
    let mut starts = (0..nz)
        .flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [x * cx, y * cy, z * cz])));
    let mut resident: Vec<Cluster> = Vec::new();
    loop {
        if resident.len() < MAX_RESIDENT
            && let Some(first) = starts.next()
        {
            resident.push(Cluster::new(machine, first, shared_bytes));
        }
        if resident.is_empty() {
            return Ok(());
        }
        let mut index = 0;
        while index < resident.len() {
            match resident[index].run(machine, SLICE)? {
                Progress::Ended => _ = resident.remove(index),
                Progress::Running => index += 1,
            }
        }
    }
}
