//! The whole way: CUDA C++, NVRTC, PTX, this driver. Each program is written against cudarc and knows nothing of the
//! emulator. Without NVRTC the tests say so and pass: `./setup.sh` fetches it.

use crate::support::{TensorMap, address_of, compile, config, with_nvrtc};
use cudarc::driver::sys::{self, CUevent_flags, CUresult};
use cudarc::driver::{CudaContext, DevicePtr, PushKernelArg};
use std::ffi::c_void;

/// Small whole numbers, different everywhere: products and sums are exact in f32.
fn number(index: usize) -> f32 {
    ((index * 37 + index / 7 * 11) % 13) as f32 - 6.0
}

/// The upper half of an f32: exact for small whole numbers.
fn bf16(value: f32) -> u16 {
    (value.to_bits() >> 16) as u16
}

/// `a[m][k] * b[n][k]^T`.
fn product(a: &[f32], b: &[f32], k: usize) -> Vec<f32> {
    let dot = |row: &[f32], column: &[f32]| row.iter().zip(column).map(|(x, y)| x * y).sum();
    a.chunks(k).flat_map(|row| b.chunks(k).map(move |column| dot(row, column))).collect()
}

#[test]
fn a_program_allocates_compiles_launches_times_captures_and_reads_back() {
    with_nvrtc("a100", || {
        let context = CudaContext::new(0).expect("a device");
        let stream = context.new_stream().expect("a stream");
        let module =
            context.load_module(compile(include_str!("cuda/sm80.cu"), "sm_80")).expect("a module");
        let axpy = module.load_function("axpy").expect("an entry");
        let n = 10_000_usize;
        let x: Vec<f32> = (0..n).map(number).collect();
        let device_x = stream.clone_htod(&x).expect("a copy");
        let mut device_y = stream.alloc_zeros::<f32>(n).expect("memory");
        let blocks = (n as u32).div_ceil(256);
        let start = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).expect("an event");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&axpy)
                .arg(&mut device_y)
                .arg(&device_x)
                .arg(&2.0_f32)
                .arg(&(n as i32))
                .launch(config(blocks, 256))
        }
        .expect("a launch");
        let end = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).expect("an event");
        assert!(start.elapsed_ms(&end).expect("reached") > 0.002, "more than an empty launch");

        stream.synchronize().expect("done");
        // SAFETY: the slices are used in one stream from here on.
        unsafe { context.disable_event_tracking() };
        stream
            .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .expect("capture");
        for _ in 0..4 {
            let (y, _hold_y) = device_y.device_ptr(&stream);
            let (x, _hold_x) = device_x.device_ptr(&stream);
            // SAFETY: the arguments are the kernel's.
            unsafe {
                stream
                    .launch_builder(&axpy)
                    .arg(&y)
                    .arg(&x)
                    .arg(&1.0_f32)
                    .arg(&(n as i32))
                    .launch(config(blocks, 256))
            }
            .expect("captured");
        }
        let graph = stream
            .end_capture(sys::CUgraphInstantiate_flags(0))
            .expect("a graph")
            .expect("not empty");
        graph.upload().expect("uploaded");
        graph.launch().expect("a launch");
        graph.launch().expect("a launch");
        let y = stream.clone_dtoh(&device_y).expect("a copy");
        assert!(y.iter().zip(&x).all(|(y, x)| *y == 10.0 * x));
    });
}

#[test]
fn sm_80_asynchronous_copies_ldmatrix_and_mma() {
    with_nvrtc("a100", || {
        let context = CudaContext::new(0).expect("a device");
        let stream = context.default_stream();
        let module =
            context.load_module(compile(include_str!("cuda/sm80.cu"), "sm_80")).expect("a module");
        let gemm = module.load_function("gemm_bf16").expect("an entry");
        let k = 96;
        let a: Vec<f32> = (0..16 * k).map(number).collect();
        let b: Vec<f32> = (0..8 * k).map(|i| number(i + 5)).collect();
        let device = |values: &[f32]| {
            stream
                .clone_htod(&values.iter().copied().map(bf16).collect::<Vec<_>>())
                .expect("a copy")
        };
        let (da, db) = (device(&a), device(&b));
        let mut dc = stream.alloc_zeros::<f32>(16 * 8).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&gemm)
                .arg(&mut dc)
                .arg(&da)
                .arg(&db)
                .arg(&(k as i32))
                .launch(config(1, 32))
        }
        .expect("a launch");
        assert_eq!(stream.clone_dtoh(&dc).expect("the kernel ends well"), product(&a, &b, k));
    });
}

