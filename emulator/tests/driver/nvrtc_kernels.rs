//! More kernels through NVRTC: what ordinary CUDA C++ compiles to, 8-bit products, pipelines and clusters.

use crate::support::{TensorMap, address_of, compile, config, with_nvrtc};
use cudarc::driver::sys;
use cudarc::driver::{CudaContext, CudaFunction, LaunchConfig, PushKernelArg};
use std::ffi::c_void;
use std::sync::Arc;

/// A kernel of a source, on the emulated device.
fn kernel(
    context: &Arc<CudaContext>,
    source: &str,
    architecture: &str,
    name: &str,
) -> CudaFunction {
    let module = context.load_module(compile(source, architecture)).expect("a module");
    module.load_function(name).expect("an entry")
}

fn device() -> Arc<CudaContext> {
    CudaContext::new(0).expect("a device")
}

#[test]
fn softmax_with_shuffles_and_exponentials() {
    with_nvrtc("l40s", || {
        let context = device();
        let stream = context.default_stream();
        let softmax = kernel(&context, include_str!("cuda/scalar.cu"), "sm_80", "softmax");
        let (rows, columns) = (5_usize, 333_usize);
        let input: Vec<f32> =
            (0..rows * columns).map(|i| (i * 7919 % 1000) as f32 / 50.0 - 10.0).collect();
        let x = stream.clone_htod(&input).expect("a copy");
        let mut y = stream.alloc_zeros::<f32>(rows * columns).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&softmax)
                .arg(&mut y)
                .arg(&x)
                .arg(&(columns as i32))
                .launch(config(rows as u32, 128))
        }
        .expect("a launch");
        let got = stream.clone_dtoh(&y).expect("the kernel ends well");
        for (row, got) in input.chunks(columns).zip(got.chunks(columns)) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f64> = row.iter().map(|x| f64::from(x - largest).exp()).collect();
            let total: f64 = powers.iter().sum();
            for (power, got) in powers.iter().zip(got) {
                // ex2.approx errs by 2^-22.5, its argument by a rounding at a magnitude of up to 32.
                assert!((f64::from(*got) / (power / total) - 1.0).abs() < 1e-5);
            }
        }
    });
}

#[test]
fn histogram_with_atomics_and_ballots() {
    with_nvrtc("l40s", || {
        let context = device();
        let stream = context.default_stream();
        let histogram = kernel(&context, include_str!("cuda/scalar.cu"), "sm_80", "histogram");
        let values: Vec<u32> = (0..5000_u32).map(|i| i.wrapping_mul(2_654_435_761) >> 7).collect();
        let input = stream.clone_htod(&values).expect("a copy");
        let bins = stream.alloc_zeros::<u32>(64).expect("memory");
        let ballots = stream.alloc_zeros::<u32>(1).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&histogram)
                .arg(&bins)
                .arg(&ballots)
                .arg(&input)
                .arg(&5000_i32)
                .launch(config(4, 96))
        }
        .expect("a launch");
        let mut expected = [0_u32; 64];
        values.iter().for_each(|value| expected[*value as usize % 64] += 1);
        assert_eq!(stream.clone_dtoh(&bins).expect("the kernel ends well"), expected);
        let odd = values[..96].iter().filter(|value| *value % 2 == 1).count() as u32;
        assert_eq!(stream.clone_dtoh(&ballots), Ok(vec![4 * odd]));
    });
}

/// `mixed` of `cuda/scalar.cu`.
fn mixed(i: i64) -> i64 {
    let table: Vec<i64> = (0..8).map(|j| (i + j) * (j + 1)).collect();
    let (mut n, mut value) = (i + 1, 0);
    while n != 1 {
        n = if n % 2 == 1 { 3 * n + 1 } else { n / 2 };
        value += 1;
    }
    let bits = i as u32;
    match i % 7 {
        0 => value + table[i as usize % 8],
        1 => value - i * i,
        2 => value << 33 | i,
        3 => value ^ table[i as usize / 3 % 8],
        4 => value + 3 * i,
        5 => value * -5,
        _ => {
            let first = if bits == 0 { 0 } else { bits.trailing_zeros() + 1 };
            let counts = bits.leading_zeros() + first + bits.reverse_bits() % 17;
            value / 3 % 1000 + i64::from(counts)
        }
    }
}

