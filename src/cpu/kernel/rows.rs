//! Packing activations: a row of codes becomes a row of units, what one dot instruction takes of it.
//!
//! A unit is four bytes: one f32, two bf16, two i16, or four i8. Rows keep their own run of units, so that packing is
//! a conversion without a transposition; the kernels splat one unit of each row at a time. The loops are plain Rust,
//! compiled once per instruction set (they are jobs), and vectorise.

use super::mx;
use super::source::{E4M3_SHIFT, E5M2_SHIFT, power_of_two};
use super::target::Job;
use crate::number::{E2M1_DOUBLED, MX_BLOCK, decode_e8m0};

/// How a row of codes becomes units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// bf16 to f32.
    Bf16ToF32,
    /// bf16 pairs as they are.
    Bf16Pairs,
    /// E4M3 to f32 times a power of two.
    E4m3ToF32 { exponent: i32 },
    /// E5M2 to f32 times a power of two.
    E5m2ToF32 { exponent: i32 },
    /// E4M3 to bf16 pairs.
    E4m3ToBf16,
    /// E5M2 to bf16 pairs.
    E5m2ToBf16,
    /// int8 to pairs of i16.
    Int8ToI16,
    /// int8 quads, elements 0, 2, 1, 3.
    Int8Quads,
    /// mxfp4 blocks: eight quads of doubled values, the correction, a quarter of the scale. The correction is an i32;
    /// `narrow` leaves its low 16 bits only, for kernels that sum in i16.
    Mxfp4 { narrow: bool },
}

/// Packs `codes` (and `blocks`, the E8M0 codes of mxfp4) into `units`; what is left of `units` becomes zero.
pub struct PackRow<'a> {
    pub packing: Packing,
    pub codes: &'a [u8],
    pub blocks: &'a [u8],
    pub units: &'a mut [u32],
}

impl Job for PackRow<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Self { packing, codes, blocks, units } = self;
        let done = match packing {
            Packing::Bf16ToF32 => {
                let (codes, _) = codes.as_chunks::<2>();
                for (unit, code) in units.iter_mut().zip(codes) {
                    *unit = u32::from(u16::from_le_bytes(*code)) << 16;
                }
                codes.len()
            }
            Packing::Bf16Pairs => {
                let (pairs, rest) = codes.as_chunks::<4>();
                for (unit, pair) in units.iter_mut().zip(pairs) {
                    *unit = u32::from_le_bytes(*pair);
                }
                let mut done = pairs.len();
                if let &[low, high] = rest {
                    units[done] = u32::from(u16::from_le_bytes([low, high]));
                    done += 1;
                }
                done
            }
            Packing::E4m3ToF32 { exponent } => {
                let factor = f32::from_bits(power_of_two(exponent));
                for (unit, &code) in units.iter_mut().zip(codes) {
                    *unit = (e4m3(code) * factor).to_bits();
                }
                codes.len()
            }
            Packing::E5m2ToF32 { exponent } => {
                let factor = f32::from_bits(power_of_two(exponent));
                for (unit, &code) in units.iter_mut().zip(codes) {
                    *unit = (e5m2(code) * factor).to_bits();
                }
                codes.len()
            }
            Packing::E4m3ToBf16 => pairs(codes, units, |code| e4m3(code).to_bits() >> 16),
            Packing::E5m2ToBf16 => pairs(codes, units, |code| e5m2(code).to_bits() >> 16),
            Packing::Int8ToI16 => pairs(codes, units, |code| u32::from(code as i8 as u16)),
            Packing::Int8Quads => {
                let (quads, rest) = codes.as_chunks::<4>();
                for (unit, &[a, b, c, d]) in units.iter_mut().zip(quads) {
                    *unit = u32::from_le_bytes([a, c, b, d]);
                }
                let mut done = quads.len();
                if !rest.is_empty() {
                    let at = |i: usize| rest.get(i).copied().unwrap_or(0);
                    units[done] = u32::from_le_bytes([at(0), at(2), at(1), at(3)]);
                    done += 1;
                }
                done
            }
            Packing::Mxfp4 { narrow } => mxfp4(codes, blocks, units, narrow),
        };
        units[done..].fill(0);
    }
}

/// Two elements a unit, the first in the low half.
#[inline(always)]
fn pairs(codes: &[u8], units: &mut [u32], half: impl Fn(u8) -> u32) -> usize {
    let (whole, rest) = codes.as_chunks::<2>();
    for (unit, &[first, second]) in units.iter_mut().zip(whole) {
        *unit = half(first) & 0xffff | half(second) << 16;
    }
    if let &[last] = rest {
        units[whole.len()] = half(last) & 0xffff;
    }
    codes.len().div_ceil(2)
}

/// The finite values of E4M3.
#[inline(always)]
fn e4m3(code: u8) -> f32 {
    let code = u32::from(code);
    f32::from_bits((code & 0x7f) << 20 | (code & 0x80) << 24)
        * f32::from_bits(power_of_two(E4M3_SHIFT))
}

/// The finite values of E5M2.
#[inline(always)]
fn e5m2(code: u8) -> f32 {
    let code = u32::from(code);
    f32::from_bits((code & 0x7f) << 21 | (code & 0x80) << 24)
        * f32::from_bits(power_of_two(E5M2_SHIFT))
}

#[inline(always)]
fn mxfp4(codes: &[u8], blocks: &[u8], units: &mut [u32], narrow: bool) -> usize {
    let block_codes = codes.chunks_exact(MX_BLOCK / 2);
    for ((units, codes), &scale) in units.chunks_exact_mut(mx::UNITS).zip(block_codes).zip(blocks) {
        let mut sum = 0;
        for (unit, &[low, high]) in units.iter_mut().zip(codes.as_chunks().0) {
            let quad = [low & 15, low >> 4, high & 15, high >> 4]
                .map(|code: u8| E2M1_DOUBLED[usize::from(code)]);
            sum += quad.iter().map(|&value| i32::from(value)).sum::<i32>();
            *unit = u32::from_le_bytes(quad.map(|value| value as u8));
        }
        let correction = (-mx::OFFSET * sum) as u32;
        units[mx::QUADS] = if narrow { correction & 0xffff } else { correction };
        // Twice the value on both sides.
        units[mx::QUADS + 1] = (decode_e8m0(scale) * 0.25).to_bits();
    }
    blocks.len() * mx::UNITS
}