/// A map of bf16 rows with a box of 64 columns and `rows` rows, 128-byte swizzle.
fn tensor_map(
    address: u64,
    columns: u64,
    height: u64,
    stride: u64,
    rows: u32,
) -> (CUresult, TensorMap) {
    let mut map = TensorMap([0; 16]);
    // SAFETY: arrays of the stated rank.
    let code = unsafe {
        sys::cuTensorMapEncodeTiled(
            (&raw mut map).cast(),
            sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            2,
            address as *mut c_void,
            [columns, height].as_ptr(),
            [stride].as_ptr(),
            [64, rows].as_ptr(),
            [1, 1].as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_NONE,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    (code, map)
}

#[test]
fn sm_90a_tensor_copies_swizzle_and_fill() {
    with_nvrtc("h100", || {
        let context = CudaContext::new(0).expect("a device");
        let stream = context.default_stream();
        let module = context
            .load_module(compile(include_str!("cuda/sm90a.cu"), "sm_90a"))
            .expect("a module");
        let tile = module.load_function("tile").expect("an entry");
        // 100 columns of rows 104 apart, 80 rows.
        let (columns, height, pitch) = (100_usize, 80_usize, 104_usize);
        let data: Vec<u16> = (0..height * pitch).map(|i| i as u16).collect();
        let source = stream.clone_htod(&data).expect("a copy");
        let address = address_of(&source, &stream);
        assert_eq!(
            tensor_map(address, 100, 80, 200, 64).0,
            CUresult::CUDA_ERROR_INVALID_VALUE,
            "stride not a multiple of 16"
        );
        assert_eq!(
            tensor_map(address + 8, 100, 80, 208, 64).0,
            CUresult::CUDA_ERROR_INVALID_VALUE,
            "address not a multiple of 16"
        );
        let (code, map) = tensor_map(address, columns as u64, height as u64, 2 * pitch as u64, 64);
        code.result().expect("a map");
        let mut out = stream.alloc_zeros::<u16>(64 * 64).expect("memory");
        for (x, y) in [(0, 0), (64, 48), (-8, -3), (200, 0)] {
            // SAFETY: the arguments are the kernel's.
            unsafe {
                stream
                    .launch_builder(&tile)
                    .arg(&map)
                    .arg(&mut out)
                    .arg(&x)
                    .arg(&y)
                    .launch(config(1, 128))
            }
            .expect("a launch");
            let got = stream.clone_dtoh(&out).expect("the kernel ends well");
            for (i, got) in got.into_iter().enumerate() {
                let (row, column) = (y as i64 + i as i64 / 64, x as i64 + i as i64 % 64);
                let inside =
                    (0..height as i64).contains(&row) && (0..columns as i64).contains(&column);
                let expected =
                    if inside { data[row as usize * pitch + column as usize] } else { 0 };
                assert_eq!(got, expected, "corner ({x}, {y}), element {i}");
            }
        }
    });
}

#[test]
fn sm_90a_wgmma_on_tensor_copies() {
    with_nvrtc("h200", || {
        let context = CudaContext::new(0).expect("a device");
        let stream = context.default_stream();
        let module = context
            .load_module(compile(include_str!("cuda/sm90a.cu"), "sm_90a"))
            .expect("a module");
        let gemm = module.load_function("gemm_wgmma").expect("an entry");
        let k = 64;
        let a: Vec<f32> = (0..64 * k).map(number).collect();
        let b: Vec<f32> = (0..8 * k).map(|i| number(i * 3 + 1)).collect();
        let device = |values: &[f32]| {
            stream
                .clone_htod(&values.iter().copied().map(bf16).collect::<Vec<_>>())
                .expect("a copy")
        };
        let (da, db) = (device(&a), device(&b));
        let (code_a, map_a) = tensor_map(address_of(&da, &stream), 64, 64, 128, 64);
        let (code_b, map_b) = tensor_map(address_of(&db, &stream), 64, 8, 128, 8);
        code_a.result().expect("a map");
        code_b.result().expect("a map");
        let mut dc = stream.alloc_zeros::<f32>(64 * 8).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream.launch_builder(&gemm).arg(&map_a).arg(&map_b).arg(&mut dc).launch(config(1, 128))
        }
        .expect("a launch");
        assert_eq!(stream.clone_dtoh(&dc).expect("the kernel ends well"), product(&a, &b, k));
    });
}

#[test]
fn sm_100a_tcgen05_on_tensor_copies() {
    with_nvrtc("b200", || {
        let context = CudaContext::new(0).expect("a device");
        let stream = context.default_stream();
        let source = include_str!("cuda/sm100a.cu");
        let module = context.load_module(compile(source, "sm_100a")).expect("a module");
        let gemm = module.load_function("gemm_tcgen05").expect("an entry");
        let k = 64;
        let a: Vec<f32> = (0..128 * k).map(|i| number(i + 2)).collect();
        let b: Vec<f32> = (0..16 * k).map(|i| number(i * 5 + 1)).collect();
        let device = |values: &[f32]| {
            let halves: Vec<u16> = values.iter().copied().map(bf16).collect();
            stream.clone_htod(&halves).expect("a copy")
        };
        let (da, db) = (device(&a), device(&b));
        let (code_a, map_a) = tensor_map(address_of(&da, &stream), 64, 128, 128, 128);
        let (code_b, map_b) = tensor_map(address_of(&db, &stream), 64, 16, 128, 16);
        code_a.result().expect("a map");
        code_b.result().expect("a map");
        let mut dc = stream.alloc_zeros::<f32>(128 * 16).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            let mut launch = stream.launch_builder(&gemm);
            launch.arg(&map_a).arg(&map_b).arg(&mut dc).launch(config(1, 128))
        }
        .expect("a launch");
        assert_eq!(stream.clone_dtoh(&dc).expect("the kernel ends well"), product(&a, &b, k));
    });
}

