//! What the driver's PTX compiler decides before any code runs: is the text PTX, is its version known, does its target
//! suit the device.
//!
//! Rules, from the PTX ISA (`.version`, `.target`) and the driver API's error list:
//! - An ELF (cubin) or fat binary holds machine code of some real GPU: `CUDA_ERROR_NO_BINARY_FOR_GPU`, as on a device that
//!   the binary does not cover, so that a program's fallback to PTX is exercised.
//! - PTX newer than the driver: `CUDA_ERROR_UNSUPPORTED_PTX_VERSION`.
//! - `sm_XY` runs on capability X.Y and above; `sm_XYa` on X.Y alone; `sm_XYf` on the same major from X.Y on. Otherwise
//!   `CUDA_ERROR_INVALID_PTX`, with the reason in the JIT's error log.

use super::error::{Code, Result};
use super::model::Model;
use crate::ptx::Module;

/// Major and minor.
type Version = (u32, u32);

/// CUDA releases and the newest PTX each takes: the PTX ISA's release history.
const RELEASES: &[(Version, Version)] = &[
    ((11, 4), (7, 4)),
    ((11, 8), (7, 8)),
    ((12, 0), (8, 0)),
    ((12, 1), (8, 1)),
    ((12, 2), (8, 2)),
    ((12, 3), (8, 3)),
    ((12, 4), (8, 4)),
    ((12, 5), (8, 5)),
    ((12, 6), (8, 5)),
    ((12, 8), (8, 7)),
    ((12, 9), (8, 8)),
    ((13, 0), (9, 0)),
    ((13, 1), (9, 1)),
    ((13, 2), (9, 2)),
    ((13, 3), (9, 3)),
    ((13, 4), (9, 4)),
    ((13, 5), (9, 5)),
];

fn number(release: Version) -> u32 {
    release.0 * 1000 + release.1 * 10
}

/// The newest CUDA version known here, as `cuDriverGetVersion` reports it.
#[must_use]
pub fn newest_driver() -> u32 {
    RELEASES.last().map_or(0, |release| number(release.0))
}

/// `12.8` as `cuDriverGetVersion` reports it.
#[must_use]
pub fn parse_driver(text: &str) -> Option<u32> {
    let (major, minor) = text.split_once('.')?;
    let wanted = (major.parse().ok()?, minor.parse().ok()?);
    RELEASES.iter().find(|release| release.0 == wanted).map(|release| number(release.0))
}

/// The versions that [`parse_driver`] takes.
#[must_use]
pub fn known_drivers() -> String {
    let all: Vec<_> =
        RELEASES.iter().map(|((major, minor), _)| format!("{major}.{minor}")).collect();
    all.join(", ")
}

/// The newest PTX that a driver takes.
fn newest_ptx(driver: u32) -> Version {
    RELEASES.iter().rev().find(|release| number(release.0) <= driver).map_or((0, 0), |r| r.1)
}

/// A refusal, with what the error log says.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code that the load returns.
    pub code: Code,
    /// The line for `CU_JIT_ERROR_LOG_BUFFER`.
    pub log: String,
}

/// ELF files (cubins) begin so.
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// Fat binaries begin so (`__fatBinC_Wrapper_t` and the fat binary header of the CUDA toolkit), little-endian.
const FATBIN_MAGICS: [[u8; 4]; 2] = [0x4662_43b1_u32.to_le_bytes(), 0xba55_ed50_u32.to_le_bytes()];

/// Whether an image is machine code rather than text.
#[must_use]
pub fn is_binary(image: &[u8]) -> bool {
    image.starts_with(ELF_MAGIC) || FATBIN_MAGICS.iter().any(|magic| image.starts_with(magic))
}

/// Compiles a text for a device.
///
/// # Errors
/// [`Refusal`] as the module's rules say; a text that does not parse is `CUDA_ERROR_INVALID_PTX` with the line.
pub fn compile(text: &str, model: &Model, driver: u32) -> std::result::Result<Module, Refusal> {
    let refuse = |code, reason: String| Refusal { code, log: format!("ptxas fatal   : {reason}") };
    let unsuitable = |reason| refuse(Code::CUDA_ERROR_INVALID_PTX, reason);
    // Version and target decide first: a text for another driver or device may hold what the parser does not know.
    if let Some(version) = version_of(text)
        && version > newest_ptx(driver)
    {
        let (major, minor) = version;
        return Err(refuse(
            Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
            format!(
                "Unsupported .version {major}.{minor}; current version is {}.{}",
                newest_ptx(driver).0,
                newest_ptx(driver).1
            ),
        ));
    }
    if let Some(target) = directive(text, ".target") {
        check_target(target, model).map_err(unsuitable)?;
    }
    let module = Module::parse(text).map_err(|error| Refusal {
        code: Code::CUDA_ERROR_INVALID_PTX,
        log: format!(
            "ptxas application ptx input, line {}; error   : {}",
            error.line, error.message
        ),
    })?;
    // The look above goes by lines; the parser goes by the grammar.
    check_target(&module.target, model).map_err(unsuitable)?;
    Ok(module)
}

