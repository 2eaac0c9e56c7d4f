//! What NVML says about a device while it works: clocks, throttle reasons, power, temperature, link, other processes.
//!
//! Read-only. Where there is no NVML (the emulated device, a container without it) the record says so, and nothing else
//! changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper::{Device, Nvml};
use serde_json::{Value, json};

use crate::record::throttle::{is_fault, names};

/// Least time between two readings under load: NVML refreshes power and clocks about ten times a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// Names of the PCIe link's figures in records.
const GENERATION: &str = "pcie_generation";
const LANES: &str = "pcie_lanes";

/// Most NVLinks of a device: `NVML_NVLINK_MAX_LINKS` of `nvml.h`.
const MAX_NVLINKS: u32 = 18;

/// Rows of memory that were remapped after errors, as NVML's field values: their names in records.
const REMAPPED: [(u32, &str); 4] = [
    (field_id::NVML_FI_DEV_REMAPPED_COR, "remapped_rows_corrected"),
    (field_id::NVML_FI_DEV_REMAPPED_UNC, "remapped_rows_uncorrected"),
    (field_id::NVML_FI_DEV_REMAPPED_PENDING, "remapped_rows_pending"),
    (field_id::NVML_FI_DEV_REMAPPED_FAILURE, "remapped_rows_failed"),
];

/// NVML's view of one device, and what was seen while it worked.
pub struct Monitor {
    /// Or why there is none.
    nvml: Result<Nvml, String>,
    pci_address: String,
    seen: RefCell<Seen>,
}

/// What the readings under load add up to.
#[derive(Default)]
struct Seen {
    last: Option<Instant>,
    readings: u32,
    reasons: u64,
    ranges: BTreeMap<&'static str, (f64, f64)>,
}

impl Monitor {
    /// A monitor of the device at `pci_address`.
    pub fn new(pci_address: &str) -> Self {
        Self {
            nvml: Nvml::init().map_err(|error| missing(&error)),
            pci_address: pci_address.into(),
            seen: RefCell::default(),
        }
    }

    /// A monitor of a device that NVML can't know, for `reason`.
    pub fn absent(reason: &str) -> Self {
        Self { nvml: Err(reason.into()), pci_address: String::new(), seen: RefCell::default() }
    }

