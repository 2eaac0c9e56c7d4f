//! One GPU: its context, stream and properties; kernels compiled for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use cudarc::driver::sys::CUcomputemode_enum as ComputeMode;
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, result::device, sys};
use cudarc::nvrtc::Ptx;
use serde_json::{Value, json};

use super::cubins;
use super::failure;
pub use super::failure::{driver, launching};
use super::kernels::Build;
use super::monitor::Monitor;
use crate::measure::statistics::quantile;
use crate::{Error, Result};

/// What the emulated driver of the tests puts into its device's name.
const EMULATED: &str = "(emulated)";

/// An open device with one stream, on which everything is queued.
pub struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    name: String,
    architecture: String,
    pci_address: String,
    monitor: Monitor,
    /// MHz of a multiprocessor's clock after every timed group.
    clocks: RefCell<Vec<f64>>,
}

impl Gpu {
    /// How many devices the driver sees.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the cause: no driver, or one that does not work.
    pub fn count() -> Result<usize> {
        // cudarc panics when the library is missing.
        // SAFETY: only asks the loader for the library; nothing is called in it.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::Unavailable(
                "no NVIDIA driver: libcuda.so.1 was not found by the loader; install the driver (Ubuntu: `sudo \
                 ubuntu-drivers install --gpgpu`; a container gets it with `--gpus all`)"
                    .into(),
            ));
        }
        let count = CudaContext::device_count().map_err(|e| driver("count its devices", e))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the cause: no driver, no such device, or a device that is busy, lost or forbidden.
    pub fn open(ordinal: usize) -> Result<Rc<Self>> {
        let devices = Self::count()?;
        if ordinal >= devices {
            return Err(Error::Unavailable(format!("the NVIDIA driver sees {devices} devices")));
        }
        let context = CudaContext::new(ordinal).map_err(|e| refused(ordinal, e))?;
        // A process may hold a context that an earlier metric lost.
        context.synchronize().map_err(|e| driver("use the device", e))?;
        failure::fresh(context.cu_ctx());
        // Everything is on one stream: tracking would add event waits around each launch.
        // SAFETY: no slice is ever used on another stream.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(|e| driver("make a stream", e))?;
        let mut name = context.name().map_err(|e| driver("name the device", e))?;
        let (major, minor) =
            context.compute_capability().map_err(|e| driver("read the compute capability", e))?;
        let architecture = architecture(major, minor);
        let pci_address = pci_address(|attribute| context.attribute(attribute))
            .map_err(|e| driver("read the PCI address", e))?;
        let monitor = if name.contains(EMULATED) {
            Monitor::absent("the device is emulated")
        } else {
            Monitor::new(&pci_address)
        };
        if slice(&name).is_none() && monitor.sliced() == Some(true) {
            name.push_str(SLICE);
        }
        let clocks = RefCell::default();
        Ok(Rc::new(Self { context, stream, name, architecture, pci_address, monitor, clocks }))
    }

    /// The driver's name of the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kernels are compiled for: `sm_89`, `sm_120a`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// `domain:bus:device.function`, as in `/sys/bus/pci/devices`.
    pub fn pci_address(&self) -> &str {
        &self.pci_address
    }

    /// The profile, if the device is a slice of a larger one (MIG): `1g.10gb`.
    pub fn slice(&self) -> Option<&str> {
        slice(&self.name)
    }

    /// Why nothing measured here may be used: it is the tests' emulated device, which shows no speed.
    pub fn disqualified(&self) -> Option<String> {
        self.name
            .contains(EMULATED)
            .then(|| format!("{} runs on the CPU: its times mean nothing", self.name))
    }

    /// What NVML says about the device.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Notes the clock that a kernel measured right after timed work.
    pub(super) fn note_clock(&self, megahertz: f64) {
        self.clocks.borrow_mut().push(megahertz);
    }

    /// The device's present state, for a record's conditions.
    pub fn conditions(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([("gpu".into(), self.monitor.now())])
    }

    /// What was seen while the device worked, for a record's details.
    pub fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([("gpu_under_load".into(), self.monitor.under_load())]);
        let mut clocks = self.clocks.borrow().clone();
        clocks.sort_by(f64::total_cmp);
        if let (Some(low), Some(high)) = (clocks.first(), clocks.last()) {
            let clocks = json!({"median": quantile(&clocks, 0.5), "min": low, "max": high});
            details.insert("sm_mhz".into(), clocks);
        }
        if let Some(slice) = self.slice() {
            let why = format!(
                "the device is a slice ({slice}): what the driver tells of the memory is the whole card's"
            );
            details.insert("ceiling_unknown".into(), why.into());
        }
        details
    }

    /// Why the device could not do what it can while it worked; `None` when nothing but its power limit held it.
    pub fn throttled(&self) -> Option<String> {
        self.monitor.throttled()
    }

    /// The context.
    pub fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }

    /// The one stream.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Number of multiprocessors.
    ///
    /// # Errors
    /// When the driver does not tell.
    pub fn multiprocessors(&self) -> Result<u32> {
        self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
    }

    /// Bytes of the last-level cache.
    ///
    /// # Errors
    /// When the driver does not tell.
    pub fn l2_bytes(&self) -> Result<u64> {
        self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE).map(u64::from)
    }

    /// Bytes of shared memory that one block can have.
    ///
    /// # Errors
    /// When the driver does not tell.
    pub fn shared_bytes_per_block(&self) -> Result<u32> {
        self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
    }

    /// Peak memory clock in kHz and bus width in bits; `None` when the driver reports zero, and on a slice of a device,
    /// which has a share of both that the driver does not tell.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn memory_clock_and_width(&self) -> Result<Option<(u32, u32)>> {
        let clock = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?;
        let width = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?;
        let known = clock > 0 && width > 0 && self.slice().is_none();
        Ok(known.then_some((clock, width)))
    }

    /// Free bytes of device memory.
    ///
    /// # Errors
    /// When the driver does not tell.
    pub fn free_bytes(&self) -> Result<u64> {
        let (free, _) = self.context.mem_get_info().map_err(|e| driver("read free memory", e))?;
        Ok(free as u64)
    }

    /// Compiles a kernel for this device and loads it.
    ///
    /// # Errors
    /// No NVRTC, or the driver refuses the module.
    pub fn load(&self, build: impl Into<Build>) -> Result<CudaFunction> {
        let build = build.into();
        let compiled = cubins::compiled(&build, &self.architecture)?;
        let image = match self.disqualified() {
            Some(_) => Ptx::from_src(compiled.ptx),
            None => Ptx::from_binary(compiled.cubin),
        };
        let refused = |e| failure::unloadable(build.kernel.file, e);
        let module = self.context.load_module(image).map_err(refused)?;
        module.load_function(build.kernel.entry).map_err(refused)
    }

    fn attribute(&self, attribute: Attribute) -> Result<u32> {
        let value =
            self.context.attribute(attribute).map_err(|e| driver("read an attribute", e))?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

/// The compilation target of a compute capability: the architecture-specific one where it has instructions of its own
/// (wgmma on 9.0, tcgen05 and block-scaled mma from 10.0 on).
fn architecture(major: i32, minor: i32) -> String {
    let suffix = if major >= 9 { "a" } else { "" };
    format!("sm_{major}{minor}{suffix}")
}

/// The error for a device that refuses a context: by its compute mode, where that is why.
fn refused(ordinal: usize, error: DriverError) -> Error {
    let ordinal = i32::try_from(ordinal).unwrap_or(i32::MAX);
    let read = |attribute| {
        // SAFETY: the driver checks the device's number.
        device::get(ordinal).and_then(|device| unsafe { device::get_attribute(device, attribute) })
    };
    let address = pci_address(read).unwrap_or_default();
    let share = format!("`sudo nvidia-smi -i {address} -c 0`");
    let mode = read(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE).unwrap_or(0);
    let why = if mode == ComputeMode::CU_COMPUTEMODE_PROHIBITED as i32 {
        Some(format!("its compute mode prohibits all use: allow it with {share}"))
    } else if mode == ComputeMode::CU_COMPUTEMODE_EXCLUSIVE_PROCESS as i32 {
        let holders = Monitor::new(&address).holders();
        let who = match holders.as_slice() {
            [] => "another process (`nvidia-smi` shows it)".into(),
            pids => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                format!("process {}", pids.join(", "))
            }
        };
        Some(format!(
            "it is in exclusive mode and held by {who}: end that, or share it with {share}"
        ))
    } else {
        None
    };
    failure::unopened(&address, error, why)
}

