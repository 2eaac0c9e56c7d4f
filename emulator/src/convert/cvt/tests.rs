use super::*;

fn cvt(text: &str, a: u64, b: u64) -> u64 {
    let qualifiers: Vec<&str> = text.split('.').collect();
    Cvt::parse(&qualifiers).unwrap_or_else(|e| panic!("{text}: {e}")).apply([a, b], 0)
}

fn f(x: f32) -> u64 {
    u64::from(x.to_bits())
}

#[test]
fn packed_forms_put_the_first_operand_high() {
    assert_eq!(cvt("rn.bf16x2.f32", f(1.0), f(2.0)), 0x3f80_4000);
    assert_eq!(cvt("rn.f16x2.f32", f(1.0), f(2.0)), 0x3c00_4000);
    assert_eq!(cvt("rn.satfinite.e4m3x2.f32", f(1.0), f(1000.0)), 0x387e);
    assert_eq!(cvt("rn.satfinite.e5m2x2.f32", f(-1.0), f(1e9)), 0xbc7b);
    assert_eq!(cvt("rn.satfinite.e2m1x2.f32", f(-6.0), f(0.5)), 0xf1);
    assert_eq!(cvt("rn.satfinite.e2m3x2.f32", f(7.5), f(-7.5)), 0x1f3f);
    assert_eq!(cvt("rn.f16x2.e4m3x2", 0x387e, 0), 0x3c00_5f00);
    assert_eq!(cvt("rn.f16x2.e2m1x2", 0xf1, 0), 0xc600_3800);
    assert_eq!(cvt("rn.bf16x2.e2m1x2", 0xf1, 0), 0xc0c0_3f00);
    assert_eq!(cvt("rn.bf16x2.e4m3x2", 0x387e, 0), 0x3f80_43e0);
    assert_eq!(cvt("rn.satfinite.e4m3x2.f16x2", 0x3c00_7bff, 0), 0x387e);
    assert_eq!(cvt("rn.satfinite.e2m1x2.bf16x2", 0x3f80_c0e0, 0), 0x2f);
    assert_eq!(cvt("rp.satfinite.ue8m0x2.f32", f(3.0), f(1.0)), 0x817f);
    assert_eq!(cvt("rn.bf16x2.ue8m0x2", 0x817f, 0), 0x4080_3f80);
}

#[test]
fn nan_and_relu_and_saturation() {
    assert_eq!(cvt("rn.satfinite.e4m3x2.f32", f(f32::NAN), f(-0.0)), 0x7f80);
    assert_eq!(cvt("rn.satfinite.e2m1x2.f32", f(f32::NAN), f(-0.0)), 0x78);
    assert_eq!(cvt("rn.relu.bf16x2.f32", f(-1.0), f(f32::NAN)), 0x7fff);
    assert_eq!(cvt("rn.satfinite.relu.e4m3x2.f32", f(-3.0), f(3.0)), 0x0044);
    assert_eq!(cvt("rn.satfinite.f16.f32", f(1e9), 0), 0x7bff);
    assert_eq!(cvt("sat.f32.f32", f(-3.0), 0), 0);
    assert_eq!(cvt("sat.f32.f32", f(f32::NAN), 0), 0);
    assert_eq!(cvt("ftz.f32.f32", 0x8000_0001, 0), 0x8000_0000);
}

#[test]
fn tf32_keeps_its_place_in_the_register() {
    assert_eq!(cvt("rna.tf32.f32", 0x3f80_1000, 0), 0x3f80_2000);
    assert_eq!(cvt("rn.tf32.f32", 0x3f80_1000, 0), 0x3f80_0000);
    assert_eq!(cvt("rz.tf32.f32", 0xbf80_1fff, 0), 0xbf80_0000);
}

