//! AVX2 and FMA: a line is two registers; and the same with the VEX-coded byte dot product (AVX-VNNI).
//!
//! The tile is 6 rows by one panel: 12 registers of sums, 2 of weights, 1 or 2 for the splats. Two multiply-adds a cycle
//! need 20 micro-operations in 6 cycles with their loads, which a core that dispatches 4 to 6 a cycle has room for.

#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "every intrinsic here needs nothing but the CPU features and pointers of Target's contract"
)]

use std::arch::x86_64::*;

use super::run::{Body, Compiled, Span};
use super::target::{Job, QuadDot, Target, dispatch};

/// AVX2, FMA and F16C.
pub struct Avx2;

/// AVX2 with AVX-VNNI.
pub struct AvxVnni;

type F = [__m256; 2];
type I = [__m256i; 2];

/// The same for both registers of a line. No closure: it would not inherit the CPU features.
macro_rules! both {
    ($line:ident, |$half:ident| $result:expr) => {
        [
            {
                let $half = $line[0];
                $result
            },
            {
                let $half = $line[1];
                $result
            },
        ]
    };
}

#[inline(always)]
unsafe fn shuffle_e2m1(codes: __m256i) -> __m256i {
    // Twice the value plus 12.
    let table = _mm256_setr_epi8(
        12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0, //
        12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0,
    );
    _mm256_shuffle_epi8(table, _mm256_and_si256(codes, _mm256_set1_epi8(15)))
}

/// Byte `BYTE` of each lane moved to the top.
#[inline(always)]
unsafe fn to_top<const BYTE: i32>(quads: __m256i) -> __m256i {
    match BYTE {
        0 => _mm256_slli_epi32::<24>(quads),
        1 => _mm256_slli_epi32::<16>(quads),
        2 => _mm256_slli_epi32::<8>(quads),
        _ => quads,
    }
}

#[inline(always)]
unsafe fn e8m0_half(codes: __m128i) -> __m256 {
    let codes = _mm256_cvtepu8_epi32(codes);
    // Code 0 is 2^-127, a subnormal; code 255 becomes all ones, a NaN.
    let power = _mm256_max_epi32(_mm256_slli_epi32::<23>(codes), _mm256_set1_epi32(1 << 22));
    let nan = _mm256_cmpeq_epi32(codes, _mm256_set1_epi32(255));
    _mm256_castsi256_ps(_mm256_or_si256(power, nan))
}