#[test]
fn sm_120a_block_scaled_mxfp4() {
    with_nvrtc("rtx-pro-6000", || {
        let context = CudaContext::new(0).expect("a device");
        let stream = context.default_stream();
        let module = context
            .load_module(compile(include_str!("cuda/sm120a.cu"), "sm_120a"))
            .expect("a module");
        let mma = module.load_function("mma_mxf4").expect("an entry");
        // OCP MX: E2M1 magnitudes; E8M0 is 2^(byte - 127).
        const E2M1: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        let code = |i: usize| ((i * 7 + i / 16 * 5) % 16) as u8;
        let value = |code: u8| {
            if code < 8 { E2M1[usize::from(code)] } else { -E2M1[usize::from(code - 8)] }
        };
        let scale = |i: usize| 125 + (i * 3 % 5) as u8;
        let k = 64;
        let codes =
            |rows: usize, shift: usize| (0..rows * k).map(|i| code(i + shift)).collect::<Vec<u8>>();
        let scales = |rows: usize, shift: usize| {
            (0..rows * 2).map(|i| scale(i + shift)).collect::<Vec<u8>>()
        };
        let (a, b, sa, sb) = (codes(16, 0), codes(8, 9), scales(16, 0), scales(8, 1));
        let real = |codes: &[u8], scales: &[u8]| -> Vec<f32> {
            let scaled =
                |(i, c): (usize, &u8)| value(*c) * f32::powi(2.0, i32::from(scales[i / 32]) - 127);
            codes.iter().enumerate().map(scaled).collect()
        };
        let packed =
            |codes: &[u8]| codes.chunks(2).map(|pair| pair[0] | pair[1] << 4).collect::<Vec<u8>>();
        let device = |bytes: &[u8]| stream.clone_htod(bytes).expect("a copy");
        let (da, db, dsa, dsb) =
            (device(&packed(&a)), device(&packed(&b)), device(&sa), device(&sb));
        let mut dc = stream.alloc_zeros::<f32>(16 * 8).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&mma)
                .arg(&mut dc)
                .arg(&da)
                .arg(&db)
                .arg(&dsa)
                .arg(&dsb)
                .launch(config(1, 32))
        }
        .expect("a launch");
        assert_eq!(
            stream.clone_dtoh(&dc).expect("the kernel ends well"),
            product(&real(&a, &sa), &real(&b, &sb), k)
        );
    });
}
