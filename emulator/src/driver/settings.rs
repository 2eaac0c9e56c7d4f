//! What the environment sets. Read once, at the first `cuInit`; a value that is not understood is reported on stderr and
//! makes `cuInit` fail, so that a typing error never tests something else than was meant.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HOSTDYNO_EMULATED_GPU` | models separated by commas, one device each (see [`super::model::MODELS`]) | `h100` |
//! | `HOSTDYNO_EMULATED_MEMORY` | memory of each device, e.g. `512MiB`, `2GiB` | the model's |
//! | `HOSTDYNO_EMULATED_DRIVER` | CUDA version that the driver reports, e.g. `12.8`; newer PTX is refused | newest known |
//! | `HOSTDYNO_EMULATED_COMPUTE_MODE` | `default`, `exclusive-process`, or `prohibited`, which refuses contexts | `default` |
//! | `HOSTDYNO_EMULATED_MIG` | the profile of the slice that each device is, e.g. `1g.10gb`: marked in its name as by the vendor's driver | none |
//! | `HOSTDYNO_EMULATED_FAULTS` | a plan of [`super::faults`] | none |
//! | `HOSTDYNO_EMULATED_SEED` | warp schedule: 0 in order, any other number permutes | 0 |
//! | `HOSTDYNO_EMULATED_STEPS` | warp instructions a launch may execute before the watchdog ends it | 20000000000 |

use super::faults::Faults;
use super::jit;
use super::model::{MODELS, Model};
use cudarc::driver::sys::CUcomputemode_enum as ComputeMode;

/// Settings of the process.
#[derive(Debug)]
pub struct Settings {
    /// One device each.
    pub models: Vec<&'static Model>,
    /// Bytes of memory of each device, in place of the model's.
    pub memory: Option<u64>,
    /// CUDA version as `cuDriverGetVersion` reports it: 1000 x major + 10 x minor.
    pub driver_version: u32,
    /// Who may make contexts.
    pub compute_mode: ComputeMode,
    /// Profile of the slice that each device is.
    pub mig: Option<String>,
    /// Faults on demand.
    pub faults: Faults,
    /// Warp schedule.
    pub seed: u64,
    /// Warp instructions that a launch may execute.
    pub step_limit: u64,
}

/// Device memory is at least this, bytes: room for a module's variables.
const SMALLEST_MEMORY: u64 = 1 << 20;
/// Enough for minutes of emulation, so only a hang reaches it.
const STEP_LIMIT: u64 = 20_000_000_000;

impl Settings {
    /// Reads the settings through `get` (the environment, or a test's map).
    ///
    /// # Errors
    /// A sentence that names the variable and says what it may hold.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let gpu = get("HOSTDYNO_EMULATED_GPU").unwrap_or_else(|| "h100".into());
        let models = gpu.split(',').map(|key| {
            Model::find(key.trim()).ok_or_else(|| {
                let known: Vec<_> = MODELS.iter().map(|m| m.key).collect();
                format!("HOSTDYNO_EMULATED_GPU: no model '{key}'; known: {}", known.join(", "))
            })
        });
        let models = models.collect::<Result<Vec<_>, _>>()?;

        let memory = get("HOSTDYNO_EMULATED_MEMORY");
        let memory = memory.map(|text| {
            parse_size(&text).filter(|bytes| *bytes >= SMALLEST_MEMORY).ok_or_else(|| {
                format!("HOSTDYNO_EMULATED_MEMORY: '{text}' is not a size like 512MiB or 2GiB (at least 1MiB)")
            })
        });

        let driver = get("HOSTDYNO_EMULATED_DRIVER");
        let driver_version = driver.map_or(Ok(jit::newest_driver()), |text| {
            jit::parse_driver(&text).ok_or_else(|| {
                format!(
                    "HOSTDYNO_EMULATED_DRIVER: '{text}' is no CUDA version known here; known: {}",
                    jit::known_drivers()
                )
            })
        });

        let mode = get("HOSTDYNO_EMULATED_COMPUTE_MODE");
        let compute_mode = match mode.as_deref() {
            None | Some("default") => ComputeMode::CU_COMPUTEMODE_DEFAULT,
            Some("exclusive-process") => ComputeMode::CU_COMPUTEMODE_EXCLUSIVE_PROCESS,
            Some("prohibited") => ComputeMode::CU_COMPUTEMODE_PROHIBITED,
            Some(text) => {
                return Err(format!(
                    "HOSTDYNO_EMULATED_COMPUTE_MODE: '{text}' is none of default, exclusive-process, prohibited"
                ));
            }
        };

        let faults = Faults::default();
        if let Some(plan) = get("HOSTDYNO_EMULATED_FAULTS") {
            faults.add(&plan).map_err(|error| format!("HOSTDYNO_EMULATED_FAULTS: {error}"))?;
        }
        let number = |name: &str, default: u64| {
            get(name).map_or(Ok(default), |text| {
                text.parse().map_err(|_| format!("{name}: '{text}' is not a whole number"))
            })
        };
        Ok(Self {
            models,
            memory: memory.transpose()?,
            driver_version: driver_version?,
            compute_mode,
            mig: get("HOSTDYNO_EMULATED_MIG").filter(|profile| !profile.is_empty()),
            faults,
            seed: number("HOSTDYNO_EMULATED_SEED", 0)?,
            step_limit: number("HOSTDYNO_EMULATED_STEPS", STEP_LIMIT)?,
        })
    }
}

/// `512MiB`, `2GiB`, or plain bytes.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| {
            pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_string())
        })
    }

    #[test]
    fn each_variable_is_taken() {
        let settings = read(&[
            ("HOSTDYNO_EMULATED_GPU", "b200,rtx-pro-6000"),
            ("HOSTDYNO_EMULATED_MEMORY", "512MiB"),
            ("HOSTDYNO_EMULATED_DRIVER", "12.8"),
            ("HOSTDYNO_EMULATED_FAULTS", "oom@1"),
            ("HOSTDYNO_EMULATED_SEED", "7"),
            ("HOSTDYNO_EMULATED_STEPS", "1000"),
        ])
        .expect("valid settings");
        let keys: Vec<_> = settings.models.iter().map(|model| model.key).collect();
        assert_eq!(keys, ["b200", "rtx-pro-6000"]);
        assert_eq!(settings.memory, Some(512 << 20));
        assert_eq!((settings.driver_version, settings.seed, settings.step_limit), (12080, 7, 1000));
        assert!(settings.faults.next_allocation_fails());
    }

    #[test]
    fn a_typing_error_names_its_variable() {
        for (name, bad) in [
            ("HOSTDYNO_EMULATED_GPU", "h1000"),
            ("HOSTDYNO_EMULATED_GPU", ""),
            ("HOSTDYNO_EMULATED_MEMORY", "2GB"),
            ("HOSTDYNO_EMULATED_MEMORY", "99999999999999999999GiB"),
            ("HOSTDYNO_EMULATED_MEMORY", "18446744073709551615GiB"),
            ("HOSTDYNO_EMULATED_MEMORY", "1"),
            ("HOSTDYNO_EMULATED_DRIVER", "12"),
            ("HOSTDYNO_EMULATED_COMPUTE_MODE", "shared"),
            ("HOSTDYNO_EMULATED_DRIVER", "99.0"),
            ("HOSTDYNO_EMULATED_FAULTS", "oom"),
            ("HOSTDYNO_EMULATED_SEED", "x"),
            ("HOSTDYNO_EMULATED_STEPS", "-1"),
        ] {
            let error = read(&[(name, bad)]).expect_err(bad);
            assert!(error.starts_with(name), "{error}");
        }
    }
}
