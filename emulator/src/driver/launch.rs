//! Kernel launches: what a launch must satisfy, and its run on the stream's thread.

use super::context::Context;
use super::cost::{self, Picoseconds};
use super::error::{Code, Result, ensure};
use super::faults::LaunchFault;
use super::handle::lock;
use super::model::{BLOCK_DIMENSIONS, GRID_DIMENSIONS};
use super::module::Function;
use super::space::Kind;
use super::state::{Driver, driver_anywhere};
use super::stream::Stream;
use crate::machine::{Counters, Fault, FaultKind, Hooks, LaunchConfig, launch};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// One kernel launch, checked.
#[derive(Debug)]
pub struct Launch {
    function: Arc<Function>,
    config: LaunchConfig,
    params: Vec<u8>,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads a block.
    pub block: [u32; 3],
    /// Blocks a cluster, where asked for.
    pub cluster: Option<[u32; 3]>,
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: u32,
}

/// Counters of the last kernel that ended well, for `hostdyno_emulator_counters`.
pub static LAST_COUNTERS: Mutex<Option<Counters>> = Mutex::new(None);

/// The same of the last launch of each kernel, by name, for `hostdyno_emulator_counters_of`.
pub static COUNTERS_OF: Mutex<BTreeMap<String, Counters>> = Mutex::new(BTreeMap::new());

fn volume(dimensions: [u32; 3]) -> u64 {
    dimensions.iter().fold(1, |product, &n| product.saturating_mul(u64::from(n)))
}

fn within(dimensions: [u32; 3], limits: [u32; 3]) -> bool {
    dimensions.iter().zip(limits).all(|(&n, limit)| n > 0 && n <= limit)
}

/// The cluster of a launch, checked against the kernel, the grid and the device.
fn cluster_of(function: &Function, request: &Request, context: &Context) -> Result<[u32; 3]> {
    /// Largest cluster with `CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED`.
    const NON_PORTABLE: u64 = 16;
    let required = function.declared().required_cluster;
    let cluster = match (required, request.cluster) {
        (None, None) => return Ok([1; 3]),
        (Some(required), Some(asked)) => {
            ensure(required == asked, Code::CUDA_ERROR_INVALID_CLUSTER_SIZE)?;
            asked
        }
        (Some(cluster), None) | (None, Some(cluster)) => cluster,
    };
    let portable = context.device.model.max_cluster();
    let allowed = match function.non_portable_cluster.load(Ordering::SeqCst) {
        true if portable > 1 => NON_PORTABLE,
        _ => u64::from(portable),
    };
    let divides = cluster.iter().zip(request.grid).all(|(&c, g)| c > 0 && g % c == 0);
    let fits = divides && volume(cluster) <= allowed;
    ensure(fits, Code::CUDA_ERROR_INVALID_CLUSTER_SIZE)?;
    Ok(cluster)
}

/// What the plan of faults does to a kernel that runs all the same.
pub struct Struck {
    /// Its result is to be corrupted.
    pub wrong: bool,
    /// Fraction of the clock that it runs at.
    pub clock: f64,
}

/// Counts a kernel, and lets the plan of faults have its way with it.
///
/// # Errors
/// The code that the fault leaves.
pub fn strike(driver: &Driver, context: &Context) -> Result<Struck> {
    let (fault, clock) = driver.settings.faults.next_launch();
    match fault {
        None => Ok(Struck { wrong: false, clock }),
        Some(LaunchFault::Wrong) => Ok(Struck { wrong: true, clock }),
        Some(LaunchFault::Failed) => Err(Code::CUDA_ERROR_LAUNCH_FAILED),
        Some(LaunchFault::Ecc) => Err(Code::CUDA_ERROR_ECC_UNCORRECTABLE),
        Some(LaunchFault::Hang) => Err(Code::CUDA_ERROR_LAUNCH_TIMEOUT),
        Some(LaunchFault::Lost) => {
            context.device.lost.store(true, Ordering::SeqCst);
            Err(Code::CUDA_ERROR_UNKNOWN)
        }
    }
}