#[test]
fn branches_local_arrays_and_wide_arithmetic() {
    with_nvrtc("l40s", || {
        let context = device();
        let stream = context.default_stream();
        let kernel = kernel(&context, include_str!("cuda/scalar.cu"), "sm_80", "mixed");
        let n = 1000;
        let out = stream.alloc_zeros::<i64>(n).expect("memory");
        let shape =
            LaunchConfig { grid_dim: (3, 2, 1), block_dim: (24, 8, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are the kernel's.
        unsafe { stream.launch_builder(&kernel).arg(&out).arg(&(n as i32)).launch(shape) }
            .expect("a launch");
        let expected: Vec<i64> = (0..n as i64).map(mixed).collect();
        assert_eq!(stream.clone_dtoh(&out).expect("the kernel ends well"), expected);
    });
}

/// `a[16][32] * b[8][32]^T` of small whole numbers; also the numbers themselves.
fn operands() -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let number = |i: usize| (i * 29 + i / 5 * 3) as i32 % 9 - 4;
    let a: Vec<i32> = (0..16 * 32).map(number).collect();
    let b: Vec<i32> = (0..8 * 32).map(|i| number(i + 3)).collect();
    let dot = |x: &[i32], y: &[i32]| x.iter().zip(y).map(|(x, y)| x * y).sum();
    let c = a.chunks(32).flat_map(|row| b.chunks(32).map(move |column| dot(row, column))).collect();
    (a, b, c)
}

/// A small whole number with so many exponent and mantissa bits and this bias.
fn encode(value: i32, mantissa_bits: u32, bias: i32) -> u8 {
    if value == 0 {
        return 0;
    }
    let exponent = value.abs().ilog2();
    let mantissa = (value.abs() << mantissa_bits >> exponent) as u8 & ((1 << mantissa_bits) - 1);
    let sign = if value < 0 { 0x80 } else { 0 };
    sign | ((exponent as i32 + bias) as u8) << mantissa_bits | mantissa
}

#[test]
fn sm_89_products_of_8_bits() {
    with_nvrtc("l40s", || {
        let context = device();
        let stream = context.default_stream();
        let source = include_str!("cuda/sm89.cu");
        let (a, b, c) = operands();
        let run = |name: &str, encode: &dyn Fn(i32) -> u8| {
            let function = kernel(&context, source, "sm_89", name);
            let bytes =
                |values: &[i32]| values.iter().map(|value| encode(*value)).collect::<Vec<u8>>();
            let (a, b) = (
                stream.clone_htod(&bytes(&a)).expect("a copy"),
                stream.clone_htod(&bytes(&b)).expect("a copy"),
            );
            let out = stream.alloc_zeros::<u32>(16 * 8).expect("memory");
            // SAFETY: the arguments are the kernel's.
            unsafe {
                stream.launch_builder(&function).arg(&out).arg(&a).arg(&b).launch(config(1, 32))
            }
            .expect("a launch");
            stream.clone_dtoh(&out).expect("the kernel ends well")
        };
        let floats: Vec<u32> = c.iter().map(|value| (*value as f32).to_bits()).collect();
        let integers: Vec<u32> = c.iter().map(|value| *value as u32).collect();
        assert_eq!(run("mma_s8", &|value| value as u8), integers);
        assert_eq!(run("mma_e4m3", &|value| encode(value, 3, 7)), floats);
        assert_eq!(run("mma_e5m2", &|value| encode(value, 2, 15)), floats);

        let round = kernel(&context, source, "sm_89", "round_e4m3");
        // OCP FP8: three mantissa bits, 448 the largest, 2^-9 the smallest; ties to even.
        let cases = [
            (1.0625, 1.0),
            (1.1875, 1.25),
            (-3.3, -3.25),
            (1e6, 448.0),
            (-500.0, -448.0),
            (0.001, 0.001_953_125),
            (0.0009, 0.0),
            (0.0, 0.0),
        ];
        let values = stream.clone_htod(&cases.map(|case| case.0)).expect("a copy");
        // SAFETY: the arguments are the kernel's.
        unsafe { stream.launch_builder(&round).arg(&values).arg(&4_i32).launch(config(1, 32)) }
            .expect("a launch");
        let got: Vec<f32> = stream.clone_dtoh(&values).expect("the kernel ends well");
        assert_eq!(got, cases.map(|case| case.1));
    });
}

/// A map of rows of 64 32-bit numbers with a box of 16 rows, no swizzle.
fn tensor_map(address: u64, rows: u64) -> TensorMap {
    let mut map = TensorMap([0; 16]);
    // SAFETY: arrays of the stated rank.
    let code = unsafe {
        sys::cuTensorMapEncodeTiled(
            (&raw mut map).cast(),
            sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_INT32,
            2,
            address as *mut c_void,
            [64, rows].as_ptr(),
            [256].as_ptr(),
            [64, 16].as_ptr(),
            [1, 1].as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_NONE,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_NONE,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    code.result().expect("a map");
    map
}

#[test]
fn sm_90a_warp_specialised_pipeline() {
    with_nvrtc("h100", || {
        let context = device();
        let stream = context.default_stream();
        let pipeline =
            kernel(&context, include_str!("cuda/sm90a_pipeline.cu"), "sm_90a", "pipeline");
        // The last tile is cut short: loads beyond the end give zeros, stores beyond it do nothing.
        let rows = 16 * 7 - 5;
        let numbers: Vec<i32> = (0..rows * 64).map(|i| i * 31 - 1000).collect();
        let (input, output) = (
            stream.clone_htod(&numbers).expect("a copy"),
            stream.clone_htod(&vec![-1; (rows as usize + 5) * 64]).expect("a copy"),
        );
        let map_in = tensor_map(address_of(&input, &stream), rows as u64);
        let map_out = tensor_map(address_of(&output, &stream), rows as u64);
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&pipeline)
                .arg(&map_in)
                .arg(&map_out)
                .arg(&7_i32)
                .launch(config(1, 256))
        }
        .expect("a launch");
        let got = stream.clone_dtoh(&output).expect("the kernel ends well");
        let expected =
            numbers.iter().map(|number| 3 * number).chain(std::iter::repeat_n(-1, 5 * 64));
        assert!(got.into_iter().eq(expected));
    });
}

#[test]
fn sm_90a_clusters_share_memory() {
    with_nvrtc("h100", || {
        let context = device();
        let stream = context.default_stream();
        let source = include_str!("cuda/sm90a_pipeline.cu");
        let neighbours = kernel(&context, source, "sm_90a", "neighbours");
        let out = stream.alloc_zeros::<u32>(8).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe { stream.launch_builder(&neighbours).arg(&out).launch(config(8, 64)) }
            .expect("a launch");
        assert_eq!(
            stream.clone_dtoh(&out).expect("it ends well"),
            [300, 0, 100, 200, 300, 0, 100, 200]
        );

        let multicast = kernel(&context, source, "sm_90a", "multicast");
        let numbers: Vec<i32> = (0..16 * 64).map(|i| i * 7).collect();
        let input = stream.clone_htod(&numbers).expect("a copy");
        let map = tensor_map(address_of(&input, &stream), 16);
        let out = stream.alloc_zeros::<i32>(2 * 16 * 64).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe { stream.launch_builder(&multicast).arg(&map).arg(&out).launch(config(2, 128)) }
            .expect("a launch");
        let expected = (0..2).flat_map(|rank| numbers.iter().map(move |number| number + rank));
        assert!(stream.clone_dtoh(&out).expect("it ends well").into_iter().eq(expected));
    });
}
