//! Tensor-core layouts, products, descriptors and tensor-copy addresses, as pure functions over
//! plain data.
//!
//! Each warp-wide instruction is a decoded value (`parse`, strict about qualifiers) with an `apply`
//! over [`Lanes`], the registers of a warp; memory is reached through closures, so that the machine
//! checks and counts every access. What the ISA fixes about places (which lane holds which element,
//! which address bits are swizzled, where a descriptor keeps a field) is gathered in [`Rules`]: a
//! test can break one rule and show that something notices.
//!
//! **Numeric model.** The ISA leaves accumulation order and width to the hardware ("at least single
//! precision"). Here products are exact and summed in `f64` along ascending k, the accumulator is
//! added last, and the result is rounded once, to nearest even, per instruction. Hardware truncates
//! inside; comparisons with it need a tolerance.

pub mod descriptor;
pub mod element;
pub mod fragment;
pub mod instruction;
pub mod matrix;
pub mod mma;
pub mod rules;
pub mod scale;
pub mod swizzle;
pub mod tcgen05;
pub mod tensor_copy;
pub mod tensor_map;
#[cfg(test)]
mod testing;
pub mod tma;
pub mod tmem;
pub mod wgmma;

pub use rules::{ISA, Rules};

/// One register of all 32 lanes of a warp: its image in the low bits of each `u64`.
pub type Lanes = [u64; 32];
