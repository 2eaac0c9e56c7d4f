//! What a launch must satisfy: dimensions, shared memory, clusters.

use crate::ptx::{CLUSTER, CONTROL, SHARED};
use crate::support::{device, kernel, on_emulator, one_block};
use cudarc::driver::sys::{self, CUfunction_attribute_enum as F, CUresult};
use cudarc::driver::{DriverError, LaunchConfig, PushKernelArg};
use std::ffi::c_void;

const INVALID: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;

#[test]
fn dynamic_shared_memory_must_be_opted_in() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.default_stream();
        let reverse = kernel(&context, SHARED, "reverse");
        let numbers: Vec<u32> = (0..256).collect();
        let launch = |dynamic: u32| {
            let mut data = stream.clone_htod(&numbers).expect("a copy");
            // SAFETY: the arguments are the kernel's.
            unsafe {
                stream.launch_builder(&reverse).arg(&mut data).launch(one_block(256, dynamic))
            }?;
            stream.clone_dtoh(&data)
        };
        let reversed: Vec<u32> = (0..256).rev().collect();
        assert_eq!(launch(1024), Ok(reversed.clone()));
        assert_eq!(launch(47 << 10), Ok(reversed.clone()), "static and dynamic make 48 KiB");
        let refused = Err(DriverError(INVALID));
        assert_eq!(launch((47 << 10) + 1), refused);
        let which = F::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        assert_eq!(reverse.set_attribute(which, (226 << 10) + 1), Err(DriverError(INVALID)));
        assert_eq!(reverse.set_attribute(which, -1), Err(DriverError(INVALID)));
        reverse.set_attribute(which, 226 << 10).expect("226 KiB beside the static one");
        assert_eq!(launch(226 << 10), Ok(reversed));
        assert_eq!(launch((226 << 10) + 1), refused);
        assert_eq!(reverse.get_attribute(F::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), Ok(1024));
        assert_eq!(reverse.get_attribute(F::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), Ok(256));
        // 228 KiB a multiprocessor: 100 KiB + 1 KiB static + 1 KiB reserved fit twice.
        assert_eq!(
            reverse.occupancy_max_active_blocks_per_multiprocessor(256, 100 << 10, None),
            Ok(2)
        );
        assert_eq!(reverse.occupancy_max_active_blocks_per_multiprocessor(256, 0, None), Ok(8));
    });
}

#[test]
fn a_bad_launch_is_refused_at_once_and_harms_nothing() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.default_stream();
        let (store, reverse) =
            (kernel(&context, CONTROL, "store"), kernel(&context, SHARED, "reverse"));
        let target = stream.alloc_zeros::<u32>(1).expect("memory");
        let launch = |grid, block| {
            let config = LaunchConfig { grid_dim: grid, block_dim: block, shared_mem_bytes: 0 };
            // SAFETY: the arguments are the kernel's.
            unsafe { stream.launch_builder(&store).arg(&target).arg(&1_u32).launch(config) }
                .map(drop)
        };
        for (grid, block) in [
            ((0, 1, 1), (1, 1, 1)),
            ((1, 65536, 1), (1, 1, 1)),
            ((1, 1, 65536), (1, 1, 1)),
            ((1, 1, 1), (0, 1, 1)),
            ((1, 1, 1), (1025, 1, 1)),
            ((1, 1, 1), (1, 1, 65)),
            ((1, 1, 1), (32, 33, 1)),
        ] {
            assert_eq!(launch(grid, block), Err(DriverError(INVALID)), "{grid:?} {block:?}");
        }
        // SAFETY: refused before anything is read.
        unsafe {
            let too_many = stream.launch_builder(&reverse).arg(&target).launch(one_block(257, 0));
            assert_eq!(too_many.map(drop), Err(DriverError(INVALID)), ".maxntid 256");
            let null = std::ptr::null_mut();
            let no_arguments = sys::cuLaunchKernel(
                store.cu_function(),
                1,
                1,
                1,
                1,
                1,
                1,
                0,
                null,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
            assert_eq!(no_arguments, INVALID);
            let no_kernel = sys::cuLaunchKernel(
                16 as sys::CUfunction,
                1,
                1,
                1,
                1,
                1,
                1,
                0,
                null,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
            assert_eq!(no_kernel, CUresult::CUDA_ERROR_INVALID_HANDLE);
            let cooperative = sys::cuLaunchCooperativeKernel(
                store.cu_function(),
                1,
                1,
                1,
                1,
                1,
                1,
                0,
                null,
                std::ptr::null_mut(),
            );
            assert_eq!(cooperative, CUresult::CUDA_ERROR_NOT_SUPPORTED);
        }
        launch((1, 1, 1), (1, 1, 1)).expect("the context is as good as before");
        assert_eq!(stream.clone_dtoh(&target), Ok(vec![1]));
    });
}

#[test]
fn clusters_are_launched_by_attribute() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.default_stream();
        let rank = kernel(&context, CLUSTER, "rank");
        let out = stream.alloc_zeros::<u32>(16).expect("memory");
        let launch = |blocks: u32, cluster: u32| {
            let value = sys::CUlaunchAttributeValue_union {
                clusterDim: sys::CUlaunchAttributeValue_union__bindgen_ty_1 {
                    x: cluster,
                    y: 1,
                    z: 1,
                },
            };
            let mut attribute = sys::CUlaunchAttribute {
                id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                pad: [0; 4],
                value,
            };
            let config = sys::CUlaunchConfig {
                gridDimX: blocks,
                gridDimY: 1,
                gridDimZ: 1,
                blockDimX: 1,
                blockDimY: 1,
                blockDimZ: 1,
                sharedMemBytes: 0,
                hStream: stream.cu_stream(),
                attrs: &mut attribute,
                numAttrs: 1,
            };
            let (address, _hold) = cudarc::driver::DevicePtr::device_ptr(&out, &stream);
            let mut arguments = [(&raw const address).cast_mut().cast::<c_void>()];
            // SAFETY: the arguments are the kernel's.
            unsafe {
                sys::cuLaunchKernelEx(
                    &config,
                    rank.cu_function(),
                    arguments.as_mut_ptr(),
                    std::ptr::null_mut(),
                )
            }
        };
        launch(16, 4).result().expect("a launch");
        let expected: Vec<u32> = (0..16).map(|block| block % 4).collect();
        assert_eq!(stream.clone_dtoh(&out), Ok(expected));
        let refused = CUresult::CUDA_ERROR_INVALID_CLUSTER_SIZE;
        assert_eq!(launch(15, 4), refused, "does not divide the grid");
        assert_eq!(launch(16, 16), refused, "above the portable size");
        assert_eq!(launch(16, 0), refused);
        rank.set_attribute(F::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
            .expect("allowed");
        launch(16, 16).result().expect("a launch");
        assert_eq!(stream.clone_dtoh(&out), Ok((0..16).collect()));
    });
}
