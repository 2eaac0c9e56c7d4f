//! What a refusal of the driver means: a kernel that crashed, a launch that can't be, a device that can't be had, or a
//! context that an earlier metric has lost.
//!
//! Codes and what they leave behind are those of the CUDA driver API's `CUresult`. After some of them the context is
//! lost: every later call in it gives the same code, whoever makes it. So the metric that lost a context is remembered,
//! and the later ones are told about it instead of being blamed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cudarc::driver::sys::{self, CUcontext, CUresult as Code};
use cudarc::driver::{DriverError, result};

use super::nvrtc;
use crate::Error;
use crate::measure::underway;

/// How contexts were lost, by their handle.
static LOST: Mutex<BTreeMap<usize, Loss>> = Mutex::new(BTreeMap::new());

/// How one context was lost.
#[derive(Clone)]
struct Loss {
    /// The metric that was measured; `None` outside of any.
    metric: Option<String>,
    code: Code,
    what: String,
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// The kernel crashed, and the context with it.
    Crash,
    /// The kernel was not launched: it asks for what the device does not have.
    Launch,
    /// The device failed, and the context with it.
    Broken,
    /// The device or the host can't do it.
    Host,
}

const fn blame(code: Code) -> Blame {
    match code {
        Code::CUDA_ERROR_ILLEGAL_ADDRESS
        | Code::CUDA_ERROR_MISALIGNED_ADDRESS
        | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | Code::CUDA_ERROR_INVALID_PC
        | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
        | Code::CUDA_ERROR_ASSERT
        | Code::CUDA_ERROR_TENSOR_MEMORY_LEAK
        | Code::CUDA_ERROR_LAUNCH_TIMEOUT
        | Code::CUDA_ERROR_LAUNCH_FAILED => Blame::Crash,
        Code::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
        | Code::CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
        | Code::CUDA_ERROR_INVALID_CLUSTER_SIZE => Blame::Launch,
        Code::CUDA_ERROR_ECC_UNCORRECTABLE
        | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | Code::CUDA_ERROR_CONTAINED
        | Code::CUDA_ERROR_EXTERNAL_DEVICE
        | Code::CUDA_ERROR_UNKNOWN => Blame::Broken,
        _ => Blame::Host,
    }
}

/// The error for a driver call that failed while trying to do `what`: [`Error::Wrong`] when a kernel crashed or could not
/// be launched, else [`Error::Unavailable`], so that the metric is skipped. The rest goes on.
pub fn driver(what: &str, DriverError(code): DriverError) -> Error {
    let context = result::ctx::get_current().ok().flatten().map_or(0, |context| context as usize);
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    let metric = underway::metric();
    let earlier = match lost.get(&context) {
        // No new context can be had in a process that lost one.
        None if context == 0 => lost.values().next(),
        found => found,
    };
    if let Some(loss) = earlier {
        return told(loss, metric.as_deref());
    }
    let blame = blame(code);
    let loss = Loss { metric, code, what: what.into() };
    if matches!(blame, Blame::Crash | Blame::Broken) {
        lost.insert(context, loss.clone());
    }
    explained(&loss, blame)
}

/// The error for a launch, or what prepares one, that the driver refused: as [`driver`], and an argument that it finds
/// invalid is the kernel's fault, not the host's.
pub fn launching(what: &str, error: DriverError) -> Error {
    match error.0 {
        code @ Code::CUDA_ERROR_INVALID_VALUE => {
            explained(&Loss { metric: None, code, what: what.into() }, Blame::Launch)
        }
        _ => driver(what, error),
    }
}

/// The error for the device at `address` that refuses a context, for the reason `why` where it is known.
pub(super) fn unopened(
    address: &str,
    DriverError(code): DriverError,
    why: Option<String>,
) -> Error {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loss) = lost.values().next() {
        return told(loss, underway::metric().as_deref());
    }
    let why = why.map_or_else(|| advice(code).to_owned(), |why| format!("; {why}"));
    Error::Unavailable(format!(
        "the NVIDIA driver could not open the GPU {address}: {}{why}",
        said(code)
    ))
}

/// The error for compiled code of `file` that the driver refuses: where it is too new or of another kind, with the
/// versions and the command that makes them match.
pub(super) fn unloadable(file: &str, error: DriverError) -> Error {
    let what = format!("load {file}");
    if !matches!(
        error.0,
        Code::CUDA_ERROR_NO_BINARY_FOR_GPU
            | Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
            | Code::CUDA_ERROR_INVALID_PTX
            | Code::CUDA_ERROR_INVALID_IMAGE
            | Code::CUDA_ERROR_INVALID_SOURCE
            | Code::CUDA_ERROR_JIT_COMPILER_NOT_FOUND
            | Code::CUDA_ERROR_JIT_COMPILATION_DISABLED
    ) {
        return driver(&what, error);
    }
    let mut version = 0;
    // SAFETY: the driver writes one number.
    let known = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().is_ok();
    let driver = if known { (version / 1000, version % 1000 / 10) } else { (0, 0) };
    Error::Unavailable(mismatch(&what, &said(error.0), driver, nvrtc::version().ok()))
}

/// What is wrong between a driver and an NVRTC, of these versions of CUDA, and how to mend it.
fn mismatch(what: &str, said: &str, driver: (i32, i32), nvrtc: Option<(i32, i32)>) -> String {
    let (major, minor) = driver;
    let by = nvrtc.map_or(String::new(), |(a, b)| format!(" what NVRTC {a}.{b} compiled"));
    // Wheels are named after their major version up to CUDA 12.
    let package = match major {
        13.. => "nvidia-cuda-nvrtc".to_owned(),
        _ => format!("nvidia-cuda-nvrtc-cu{major}"),
    };
    format!(
        "the NVIDIA driver, of CUDA {major}.{minor}, could not {what},{by}: {said}; update the driver, or fetch its own \
         NVRTC: `python3 -m pip install --no-deps --upgrade --target .cuda '{package}=={major}.{minor}.*'`"
    )
}

