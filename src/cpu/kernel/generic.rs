//! [`Kernel`] from a [`Target`] and the bodies that suit a format.

use std::marker::PhantomData;

use super::finish::{Merge, RowFactor, Sums};
use super::mx::{self, Blocks, UnpackBlocks};
use super::peak::{Operands, Peak};
use super::rows::{PackRow, Packing};
use super::run::{
    Bf16Dots, Body, Dot, FloatDot, Int16Dot, Lines, MxDot, QuadDots, Source, Span, Unpack,
};
use super::softmax::{PackWeights, Softmax, Transpose};
use super::source::{AsIs, Bf16, E2m1, E4m3, E5M2_SHIFT, E5m2, Exact, Int8};
use super::target::{Bf16Dot, Job, LANES, QuadDot, Target};
use super::{BLOCK_UNITS, Kernel};
use crate::cpu::Isa;
use crate::number::{Format, MX_BLOCK};

/// How stored lines are expanded into a buffer for the tile.
pub(super) trait Unpacker<T: Target>: Send + Sync {
    /// Lines out of one stored group; 0 when the tile takes them as they are.
    const LINES: usize;
    /// Expands `groups` groups.
    ///
    /// # Safety
    /// As for [`Kernel::unpack`].
    unsafe fn unpack(codes: *const u8, scales: *const u8, groups: usize, to: *mut u32);
}

struct Never;

impl<T: Target> Unpacker<T> for Never {
    const LINES: usize = 0;
    unsafe fn unpack(_: *const u8, _: *const u8, _: usize, _: *mut u32) {}
}

/// Line by line.
pub(super) struct ByLine<D, S>(PhantomData<fn() -> (D, S)>);

impl<T: Target, D: Dot<T>, S: Source<T, D>> Unpacker<T> for ByLine<D, S> {
    const LINES: usize = S::LINES;
    unsafe fn unpack(from: *const u8, _: *const u8, count: usize, to: *mut u32) {
        // SAFETY: the caller's contract.
        unsafe { T::enter(Unpack::<T, D, S> { from, count, to, of: PhantomData }) }
    }
}

struct ByBlock;

impl<T: Target> Unpacker<T> for ByBlock {
    const LINES: usize = mx::LINES;
    unsafe fn unpack(codes: *const u8, scales: *const u8, blocks: usize, to: *mut u32) {
        // SAFETY: the caller's contract.
        unsafe { T::enter(UnpackBlocks::<T> { codes, scales, blocks, to, target: PhantomData }) }
    }
}

/// What differs between formats besides the loops.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub sums: Sums,
    /// What was added to the integers that are multiplied, for the rows to be corrected by.
    pub offset: i32,
    /// Elements of a stored line, or of an MX block.
    pub group: usize,
    /// Units of A a group.
    pub units: usize,
    pub tile_packing: Packing,
    pub stream_packing: Packing,
    /// What the stream's sums are short of.
    pub stream_factor: f32,
    /// Codes at or above this magnitude are not finite.
    pub finite_below: u8,
    pub operands: Operands,
}

/// The loops that a kernel was compiled from.
type Bodies<T, Tile, Stream, U, Top> = PhantomData<fn() -> (T, Tile, Stream, U, Top)>;

struct Generic<T, Tile, Stream, U, Top> {
    isa: Isa,
    facts: Facts,
    bodies: Bodies<T, Tile, Stream, U, Top>,
}