/// What follows a directive that begins a line, without parsing the rest.
fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
    Some(value.split("//").next().unwrap_or(value).trim())
}

/// `.version` of a text.
fn version_of(text: &str) -> Option<Version> {
    let (major, minor) = directive(text, ".version")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a `.target` runs on a device.
fn check_target(target: &str, model: &Model) -> std::result::Result<(), String> {
    let (major, minor) = model.capability;
    let device = major * 10 + minor;
    let name = target.split(',').next().unwrap_or_default().trim();
    let body = name.strip_prefix("sm_").ok_or_else(|| format!("Unknown .target '{target}'"))?;
    let digits = body.trim_end_matches(|c: char| !c.is_ascii_digit());
    let wanted: u32 = digits.parse().map_err(|_| format!("Unknown .target '{target}'"))?;
    let runs = match &body[digits.len()..] {
        "" => device >= wanted,
        "a" => device == wanted,
        "f" => device >= wanted && device / 10 == wanted / 10,
        _ => return Err(format!("Unknown .target '{target}'")),
    };
    match runs {
        true => Ok(()),
        false if device < wanted => Err(format!(
            "SM version specified by .target is higher than default SM version assumed ({name} on sm_{device})"
        )),
        false => {
            Err(format!("PTX with .target '{name}' cannot be compiled to architecture sm_{device}"))
        }
    }
}

/// Turns a [`Refusal`] into its code, telling stderr why: a program that throws the JIT's log away still shows it.
pub fn report<T>(outcome: std::result::Result<T, Refusal>) -> Result<T> {
    outcome.map_err(|refusal| {
        eprintln!("hostdyno emulator: module refused: {}", refusal.log);
        refusal.code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_runs_where_the_isa_says() {
        let runs = |target, gpu| check_target(target, Model::find(gpu).expect(gpu)).is_ok();
        for (target, gpu, expected) in [
            ("sm_80", "a100", true),
            ("sm_80", "rtx-pro-6000", true),
            ("sm_90", "a100", false),
            ("sm_90", "b200", true),
            ("sm_90a", "h100", true),
            ("sm_90a", "b200", false),
            ("sm_90a", "rtx-pro-6000", false),
            ("sm_100a", "b200", true),
            ("sm_100a", "h100", false),
            ("sm_100f", "b200", true),
            ("sm_100f", "rtx-pro-6000", false),
            ("sm_120f", "rtx-pro-6000", true),
            ("sm_121a", "rtx-pro-6000", false),
            ("sm_89, debug", "l40s", true),
            ("sm_", "l40s", false),
            ("sm_80x", "l40s", false),
            ("compute_80", "l40s", false),
        ] {
            assert_eq!(runs(target, gpu), expected, "{target} on {gpu}");
        }
    }

    #[test]
    fn ptx_newer_than_the_driver_is_refused_before_it_is_parsed() {
        let model = Model::find("h100").expect("known model");
        let refusal = compile(".version 9.5\n.target sm_90\n!", model, 12080).expect_err("newer");
        assert_eq!(refusal.code, Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
        assert!(refusal.log.contains("8.7"), "{}", refusal.log);
        let refusal = compile(".version 9.5\n.target sm_90\n!", model, 13050).expect_err("garbled");
        assert_eq!(refusal.code, Code::CUDA_ERROR_INVALID_PTX);
        let refusal = compile(".version 8.7 // x\n.target sm_100a // y\n!", model, 13050);
        assert!(refusal.expect_err("another device").log.contains("sm_100a on sm_90"));
    }

    #[test]
    fn machine_code_is_recognised() {
        assert!(is_binary(b"\x7fELF\x02\x01\x01"));
        assert!(is_binary(&[0x50, 0xed, 0x55, 0xba, 1, 0]));
        assert!(is_binary(&[0xb1, 0x43, 0x62, 0x46]));
        assert!(!is_binary(b".version 8.0\n"));
    }
}
