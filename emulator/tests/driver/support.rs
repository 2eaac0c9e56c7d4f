//! What the driver's tests share: bodies that run on the emulator, kernels, tensor maps.

use crate::ptx::CONTROL;
use cudarc::driver::sys::{self, CUevent_flags, CUresult};
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaStream, DevicePtr, DeviceRepr, LaunchConfig,
    PushKernelArg,
};
use cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders with NVRTC: `.cuda` of the workspace, as `setup.sh` fills it.
pub fn nvrtc_folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cuda/nvidia");
    let packages = std::fs::read_dir(root).into_iter().flatten().flatten();
    packages.map(|package| package.path().join("lib")).filter(|lib| lib.is_dir()).collect()
}

/// Runs the body of a test on the emulator, with the environment `env`; the child's stderr.
pub fn on_emulator<F: FnOnce()>(env: &[(&str, &str)], body: F) -> Option<String> {
    emulator::driver::in_child(env, &nvrtc_folders(), body)
}

/// The first device, its context current.
pub fn device() -> Arc<CudaContext> {
    let context = CudaContext::new(0).expect("a device");
    // SAFETY: these tests order their work themselves.
    unsafe { context.disable_event_tracking() };
    context
}

/// An entry of a PTX text.
pub fn kernel(context: &Arc<CudaContext>, text: &str, name: &str) -> CudaFunction {
    let module = context.load_module(Ptx::from_src(text)).expect("the text compiles");
    module.load_function(name).expect("an entry")
}

/// An event with a time.
pub fn timed(stream: &CudaStream) -> CudaEvent {
    stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).expect("an event")
}

/// One block of so many threads, with so many bytes of dynamic shared memory.
pub fn one_block(threads: u32, dynamic: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: dynamic }
}

/// Runs the body of a test on an emulated GPU, unless there is no NVRTC.
pub fn with_nvrtc(gpu: &str, body: impl FnOnce()) {
    // SAFETY: only asks the loader for the library.
    let installed = unsafe { cudarc::nvrtc::sys::is_culib_present() };
    if nvrtc_folders().is_empty() && !installed {
        let command = "./setup.sh, or: pip install --target .cuda nvidia-cuda-nvrtc";
        eprintln!("SKIPPED {}: no NVRTC. Run {command}", emulator::driver::test_of(&body));
        return;
    }
    on_emulator(&[("HOSTDYNO_EMULATED_GPU", gpu)], body);
}

/// PTX of a source for a real architecture.
pub fn compile(source: &str, architecture: &str) -> Ptx {
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture={architecture}"), "--std=c++17".into()],
        ..Default::default()
    };
    compile_ptx_with_opts(source, options).expect("it compiles")
}

/// So many blocks of so many threads.
pub fn config(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// `CUtensorMap`, to be passed by value.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct TensorMap(pub [u64; 16]);

// SAFETY: plain bytes, laid out as the kernel's parameter.
unsafe impl DeviceRepr for TensorMap {}

/// Device address of a slice.
pub fn address_of<T>(slice: &impl DevicePtr<T>, stream: &Arc<CudaStream>) -> u64 {
    slice.device_ptr(stream).0
}

/// One block of one thread.
pub const ONE_THREAD: LaunchConfig =
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };

/// Stores to an address and waits; the code that the wait returns.
pub fn store(context: &Arc<CudaContext>, address: u64) -> CUresult {
    let stream = context.new_stream().expect("a stream");
    let store = kernel(context, CONTROL, "store");
    // SAFETY: the arguments are the kernel's; the address is the test.
    unsafe { stream.launch_builder(&store).arg(&address).arg(&7_u32).launch(ONE_THREAD) }
        .expect("the launch itself is fine");
    let code = stream.synchronize().map_or_else(|error| error.0, |()| CUresult::CUDA_SUCCESS);
    // Dropping would try the dead context again.
    std::mem::forget((stream, store));
    code
}

/// Makes sure that a context is dead with `code`: every call says so, until it is made anew.
pub fn dead(context: Arc<CudaContext>, code: CUresult) {
    let (mut free, mut total, mut pointer) = (0, 0, 0);
    // SAFETY: valid output pointers.
    unsafe {
        assert_eq!(sys::cuMemGetInfo_v2(&mut free, &mut total), code);
        assert_eq!(sys::cuMemAlloc_v2(&mut pointer, 16), code);
        assert_eq!(sys::cuCtxSynchronize(), code);
        assert_eq!(sys::cuStreamSynchronize(std::ptr::null_mut()), code);
    }
    std::mem::forget(context);
}