    fn device(&self) -> Result<Device<'_>, String> {
        let nvml = self.nvml.as_ref().map_err(Clone::clone)?;
        nvml.device_by_pci_bus_id(self.pci_address.as_str()).map_err(|error| error.to_string())
    }

    /// Processes on the device besides this one, by their ids; empty where NVML does not tell.
    pub fn holders(&self) -> Vec<u32> {
        self.device().ok().and_then(|device| others(&device)).unwrap_or_default()
    }

    /// Whether the device is cut into slices (MIG); `None` where NVML does not tell.
    pub fn sliced(&self) -> Option<bool> {
        self.device().ok().and_then(|device| sliced(&device))
    }

    /// Takes a reading, called while the device works. Does nothing when the last one was a moment ago.
    pub fn observe(&self) {
        let mut seen = self.seen.borrow_mut();
        if seen.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            return;
        }
        seen.last = Some(Instant::now());
        let Ok(device) = self.device() else { return };
        seen.readings += 1;
        seen.reasons |= device.current_throttle_reasons().map_or(0, |reasons| reasons.bits());
        for (name, value) in figures(&device) {
            let range = seen.ranges.entry(name).or_insert((value, value));
            *range = (range.0.min(value), range.1.max(value));
        }
    }

    /// The highest PCIe generation and number of lanes that were seen under load: an idle device lowers its link.
    pub fn link_under_load(&self) -> Option<(f64, f64)> {
        let seen = self.seen.borrow();
        let most = |name| seen.ranges.get(name).map(|range| range.1);
        Some((most(GENERATION)?, most(LANES)?))
    }

    /// How many NVLinks of the device are up; `None` when NVML does not tell.
    pub fn nvlinks(&self) -> Option<u32> {
        let device = self.device().ok()?;
        let mut up = 0;
        for link in 0..MAX_NVLINKS {
            match device.link_wrapper_for(link).is_active() {
                Ok(active) => up += u32::from(active),
                // What has no such link says so; other answers tell nothing.
                Err(NvmlError::NotSupported | NvmlError::InvalidArg) => break,
                Err(_) => return None,
            }
        }
        Some(up)
    }

    /// What was seen under load so far: the range of every figure and all reasons for lowered clocks.
    pub fn under_load(&self) -> Value {
        let seen = self.seen.borrow();
        if seen.readings == 0 {
            return json!({"nvml": self.device().err().unwrap_or_else(|| "no reading".into())});
        }
        let range = |&(low, high): &(f64, f64)| json!({"min": low, "max": high});
        let mut map: serde_json::Map<String, Value> =
            seen.ranges.iter().map(|(name, r)| ((*name).to_owned(), range(r))).collect();
        map.insert("readings".into(), seen.readings.into());
        map.insert("throttle_reasons".into(), json!(names(seen.reasons)));
        Value::Object(map)
    }

    /// The present state: what is read under load, and what changes slowly: limit, memory errors, other processes.
    pub fn now(&self) -> Value {
        let device = match self.device() {
            Ok(device) => device,
            Err(cause) => return json!({"nvml": cause}),
        };
        let mut map: serde_json::Map<String, Value> =
            figures(&device).into_iter().map(|(name, v)| (name.to_owned(), json!(v))).collect();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(name.into(), value);
            }
        };
        put(
            "throttle_reasons",
            device.current_throttle_reasons().ok().map(|r| json!(names(r.bits()))),
        );
        put(
            "power_limit_w",
            device.enforced_power_limit().ok().map(|mw| json!(f64::from(mw) / 1e3)),
        );
        put("pcie_generation_max", device.max_pcie_link_gen().ok().map(Value::from));
        put("pcie_lanes_max", device.max_pcie_link_width().ok().map(Value::from));
        put("memory_total_bytes", device.memory_info().ok().map(|memory| memory.total.into()));
        put("ecc_enabled", device.is_ecc_enabled().ok().map(|ecc| ecc.currently_enabled.into()));
        let errors =
            |kind| device.total_ecc_errors(kind, EccCounter::Volatile).ok().map(Value::from);
        put("ecc_corrected_since_boot", errors(MemoryError::Corrected));
        put("ecc_uncorrected_since_boot", errors(MemoryError::Uncorrected));
        for (name, count) in remapped(&device) {
            put(name, Some(count.into()));
        }
        put("other_processes", others(&device).map(|pids| pids.len().into()));
        put("mig_enabled", sliced(&device).map(Value::from));
        put("pci_address", Some(self.pci_address.as_str().into()));
        Value::Object(map)
    }

    /// Why clocks were lowered under load so that a figure does not show what the device can do.
    pub fn throttled(&self) -> Option<String> {
        slowed(self.seen.borrow().reasons)
    }
}

/// The reason that a record gets, where one of `reasons` means that the device could not do what it can.
fn slowed(reasons: u64) -> Option<String> {
    let faults: Vec<String> = names(reasons).into_iter().filter(|name| is_fault(name)).collect();
    (!faults.is_empty()).then(|| {
        format!("the device lowered its clocks: {}; check its cooling and power", faults.join(", "))
    })
}

/// Counts of [`REMAPPED`], where the device keeps them.
fn remapped(device: &Device<'_>) -> Vec<(&'static str, u64)> {
    let ids: Vec<FieldId> = REMAPPED.iter().map(|(id, _)| FieldId(*id)).collect();
    let values = device.field_values_for(&ids).unwrap_or_default();
    let counts = values.into_iter().zip(REMAPPED).filter_map(|(value, (_, name))| {
        match value.ok()?.value.ok()? {
            SampleValue::U32(count) => Some((name, count.into())),
            SampleValue::U64(count) => Some((name, count)),
            SampleValue::F64(_) | SampleValue::I64(_) => None,
        }
    });
    counts.collect()
}

