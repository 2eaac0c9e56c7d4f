//! One launch: its configuration, and the run to its end or its fault.

use super::{Counters, Fault, FaultKind, GlobalMemory, Image};
use std::sync::atomic::AtomicBool;

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
    let _ = (image, function, config, params, memory, hooks);
    Err(Fault::new(FaultKind::InvalidLaunch, "not implemented"))
}