impl<T: Target, Tile: Body, Stream: Body, U: Unpacker<T>, Top: Body> Kernel
    for Generic<T, Tile, Stream, U, Top>
{
    fn path(&self) -> &'static str {
        self.isa.name()
    }
    fn tile_size(&self) -> (usize, usize) {
        (T::ROWS, T::PANELS)
    }
    fn stream_rows(&self) -> usize {
        T::STREAM_ROWS
    }
    fn block(&self) -> usize {
        BLOCK_UNITS / self.facts.units * self.facts.group
    }
    fn units(&self, k: usize) -> usize {
        k.div_ceil(self.facts.group) * self.facts.units
    }
    fn unpacked_lines(&self, k: usize) -> usize {
        k.div_ceil(self.facts.group) * U::LINES
    }
    fn tile_count(&self, k: usize) -> usize {
        let groups = k.div_ceil(self.facts.group);
        if self.facts.group == MX_BLOCK { groups } else { groups * U::LINES.max(1) }
    }
    fn stream_count(&self, k: usize) -> usize {
        k.div_ceil(self.facts.group)
    }
    fn sums(&self) -> Sums {
        self.facts.sums
    }
    fn row_factor(&self, codes: &[u8], scale: f32, stream: bool) -> RowFactor {
        let mut factor = RowFactor { scale, offset: 0 };
        // SAFETY: the constructor's caller checked that the CPU has T's instructions.
        unsafe { T::enter(FindFactor { codes, facts: self.facts, factor: &mut factor }) };
        if stream {
            factor.scale *= self.facts.stream_factor;
        }
        factor
    }
    fn pack_row(&self, codes: &[u8], blocks: &[u8], units: &mut [u32], stream: bool) {
        let packing = if stream { self.facts.stream_packing } else { self.facts.tile_packing };
        // SAFETY: the constructor's caller checked that the CPU has T's instructions.
        unsafe { T::enter(PackRow { packing, codes, blocks, units }) }
    }
    unsafe fn unpack(&self, codes: *const u8, scales: *const u8, k: usize, to: *mut u32) {
        // SAFETY: the caller's contract.
        unsafe { U::unpack(codes, scales, k.div_ceil(self.facts.group), to) }
    }
    unsafe fn tile(&self, rows: usize, panels: usize, span: Span) {
        // SAFETY: the caller's contract.
        unsafe { T::tile::<Tile>(rows, panels, span) }
    }
    unsafe fn stream(&self, rows: usize, panels: usize, span: Span) {
        // SAFETY: the caller's contract.
        unsafe { T::stream::<Stream>(rows, panels, span) }
    }
    fn operands(&self) -> Operands {
        self.facts.operands
    }
    unsafe fn peak(&self, span: Span) {
        // SAFETY: the caller's contract.
        unsafe { T::peak::<Top>(span) }
    }
    unsafe fn softmax(&self, softmax: Softmax) {
        // SAFETY: the caller's contract.
        unsafe { T::enter(softmax) }
    }
    unsafe fn pack_weights(&self, pack: PackWeights) {
        // SAFETY: the caller's contract.
        unsafe { T::enter(pack) }
    }
    unsafe fn transpose(&self, transpose: Transpose) {
        // SAFETY: the caller's contract.
        unsafe { T::enter(transpose) }
    }
    unsafe fn merge(&self, merge: Merge) {
        // SAFETY: the caller's contract.
        unsafe { T::enter(merge) }
    }
}

struct FindFactor<'a> {
    codes: &'a [u8],
    facts: Facts,
    factor: &'a mut RowFactor,
}

impl Job for FindFactor<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        match self.facts.sums {
            Sums::Integer => {
                let sum: i32 = self.codes.iter().map(|&code| i32::from(code as i8)).sum();
                self.factor.offset = sum.wrapping_mul(-self.facts.offset);
            }
            Sums::Float if self.facts.finite_below < u8::MAX => {
                let largest = self.codes.iter().fold(0, |max, &code| max.max(code & 0x7f));
                if largest >= self.facts.finite_below {
                    self.factor.scale = f32::NAN;
                }
            }
            Sums::Float => (),
        }
    }
}

/// The first magnitude of each fp8 format that is not finite.
pub const fn finite_below(format: Format) -> u8 {
    match format {
        Format::Fp8E4m3 => 0x7f,
        Format::Fp8E5m2 => 0x7c,
        Format::Bf16 | Format::Int8 | Format::Mxfp4 => u8::MAX,
    }
}