/// What NVML says is a slice where the driver's name of the device does not say it.
const SLICE: &str = " MIG of unknown profile";

/// The profile in the driver's `name` of a slice: `NVIDIA H100 80GB HBM3 MIG 1g.10gb`.
fn slice(name: &str) -> Option<&str> {
    let (_, profile) = name.split_once(" MIG ")?;
    Some(profile.trim_end_matches(EMULATED).trim_end())
}

fn pci_address(
    read: impl Fn(Attribute) -> Result<i32, DriverError>,
) -> Result<String, DriverError> {
    let domain = read(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?;
    let bus = read(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?;
    let device = read(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?;
    Ok(format!("{domain:04x}:{bus:02x}:{device:02x}.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_known_by_its_name() {
        assert_eq!(slice("NVIDIA A100-SXM4-40GB MIG 1g.5gb"), Some("1g.5gb"));
        assert_eq!(slice("H100 MIG 1g.10gb (emulated)"), Some("1g.10gb"));
        assert_eq!(slice(&format!("NVIDIA H100 80GB HBM3{SLICE}")), Some("of unknown profile"));
        assert_eq!(slice("NVIDIA H100 80GB HBM3"), None);
    }

    #[test]
    fn architectures() {
        let names = [(8, 0), (8, 9), (9, 0), (10, 0), (12, 0)].map(|(a, b)| architecture(a, b));
        assert_eq!(names, ["sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a"]);
    }
}
