//! Device memory, copies, fills: what they do, and what misuse they refuse.

use crate::support::{device, on_emulator};
use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, DriverError, result};
use std::ffi::c_void;

const INVALID: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;

fn allocate(bytes: usize) -> u64 {
    // SAFETY: a context is current.
    unsafe { result::malloc_sync(bytes) }.expect("memory")
}

fn read(address: u64, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes];
    // SAFETY: the destination is that long.
    unsafe { result::memcpy_dtoh_sync(&mut data, address) }.expect("a copy");
    data
}

#[test]
fn fresh_memory_is_poisoned_and_counted() {
    on_emulator(&[("HOSTDYNO_EMULATED_MEMORY", "8MiB")], || {
        let context = device();
        let address = allocate(1 << 20);
        assert!(read(address, 1 << 20).iter().all(|&byte| byte == 0xCD));
        assert_eq!(context.mem_get_info(), Ok((7 << 20, 8 << 20)));
        assert_eq!(address % 256, 0);
        // SAFETY: a live allocation, then a dead one.
        unsafe {
            let too_much = result::malloc_sync((7 << 20) + 1);
            assert_eq!(too_much, Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)));
            result::free_sync(address).expect("free");
            assert_eq!(sys::cuMemFree_v2(address), INVALID, "double free");
            assert_eq!(sys::cuMemFree_v2(0), CUresult::CUDA_SUCCESS);
        }
        assert_eq!(context.mem_get_info(), Ok((8 << 20, 8 << 20)));
    });
}

#[test]
fn a_huge_allocation_costs_only_what_is_touched() {
    on_emulator(&[], || {
        let _context = device();
        let address = allocate(64 << 30);
        let last = address + (64 << 30) - 3;
        // SAFETY: inside the allocation.
        unsafe { result::memcpy_htod_sync(last, &[1_u8, 2, 3]) }.expect("a copy");
        assert_eq!(read(last - 1, 4), [0xCD, 1, 2, 3]);
    });
}