/// The kernel of these loops.
pub(super) fn boxed<T, Tile, Stream, U, D>(isa: Isa, facts: Facts) -> Box<dyn Kernel>
where
    T: Target,
    Tile: Body + 'static,
    Stream: Body + 'static,
    U: Unpacker<T> + 'static,
    D: Dot<T> + 'static,
{
    Box::new(Generic::<T, Tile, Stream, U, Peak<T, D>> { isa, facts, bodies: PhantomData })
}

const FLOAT: Facts = Facts {
    sums: Sums::Float,
    offset: 0,
    group: 2,
    units: 2,
    tile_packing: Packing::Bf16ToF32,
    stream_packing: Packing::Bf16ToF32,
    stream_factor: 1.0,
    finite_below: u8::MAX,
    operands: Operands::F32,
};

type FloatTile<T> = Lines<T, FloatDot, AsIs, false>;

/// bf16 and fp8 by f32 multiply-add.
///
/// The stream leaves fp8 weights multiplied by 2^-120 (E4M3) or 2^-112 (E5M2), which spares it a multiplication; the
/// activations make up for it as far as f32 reaches: the largest E4M3 times 2^119 is below 2^128.
pub fn float<T: Target>(isa: Isa, format: Format) -> Box<dyn Kernel> {
    let group = if format == Format::Bf16 { 2 } else { 4 };
    let facts = Facts { group, units: group, finite_below: finite_below(format), ..FLOAT };
    match format {
        Format::Fp8E4m3 => {
            boxed::<T, FloatTile<T>, Lines<T, FloatDot, E4m3, true>, ByLine<FloatDot, E4m3>, FloatDot>(
                isa,
                Facts {
                    tile_packing: Packing::E4m3ToF32 { exponent: 0 },
                    stream_packing: Packing::E4m3ToF32 { exponent: 119 },
                    stream_factor: 2.0,
                    ..facts
                },
            )
        }
        Format::Fp8E5m2 => {
            boxed::<T, FloatTile<T>, Lines<T, FloatDot, E5m2, true>, ByLine<FloatDot, E5m2>, FloatDot>(
                isa,
                Facts {
                    tile_packing: Packing::E5m2ToF32 { exponent: 0 },
                    stream_packing: Packing::E5m2ToF32 { exponent: E5M2_SHIFT },
                    ..facts
                },
            )
        }
        _ => {
            boxed::<T, FloatTile<T>, Lines<T, FloatDot, Bf16, true>, ByLine<FloatDot, Bf16>, FloatDot>(
                isa, facts,
            )
        }
    }
}

/// The values of attention by f32 multiply-add: codes of any format, scales left to the weights.
pub fn values<T: Target>(isa: Isa, format: Format) -> Box<dyn Kernel> {
    type Stream<T, S> = Lines<T, FloatDot, Exact<S>, true>;
    let facts = |group| Facts { group, units: group, ..FLOAT };
    match format {
        Format::Bf16 => {
            boxed::<T, FloatTile<T>, Stream<T, Bf16>, ByLine<FloatDot, Bf16>, FloatDot>(
                isa,
                facts(2),
            )
        }
        Format::Int8 => {
            boxed::<T, FloatTile<T>, Stream<T, Int8>, ByLine<FloatDot, Int8>, FloatDot>(
                isa,
                facts(4),
            )
        }
        Format::Fp8E4m3 => {
            boxed::<T, FloatTile<T>, Stream<T, E4m3>, ByLine<FloatDot, E4m3>, FloatDot>(
                isa,
                facts(4),
            )
        }
        Format::Fp8E5m2 => {
            boxed::<T, FloatTile<T>, Stream<T, E5m2>, ByLine<FloatDot, E5m2>, FloatDot>(
                isa,
                facts(4),
            )
        }
        Format::Mxfp4 => {
            boxed::<T, FloatTile<T>, Stream<T, E2m1>, ByLine<FloatDot, E2m1>, FloatDot>(
                isa,
                facts(8),
            )
        }
    }
}

