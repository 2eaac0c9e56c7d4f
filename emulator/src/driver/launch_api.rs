//! The launch calls.

use super::command::Command;
use super::context::current;
use super::error::{Code, Result, ensure, guard};
use super::handle::Handle;
use super::launch::{Launch, Request};
use super::module::Function;
use super::stream::resolve;
use std::ffi::{c_uint, c_void};

/// `CU_LAUNCH_PARAM_END`, `_BUFFER_POINTER`, `_BUFFER_SIZE`: the keys of `extra`.
const END: usize = 0;
const BUFFER_POINTER: usize = 1;
const BUFFER_SIZE: usize = 2;

/// Where a caller's arguments are.
#[derive(Clone, Copy)]
struct Arguments {
    pointers: *mut *mut c_void,
    extra: *mut *mut c_void,
}

impl Arguments {
    /// The parameter buffer.
    fn gather(self, function: &Function) -> Result<Vec<u8>> {
        let invalid = Code::CUDA_ERROR_INVALID_VALUE;
        let declared = function.declared();
        ensure(self.pointers.is_null() || self.extra.is_null(), invalid)?;
        if !self.extra.is_null() {
            return self.buffer(declared.param_bytes as usize);
        }
        ensure(declared.params.is_empty() || !self.pointers.is_null(), invalid)?;
        let mut buffer = vec![0; declared.param_bytes as usize];
        for (index, param) in declared.params.iter().enumerate() {
            // SAFETY: the caller passes one pointer a parameter.
            let pointer = unsafe { self.pointers.add(index).read() };
            ensure(!pointer.is_null(), invalid)?;
            let place = &mut buffer[param.offset as usize..][..param.size as usize];
            // SAFETY: the pointer is valid for the parameter's size.
            unsafe { pointer.cast::<u8>().copy_to_nonoverlapping(place.as_mut_ptr(), place.len()) };
        }
        Ok(buffer)
    }

    /// The parameter buffer that `extra` describes.
    fn buffer(self, bytes: usize) -> Result<Vec<u8>> {
        let (mut pointer, mut size) = (std::ptr::null::<u8>(), 0);
        let mut at = self.extra;
        loop {
            // SAFETY: keys and values alternate until the end key, as the C caller must pass them.
            unsafe {
                match at.read() as usize {
                    END => break,
                    BUFFER_POINTER => pointer = at.add(1).read().cast(),
                    BUFFER_SIZE => size = at.add(1).read().cast::<usize>().read(),
                    _ => return Err(Code::CUDA_ERROR_INVALID_VALUE),
                }
                at = at.add(2);
            }
        }
        ensure(!pointer.is_null() && size >= bytes, Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: the buffer is valid for the size that the caller states.
        Ok(unsafe { std::slice::from_raw_parts(pointer, bytes) }.to_vec())
    }
}

fn enqueue(function: Handle, stream: Handle, request: Request, arguments: Arguments) -> Result<()> {
    let (driver, _) = current()?;
    let function = driver.functions.get(function)?;
    let stream = resolve(stream)?;
    let params = arguments.gather(&function)?;
    let launch = Launch::new(driver, &stream, function, request, params)?;
    stream.submit(Command::Launch(launch)).map(|_| ())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    dynamic_shared: c_uint,
    stream: Handle,
    pointers: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Code {
    guard("cuLaunchKernel", || {
        let grid = [grid_x, grid_y, grid_z];
        let block = [block_x, block_y, block_z];
        let request = Request { grid, block, cluster: None, dynamic_shared };
        enqueue(function, stream, request, Arguments { pointers, extra })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchCooperativeKernel(
    function: Handle,
    _grid_x: c_uint,
    _grid_y: c_uint,
    _grid_z: c_uint,
    _block_x: c_uint,
    _block_y: c_uint,
    _block_z: c_uint,
    _dynamic_shared: c_uint,
    _stream: Handle,
    _pointers: *mut *mut c_void,
) -> Code {
    guard("cuLaunchCooperativeKernel", || {
        current()?.0.functions.get(function)?;
        // As on a device whose CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH is 0.
        Err(Code::CUDA_ERROR_NOT_SUPPORTED)
    })
}

/// `CUlaunchConfig` of `cuda.h`, its enumerations as plain numbers.
#[repr(C)]
pub struct LaunchConfigEx {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    dynamic_shared: c_uint,
    stream: Handle,
    attributes: *const Attribute,
    attribute_count: c_uint,
}

/// `CUlaunchAttribute`: a number, and a value of 64 bytes.
#[repr(C)]
struct Attribute {
    id: c_uint,
    padding: u32,
    value: [c_uint; 16],
}

const _: () = assert!(
    size_of::<LaunchConfigEx>() == size_of::<cudarc::driver::sys::CUlaunchConfig>()
        && size_of::<Attribute>() == size_of::<cudarc::driver::sys::CUlaunchAttribute>()
);

impl LaunchConfigEx {
    /// What the attributes ask for.
    pub fn request(&self) -> Result<Request> {
        use cudarc::driver::sys::CUlaunchAttributeID as Id;
        let mut cluster = None;
        let none = self.attribute_count == 0;
        ensure(none || !self.attributes.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        for index in 0..self.attribute_count as usize {
            // SAFETY: the array has as many elements as the caller states.
            let attribute = unsafe { &*self.attributes.add(index) };
            let is = |id: Id| attribute.id == id as c_uint;
            if is(Id::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
                cluster = Some([attribute.value[0], attribute.value[1], attribute.value[2]]);
            } else if is(Id::CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
                ensure(attribute.value[0] == 0, Code::CUDA_ERROR_NOT_SUPPORTED)?;
            } else if !HINTS.iter().any(|hint| is(*hint)) {
                return Err(Code::CUDA_ERROR_NOT_SUPPORTED);
            }
        }
        let Self { grid, block, dynamic_shared, .. } = *self;
        Ok(Request { grid, block, cluster, dynamic_shared })
    }
}

/// Attributes that change when or how fast work runs, never what it computes.
const HINTS: [cudarc::driver::sys::CUlaunchAttributeID; 9] = {
    use cudarc::driver::sys::CUlaunchAttributeID as Id;
    [
        Id::CU_LAUNCH_ATTRIBUTE_IGNORE,
        Id::CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW,
        Id::CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY,
        Id::CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE,
        Id::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
        Id::CU_LAUNCH_ATTRIBUTE_PRIORITY,
        Id::CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP,
        Id::CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN,
        Id::CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
    ]
};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernelEx(
    config: *const LaunchConfigEx,
    function: Handle,
    pointers: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Code {
    guard("cuLaunchKernelEx", || {
        ensure(!config.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null; valid, as the C caller must pass it.
        let config = unsafe { &*config };
        enqueue(function, config.stream, config.request()?, Arguments { pointers, extra })
    })
}
