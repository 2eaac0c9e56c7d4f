//! Each codec, code by code.

use half::bf16;
use microfloat::{f4e2m1fn, f8e4m3fn, f8e5m2, f8e8m0fnu};
use proptest::prelude::*;

use super::{DEFINITIONS, Definition};
use crate::number::*;

fn every_bf16() -> impl Iterator<Item = f32> {
    (0..=u16::MAX).map(|bits| bf16::from_bits(bits).to_f32())
}

#[test]
fn every_code_decodes_to_its_definition() {
    for definition in &DEFINITIONS {
        for (magnitude, value) in definition.magnitudes() {
            for (code, value) in [(magnitude, value), (magnitude | definition.sign(), -value)] {
                let decoded = f64::from(definition.codec.decode(code));
                assert_eq!(decoded.to_bits(), value.to_bits(), "{} {code:#x}", definition.name);
            }
        }
    }
    assert!(E4M3.decode(0x7f).is_nan() && E4M3.decode(0xff).is_nan());
    assert_eq!((E5M2.decode(0x7c), E5M2.decode(0xfc)), (f32::INFINITY, f32::NEG_INFINITY));
    assert!([0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff].iter().all(|&code| E5M2.decode(code).is_nan()));
}

#[test]
fn tables_hold_the_decoded_values() {
    for code in 0..=u8::MAX {
        let at = usize::from(code);
        assert_eq!(E4M3_VALUES[at].to_bits(), E4M3.decode(code).to_bits());
        assert_eq!(E5M2_VALUES[at].to_bits(), E5M2.decode(code).to_bits());
    }
    for code in 0..16u8 {
        let at = usize::from(code);
        assert_eq!(E2M1_VALUES[at].to_bits(), E2M1.decode(code).to_bits());
        assert_eq!(f32::from(E2M1_DOUBLED[at]), 2.0 * E2M1.decode(code));
    }
}

#[test]
fn every_code_survives_decode_and_encode() {
    for definition in &DEFINITIONS {
        for (magnitude, _) in definition.magnitudes() {
            for code in [magnitude, magnitude | definition.sign()] {
                let value = definition.codec.decode(code);
                assert_eq!(definition.codec.encode(value), code, "{}", definition.name);
            }
        }
    }
}

#[test]
fn every_bf16_encodes_to_the_nearest_code() {
    for definition in &DEFINITIONS {
        for value in every_bf16().filter(|value| !value.is_nan()) {
            let expected = definition.nearest(f64::from(value), 1.0);
            assert_eq!(definition.codec.encode(value), expected, "{} {value:e}", definition.name);
        }
    }
}

/// Ties and their neighbours in f32, which no bf16 input reaches: rounding by way of bf16 would fail here.
#[test]
fn ties_go_to_even_and_one_ulp_decides() {
    for definition in &DEFINITIONS {
        let values: Vec<_> = definition.magnitudes().collect();
        for pair in values.windows(2) {
            let [(low, below), (high, above)] = [pair[0], pair[1]];
            let tie = ((below + above) / 2.0) as f32;
            let even = if low % 2 == 0 { low } else { high };
            let encode = |value: f32| definition.codec.encode(value);
            assert_eq!(
                [encode(tie.next_down()), encode(tie), encode(tie.next_up())],
                [low, even, high]
            );
            let negative = [-tie.next_down(), -tie, -tie.next_up()].map(encode);
            assert_eq!(negative, [low, even, high].map(|code| code | definition.sign()));
        }
    }
}

#[test]
fn infinity_saturates_and_nan_follows_its_rule() {
    let nan = f32::NAN.copysign(1.0);
    for (codec, max, positive, negative) in
        [(E4M3, 0x7e, 0x7f, 0xff), (E5M2, 0x7b, 0x7e, 0xfe), (E2M1, 0x7, 0x8, 0x0)]
    {
        let sign = if codec == E2M1 { 0x8 } else { 0x80 };
        for large in [f32::INFINITY, f32::MAX] {
            assert_eq!([codec.encode(large), codec.encode(-large)], [max, max | sign]);
        }
        assert_eq!([codec.encode(nan), codec.encode(-nan)], [positive, negative]);
        assert_eq!([codec.encode(0.0), codec.encode(-0.0)], [0, sign]);
        let tiny = f32::from_bits(1);
        assert_eq!([codec.encode(tiny), codec.encode(-tiny)], [0, sign]);
    }
}

#[test]
fn bf16_rounds_saturates_and_keeps_specials() {
    for bits in 0..=u16::MAX {
        let value = bf16::from_bits(bits);
        let encoded = encode_bf16(value.to_f32());
        assert!(encoded.to_bits() == bits || value.is_nan() && encoded.is_nan(), "{bits:#x}");
    }
    assert_eq!([encode_bf16(f32::MAX), encode_bf16(-f32::MAX)], [bf16::MAX, bf16::MIN]);
    // 1 + 2^-8 is half way to 1 + 2^-7: to even, and one ulp of f32 decides.
    let tie = 1.0 + 2f32.powi(-8);
    let nearest = [tie.next_down(), tie, tie.next_up()].map(|value| encode_bf16(value).to_bits());
    assert_eq!(nearest, [0x3f80, 0x3f80, 0x3f81]);
}

