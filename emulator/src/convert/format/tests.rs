use super::*;

/// Nearest code by search over every code: the plain definition the encoder must agree with.
fn nearest_by_search(format: &Format, value: f64) -> u32 {
    // Beyond the largest value every distance is the same to f64's precision.
    let largest = format.decode(format.max);
    let value = value.clamp(-largest, largest);
    let codes = (0..1u32 << format.bits).filter(|&c| {
        format.decode(c).is_finite()
            && (format.decode(c).is_sign_negative() == value.is_sign_negative())
    });
    let mut best: Vec<u32> = Vec::new();
    let mut distance = f64::INFINITY;
    for code in codes {
        let d = (format.decode(code) - value).abs();
        if d < distance {
            distance = d;
            best.clear();
        }
        if d == distance {
            best.push(code);
        }
    }
    *best.iter().find(|&&c| best.len() == 1 || c & 1 == 0).expect("a nearest code exists")
}

#[test]
fn every_bf16_encodes_to_the_nearest_code() {
    for format in [Format::E4M3, Format::E5M2, Format::E2M3, Format::E3M2, Format::E2M1] {
        for code in 0..=u16::MAX {
            let value = f64::from(bf16_to_f32(code));
            if value.is_finite() {
                let got = format.encode(value, Rounding::NearestEven, Overflow::Saturate);
                assert_eq!(got, nearest_by_search(&format, value), "{} of {value:e}", format.name);
            }
        }
    }
}

#[test]
fn every_code_survives_a_round_trip() {
    for format in [
        Format::F16,
        Format::BF16,
        Format::TF32,
        Format::E4M3,
        Format::E5M2,
        Format::E2M3,
        Format::E3M2,
        Format::E2M1,
    ] {
        for code in 0..1u32 << format.bits {
            let value = format.decode(code);
            for rounding in [
                Rounding::NearestEven,
                Rounding::NearestAway,
                Rounding::Zero,
                Rounding::Down,
                Rounding::Up,
            ] {
                let back = format.encode(value, rounding, Overflow::Infinity);
                if value.is_nan() {
                    assert_eq!(Some(back), format.nan);
                } else {
                    assert_eq!(back, code, "{} {value:e}", format.name);
                }
            }
        }
    }
}

#[test]
fn directed_modes_bracket_and_ties_go_where_they_should() {
    let f16 = |x: f64, r| Format::F16.encode(x, r, Overflow::Infinity);
    let tie = 1.0 + 2f64.powi(-11);
    assert_eq!(f16(tie, Rounding::NearestEven), 0x3c00);
    assert_eq!(f16(tie, Rounding::NearestAway), 0x3c01);
    assert_eq!(f16(-tie, Rounding::NearestAway), 0xbc01);
    assert_eq!(f16(-tie, Rounding::Down), 0xbc01);
    assert_eq!(f16(-tie, Rounding::Up), 0xbc00);
    assert_eq!(f16(-tie, Rounding::Zero), 0xbc00);
    assert_eq!(f16(1e-30, Rounding::Up), 1);
    assert_eq!(f16(-1e-30, Rounding::Up), 0x8000);
    assert_eq!(f16(1e30, Rounding::NearestEven), 0x7c00);
    assert_eq!(f16(1e30, Rounding::Zero), 0x7bff);
    assert_eq!(f16(-1e30, Rounding::Up), 0xfbff);
    assert_eq!(Format::F16.encode(1e30, Rounding::NearestEven, Overflow::Saturate), 0x7bff);
    assert_eq!(f16(65519.99, Rounding::NearestEven), 0x7bff);
    assert_eq!(f16(65520.0, Rounding::NearestEven), 0x7c00);
}

#[test]
fn f32_agrees_with_the_processor() {
    let mut bits = 0x0123_4567_89ab_cdefu64;
    for _ in 0..200_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Exponents around f32's range, its subnormals and its overflow included.
        let value = f64::from_bits(bits & 0x800f_ffff_ffff_ffff | (860 + (bits >> 54) % 300) << 52);
        let got = Format::F32.encode(value, Rounding::NearestEven, Overflow::Infinity);
        assert_eq!(got, (value as f32).to_bits(), "{value:e}");
        assert_eq!(Format::F32.decode(got), f64::from(value as f32));
    }
}

#[test]
fn half_widening_is_exact() {
    for code in 0..=u16::MAX {
        let (fast, plain) = (f16_to_f32(code), Format::F16.decode(u32::from(code)));
        assert!(f64::from(fast) == plain || (fast.is_nan() && plain.is_nan()));
        assert_eq!(fast.is_sign_negative(), code >> 15 == 1);
    }
}

#[test]
fn special_values_of_the_narrow_formats() {
    assert_eq!(Format::E4M3.decode(0x7e), 448.0);
    assert!(Format::E4M3.decode(0xff).is_nan());
    assert_eq!(Format::E5M2.decode(0x7b), 57344.0);
    assert_eq!(Format::E5M2.decode(0xfc), f64::NEG_INFINITY);
    assert_eq!(Format::E2M3.decode(0x1f), 7.5);
    assert_eq!(Format::E3M2.decode(0x1f), 28.0);
    assert_eq!(Format::E2M1.decode(0xf), -6.0);
    assert_eq!(Format::UE4M3.decode(0xfe), 448.0);
    assert_eq!(decode_ue8m0(0), 2f64.powi(-127));
    assert!(decode_ue8m0(255).is_nan());
    assert_eq!(encode_ue8m0(3.0, false, Overflow::Saturate), 128);
    assert_eq!(encode_ue8m0(3.0, true, Overflow::Saturate), 129);
    assert_eq!(encode_ue8m0(4.0, true, Overflow::Saturate), 129);
    assert_eq!(encode_ue8m0(f64::INFINITY, true, Overflow::Saturate), 254);
    assert_eq!(encode_ue8m0(f64::INFINITY, true, Overflow::Infinity), 255);
}
