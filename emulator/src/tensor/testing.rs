//! What the tests of `wgmma` and `tcgen05` share: random element codes, and matrices placed in
//! shared memory by the tables of the ISA, written out a second time.

use super::descriptor::{Major, SharedMatrix};
use super::element::Element;
use super::swizzle::Swizzle;
use crate::convert::{Format, Overflow, Rounding};

pub(super) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 40
}

/// A random code that stands for a small integer (or, for the narrow types, any finite value).
pub(super) fn code(element: Element, seed: &mut u64) -> u64 {
    let x = (random(seed) % 17) as f64 - 8.0;
    let encode = |format: Format| u64::from(format.encode(x, Rounding::Zero, Overflow::Saturate));
    match element {
        Element::F16 => encode(Format::F16),
        Element::Bf16 => encode(Format::BF16),
        Element::Tf32 => u64::from((x as f32).to_bits()),
        Element::E4m3 => encode(Format::E4M3),
        Element::E5m2 => encode(Format::E5M2),
        Element::E2m3 | Element::E3m2 => random(seed) & 0x3f,
        Element::E2m1 => random(seed) & 0xf,
        Element::E2m1Byte => (random(seed) & 0xf) << 2,
        Element::B1 => random(seed) & 1,
        _ => x as i64 as u64 & 0x7f,
    }
}

/// Places `codes[mn * k + i]` in shared memory and returns where; strides leave gaps, so that one
/// mistaken for the other shows.
pub(super) fn place_matrix(
    memory: &mut [u8],
    start: u32,
    codes: &[u64],
    k: usize,
    element: Element,
    swizzle: Swizzle,
    major: Major,
) -> SharedMatrix {
    let mn_count = codes.len() / k;
    let bits = element.bits();
    let t = 128 / bits;
    let w = swizzle.width() as usize;
    let lines = if swizzle == Swizzle::B128Atom32 { 4 } else { 8 };
    let (leading, stride) = match (major, swizzle) {
        (Major::K, Swizzle::None) => (mn_count * 18 + 128, 144),
        (Major::K, _) => (16, 8 * w),
        (Major::Mn, Swizzle::None) => (mn_count.div_ceil(t) * 144 + 16, 144),
        (Major::Mn, _) => (lines * w * k.div_ceil(lines) + 1024, lines * w),
    };
    for (i, &code) in codes.iter().enumerate() {
        let (mn, k_at) = (i / k, i % k);
        // Byte offset of the 16-byte chunk and the element's place in it.
        let (chunk, inner) = match (major, swizzle) {
            (Major::K, Swizzle::None) => {
                (mn / 8 * stride + mn % 8 * 16 + k_at / t * leading, k_at % t)
            }
            (Major::K, _) => (mn / 8 * stride + mn % 8 * w + k_at / t * 16, k_at % t),
            (Major::Mn, Swizzle::None) => {
                (mn / t * stride + k_at % 8 * 16 + k_at / 8 * leading, mn % t)
            }
            (Major::Mn, _) => {
                let run = w / 16 * t;
                let line = k_at % lines * w + k_at / lines * stride;
                (mn / run * leading + mn % run / t * 16 + line, mn % t)
            }
        };
        let linear = start as usize + chunk;
        let line = linear >> 7;
        let at = linear
            ^ match swizzle {
                Swizzle::B128 => (line & 7) << 4,
                Swizzle::B64 => (line & 3) << 4,
                Swizzle::B32 => (line & 1) << 4,
                Swizzle::B128Atom32 => (line & 3) << 5,
                _ => 0,
            };
        // Four- and six-bit floats of f8f6f4 are packed at the start of the chunk.
        let (width, code) = match element {
            Element::E2m1Byte => (4, code >> 2),
            Element::E2m3 | Element::E3m2 => (6, code),
            _ => (bits, code),
        };
        let slot: &mut [u8; 16] = (&mut memory[at..at + 16]).try_into().expect("16 bytes");
        *slot = (u128::from_le_bytes(*slot) | u128::from(code) << (width * inner)).to_le_bytes();
    }
    SharedMatrix { start, leading: leading as u32, stride: stride as u32, base: 0, swizzle }
}
