//! The C functions.

use super::super::command::Command;
use super::super::context::current;
use super::super::error::{Code, catch};
use super::super::handle::{Handle, Table};
use super::super::space::Kind;
use super::super::state::Driver;
use super::super::stream;
use super::object::{Description, Layout, Object, Preference, Value};
use super::product::{Bytes, Product, extent, scale_bytes};
use super::rules::{Scaling, Shape, shape};
use super::{Result, Status};
use cudarc::cublaslt::sys::{
    cublasLtMatmulAlgo_t as Algorithm, cublasLtMatmulAlgoConfigAttributes_t as C,
    cublasLtMatmulHeuristicResult_t as Found,
};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::{Arc, LazyLock};

/// What an algorithm of this library begins with.
const MARK: u64 = 0x686f_7374_6479_6e6f;
/// Algorithms that the heuristic names.
const ALGORITHMS: u64 = 2;
/// `cublasLtGetVersion`: that of the header whose names are offered here.
const VERSION: usize = 130_000;

/// Open handles; each remembers nothing, since descriptions hold all there is.
static HANDLES: LazyLock<Table<()>> = LazyLock::new(|| Table::new(19));

/// Runs the body of an entry point; a panic and a failed device become the library's own codes.
fn guard(name: &str, body: impl FnOnce() -> Result<()>) -> Status {
    let outcome = catch(name, || Ok(body()));
    match outcome.unwrap_or(Err(Status::CUBLAS_STATUS_INTERNAL_ERROR)) {
        Ok(()) => Status::CUBLAS_STATUS_SUCCESS,
        Err(status) => status,
    }
}