#[test]
fn integers_extend_clamp_and_round() {
    assert_eq!(cvt("s64.s32", 0xffff_ffff, 0), u64::MAX);
    assert_eq!(cvt("u64.u32", 0xffff_ffff_ffff_ffff, 0), 0xffff_ffff);
    assert_eq!(cvt("u16.u32", 0x12345, 0), 0x2345);
    assert_eq!(cvt("sat.s8.s32", 1000, 0), 127);
    assert_eq!(cvt("sat.u8.s32", 0xffff_ffff, 0), 0);
    assert_eq!(cvt("rni.s32.f32", f(2.5), 0), 2);
    assert_eq!(cvt("rpi.s32.f32", f(-2.5), 0) as u32 as i32, -2);
    assert_eq!(cvt("rzi.s32.f32", f(1e20), 0), 0x7fff_ffff);
    assert_eq!(cvt("rzi.u32.f32", f(-5.0), 0), 0);
    assert_eq!(cvt("rzi.s32.f32", f(f32::NAN), 0), 0);
    assert_eq!(cvt("rzi.u64.f32", f(f32::NAN), 0), 1 << 63);
    assert_eq!(cvt("rzi.s32.f64", f64::NAN.to_bits(), 0) as u32, 0x8000_0000);
    assert_eq!(cvt("rmi.f32.f32", f(-0.5), 0), f(-1.0));
    assert_eq!(cvt("rn.f32.u64", u64::MAX, 0), f(18_446_744_073_709_551_615.0));
    // 2^24 + 1 is a tie: even below, the next above.
    assert_eq!(cvt("rn.f32.s32", 16_777_217, 0), f(16_777_216.0));
    assert_eq!(cvt("rp.f32.s32", 16_777_217, 0), f(16_777_218.0));
    // Through f64 first, 2^60 + 2^36 + 1 would become the tie 2^60 + 2^36 and round down.
    assert_eq!(cvt("rn.f32.u64", (1 << 60) + (1 << 36) + 1, 0), f(2f32.powi(60) + 2f32.powi(37)));
    assert_eq!(cvt("rz.f64.s64", (-((1i64 << 62) + 1)) as u64, 0), (-(2f64.powi(62))).to_bits());
    assert_eq!(
        cvt("rm.f64.s64", (-((1i64 << 62) + 1)) as u64, 0),
        (-(2f64.powi(62))).next_down().to_bits()
    );
}

#[test]
fn narrowing_from_f64_rounds_once() {
    // Just above the f16 tie; through f32 it would become the tie.
    let value = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    assert_eq!(cvt("rn.f16.f64", value.to_bits(), 0), 0x3c01);
    assert_eq!(cvt("rn.f32.f64", 1e300f64.to_bits(), 0), 0x7f80_0000);
    assert_eq!(cvt("f64.f32", f(0.1), 0), f64::from(0.1f32).to_bits());
    assert_eq!(cvt("f32.bf16", 0x3f80, 0), f(1.0));
}

#[test]
fn stochastic_rounding_adds_the_random_bits_to_the_discarded_ones() {
    let qualifiers = ["rs", "bf16x2", "f32"];
    let rs = Cvt::parse(&qualifiers).expect("valid");
    assert!(rs.needs_random_bits());
    let a = u64::from(0x3f80_4000u32);
    // Discarded 0x4000: carries out from 0xc000 on.
    assert_eq!(rs.apply([a, a], 0xc000_bfff), 0x3f81_3f80);
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "f16.f32",
        "rn.f32.f16",
        "s32.f32",
        "rn.s32.s64",
        "rn.e4m3x2.f32",
        "satfinite.e4m3x2.f32",
        "rn.rz.f16.f32",
        "rni.f16.f32",
        "rs.satfinite.e4m3x4.f32",
        "rn.ue8m0x2.f32",
        "ftz.f64.f16",
        "rn.foo.f16.f32",
        "rn.f16.f8",
        "rm.bf16x2.f32",
        "sat.bf16.f32",
        "u32",
        "rna.relu.tf32.f32",
        "rn.rn.f16.f32",
    ] {
        let qualifiers: Vec<&str> = text.split('.').collect();
        assert!(Cvt::parse(&qualifiers).is_err(), "{text} must be refused");
    }
}
