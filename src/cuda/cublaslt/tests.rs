//! The vendor's own library, where one is installed (`./setup.sh --cublas`; several hundred megabytes, so most hosts that run
//! tests have none): what can be asked of it without a device. The emulated one is in tests/cublaslt_on_emulator.rs.

use std::ffi::c_void;

use cudarc::cublaslt::sys::{
    self, cublasLtMatmulDescAttributes_t as D, cublasLtMatrixLayoutAttribute_t as L,
    cublasStatus_t as Status,
};

use super::descriptor::{Description, Layout, Preference};
use super::numbers::{FORMATS, Scaling};
use super::version;

/// Every function of the library that is called.
const CALLED: [&str; 14] = [
    "cublasLtGetVersion",
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtMatrixLayoutCreate",
    "cublasLtMatrixLayoutDestroy",
    "cublasLtMatmulDescCreate",
    "cublasLtMatmulDescSetAttribute",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatmulPreferenceCreate",
    "cublasLtMatmulPreferenceSetAttribute",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtMatmulAlgoGetHeuristic",
    "cublasLtMatmulAlgoConfigGetAttribute",
    "cublasLtMatmul",
];

/// Whether the library is here; says so where it is not.
fn installed() -> bool {
    match version() {
        Ok(version) => eprintln!("cuBLASLt {version}"),
        Err(error) => eprintln!("skipped: {error}"),
    }
    version().is_ok()
}

/// An attribute of `description` as the library remembers it.
fn recalled<T: Default>(description: &Description, attribute: D) -> T {
    let (mut value, mut written) = (T::default(), 0);
    let pointer = (&raw mut value).cast::<c_void>();
    // SAFETY: the description is alive; the library writes no more bytes than are given.
    let status = unsafe {
        sys::cublasLtMatmulDescGetAttribute(
            description.0,
            attribute,
            pointer,
            size_of::<T>(),
            &raw mut written,
        )
    };
    assert_eq!((status, written), (Status::CUBLAS_STATUS_SUCCESS, size_of::<T>()), "{attribute:?}");
    value
}

#[test]
fn every_function_is_there() {
    if !installed() {
        return;
    }
    for name in CALLED {
        // SAFETY: only looked up.
        let found = unsafe { sys::culib().get::<*mut c_void>(name.as_bytes()) };
        assert!(found.is_ok(), "{name}");
    }
}

#[test]
fn the_library_takes_and_remembers_every_description() {
    if !installed() {
        return;
    }
    Preference::new(32 << 20).expect("a workspace");
    for numbers in FORMATS {
        for &scaling in numbers.scalings() {
            let made = Description::new(numbers, scaling, [0x1000, 0x2000]);
            let description =
                made.unwrap_or_else(|e| panic!("{} {scaling:?}: {e}", numbers.name()));
            let of = |attribute| recalled::<i32>(&description, attribute);
            assert_eq!(of(D::CUBLASLT_MATMUL_DESC_TRANSA), 1);
            assert_eq!(of(D::CUBLASLT_MATMUL_DESC_TRANSB), 0);
            assert_eq!(of(D::CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), numbers.sums().0 as i32);
            if scaling != Scaling::None {
                let mode = scaling.mode().expect("one") as i32;
                assert_eq!(of(D::CUBLASLT_MATMUL_DESC_A_SCALE_MODE), mode);
                assert_eq!(of(D::CUBLASLT_MATMUL_DESC_B_SCALE_MODE), mode);
                let pointer = D::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER;
                assert_eq!(recalled::<u64>(&description, pointer), 0x2000);
            }
        }
        let layout = Layout::new(numbers.data_type(), 96, 5, 128).expect("a matrix");
        let (mut stride, mut written) = (0i64, 0);
        // SAFETY: the layout is alive; the library writes no more bytes than are given.
        let status = unsafe {
            sys::cublasLtMatrixLayoutGetAttribute(
                layout.0,
                L::CUBLASLT_MATRIX_LAYOUT_LD,
                (&raw mut stride).cast(),
                size_of::<i64>(),
                &raw mut written,
            )
        };
        assert_eq!((status, stride), (Status::CUBLAS_STATUS_SUCCESS, 128));
    }
}
