//! AVX-512: a line is one register. Three levels: F/BW/VL/DQ, with VNNI, with VNNI, BF16 and VBMI.
//!
//! The tile is 14 rows by two panels: 28 registers of sums, 2 of weights, 1 or 2 for the splats.

#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "every intrinsic here needs nothing but the CPU features and pointers of Target's contract"
)]

use std::arch::x86_64::*;

use super::run::{Body, Compiled, Span};
use super::target::{Bf16Dot, Job, QuadDot, Target, dispatch};
use crate::number::{E2M1_VALUES, E4M3_VALUES, E5M2_VALUES};

/// AVX-512 F, BW, VL and DQ.
pub struct Avx512;

/// [`Avx512`] and VNNI.
pub struct Avx512Vnni;

/// [`Avx512Vnni`], BF16 and VBMI.
pub struct Avx512Bf16;

#[inline(always)]
unsafe fn shuffle_e2m1(codes: __m512i) -> __m512i {
    // Twice the value plus 12.
    let table = _mm512_broadcast_i32x4(_mm_setr_epi8(
        12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0,
    ));
    _mm512_shuffle_epi8(table, _mm512_and_si512(codes, _mm512_set1_epi8(15)))
}

/// Byte `BYTE` of each lane moved to the top.
#[inline(always)]
unsafe fn to_top<const BYTE: i32>(quads: __m512i) -> __m512i {
    match BYTE {
        0 => _mm512_slli_epi32::<24>(quads),
        1 => _mm512_slli_epi32::<16>(quads),
        2 => _mm512_slli_epi32::<8>(quads),
        _ => quads,
    }
}

/// The low and the high bytes of the bf16 of every magnitude of an fp8 format.
struct Bf16Bytes {
    low: [u8; 128],
    high: [u8; 128],
}

impl Bf16Bytes {
    const fn of(values: &[f32; 256]) -> Self {
        let mut bytes = Self { low: [0; 128], high: [0; 128] };
        let mut code = 0;
        while code < 128 {
            // Every fp8 value is a bf16.
            let bits = values[code].to_bits() >> 16;
            bytes.low[code] = bits as u8;
            bytes.high[code] = (bits >> 8) as u8;
            code += 1;
        }
        bytes
    }

    /// The bytes of every integer from `first` on: all bf16 while their magnitudes are at most 256.
    const fn of_integers(first: i32) -> Self {
        let mut bytes = Self { low: [0; 128], high: [0; 128] };
        let mut i = 0;
        while i < 128 {
            let bits = ((first + i as i32) as f32).to_bits() >> 16;
            bytes.low[i] = bits as u8;
            bytes.high[i] = (bits >> 8) as u8;
            i += 1;
        }
        bytes
    }

    /// The two bytes of what each code's low seven bits stand for.
    #[inline(always)]
    unsafe fn look_up(&self, codes: __m512i) -> [__m512i; 2] {
        let half =
            |table: &[u8; 128], i: usize| _mm512_loadu_si512(table.as_ptr().add(64 * i).cast());
        [&self.low, &self.high]
            .map(|table| _mm512_permutex2var_epi8(half(table, 0), codes, half(table, 1)))
    }

    /// Sixty-four codes of sign and magnitude as pairs of bf16: the even bytes, the odd bytes.
    #[inline(always)]
    unsafe fn pairs(&self, codes: __m512i) -> [__m512i; 2] {
        let [low, high] = self.look_up(codes);
        let high = _mm512_ternarylogic_epi32::<OR_AND>(high, codes, _mm512_set1_epi8(-128));
        interleave(low, high)
    }
}

/// Low and high bytes as 16-bit lanes: those of the even bytes, those of the odd ones.
#[inline(always)]
unsafe fn interleave(low: __m512i, high: __m512i) -> [__m512i; 2] {
    let even = _mm512_ternarylogic_epi32::<OR_AND>(
        _mm512_slli_epi16::<8>(high),
        low,
        _mm512_set1_epi16(0xff),
    );
    let odd = _mm512_ternarylogic_epi32::<OR_AND>(
        _mm512_srli_epi16::<8>(low),
        high,
        _mm512_set1_epi16(0xff00_u16 as i16),
    );
    [even, odd]
}

/// The bf16 of the sixteen E2M1 codes, twice: the index is five bits wide.
static E2M1_BF16: [u16; 32] = {
    let mut values = [0; 32];
    let mut code = 0;
    while code < 32 {
        values[code] = (E2M1_VALUES[code % 16].to_bits() >> 16) as u16;
        code += 1;
    }
    values
};

/// Truth table of `a | (b & c)`.
const OR_AND: i32 = 0xf8;

