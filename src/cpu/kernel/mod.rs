//! Register-tile kernels: one algorithm, thin files per instruction set.
//!
//! [`target`] lists the vector operations, [`run`] and [`mx`] hold the loops over them, [`source`] and [`rows`] the
//! conversions of weights and activations; `portable`, `avx2`, `avx512`, `neon` ... say what the operations are. [`Kernel`] is
//! what the blocked algorithm of [`crate::cpu::gemm`] sees: one instruction set and one format, chosen at run time.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod finish;
mod generic;
mod mx;
#[cfg(target_arch = "aarch64")]
mod neon;
mod peak;
mod portable;
mod rows;
mod run;
#[cfg(target_arch = "aarch64")]
mod signed;
mod softmax;
mod source;
mod target;

use super::Isa;
#[cfg(target_arch = "x86_64")]
use super::clock::bf16_dot_pays;
use crate::number::Format;

pub use finish::{Merge, RowFactor, Sums};
pub use generic::finite_below;
pub use peak::{Operands, STEPS};
pub use run::{STREAMS, Span};
pub use softmax::{PackWeights, RowState, Softmax, Transpose, exp2};
pub use target::{LANES, LINE};

/// Most units of a row of A in one block of K. What a tile costs besides its steps (a call, adding its sums to C) is then a
/// few percent of it; a panel of f32 is 32 KiB, and needs 64 bytes of L2 in the six cycles that a line is used for.
pub const BLOCK_UNITS: usize = 512;

/// Units from one row of a block of A to the next: a line more than the block, so that rows fall into different sets
/// of the cache; a constant, so that the rows of a tile are at fixed distances from one pointer.
pub const A_STRIDE: usize = BLOCK_UNITS + 16;

/// Most rows of a register tile.
pub const MAX_ROWS: usize = 32;

/// Most panels of a register tile or a stream.
pub const MAX_PANELS: usize = STREAMS;

/// The kernels of one instruction set for one format.
///
/// Lengths are in elements of K unless they say otherwise. A block of K starts at a multiple of [`Kernel::block`].
#[allow(
    clippy::missing_safety_doc,
    reason = "the constructor proved that the CPU has the instructions"
)]
pub trait Kernel: Send + Sync {
    /// Name of the code behind [`Kernel::tile`], for kernel paths.
    fn path(&self) -> &'static str;
    /// Name of the code behind [`Kernel::stream`].
    fn stream_path(&self) -> &'static str {
        self.path()
    }
    /// Rows and panels of the register tile.
    fn tile_size(&self) -> (usize, usize);
    /// Most rows of a stream.
    fn stream_rows(&self) -> usize;
    /// Whether `rows` rows are faster by the stream than by the tile.
    fn streams(&self, rows: usize) -> bool {
        rows <= self.stream_rows()
    }
    /// Elements of K in one block.
    fn block(&self) -> usize;
    /// Units of A of `k` elements.
    fn units(&self, k: usize) -> usize;
    /// Lines that `k` elements of a panel are unpacked to; 0 when the tile takes the stored lines.
    fn unpacked_lines(&self, k: usize) -> usize;
    /// What [`Span::count`] is for `k` elements in the tile.
    fn tile_count(&self, k: usize) -> usize;
    /// What [`Span::count`] is for `k` elements in the stream.
    fn stream_count(&self, k: usize) -> usize;
    /// How its sums are added up.
    fn sums(&self) -> Sums;
    /// What a row's sums are to be multiplied with and corrected by; `stream` as in [`Kernel::pack_row`].
    fn row_factor(&self, codes: &[u8], scale: f32, stream: bool) -> RowFactor;
    /// Packs a row's codes for the tile or the stream.
    fn pack_row(&self, codes: &[u8], blocks: &[u8], units: &mut [u32], stream: bool);
    /// Unpacks `k` elements of the panel whose codes are at `codes`, block scales at `scales`.
    unsafe fn unpack(&self, codes: *const u8, scales: *const u8, k: usize, to: *mut u32);
    /// Multiplies a tile of at most [`Kernel::tile_size`], by 1 or all of its panels. A and `out` must have room for
    /// [`MAX_ROWS`].
    unsafe fn tile(&self, rows: usize, panels: usize, span: Span);
    /// Multiplies up to [`Kernel::stream_rows`] by one stored panel, or one row by [`STREAMS`]. A and `out` must have room
    /// for [`MAX_ROWS`].
    unsafe fn stream(&self, rows: usize, panels: usize, span: Span);
    /// What [`Kernel::peak`] multiplies.
    fn operands(&self) -> Operands;
    /// Units of K that one step of [`Kernel::peak`] multiplies.
    fn peak_depth(&self) -> usize {
        1
    }
    /// Runs the tile's dot instruction on operands that stay in registers and L1: [`Span::count`] turns of two steps, a
    /// tile of sums, a row of [`Operands::units`] for each row, a line for each panel.
    unsafe fn peak(&self, span: Span);
    /// Scores to weights: see [`Softmax`].
    unsafe fn softmax(&self, softmax: Softmax);
    /// Weights to units of A: see [`PackWeights`].
    unsafe fn pack_weights(&self, pack: PackWeights);
    /// Turns lines of keys into lines of values: see [`Transpose`].
    unsafe fn transpose(&self, transpose: Transpose);
    /// Adds a tile to C.
    unsafe fn merge(&self, merge: Merge);
    /// Gives back what the calling thread's tiles hold of the core.
    fn release(&self) {}
}

#[cfg(target_arch = "x86_64")]
pub use amx::permission::granted as amx_granted;