impl Launch {
    /// Checks a launch as the driver does before it enters the stream.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for dimensions and shared memory, `CUDA_ERROR_INVALID_CLUSTER_SIZE`,
    /// `CUDA_ERROR_INVALID_HANDLE` for a kernel of another context.
    pub fn new(
        driver: &Driver,
        stream: &Stream,
        function: Arc<Function>,
        request: Request,
        params: Vec<u8>,
    ) -> Result<Self> {
        let context = &stream.context;
        let invalid = Code::CUDA_ERROR_INVALID_VALUE;
        let mine = function.module.context_id == Some(context.id);
        ensure(mine, Code::CUDA_ERROR_INVALID_HANDLE)?;
        ensure(within(request.grid, GRID_DIMENSIONS), invalid)?;
        ensure(within(request.block, BLOCK_DIMENSIONS), invalid)?;
        ensure(volume(request.block) <= u64::from(function.max_threads()), invalid)?;
        let required = function.declared().required_threads;
        ensure(required.is_none_or(|required| required == request.block), invalid)?;
        let allowed = function.max_dynamic_shared.load(Ordering::SeqCst);
        ensure(request.dynamic_shared <= allowed, invalid)?;
        let shared =
            u64::from(function.declared().static_shared) + u64::from(request.dynamic_shared);
        let most = context.device.model.limits().shared_per_block_optin;
        ensure(shared <= u64::from(most), invalid)?;
        let config = LaunchConfig {
            grid: request.grid,
            block: request.block,
            cluster: cluster_of(&function, &request, context)?,
            dynamic_shared: request.dynamic_shared,
            seed: driver.settings.seed,
            step_limit: driver.settings.step_limit,
        };
        Ok(Self { function, config, params })
    }

    /// Runs the kernel; returns its cost without the fixed part.
    ///
    /// # Errors
    /// The code that hardware would leave for the kernel's fault; stderr says which kernel, block, warp and line.
    pub fn run(&self, context: &Arc<Context>, start: Picoseconds) -> Result<Picoseconds> {
        let driver = driver_anywhere()?;
        let struck = strike(driver, context)?;
        let hooks = Hooks {
            cancel: Some(&context.cancel),
            global_timer_ns: start / 1000,
            multiprocessors: context.device.model.multiprocessors,
        };
        let outcome = {
            let mut machine = context.device.machine();
            let image = &self.function.module.image;
            let (index, memory) = (self.function.index, &mut machine.memory);
            launch(image, index, &self.config, &self.params, memory, &hooks)
        };
        let counters = outcome.map_err(|fault| self.report(&fault))?;
        if struck.wrong {
            self.corrupt(driver);
        }
        *lock(&LAST_COUNTERS) = Some(counters);
        lock(&COUNTERS_OF).insert(self.function.declared().name.clone(), counters);
        Ok(cost::kernel(context.device.model, &counters, struck.clock))
    }

    /// Says what went wrong, and which code hardware leaves for it.
    fn report(&self, fault: &Fault) -> Code {
        let name = &self.function.declared().name;
        eprintln!("hostdyno emulator: kernel '{name}': {fault}");
        match fault.kind {
            FaultKind::IllegalAddress => Code::CUDA_ERROR_ILLEGAL_ADDRESS,
            FaultKind::MisalignedAddress => Code::CUDA_ERROR_MISALIGNED_ADDRESS,
            FaultKind::AddressSpace => Code::CUDA_ERROR_INVALID_ADDRESS_SPACE,
            FaultKind::IllegalInstruction => Code::CUDA_ERROR_ILLEGAL_INSTRUCTION,
            // Hardware would hang, until the watchdog.
            FaultKind::Deadlock | FaultKind::StepLimit => Code::CUDA_ERROR_LAUNCH_TIMEOUT,
            // A trap, and what hardware lets pass by luck: divergence, races, missing fences and waits.
            _ => Code::CUDA_ERROR_LAUNCH_FAILED,
        }
    }

    /// Flips a high bit of the first word behind each device pointer among the parameters (fault `wrong`).
    fn corrupt(&self, driver: &Driver) {
        for param in self.function.declared().params.iter().filter(|param| param.size == 8) {
            let bytes = &self.params[param.offset as usize..][..8];
            let address = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            let known = driver.space.range(address, 4).ok();
            if let Some(known) = known.filter(|a| matches!(a.kind, Kind::Device(_))) {
                // SAFETY: the range was checked; the kernel has ended and its stream's next work has not begun.
                unsafe { *known.region.at(address + 3) ^= 0x40 };
            }
        }
    }
}