static E4M3_BF16: Bf16Bytes = Bf16Bytes::of(&E4M3_VALUES);
static E5M2_BF16: Bf16Bytes = Bf16Bytes::of(&E5M2_VALUES);
static NEGATIVE_BF16: Bf16Bytes = Bf16Bytes::of_integers(-128);
static POSITIVE_BF16: Bf16Bytes = Bf16Bytes::of_integers(0);

/// What the three targets have in common.
macro_rules! avx512_lines {
    ($features:literal) => {
        type F = __m512;
        type I = __m512i;
        type U = __m512i;
        const ROWS: usize = 14;
        const PANELS: usize = 2;
    const STREAM_ROWS: usize = 8;

        #[target_feature(enable = $features)]
        unsafe fn enter(job: impl Job) {
            job.run();
        }
        unsafe fn peak<B: Body>(span: Span) {
            Self::enter(Compiled::<B, 14, 2>::new(span));
        }
        unsafe fn tile<B: Body>(rows: usize, panels: usize, span: Span) {
            dispatch!(Self, B, rows, panels, span, [4 2, 8 2, 12 2, 14 2, 8 1, 14 1]);
        }
        unsafe fn stream<B: Body>(rows: usize, panels: usize, span: Span) {
            dispatch!(Self, B, rows, panels, span, [1 1, 1 4, 2 1, 4 1, 8 1]);
        }
        #[inline(always)]
        unsafe fn prefetch(address: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }

        #[inline(always)]
        unsafe fn zero_f() -> __m512 {
            _mm512_setzero_ps()
        }
        #[inline(always)]
        unsafe fn load_f(from: *const u8) -> __m512 {
            _mm512_loadu_ps(from.cast())
        }
        #[inline(always)]
        unsafe fn store_f(value: __m512, to: *mut u32) {
            _mm512_storeu_ps(to.cast(), value);
        }
        #[inline(always)]
        unsafe fn splat_f(from: *const u32) -> __m512 {
            _mm512_set1_ps(from.cast::<f32>().read())
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            _mm512_mul_ps(a, b)
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            _mm512_fmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn zero_i() -> __m512i {
            _mm512_setzero_si512()
        }
        #[inline(always)]
        unsafe fn load_i(from: *const u8) -> __m512i {
            _mm512_loadu_si512(from.cast())
        }
        #[inline(always)]
        unsafe fn store_i(value: __m512i, to: *mut u32) {
            _mm512_storeu_si512(to.cast(), value);
        }
        #[inline(always)]
        unsafe fn splat_i(from: *const u32) -> __m512i {
            _mm512_set1_epi32(from.cast::<i32>().read())
        }
        #[inline(always)]
        unsafe fn bf16_first(pairs: __m512i) -> __m512 {
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs))
        }
        #[inline(always)]
        unsafe fn bf16_second(pairs: __m512i) -> __m512 {
            let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(pairs, mask))
        }
        #[inline(always)]
        unsafe fn e4m3_scaled<const BYTE: i32>(quads: __m512i) -> __m512 {
            let top = _mm512_srai_epi32::<4>(to_top::<BYTE>(quads));
            let mask = _mm512_set1_epi32(0x87f0_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(top, mask))
        }
        #[inline(always)]
        unsafe fn e5m2_scaled<const BYTE: i32>(quads: __m512i) -> __m512 {
            let top = _mm512_srai_epi32::<3>(to_top::<BYTE>(quads));
            let mask = _mm512_set1_epi32(0x8fe0_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(top, mask))
        }
        #[inline(always)]
        unsafe fn byte_to_f32<const BYTE: i32>(quads: __m512i) -> __m512 {
            _mm512_cvtepi32_ps(_mm512_srli_epi32::<24>(to_top::<BYTE>(quads)))
        }
        #[inline(always)]
        unsafe fn low_bytes(pairs: __m512i) -> __m512i {
            _mm512_and_si512(pairs, _mm512_set1_epi16(0xff))
        }
        #[inline(always)]
        unsafe fn high_bytes(pairs: __m512i) -> __m512i {
            _mm512_srli_epi16::<8>(pairs)
        }
        #[inline(always)]
        unsafe fn e2m1_low(nibbles: __m512i) -> __m512i {
            shuffle_e2m1(nibbles)
        }
        #[inline(always)]
        unsafe fn e2m1_high(nibbles: __m512i) -> __m512i {
            shuffle_e2m1(_mm512_srli_epi16::<4>(nibbles))
        }
        #[inline(always)]
        unsafe fn e8m0(from: *const u8) -> __m512 {
            let codes = _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()));
            // Code 0 is 2^-127, a subnormal; code 255 becomes all ones, a NaN.
            let power = _mm512_max_epi32(_mm512_slli_epi32::<23>(codes), _mm512_set1_epi32(1 << 22));
            let nan = _mm512_cmpeq_epi32_mask(codes, _mm512_set1_epi32(255));
            _mm512_castsi512_ps(_mm512_mask_mov_epi32(power, nan, _mm512_set1_epi32(-1)))
        }
        #[inline(always)]
        unsafe fn madd_i16(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
            _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
        }
        #[inline(always)]
        unsafe fn mx_start(from: *const u32) -> __m512i {
            Self::splat_i(from)
        }
    };
}