/// Stores an answer; a null pointer is `INVALID_VALUE`.
///
/// # Safety
/// A pointer that is not null must be valid for writing one `T`.
unsafe fn store<T>(pointer: *mut T, value: T) -> Result<()> {
    if pointer.is_null() {
        return Err(Status::CUBLAS_STATUS_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller promises that it is valid for writing.
    unsafe { pointer.write(value) };
    Ok(())
}

const fn failed(_: Code) -> Status {
    Status::CUBLAS_STATUS_EXECUTION_FAILED
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtGetVersion() -> usize {
    VERSION
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtCreate(handle: *mut Handle) -> Status {
    guard("cublasLtCreate", || {
        current().map_err(|_| Status::CUBLAS_STATUS_NOT_INITIALIZED)?;
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(handle, HANDLES.insert(Arc::new(()))) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtDestroy(handle: Handle) -> Status {
    guard("cublasLtDestroy", || {
        HANDLES.remove(handle).map(|_| ()).map_err(|_| Status::CUBLAS_STATUS_NOT_INITIALIZED)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatrixLayoutCreate(
    layout: *mut Handle,
    data_type: c_uint,
    rows: u64,
    columns: u64,
    stride: i64,
) -> Status {
    guard("cublasLtMatrixLayoutCreate", || {
        // SAFETY: see `cublasLtCreate`.
        unsafe { store(layout, Layout::new(data_type, rows, columns, stride).insert()) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulDescCreate(
    description: *mut Handle,
    compute: c_uint,
    scale_type: c_uint,
) -> Status {
    guard("cublasLtMatmulDescCreate", || {
        let new = Description { compute, scale_type, ..Description::default() };
        // SAFETY: see `cublasLtCreate`.
        unsafe { store(description, new.insert()) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulPreferenceCreate(preference: *mut Handle) -> Status {
    guard("cublasLtMatmulPreferenceCreate", || {
        // SAFETY: see `cublasLtCreate`.
        unsafe { store(preference, Preference::default().insert()) }
    })
}

macro_rules! attributes {
    ($($set:ident $destroy:ident $object:ty;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $set(
            object: Handle,
            attribute: c_int,
            value: *const c_void,
            bytes: usize,
        ) -> Status {
            guard(stringify!($set), || {
                // SAFETY: null or valid for as many bytes, as the C caller must pass it.
                let value = unsafe { Value::new(value, bytes) };
                <$object as Object>::set(object, attribute, value)
            })
        }

        #[unsafe(no_mangle)]
        extern "C" fn $destroy(object: Handle) -> Status {
            guard(stringify!($destroy), || <$object as Object>::remove(object))
        }
    )*};
}

attributes! {
    cublasLtMatrixLayoutSetAttribute cublasLtMatrixLayoutDestroy Layout;
    cublasLtMatmulDescSetAttribute cublasLtMatmulDescDestroy Description;
    cublasLtMatmulPreferenceSetAttribute cublasLtMatmulPreferenceDestroy Preference;
}

/// The product that the handles describe, on the current device.
fn described(
    library: Handle,
    description: Handle,
    layouts: [Handle; 4],
) -> Result<(&'static Driver, Description, Shape)> {
    HANDLES.get(library).map_err(|_| Status::CUBLAS_STATUS_NOT_INITIALIZED)?;
    let (driver, context) = current().map_err(failed)?;
    let description = Description::get(description)?;
    let [a, b, c, d] = layouts.map(Layout::get);
    let (a, b, c, d) = (a?, b?, c?, d?);
    let shape = shape(context.device.model.capability, &description, [&a, &b, &c, &d])?;
    Ok((driver, description, shape))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    library: Handle,
    description: Handle,
    a: Handle,
    b: Handle,
    c: Handle,
    d: Handle,
    preference: Handle,
    asked: c_int,
    found: *mut Found,
    count: *mut c_int,
) -> Status {
    guard("cublasLtMatmulAlgoGetHeuristic", || {
        // SAFETY: see `cublasLtCreate`.
        unsafe { store(count, 0)? };
        described(library, description, [a, b, c, d])?;
        Preference::get(preference)?;
        let asked = u64::try_from(asked).ok().filter(|&asked| asked > 0 && !found.is_null());
        let named = asked.ok_or(Status::CUBLAS_STATUS_INVALID_VALUE)?.min(ALGORITHMS);
        for number in 0..named {
            let mut algo = Algorithm { data: [0; 8] };
            algo.data[..2].copy_from_slice(&[MARK, number]);
            let state = Status::CUBLAS_STATUS_SUCCESS;
            let one = Found { algo, workspaceSize: 0, state, wavesCount: 1.0, reserved: [0; 4] };
            // SAFETY: the array has as many elements as were asked for.
            unsafe { found.add(number as usize).write(one) };
        }
        // SAFETY: see `cublasLtCreate`.
        unsafe { store(count, named as c_int) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulAlgoConfigGetAttribute(
    algorithm: *const Algorithm,
    attribute: c_int,
    buffer: *mut c_void,
    bytes: usize,
    written: *mut usize,
) -> Status {
    guard("cublasLtMatmulAlgoConfigGetAttribute", || {
        let invalid = Err(Status::CUBLAS_STATUS_INVALID_VALUE);
        // SAFETY: null or valid, as the C caller must pass it.
        let number = match unsafe { algorithm.as_ref() } {
            Some(algorithm) if algorithm.data[0] == MARK => algorithm.data[1] as u32,
            _ => return invalid,
        };
        let (value, size) = match attribute {
            a if a == C::CUBLASLT_ALGO_CONFIG_ID as c_int => (number, 4),
            a if a == C::CUBLASLT_ALGO_CONFIG_SPLITK_NUM as c_int => (1, 4),
            a if a <= C::CUBLASLT_ALGO_CONFIG_STAGES_ID as c_int => (0, 4),
            a if a <= C::CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID as c_int => (0, 2),
            _ => return invalid,
        };
        if buffer.is_null() || bytes < size {
            return invalid;
        }
        // SAFETY: not null, valid for at least the bytes of the attribute.
        unsafe { buffer.cast::<u8>().copy_from(value.to_le_bytes().as_ptr(), size) };
        // SAFETY: see `cublasLtCreate`.
        unsafe { store(written, size) }
    })
}

/// `bytes` of device memory behind a caller's pointer, which must be aligned to 16.
fn device(driver: &Driver, address: u64, count: u64) -> Result<Bytes> {
    let known = driver.space.range(address, count).ok();
    let known = known.filter(|a| matches!(a.kind, Kind::Device(_)) && address.is_multiple_of(16));
    let known = known.ok_or(Status::CUBLAS_STATUS_INVALID_VALUE)?;
    Ok(Bytes { region: known.region, address, count })
}

/// Alpha or beta.
///
/// # Safety
/// A pointer that is not null must be valid for reading 4 bytes.
unsafe fn factor(pointer: *const c_void, integers: bool) -> Result<f64> {
    if pointer.is_null() {
        return Err(Status::CUBLAS_STATUS_INVALID_VALUE);
    }
    // SAFETY: not null, valid.
    let bits = unsafe { pointer.cast::<u32>().read_unaligned() };
    Ok(if integers { f64::from(bits as i32) } else { f64::from(f32::from_bits(bits)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmul(
    library: Handle,
    description: Handle,
    alpha: *const c_void,
    a: u64,
    a_layout: Handle,
    b: u64,
    b_layout: Handle,
    beta: *const c_void,
    c: u64,
    c_layout: Handle,
    d: u64,
    d_layout: Handle,
    algorithm: *const Algorithm,
    _workspace: u64,
    _workspace_bytes: usize,
    stream: Handle,
) -> Status {
    guard("cublasLtMatmul", || {
        let layouts = [a_layout, b_layout, c_layout, d_layout];
        let (driver, description, shape) = described(library, description, layouts)?;
        // SAFETY: null (the library then chooses by itself) or valid, as the C caller must pass it.
        let known = unsafe { algorithm.as_ref() };
        if known.is_some_and(|known| known.data[0] != MARK || known.data[1] >= ALGORITHMS) {
            return Err(Status::CUBLAS_STATUS_INVALID_VALUE);
        }
        // SAFETY: null or valid, as the C caller must pass them.
        let factors =
            unsafe { [factor(alpha, shape.integers())?, factor(beta, shape.integers())?] };
        // What was in C is not added here.
        if factors[1] != 0.0 || c != d {
            return Err(Status::CUBLAS_STATUS_NOT_SUPPORTED);
        }
        let Shape { element, scaling, m, n, k, strides } = shape;
        let operand = |address, columns, stride| {
            device(driver, address, extent(element.bits(), k, columns, stride))
        };
        let scale = |operand: usize, columns| match (scaling, description.scales[operand]) {
            (Scaling::Whole, 0) => Ok(None),
            (_, address) => device(driver, address, scale_bytes(scaling, columns, k)).map(Some),
        };
        let product = Product {
            shape,
            operands: [operand(a, m, strides[0])?, operand(b, n, strides[1])?],
            scales: [scale(0, m)?, scale(1, n)?],
            d: device(driver, d, extent(32, m, n, strides[2]))?,
            alpha: factors[0],
        };
        let stream = stream::resolve(stream).map_err(failed)?;
        stream.submit(Command::Work(Box::new(product))).map(|_| ()).map_err(failed)
    })
}
