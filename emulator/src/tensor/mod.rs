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
//!
//! **Refused, with a message:** sparse A (`mma.sp` and its kin), `tcgen05.mma.ws` and `.ashift`,
//! K = 96 of sm_103a, `tcgen05.ld.red`, `m8n8k4` of `f16`, interleaved and im2col tensor maps.
//!
//! **Read into the ISA where it is silent:** a descriptor's base offset is the 128-byte line at
//! which the swizzle pattern starts; the NaN that fills out-of-bounds elements has every bit set;
//! `.4x256b` of `tcgen05.cp` writes one lane in each partition; block scales are taken from the
//! copy in the partition that computes the row.

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