#[test]
fn int8_rounds_and_saturates_symmetrically() {
    let cases = [(0.5, 0), (1.5, 2), (2.5, 2), (126.5, 126), (127.5, 127), (1e30, 127)];
    for (value, code) in cases.into_iter().chain([(f32::INFINITY, 127), (0.5f32.next_up(), 1)]) {
        assert_eq!([encode_int8(value), encode_int8(-value)], [code, -code], "{value}");
    }
    assert_eq!(encode_int8(f32::NAN), 0);
}

#[test]
fn nibbles_pack_low_first() {
    assert_eq!(pack_nibbles(0x3, 0xa), 0xa3);
    for byte in 0..=u8::MAX {
        let [low, high] = unpack_nibbles(byte);
        assert_eq!(pack_nibbles(low, high), byte);
    }
}

#[test]
fn e8m0_is_a_power_of_two() {
    for code in 0..=u8::MAX {
        let (ours, second) = (decode_e8m0(code), f8e8m0fnu::from_bits(code).to_f32());
        if code == E8M0_NAN {
            assert!(ours.is_nan() && second.is_nan());
        } else {
            assert_eq!(f64::from(ours), 2f64.powi(i32::from(code) - 127));
            assert_eq!(ours, second);
        }
    }
}

/// The largest power of two not above `max`, found by trying, over 4; clamped.
fn shared_exponent_by_search(max: f32) -> u8 {
    let powers = (-149..=127).rev();
    let log2 = powers.into_iter().find(|&e| 2f64.powi(e) <= f64::from(max));
    log2.map_or(0, |log2| (log2 - 2 + 127).clamp(0, 254) as u8)
}

#[test]
fn shared_scale_at_every_power_of_two_and_beside_it() {
    for exponent in -149..=127 {
        let power = 2f64.powi(exponent) as f32;
        for max in [power.next_down(), power, power.next_up(), power * 1.75] {
            assert_eq!(shared_scale(max), shared_exponent_by_search(max), "{max:e}");
        }
    }
    assert_eq!(shared_scale(0.0), 0);
    assert_eq!(decode_e8m0(shared_scale(1.0)), 0.25);
    assert_eq!(decode_e8m0(shared_scale(7.99)), 1.0);
    assert_eq!(shared_scale(f32::INFINITY), shared_scale(f32::MAX));
    assert_eq!(shared_scale(f32::NAN), E8M0_NAN);
}

/// The second opinion overflows to NaN or infinity instead of saturating, so its input is clamped.
fn second_opinion(definition: &Definition, value: f32) -> u8 {
    let clamped = value.clamp(-definition.max as f32, definition.max as f32);
    match definition.name {
        "E4M3" => f8e4m3fn::from_f32(clamped).to_bits(),
        "E5M2" => f8e5m2::from_f32(clamped).to_bits(),
        _ => f4e2m1fn::from_f32(clamped).to_bits(),
    }
}

#[test]
fn every_bf16_agrees_with_a_second_implementation() {
    for definition in &DEFINITIONS {
        for value in every_bf16().filter(|value| !value.is_nan()) {
            let second = second_opinion(definition, value);
            assert_eq!(definition.codec.encode(value), second, "{} {value:e}", definition.name);
        }
    }
}

/// Any f32 but NaN; half of them of a magnitude that the small formats resolve.
fn number() -> impl Strategy<Value = f32> {
    let bits = any::<u32>().prop_map(f32::from_bits).prop_filter("a number", |x| !x.is_nan());
    let near = (any::<f32>(), -20..17i32)
        .prop_map(|(x, e)| x % 1.0 * 2f32.powi(e))
        .prop_filter("a number", |x| !x.is_nan());
    prop_oneof![bits, near, -7f32..7.0, -500f32..500.0, -6e4f32..6e4]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_f32_encodes_to_the_nearest_code(value in number()) {
        for definition in &DEFINITIONS {
            let code = definition.codec.encode(value);
            prop_assert_eq!(code, definition.nearest(f64::from(value), 1.0), "{}", definition.name);
            prop_assert_eq!(code, second_opinion(definition, value), "{}", definition.name);
        }
    }

    #[test]
    fn encoding_is_monotone(a in number(), b in number()) {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        for Definition { name, codec, .. } in &DEFINITIONS {
            let values = [low, high].map(|value| codec.decode(codec.encode(value)));
            prop_assert!(values[0] <= values[1], "{}: {:?}", name, values);
        }
        prop_assert!(encode_int8(low) <= encode_int8(high));
        prop_assert!(encode_bf16(low) <= encode_bf16(high));
    }

    #[test]
    fn bf16_agrees_with_half_below_the_largest(value in number()) {
        if value.abs() <= bf16::MAX.to_f32() {
            prop_assert_eq!(encode_bf16(value).to_bits(), bf16::from_f32(value).to_bits());
        }
    }
}