#[test]
fn copies_are_exact_and_bounds_are_checked() {
    on_emulator(&[], || {
        let _context = device();
        let (a, b) = (allocate(1000), allocate(1000));
        let data: Vec<u8> = (0..1000_u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut back = vec![0_u8; 1001];
        // SAFETY: lengths are checked by the driver.
        unsafe {
            result::memcpy_htod_sync(a, &data).expect("a copy");
            result::memcpy_dtod_sync(b + 1, a, 999).expect("a copy");
            assert_eq!(read(b, 1000)[1..], data[..999]);
            assert_eq!(read(b, 1), [0xCD]);
            sys::cuMemcpy(back.as_mut_ptr() as u64, a, 1000).result().expect("a unified copy");
            assert_eq!(back[..1000], data);
            assert_eq!(result::memcpy_htod_sync(a + 1, &data), Err(DriverError(INVALID)));
            assert_eq!(result::memcpy_dtoh_sync(&mut back, a), Err(DriverError(INVALID)));
            assert_eq!(sys::cuMemcpyDtoD_v2(b, a, 1001), INVALID);
            assert_eq!(sys::cuMemcpyHtoD_v2(a, std::ptr::null(), 4), INVALID);
            assert_eq!(sys::cuMemcpyHtoD_v2(a, b as *const c_void, 4), INVALID);
            assert_eq!(sys::cuMemcpyHtoD_v2(4096, data.as_ptr().cast(), 4), INVALID);
            result::free_sync(a).expect("free");
            assert_eq!(sys::cuMemcpyHtoD_v2(a, data.as_ptr().cast(), 4), INVALID, "use after free");
            assert_eq!(sys::cuMemcpy(a, b, 4), INVALID, "use after free");
        }
    });
}

#[test]
fn a_rectangle_is_copied_row_by_row() {
    on_emulator(&[], || {
        let _context = device();
        // 3 rows of 5 bytes out of rows of 8, into rows of 7.
        let source: Vec<u8> = (0..32).collect();
        let target = allocate(7 * 4);
        let mut copy = sys::CUDA_MEMCPY2D {
            srcXInBytes: 2,
            srcY: 1,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
            srcHost: source.as_ptr().cast(),
            srcDevice: 0,
            srcArray: std::ptr::null_mut(),
            srcPitch: 8,
            dstXInBytes: 1,
            dstY: 1,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstHost: std::ptr::null_mut(),
            dstDevice: target,
            dstArray: std::ptr::null_mut(),
            dstPitch: 7,
            WidthInBytes: 5,
            Height: 3,
        };
        // SAFETY: a valid description.
        unsafe { sys::cuMemcpy2D_v2(&copy) }.result().expect("a copy");
        let out = read(target, 28);
        for row in 0..4 {
            for column in 0..7 {
                let expected = match (row, column) {
                    (1..=3, 1..=5) => (row * 8 + column + 1) as u8,
                    _ => 0xCD,
                };
                assert_eq!(out[row * 7 + column], expected, "row {row} column {column}");
            }
        }
        copy.Height = 4;
        // SAFETY: a valid description that leaves the target.
        assert_eq!(unsafe { sys::cuMemcpy2D_v2(&copy) }, INVALID);
    });
}

#[test]
fn fills_write_whole_elements() {
    on_emulator(&[], || {
        let _context = device();
        let address = allocate(64);
        // SAFETY: inside the allocation, or refused.
        unsafe {
            sys::cuMemsetD8_v2(address, 0x11, 64).result().expect("a fill");
            sys::cuMemsetD16_v2(address + 2, 0x2233, 2).result().expect("a fill");
            sys::cuMemsetD32_v2(address + 8, 0x4455_6677, 1).result().expect("a fill");
            sys::cuMemsetD2D8_v2(address + 16, 16, 0x99, 3, 3).result().expect("a fill");
            let data = read(address, 64);
            assert_eq!(
                data[..13],
                [0x11, 0x11, 0x33, 0x22, 0x33, 0x22, 0x11, 0x11, 0x77, 0x66, 0x55, 0x44, 0x11]
            );
            for row in 1..4 {
                assert_eq!(data[row * 16..row * 16 + 4], [0x99, 0x99, 0x99, 0x11]);
            }
            assert_eq!(sys::cuMemsetD32_v2(address + 2, 0, 1), INVALID, "misaligned");
            assert_eq!(sys::cuMemsetD16_v2(address + 2, 0, 32), INVALID, "past the end");
            assert_eq!(sys::cuMemsetD2D8_v2(address, 2, 0, 3, 2), INVALID, "rows overlap");
            assert_eq!(sys::cuMemsetD32_v2(address, 0, usize::MAX), INVALID, "overflow");
        }
    });
}

#[test]
fn devices_copy_to_each_other() {
    on_emulator(&[("HOSTDYNO_EMULATED_GPU", "h100,b200")], || {
        let first = device();
        let source = allocate(4);
        let second = CudaContext::new(1).expect("a device");
        second.bind_to_thread().expect("current");
        let target = allocate(4);
        let (mut can, invalid) = (9, CUresult::CUDA_ERROR_INVALID_CONTEXT);
        // SAFETY: live contexts and allocations, or refused.
        unsafe {
            result::memcpy_htod_sync(source, &[1_u8, 2, 3, 4]).expect("unified addressing");
            sys::cuMemcpyPeer(target, second.cu_ctx(), source, first.cu_ctx(), 4)
                .result()
                .expect("a copy");
            assert_eq!(read(target, 4), [1, 2, 3, 4]);
            let nobody = std::ptr::null_mut();
            assert_eq!(sys::cuMemcpyPeer(target, nobody, source, first.cu_ctx(), 4), invalid);
            sys::cuDeviceCanAccessPeer(&mut can, 0, 1).result().expect("an answer");
            let enabled = sys::cuCtxEnablePeerAccess(first.cu_ctx(), 0);
            assert_eq!((can, enabled), (0, CUresult::CUDA_ERROR_PEER_ACCESS_UNSUPPORTED));
        }
    });
}

#[test]
fn stream_ordered_memory_is_given_back_in_order() {
    on_emulator(&[("HOSTDYNO_EMULATED_MEMORY", "4MiB")], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        // SAFETY: the allocation is used in its stream only.
        unsafe {
            let address = result::malloc_async(stream.cu_stream(), 3 << 20).expect("memory");
            result::memset_d8_async(address, 5, 3 << 20, stream.cu_stream()).expect("a fill");
            let too_much = result::malloc_async(stream.cu_stream(), 2 << 20);
            assert_eq!(too_much, Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)));
            result::free_async(address, stream.cu_stream()).expect("free");
            stream.synchronize().expect("done");
            assert_eq!(sys::cuMemFreeAsync(address, stream.cu_stream()), INVALID, "double free");
            let again = result::malloc_async(stream.cu_stream(), 2 << 20).expect("memory again");
            result::free_sync(again).expect("cuMemFree takes it, too");
        }
        assert_eq!(context.mem_get_info(), Ok((4 << 20, 4 << 20)));
    });
}

#[test]
fn a_program_that_dereferences_a_device_pointer_dies() {
    on_emulator(&[], || {
        let _context = device();
        let address = allocate(16);
        // SAFETY: the child of the fork does nothing but die.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                std::ptr::read_volatile(address as *const u8);
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            status
        };
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV);
    });
}