/// What is worth reading again and again.
fn figures(device: &Device<'_>) -> Vec<(&'static str, f64)> {
    let figures = [
        ("sm_mhz", device.clock_info(Clock::SM).ok()),
        ("memory_mhz", device.clock_info(Clock::Memory).ok()),
        ("temperature_c", device.temperature(TemperatureSensor::Gpu).ok()),
        (GENERATION, device.current_pcie_link_gen().ok()),
        (LANES, device.current_pcie_link_width().ok()),
    ];
    let whole = figures.into_iter().filter_map(|(name, value)| Some((name, f64::from(value?))));
    let watts = device.power_usage().ok().map(|mw| ("power_w", f64::from(mw) / 1e3));
    let busy = device.utilization_rates().ok().map(|r| ("utilization_percent", f64::from(r.gpu)));
    whole.chain(watts).chain(busy).collect()
}

/// What to do where NVML can't be opened.
fn missing(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) => {
            "no NVML: the loader does not find libnvidia-ml.so.1, which NVIDIA's driver installs (a container gets it with \
             NVIDIA_DRIVER_CAPABILITIES=compute,utility)"
                .into()
        }
        NvmlError::DriverNotLoaded => {
            "NVML finds no kernel module: `sudo modprobe nvidia`, or install NVIDIA's driver".into()
        }
        NvmlError::LibRmVersionMismatch => {
            "NVML and the kernel module are of different drivers: reboot after the update".into()
        }
        other => format!("NVML: {other}"),
    }
}

/// Whether MIG is on.
fn sliced(device: &Device<'_>) -> Option<bool> {
    // NVML_DEVICE_MIG_ENABLE of nvml.h.
    device.mig_mode().ok().map(|mode| mode.current == 1)
}

/// Ids of the processes on the device besides this one.
fn others(device: &Device<'_>) -> Option<Vec<u32>> {
    let compute = device.running_compute_processes().ok()?;
    let graphics = device.running_graphics_processes().unwrap_or_default();
    let pids = compute.iter().chain(&graphics).map(|process| process.pid);
    let mut pids: Vec<u32> = pids.filter(|&pid| pid != std::process::id()).collect();
    pids.sort_unstable();
    pids.dedup();
    Some(pids)
}

#[cfg(test)]
mod tests {
    use nvml_wrapper::bitmasks::device::ThrottleReasons;

    use super::*;
    use crate::record::throttle::REASONS;

    #[test]
    fn every_reason_that_nvml_knows_has_a_name() {
        let all: u64 = REASONS.iter().map(|(bit, ..)| bit).sum();
        assert_eq!(all, ThrottleReasons::all().bits());
    }

    #[test]
    fn what_nvml_lacks_is_named_with_what_brings_it() {
        assert!(missing(&NvmlError::DriverNotLoaded).contains("modprobe nvidia"));
        let Err(absent) = Nvml::builder().lib_path("libhostdyno-has-no-such.so".as_ref()).init()
        else {
            panic!("no such library")
        };
        assert!(missing(&absent).contains("libnvidia-ml.so.1"), "{}", missing(&absent));
    }

    #[test]
    fn heat_is_throttling_and_the_power_cap_is_not() {
        let cap = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::GPU_IDLE;
        assert_eq!(slowed(cap.bits()), None);
        let hot = cap | ThrottleReasons::SW_THERMAL_SLOWDOWN;
        assert!(slowed(hot.bits()).expect("throttled").contains("software thermal slowdown"));
    }

    #[test]
    fn without_nvml_the_record_says_so() {
        let monitor = Monitor::absent("the device is emulated");
        monitor.observe();
        assert_eq!(monitor.now(), json!({"nvml": "the device is emulated"}));
        assert_eq!(monitor.under_load(), json!({"nvml": "the device is emulated"}));
        assert_eq!(monitor.throttled(), None);
    }
}
