//! Function queries and attributes.

use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::Handle;
use super::module::Function;
use super::state::driver;
use cudarc::driver::sys::CUfunction_attribute as F;
use std::ffi::{c_int, c_uint};
use std::sync::atomic::Ordering;

/// The answer of `cuFuncGetAttribute`.
fn value(function: &Function, which: c_uint) -> Result<u32> {
    let declared = function.declared();
    let cluster = |axis: usize| declared.required_cluster.map_or(0, |cluster| cluster[axis]);
    let module = &function.module.image.module;
    let constants = || module.variables.iter().filter(|v| v.constant).map(|v| v.size).sum::<u64>();
    let is = |attribute: F| which == attribute as c_uint;
    Ok(if is(F::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) {
        function.max_threads()
    } else if is(F::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) {
        declared.static_shared
    } else if is(F::CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES) {
        constants() as u32
    } else if is(F::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES) {
        declared.local_bytes
    } else if is(F::CU_FUNC_ATTRIBUTE_NUM_REGS) {
        function.estimated_registers()
    } else if is(F::CU_FUNC_ATTRIBUTE_PTX_VERSION) {
        module.target_arch()
    } else if is(F::CU_FUNC_ATTRIBUTE_BINARY_VERSION) {
        function.module.architecture
    } else if is(F::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        function.max_dynamic_shared.load(Ordering::SeqCst)
    } else if is(F::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
        // -1: the driver chooses.
        u32::MAX
    } else if is(F::CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET) {
        // Only kernels with `.explicitcluster` and no dimensions would need one.
        0
    } else if is(F::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH) {
        cluster(0)
    } else if is(F::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT) {
        cluster(1)
    } else if is(F::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH) {
        cluster(2)
    } else if is(F::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED) {
        u32::from(function.non_portable_cluster.load(Ordering::SeqCst))
    } else if is(F::CU_FUNC_ATTRIBUTE_CACHE_MODE_CA)
        || is(F::CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE)
    {
        0
    } else {
        return Err(Code::CUDA_ERROR_INVALID_VALUE);
    })
}

fn set(function: &Function, which: c_uint, value: c_int) -> Result<()> {
    let (_, context) = current()?;
    let is = |attribute: F| which == attribute as c_uint;
    if is(F::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        let optin = context.device.model.limits().shared_per_block_optin;
        function.allow_dynamic_shared(value, optin)
    } else if is(F::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
        // A hint, in percent; -1 is the default.
        ensure((-1..=100).contains(&value), Code::CUDA_ERROR_INVALID_VALUE)
    } else if is(F::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED) {
        ensure((0..=1).contains(&value), Code::CUDA_ERROR_INVALID_VALUE)?;
        function.non_portable_cluster.store(value == 1, Ordering::SeqCst);
        Ok(())
    } else if is(F::CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE) {
        ensure((0..=2).contains(&value), Code::CUDA_ERROR_INVALID_VALUE)
    } else {
        Err(Code::CUDA_ERROR_INVALID_VALUE)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetAttribute(
    answer: *mut c_int,
    which: c_uint,
    function: Handle,
) -> Code {
    guard("cuFuncGetAttribute", || {
        let number = value(&*driver()?.functions.get(function)?, which)?;
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(answer, number as c_int) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(function: Handle, which: c_uint, value: c_int) -> Code {
    guard("cuFuncSetAttribute", || set(&*driver()?.functions.get(function)?, which, value))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuKernelGetAttribute(
    answer: *mut c_int,
    which: c_uint,
    kernel: Handle,
    _device: c_int,
) -> Code {
    // SAFETY: null or valid.
    unsafe { cuFuncGetAttribute(answer, which, kernel) }
}

#[unsafe(no_mangle)]
extern "C" fn cuKernelSetAttribute(
    which: c_uint,
    value: c_int,
    kernel: Handle,
    _device: c_int,
) -> Code {
    cuFuncSetAttribute(kernel, which, value)
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetCacheConfig(function: Handle, config: c_uint) -> Code {
    guard("cuFuncSetCacheConfig", || {
        driver()?.functions.get(function)?;
        // CU_FUNC_CACHE_PREFER_NONE .. EQUAL: a hint.
        ensure(config <= 3, Code::CUDA_ERROR_INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetModule(module: *mut Handle, function: Handle) -> Code {
    guard("cuFuncGetModule", || {
        let driver = driver()?;
        let wanted = driver.functions.get(function)?.module.clone();
        let handle = driver.modules.find(|other| std::ptr::eq(other, &*wanted));
        // SAFETY: null or valid.
        unsafe { store(module, handle.ok_or(Code::CUDA_ERROR_INVALID_HANDLE)?) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetParamInfo(
    function: Handle,
    index: usize,
    offset: *mut usize,
    size: *mut usize,
) -> Code {
    guard("cuFuncGetParamInfo", || {
        let function = driver()?.functions.get(function)?;
        let param = function.declared().params.get(index);
        let param = param.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: null or valid; the size is optional.
        unsafe {
            store(offset, param.offset as usize)?;
            if !size.is_null() {
                store(size, param.size as usize)?;
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncIsLoaded(state: *mut c_uint, function: Handle) -> Code {
    guard("cuFuncIsLoaded", || {
        driver()?.functions.get(function)?;
        // CU_FUNCTION_LOADING_STATE_LOADED.
        // SAFETY: null or valid.
        unsafe { store(state, 1) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncLoad(function: Handle) -> Code {
    guard("cuFuncLoad", || driver()?.functions.get(function).map(|_| ()))
}
