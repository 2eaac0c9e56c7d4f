//! The process's driver: made by the first `cuInit`, never unmade.

use super::capture::Captures;
use super::context::Context;
use super::device::Device;
use super::error::{Code, Result, ensure};
use super::event::Event;
use super::graph::{Graph, GraphExec};
use super::handle::Table;
use super::module::{Function, LoadedModule};
use super::pool::Pool;
use super::settings::Settings;
use super::space::AddressSpace;
use super::stream::Stream;
use std::sync::OnceLock;

/// Everything that outlives a call.
pub struct Driver {
    /// What the environment set.
    pub settings: Settings,
    /// The emulated devices, by ordinal.
    pub devices: Vec<Device>,
    /// Which addresses mean what.
    pub space: AddressSpace,
    /// `CUcontext`.
    pub contexts: Table<Context>,
    /// `CUstream`.
    pub streams: Table<Stream>,
    /// `CUevent`.
    pub events: Table<Event>,
    /// `CUmodule` and `CUlibrary`.
    pub modules: Table<LoadedModule>,
    /// `CUfunction` and `CUkernel`.
    pub functions: Table<Function>,
    /// `CUgraph`.
    pub graphs: Table<Graph>,
    /// `CUgraphExec`.
    pub execs: Table<GraphExec>,
    /// `CUmemoryPool`.
    pub pools: Table<Pool>,
    /// Stream captures in progress.
    pub captures: Captures,
}

static DRIVER: OnceLock<std::result::Result<Driver, ()>> = OnceLock::new();

/// Makes the driver if there is none; what `cuInit` does.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` where a setting is not understood; stderr says which.
pub fn init() -> Result<()> {
    let made = DRIVER.get_or_init(|| {
        let settings = Settings::read(|name| std::env::var(name).ok());
        settings.map(Driver::new).map_err(|error| eprintln!("hostdyno emulator: {error}"))
    });
    made.as_ref().map(|_| ()).map_err(|()| Code::CUDA_ERROR_INVALID_VALUE)
}

/// The driver.
///
/// # Errors
/// `CUDA_ERROR_NOT_INITIALIZED` before `cuInit`; `CUDA_ERROR_NOT_PERMITTED` from a function that a stream calls.
pub fn driver() -> Result<&'static Driver> {
    ensure(!super::command::in_callback(), Code::CUDA_ERROR_NOT_PERMITTED)?;
    driver_anywhere()
}

/// As [`driver()`], for the driver's own threads.
///
/// # Errors
/// `CUDA_ERROR_NOT_INITIALIZED` before `cuInit`.
pub fn driver_anywhere() -> Result<&'static Driver> {
    match DRIVER.get() {
        Some(Ok(driver)) => Ok(driver),
        _ => Err(Code::CUDA_ERROR_NOT_INITIALIZED),
    }
}

impl Driver {
    fn new(settings: Settings) -> Self {
        let memory = settings.memory;
        let devices = settings.models.iter().enumerate();
        let devices = devices.map(|(ordinal, model)| Device::new(ordinal, model, memory)).collect();
        Self {
            settings,
            devices,
            space: AddressSpace::default(),
            contexts: Table::new(1),
            streams: Table::new(2),
            events: Table::new(3),
            modules: Table::new(4),
            functions: Table::new(5),
            graphs: Table::new(6),
            execs: Table::new(7),
            pools: Table::new(8),
            captures: Captures::default(),
        }
    }
}