/// By bf16 dot products: bf16 and fp8, and the values of attention in every format, scales left to the weights.
pub fn bf16_dot<T: Bf16Dot>(isa: Isa, format: Format) -> Box<dyn Kernel> {
    let facts = Facts { finite_below: finite_below(format), operands: Operands::Bf16, ..FLOAT };
    let packed = |packing| Facts {
        group: 4,
        units: 2,
        tile_packing: packing,
        stream_packing: packing,
        ..facts
    };
    type Tile<T> = Lines<T, Bf16Dots, AsIs, false>;
    match format {
        Format::Fp8E4m3 => {
            boxed::<T, Tile<T>, Lines<T, Bf16Dots, E4m3, true>, ByLine<Bf16Dots, E4m3>, Bf16Dots>(
                isa,
                packed(Packing::E4m3ToBf16),
            )
        }
        Format::Fp8E5m2 => {
            boxed::<T, Tile<T>, Lines<T, Bf16Dots, E5m2, true>, ByLine<Bf16Dots, E5m2>, Bf16Dots>(
                isa,
                packed(Packing::E5m2ToBf16),
            )
        }
        Format::Int8 => {
            boxed::<T, Tile<T>, Lines<T, Bf16Dots, Int8, true>, ByLine<Bf16Dots, Int8>, Bf16Dots>(
                isa,
                Facts { group: 4, ..facts },
            )
        }
        Format::Mxfp4 => {
            boxed::<T, Tile<T>, Lines<T, Bf16Dots, E2m1, true>, ByLine<Bf16Dots, E2m1>, Bf16Dots>(
                isa,
                Facts { group: 8, units: 4, ..facts },
            )
        }
        Format::Bf16 => boxed::<T, Tile<T>, Lines<T, Bf16Dots, AsIs, true>, Never, Bf16Dots>(
            isa,
            Facts {
                units: 1,
                tile_packing: Packing::Bf16Pairs,
                stream_packing: Packing::Bf16Pairs,
                ..facts
            },
        ),
    }
}

const INTEGER: Facts = Facts { sums: Sums::Integer, offset: 128, group: 4, ..FLOAT };

/// int8 by 16-bit multiply-add.
pub fn int16<T: Target>(isa: Isa) -> Box<dyn Kernel> {
    type Tile<T> = Lines<T, Int16Dot, AsIs, false>;
    boxed::<T, Tile<T>, Lines<T, Int16Dot, Int8, true>, ByLine<Int16Dot, Int8>, Int16Dot>(
        isa,
        Facts {
            units: 2,
            tile_packing: Packing::Int8ToI16,
            stream_packing: Packing::Int8ToI16,
            operands: Operands::Int16,
            ..INTEGER
        },
    )
}

/// Quads of bytes as they are.
pub(super) const QUADS: Facts = Facts {
    units: 1,
    tile_packing: Packing::Int8Quads,
    stream_packing: Packing::Int8Quads,
    operands: Operands::Bytes,
    ..INTEGER
};

/// int8 by byte dot products of mixed signs.
pub fn quad_dot<T: QuadDot>(isa: Isa) -> Box<dyn Kernel> {
    boxed::<T, Lines<T, QuadDots, AsIs, false>, Lines<T, QuadDots, AsIs, true>, Never, QuadDots>(
        isa, QUADS,
    )
}

/// mxfp4 by integer dot products within the blocks.
pub fn mxfp4<T: Target>(isa: Isa) -> Box<dyn Kernel> {
    let packing = Packing::Mxfp4 { narrow: T::MX_NARROW };
    boxed::<T, Blocks<T, false>, Blocks<T, true>, ByBlock, MxDot>(
        isa,
        Facts {
            group: MX_BLOCK,
            units: mx::UNITS,
            tile_packing: packing,
            stream_packing: packing,
            operands: if T::MX_NARROW { Operands::NarrowBytes } else { Operands::Bytes },
            ..FLOAT
        },
    )
}

/// Columns are lanes: the layouts depend on it.
const _: () = assert!(LANES == 16, "a panel has 16 columns");
