//! NVIDIA's own products beside ours: cuBLASLt, in the same run, on the same operands, under the same ceilings.
//!
//! `C[M,N] = A[M,K] B[N,K]^T` with A and B as our kernels get them: rows of codes, padded to 16 bytes, cold, as random. What
//! differs is what the library can't express, and each metric says so in its details:
//!
//! - int8 gives sums in i32, without our f32 scales a row; so does fp8 in f32, except where the library takes a scale a row
//!   (`OUTER_VEC_32F`), which is tried first;
//! - mxfp8, mxfp4 and nvfp4 have their block scales, in the order that [`swizzle`] makes;
//! - nvfp4 is measured since it is the only 4-bit format that the library has on some chips.
//!
//! What a version of the library has for a chip, only the library knows: its heuristic is asked, and where it names no
//! algorithm the metric is skipped in its words. The algorithms that it names are tried for a moment each, and the fastest
//! is measured; its number, tile, stages, split of K and swizzle are part of the kernel path.

mod algorithm;
mod descriptor;
mod handle;
mod numbers;
mod operand;
mod product;
mod question;
mod swizzle;

pub use handle::{Handle, version};
pub use numbers::FORMATS;
pub use product::{Product, metric_id, subject, unit_of};
pub use swizzle::swizzle;

#[cfg(test)]
mod tests;