/// Byte dot products by VNNI, for mxfp4 and int8.
macro_rules! vnni {
    ($target:ty) => {
        impl QuadDot for $target {
            #[inline(always)]
            unsafe fn dot_quad(sum: __m512i, b: __m512i, a: __m512i) -> __m512i {
                _mm512_dpbusd_epi32(sum, b, a)
            }
        }
    };
}

impl Target for Avx512 {
    avx512_lines!("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma");
    const MX_NARROW: bool = true;

    /// Sums pairs in 16 bits, as the AVX2 kernel does.
    #[inline(always)]
    unsafe fn mx_step(sum: __m512i, b: __m512i, a: __m512i) -> __m512i {
        _mm512_add_epi16(sum, _mm512_maddubs_epi16(b, a))
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: __m512i) -> __m512 {
        _mm512_cvtepi32_ps(_mm512_madd_epi16(sum, _mm512_set1_epi16(1)))
    }
}

impl Target for Avx512Vnni {
    avx512_lines!("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,avx512vnni");
    const MX_NARROW: bool = false;

    #[inline(always)]
    unsafe fn mx_step(sum: __m512i, b: __m512i, a: __m512i) -> __m512i {
        Self::dot_quad(sum, b, a)
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: __m512i) -> __m512 {
        _mm512_cvtepi32_ps(sum)
    }
}
vnni!(Avx512Vnni);

impl Target for Avx512Bf16 {
    avx512_lines!("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,avx512vnni,avx512bf16,avx512vbmi");
    const MX_NARROW: bool = false;

    #[inline(always)]
    unsafe fn mx_step(sum: __m512i, b: __m512i, a: __m512i) -> __m512i {
        Self::dot_quad(sum, b, a)
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: __m512i) -> __m512 {
        _mm512_cvtepi32_ps(sum)
    }
}
vnni!(Avx512Bf16);

impl Bf16Dot for Avx512Bf16 {
    #[inline(always)]
    unsafe fn dot_bf16(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
        // SAFETY: both are 64 bytes without invalid patterns.
        let as_bf16 = |line| unsafe { std::mem::transmute::<__m512i, __m512bh>(line) };
        _mm512_dpbf16_ps(sum, as_bf16(a), as_bf16(b))
    }
    #[inline(always)]
    unsafe fn e4m3_pairs(quads: __m512i) -> [__m512i; 2] {
        E4M3_BF16.pairs(quads)
    }
    #[inline(always)]
    unsafe fn e5m2_pairs(quads: __m512i) -> [__m512i; 2] {
        E5M2_BF16.pairs(quads)
    }
    #[inline(always)]
    unsafe fn offset_pairs(quads: __m512i) -> [__m512i; 2] {
        // Bytes from 128 on stand for 0 to 127, those below for -128 to -1.
        let positive = _mm512_movepi8_mask(quads);
        let [low, high] = NEGATIVE_BF16.look_up(quads);
        let [positive_low, positive_high] = POSITIVE_BF16.look_up(quads);
        interleave(
            _mm512_mask_mov_epi8(low, positive, positive_low),
            _mm512_mask_mov_epi8(high, positive, positive_high),
        )
    }
    #[inline(always)]
    unsafe fn e2m1_pairs(nibbles: __m512i) -> [__m512i; 4] {
        let table = _mm512_loadu_si512(E2M1_BF16.as_ptr().cast());
        // Two nibbles of each lane, 16 bits apart. Bits above the fifth are ignored; the fifth chooses between equals.
        let values = |codes| _mm512_permutexvar_epi16(codes, table);
        let pairs = |even: __m512i, odd: __m512i| {
            let low = _mm512_ternarylogic_epi32::<OR_AND>(
                _mm512_slli_epi32::<16>(odd),
                even,
                _mm512_set1_epi32(0xffff),
            );
            let high = _mm512_ternarylogic_epi32::<OR_AND>(
                _mm512_srli_epi32::<16>(even),
                odd,
                _mm512_set1_epi32(0xffff_0000_u32 as i32),
            );
            [low, high]
        };
        let [first, second] = pairs(values(nibbles), values(_mm512_srli_epi16::<8>(nibbles)));
        let high = _mm512_srli_epi16::<4>(nibbles);
        let [third, fourth] = pairs(values(high), values(_mm512_srli_epi16::<8>(high)));
        [first, second, third, fourth]
    }
}
