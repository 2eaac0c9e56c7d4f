//! Which algorithms the library has for a product, and what they are called in a record.

use std::ffi::c_void;

use cudarc::cublaslt::sys::cublasLtMatmulAlgoConfigAttributes_t as Attribute;
use cudarc::cublaslt::sys::{
    self, cublasLtMatmulAlgo_t, cublasLtMatmulHeuristicResult_t as Found, cublasStatus_t as Status,
};
use serde_json::{Value, json};

use super::descriptor::{Description, Layout, Preference};
use super::handle::{Handle, check};
use crate::Result;

/// Algorithms that are asked for: each is tried for a moment.
const ASKED: usize = 12;

/// One algorithm with its parameters.
#[derive(Clone, Copy)]
pub(super) struct Algorithm {
    pub(super) raw: cublasLtMatmulAlgo_t,
}

/// The algorithms that the library's heuristic names for `description` of `layouts` (A, B, C), best guess first; none where
/// it has none.
///
/// # Errors
/// When it refuses the question for another reason than that it has none.
pub(super) fn algorithms(
    handle: &Handle,
    description: &Description,
    [a, b, c]: [&Layout; 3],
    workspace: usize,
) -> Result<Vec<Algorithm>> {
    let preference = Preference::new(workspace)?;
    let empty = Found {
        algo: cublasLtMatmulAlgo_t { data: [0; 8] },
        workspaceSize: 0,
        state: Status::CUBLAS_STATUS_NOT_SUPPORTED,
        wavesCount: 0.0,
        reserved: [0; 4],
    };
    let mut found = [empty; ASKED];
    let mut count = 0;
    // SAFETY: all descriptions are alive; the library writes at most as many results as are asked for, and their number.
    let status = unsafe {
        sys::cublasLtMatmulAlgoGetHeuristic(
            handle.0,
            description.0,
            a.0,
            b.0,
            c.0,
            c.0,
            preference.0,
            ASKED as i32,
            found.as_mut_ptr(),
            &raw mut count,
        )
    };
    if status == Status::CUBLAS_STATUS_NOT_SUPPORTED {
        return Ok(Vec::new());
    }
    check(status, "name an algorithm")?;
    let found = found.iter().take(usize::try_from(count).unwrap_or(0));
    let usable = found
        .filter(|one| one.state == Status::CUBLAS_STATUS_SUCCESS && one.workspaceSize <= workspace);
    Ok(usable.map(|one| Algorithm { raw: one.algo }).collect())
}

impl Algorithm {
    /// Its number, and what of its parameters the library tells: `algo66-tile20-stages36-split1-swizzle0`. The numbers of
    /// tiles, stages and clusters are those of cublasLt.h.
    pub(super) fn name(&self) -> String {
        let parts = NAMED.iter().filter_map(|&(name, attribute, bytes)| {
            Some(format!("{name}{}", self.read(attribute, bytes)?))
        });
        parts.collect::<Vec<_>>().join("-")
    }

    /// All that the library tells, by name.
    pub(super) fn details(&self) -> Value {
        let all = NAMED.iter().chain(&FURTHER).filter_map(|&(name, attribute, bytes)| {
            Some((name.to_owned(), json!(self.read(attribute, bytes)?)))
        });
        Value::Object(all.collect())
    }

    /// A parameter of 2 or 4 bytes; `None` where this version does not know it.
    fn read(&self, attribute: Attribute, bytes: usize) -> Option<u32> {
        let mut value = 0u32;
        let mut written = 0;
        // SAFETY: the library reads the algorithm and writes as many bytes as are given, on a little-endian host into the
        // low ones, and their number.
        let status = unsafe {
            sys::cublasLtMatmulAlgoConfigGetAttribute(
                &raw const self.raw,
                attribute,
                (&raw mut value).cast::<c_void>(),
                bytes,
                &raw mut written,
            )
        };
        (status == Status::CUBLAS_STATUS_SUCCESS && written == bytes).then_some(value)
    }
}

/// Name, number and size of a parameter (cublasLt.h, `cublasLtMatmulAlgoConfigAttributes_t`).
type Parameter = (&'static str, Attribute, usize);

/// Those that a kernel path names.
const NAMED: [Parameter; 5] = [
    ("algo", Attribute::CUBLASLT_ALGO_CONFIG_ID, 4),
    ("tile", Attribute::CUBLASLT_ALGO_CONFIG_TILE_ID, 4),
    ("stages", Attribute::CUBLASLT_ALGO_CONFIG_STAGES_ID, 4),
    ("split", Attribute::CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4),
    ("swizzle", Attribute::CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4),
];

/// Those that only the details have.
const FURTHER: [Parameter; 4] = [
    ("reduction", Attribute::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4),
    ("custom", Attribute::CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4),
    ("inner_shape", Attribute::CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2),
    ("cluster_shape", Attribute::CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2),
];