/// The kernels of `isa` for `format`; none when this CPU lacks the instructions.
pub fn kernel(isa: Isa, format: Format) -> Option<Box<dyn Kernel>> {
    if !isa.available() {
        return None;
    }
    Some(match (isa, format) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, Format::Bf16 | Format::Fp8E4m3 | Format::Fp8E5m2) => {
            amx::bf16(generic::bf16_dot::<avx512::Avx512Bf16>(Isa::Avx512Bf16, format))
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, Format::Int8) => {
            amx::bytes(generic::quad_dot::<avx512::Avx512Vnni>(Isa::Avx512Vnni))
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512Bf16, Format::Bf16 | Format::Fp8E4m3 | Format::Fp8E5m2) => {
            if bf16_dot_pays() {
                generic::bf16_dot::<avx512::Avx512Bf16>(isa, format)
            } else {
                without_dots::<avx512::Avx512>(Isa::Avx512, format)
            }
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512Vnni | Isa::Avx512Bf16, Format::Int8) => {
            generic::quad_dot::<avx512::Avx512Vnni>(Isa::Avx512Vnni)
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512Vnni | Isa::Avx512Bf16 | Isa::Amx, Format::Mxfp4) => {
            generic::mxfp4::<avx512::Avx512Vnni>(Isa::Avx512Vnni)
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Avx512Vnni, _) => without_dots::<avx512::Avx512>(Isa::Avx512, format),
        #[cfg(target_arch = "x86_64")]
        (Isa::AvxVnni, Format::Int8) => generic::quad_dot::<avx2::AvxVnni>(isa),
        #[cfg(target_arch = "x86_64")]
        (Isa::AvxVnni, Format::Mxfp4) => generic::mxfp4::<avx2::AvxVnni>(isa),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2 | Isa::AvxVnni, _) => without_dots::<avx2::Avx2>(isa, format),
        #[cfg(target_arch = "aarch64")]
        (Isa::NeonBf16, Format::Bf16 | Format::Fp8E4m3 | Format::Fp8E5m2) => {
            generic::bf16_dot::<neon::NeonBf16>(isa, format)
        }
        #[cfg(target_arch = "aarch64")]
        (Isa::NeonBf16, Format::Int8) => generic::quad_dot::<neon::NeonBf16>(isa),
        #[cfg(target_arch = "aarch64")]
        (Isa::NeonDotprod | Isa::NeonBf16, Format::Mxfp4) => {
            generic::mxfp4::<neon::NeonDotprod>(Isa::NeonDotprod)
        }
        #[cfg(target_arch = "aarch64")]
        (Isa::NeonDotprod, Format::Int8) => signed::signed_dot::<neon::NeonDotprod>(isa),
        #[cfg(target_arch = "aarch64")]
        (Isa::Neon | Isa::NeonDotprod, _) => without_dots::<neon::Neon>(Isa::Neon, format),
        _ => without_dots::<portable::Portable>(isa, format),
    })
}

/// The kernel by bf16 dot products or tiles, whether [`kernel`] takes it or not: what the peak of `isa` is measured with.
pub fn bf16_dots(isa: Isa) -> Option<Box<dyn Kernel>> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 if isa.available() => {
            Some(generic::bf16_dot::<avx512::Avx512Bf16>(isa, Format::Bf16))
        }
        Isa::Amx | Isa::NeonBf16 => kernel(isa, Format::Bf16),
        _ => None,
    }
}

/// The kernels of an instruction set without dot products.
fn without_dots<T: target::Target>(isa: Isa, format: Format) -> Box<dyn Kernel> {
    match format {
        Format::Int8 => generic::int16::<T>(isa),
        Format::Mxfp4 => generic::mxfp4::<T>(isa),
        Format::Bf16 | Format::Fp8E4m3 | Format::Fp8E5m2 => generic::float::<T>(isa, format),
    }
}

/// The kernels of `isa` that multiply the softmax's weights by the values of attention in `format`; none when this CPU
/// lacks the instructions. The weights are bf16 where `isa` multiplies bf16, else f32 ([`Kernel::operands`] tells). A
/// group of K is 2, 4 or 8 keys (bf16, int8 and fp8, mxfp4).
pub fn values(isa: Isa, format: Format) -> Option<Box<dyn Kernel>> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx if isa.available() => {
            Some(amx::bf16(generic::bf16_dot::<avx512::Avx512Bf16>(Isa::Avx512Bf16, format)))
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 if isa.available() && bf16_dot_pays() => {
            Some(generic::bf16_dot::<avx512::Avx512Bf16>(isa, format))
        }
        #[cfg(target_arch = "aarch64")]
        Isa::NeonBf16 if isa.available() => Some(generic::bf16_dot::<neon::NeonBf16>(isa, format)),
        _ => float_values(isa, format),
    }
}

/// The kernel by f32 multiply-add: what the peak of `isa` is measured with.
pub fn f32_dots(isa: Isa) -> Option<Box<dyn Kernel>> {
    float_values(isa, Format::Bf16)
}

/// [`values`] with f32 weights.
fn float_values(isa: Isa, format: Format) -> Option<Box<dyn Kernel>> {
    if !isa.available() {
        return None;
    }
    Some(match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => generic::values::<avx2::Avx2>(isa, format),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 | Isa::Amx => {
            generic::values::<avx512::Avx512>(Isa::Avx512, format)
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::NeonDotprod | Isa::NeonBf16 => {
            generic::values::<neon::Neon>(Isa::Neon, format)
        }
        _ => generic::values::<portable::Portable>(isa, format),
    })
}
