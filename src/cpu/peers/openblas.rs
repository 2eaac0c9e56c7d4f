//! OpenBLAS, loaded when it is asked for.

use std::ffi::{CStr, c_char, c_int};

use libloading::Library;

use crate::{Error, Result};

/// Its names, the threaded build that Debian and Fedora install first.
const NAMES: [&str; 2] = ["libopenblas.so.0", "libopenblas.so"];

/// `cblas_sgemm`: order, two transpositions, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc.
type Sgemm = unsafe extern "C" fn(
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    f32,
    *const f32,
    c_int,
    *const f32,
    c_int,
    f32,
    *mut f32,
    c_int,
);

const ROW_MAJOR: c_int = 101;
const AS_IT_IS: c_int = 111;
const TRANSPOSED: c_int = 112;

/// The loaded library.
pub struct OpenBlas {
    sgemm: Sgemm,
    version: String,
    _library: Library,
}

impl OpenBlas {
    /// Loads it and sets its number of threads.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is not installed, or is no OpenBLAS.
    pub fn load(threads: usize) -> Result<Self> {
        // SAFETY: OpenBLAS starts its threads when it is loaded, and does nothing else.
        let library = NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
        let library = library.ok_or_else(|| {
            Error::Unavailable("no OpenBLAS (apt-get install libopenblas0-pthread)".into())
        })?;
        let missing = |e| Error::Unavailable(format!("not the OpenBLAS that is expected: {e}"));
        // SAFETY: the types are those of cblas.h.
        unsafe {
            let sgemm = *library.get::<Sgemm>(b"cblas_sgemm\0").map_err(missing)?;
            let set_threads = library
                .get::<unsafe extern "C" fn(c_int)>(b"openblas_set_num_threads\0")
                .map_err(missing)?;
            let configuration = library
                .get::<unsafe extern "C" fn() -> *const c_char>(b"openblas_get_config\0")
                .map_err(missing)?;
            let core = library
                .get::<unsafe extern "C" fn() -> *const c_char>(b"openblas_get_corename\0")
                .map_err(missing)?;
            set_threads(c_int::try_from(threads).unwrap_or(c_int::MAX));
            let text = |of: *const c_char| CStr::from_ptr(of).to_string_lossy().into_owned();
            let configuration = text(configuration());
            let release: Vec<&str> = configuration.split_whitespace().take(2).collect();
            let version = format!("{} ({})", release.join(" "), text(core()));
            Ok(Self { sgemm, version, _library: library })
        }
    }

    /// Release, and the core that it took this CPU for.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// C = A B^T, row-major.
    ///
    /// # Panics
    /// When a slice is not as long as the shape says.
    pub fn multiply(&self, (m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], c: &mut [f32]) {
        assert_eq!((a.len(), b.len(), c.len()), (m * k, n * k, m * n), "operands of the shape");
        let int = |size: usize| c_int::try_from(size).expect("dimensions are at most 2^20");
        // SAFETY: the operands are as large as they are said to be.
        unsafe {
            (self.sgemm)(
                ROW_MAJOR,
                AS_IT_IS,
                TRANSPOSED,
                int(m),
                int(n),
                int(k),
                1.0,
                a.as_ptr(),
                int(k),
                b.as_ptr(),
                int(k),
                0.0,
                c.as_mut_ptr(),
                int(n),
            );
        }
    }
}