/// Whether this process lost a context: what is left to do needs another one.
pub fn lost() -> bool {
    !LOST.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Forgets the loss of `context`: the driver gave a fresh one by the same handle.
pub(super) fn fresh(context: CUcontext) {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).remove(&(context as usize));
}

/// What `metric` is told in a context that is lost: its own fault again, or who lost it.
fn told(loss: &Loss, metric: Option<&str>) -> Error {
    if metric == loss.metric.as_deref() {
        return explained(loss, blame(loss.code));
    }
    let (what, code) = (&loss.what, said(loss.code));
    let by = loss.metric.as_deref().unwrap_or("what was done before any metric");
    Error::Unavailable(format!(
        "the GPU's context was lost by {by} (could not {what}: {code}), and no more can run in this process: run again \
         with a filter that leaves {by} out"
    ))
}

fn explained(Loss { code, what, .. }: &Loss, blame: Blame) -> Error {
    let said = said(*code);
    match blame {
        Blame::Crash => Error::Wrong(format!(
            "a kernel faulted: could not {what}: {said}; `sudo dmesg | grep -i xid` may say more"
        )),
        Blame::Launch => Error::Wrong(format!("a launch was refused: could not {what}: {said}")),
        Blame::Broken | Blame::Host => Error::Unavailable(format!(
            "the NVIDIA driver could not {what}: {said}{}",
            advice(*code)
        )),
    }
}

/// The driver's name of `code` and its sentence.
fn said(code: Code) -> String {
    // SAFETY: only asks the loader for the library; nothing is called in it.
    if !unsafe { sys::is_culib_present() } {
        return format!("{code:?}");
    }
    DriverError(code).error_string().map_or_else(
        |_| format!("{code:?}"),
        |sentence| format!("{code:?}, {}", sentence.to_string_lossy()),
    )
}

/// What the user can do about `code`, as the end of a sentence.
const fn advice(code: Code) -> &'static str {
    match code {
        Code::CUDA_ERROR_OUT_OF_MEMORY => "; `nvidia-smi` shows who else holds the device's memory",
        Code::CUDA_ERROR_ECC_UNCORRECTABLE
        | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | Code::CUDA_ERROR_CONTAINED
        | Code::CUDA_ERROR_EXTERNAL_DEVICE => {
            "; the hardware failed: see `nvidia-smi -q -d ECC,ROW_REMAPPER` and `sudo dmesg | grep -i xid`"
        }
        Code::CUDA_ERROR_UNKNOWN => {
            "; see whether the device is still there: `nvidia-smi`, `sudo dmesg | grep -i xid`"
        }
        Code::CUDA_ERROR_DEVICE_UNAVAILABLE => {
            "; see who holds it (`nvidia-smi`), and allow sharing with `sudo nvidia-smi -c 0`"
        }
        Code::CUDA_ERROR_NO_DEVICE => "; see `nvidia-smi -L` and CUDA_VISIBLE_DEVICES",
        Code::CUDA_ERROR_SYSTEM_NOT_READY => {
            "; start the fabric manager: `sudo systemctl start nvidia-fabricmanager`"
        }
        Code::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
            "; the driver's library and its kernel module differ: reboot after the update"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(code: Code) -> Loss {
        Loss { metric: Some("gemm/gpu0/a".into()), code, what: "multiply".into() }
    }

    #[test]
    fn a_crash_is_its_metric_s_fault_and_nobody_else_s() {
        let crash = loss(Code::CUDA_ERROR_ILLEGAL_ADDRESS);
        let own = told(&crash, Some("gemm/gpu0/a"));
        assert!(matches!(&own, Error::Wrong(why) if why.contains("faulted")), "{own}");
        let other = told(&crash, Some("gemm/gpu0/b"));
        let Error::Unavailable(why) = &other else { panic!("{other:?}") };
        assert!(why.contains("lost by gemm/gpu0/a") && why.contains("ILLEGAL_ADDRESS"), "{why}");
    }

    #[test]
    fn a_driver_that_is_too_old_is_told_which_compiler_suits_it() {
        let said = "CUDA_ERROR_UNSUPPORTED_PTX_VERSION";
        let old = mismatch("load gate.cu", said, (12, 4), Some((13, 0)));
        assert!(old.contains("CUDA 12.4") && old.contains("NVRTC 13.0"), "{old}");
        assert!(old.contains("'nvidia-cuda-nvrtc-cu12==12.4.*'"), "{old}");
        assert!(mismatch("", said, (13, 0), None).contains("'nvidia-cuda-nvrtc==13.0.*'"));
    }

    #[test]
    fn broken_hardware_is_no_wrong_kernel() {
        let ecc = loss(Code::CUDA_ERROR_ECC_UNCORRECTABLE);
        assert!(matches!(told(&ecc, Some("gemm/gpu0/a")), Error::Unavailable(_)));
        assert_eq!(blame(Code::CUDA_ERROR_OUT_OF_MEMORY), Blame::Host);
    }

    #[test]
    fn an_invalid_argument_is_the_kernel_s_fault_at_a_launch_only() {
        assert_eq!(blame(Code::CUDA_ERROR_INVALID_VALUE), Blame::Host);
        assert_eq!(blame(Code::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES), Blame::Launch);
        let refused = launching("launch a GEMM", DriverError(Code::CUDA_ERROR_INVALID_VALUE));
        assert!(
            matches!(&refused, Error::Wrong(why) if why.contains("launch a GEMM")),
            "{refused}"
        );
    }
}