/// What both targets have in common.
macro_rules! avx2_lines {
    ($features:literal) => {
        type F = F;
        type I = I;
        type U = I;
        const ROWS: usize = 6;
        const PANELS: usize = 1;
    const STREAM_ROWS: usize = 6;

        #[target_feature(enable = $features)]
        unsafe fn enter(job: impl Job) {
            job.run();
        }
        unsafe fn peak<B: Body>(span: Span) {
            Self::enter(Compiled::<B, 6, 1>::new(span));
        }
        unsafe fn tile<B: Body>(rows: usize, panels: usize, span: Span) {
            dispatch!(Self, B, rows, panels, span, [2 1, 4 1, 6 1]);
        }
        unsafe fn stream<B: Body>(rows: usize, panels: usize, span: Span) {
            dispatch!(Self, B, rows, panels, span, [1 1, 1 4, 2 1, 4 1, 6 1]);
        }
        #[inline(always)]
        unsafe fn prefetch(address: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }

        #[inline(always)]
        unsafe fn zero_f() -> F {
            [_mm256_setzero_ps(); 2]
        }
        #[inline(always)]
        unsafe fn load_f(from: *const u8) -> F {
            [_mm256_loadu_ps(from.cast()), _mm256_loadu_ps(from.add(32).cast())]
        }
        #[inline(always)]
        unsafe fn store_f(value: F, to: *mut u32) {
            _mm256_storeu_ps(to.cast(), value[0]);
            _mm256_storeu_ps(to.add(8).cast(), value[1]);
        }
        #[inline(always)]
        unsafe fn splat_f(from: *const u32) -> F {
            [_mm256_broadcast_ss(&*from.cast::<f32>()); 2]
        }
        #[inline(always)]
        unsafe fn mul(a: F, b: F) -> F {
            [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn mul_add(a: F, b: F, c: F) -> F {
            [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])]
        }
        #[inline(always)]
        unsafe fn zero_i() -> I {
            [_mm256_setzero_si256(); 2]
        }
        #[inline(always)]
        unsafe fn load_i(from: *const u8) -> I {
            [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())]
        }
        #[inline(always)]
        unsafe fn store_i(value: I, to: *mut u32) {
            _mm256_storeu_si256(to.cast(), value[0]);
            _mm256_storeu_si256(to.add(8).cast(), value[1]);
        }
        #[inline(always)]
        unsafe fn splat_i(from: *const u32) -> I {
            [_mm256_set1_epi32(from.cast::<i32>().read()); 2]
        }
        #[inline(always)]
        unsafe fn bf16_first(pairs: I) -> F {
            both!(pairs, |pairs| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)))
        }
        #[inline(always)]
        unsafe fn bf16_second(pairs: I) -> F {
            let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            both!(pairs, |pairs| _mm256_castsi256_ps(_mm256_and_si256(pairs, mask)))
        }
        #[inline(always)]
        unsafe fn e4m3_scaled<const BYTE: i32>(quads: I) -> F {
            let mask = _mm256_set1_epi32(0x87f0_0000_u32 as i32);
            both!(quads, |quads| {
                let top = _mm256_srai_epi32::<4>(to_top::<BYTE>(quads));
                _mm256_castsi256_ps(_mm256_and_si256(top, mask))
            })
        }
        #[inline(always)]
        unsafe fn e5m2_scaled<const BYTE: i32>(quads: I) -> F {
            let mask = _mm256_set1_epi32(0x8fe0_0000_u32 as i32);
            both!(quads, |quads| {
                let top = _mm256_srai_epi32::<3>(to_top::<BYTE>(quads));
                _mm256_castsi256_ps(_mm256_and_si256(top, mask))
            })
        }
        #[inline(always)]
        unsafe fn byte_to_f32<const BYTE: i32>(quads: I) -> F {
            both!(quads, |quads| _mm256_cvtepi32_ps(_mm256_srli_epi32::<24>(to_top::<BYTE>(quads))))
        }
        #[inline(always)]
        unsafe fn low_bytes(pairs: I) -> I {
            both!(pairs, |pairs| _mm256_and_si256(pairs, _mm256_set1_epi16(0xff)))
        }
        #[inline(always)]
        unsafe fn high_bytes(pairs: I) -> I {
            both!(pairs, |pairs| _mm256_srli_epi16::<8>(pairs))
        }
        #[inline(always)]
        unsafe fn e2m1_low(nibbles: I) -> I {
            both!(nibbles, |nibbles| shuffle_e2m1(nibbles))
        }
        #[inline(always)]
        unsafe fn e2m1_high(nibbles: I) -> I {
            both!(nibbles, |nibbles| shuffle_e2m1(_mm256_srli_epi16::<4>(nibbles)))
        }
        #[inline(always)]
        unsafe fn e8m0(from: *const u8) -> F {
            let codes = _mm_loadu_si128(from.cast());
            [e8m0_half(codes), e8m0_half(_mm_unpackhi_epi64(codes, codes))]
        }
        #[inline(always)]
        unsafe fn madd_i16(sum: I, a: I, b: I) -> I {
            [
                _mm256_add_epi32(sum[0], _mm256_madd_epi16(a[0], b[0])),
                _mm256_add_epi32(sum[1], _mm256_madd_epi16(a[1], b[1])),
            ]
        }
        #[inline(always)]
        unsafe fn mx_start(from: *const u32) -> I {
            Self::splat_i(from)
        }
    };
}

impl Target for Avx2 {
    avx2_lines!("avx2,fma,f16c");
    const MX_NARROW: bool = true;

    /// Sums pairs in 16 bits: the 16 products of a lane and the correction stay below 2^15.
    #[inline(always)]
    unsafe fn mx_step(sum: I, b: I, a: I) -> I {
        [
            _mm256_add_epi16(sum[0], _mm256_maddubs_epi16(b[0], a[0])),
            _mm256_add_epi16(sum[1], _mm256_maddubs_epi16(b[1], a[1])),
        ]
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: I) -> F {
        both!(sum, |sum| _mm256_cvtepi32_ps(_mm256_madd_epi16(sum, _mm256_set1_epi16(1))))
    }
}

/// The 16 products of a 16-bit lane, and the correction for all 32.
const _: () = const { assert!(16 * 24 * 12 + 12 * 32 * 12 < i16::MAX as i32) };

impl Target for AvxVnni {
    avx2_lines!("avx2,fma,f16c,avxvnni");
    const MX_NARROW: bool = false;

    #[inline(always)]
    unsafe fn mx_step(sum: I, b: I, a: I) -> I {
        Self::dot_quad(sum, b, a)
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: I) -> F {
        both!(sum, |sum| _mm256_cvtepi32_ps(sum))
    }
}

impl QuadDot for AvxVnni {
    #[inline(always)]
    unsafe fn dot_quad(sum: I, b: I, a: I) -> I {
        [_mm256_dpbusd_avx_epi32(sum[0], b[0], a[0]), _mm256_dpbusd_avx_epi32(sum[1], b[1], a[1])]
    }
}
