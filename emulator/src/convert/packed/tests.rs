use super::*;

fn run(text: &str, sources: [u64; 3]) -> u64 {
    let (mnemonic, rest) = text.split_once('.').expect("has qualifiers");
    let qualifiers: Vec<&str> = rest.split('.').collect();
    Packed::parse(mnemonic, &qualifiers).unwrap_or_else(|e| panic!("{e}")).apply(sources)
}

#[test]
fn halves_are_independent() {
    assert_eq!(run("add.bf16x2", [0x3f80_4000, 0x3f80_3f80, 0]), 0x4000_4040);
    assert_eq!(run("mul.f16x2", [0x3c00_4000, 0x4000_4000, 0]), 0x4000_4400);
    let pair = |high: f32, low: f32| u64::from(high.to_bits()) << 32 | u64::from(low.to_bits());
    assert_eq!(
        run("fma.rn.f32x2", [pair(2.0, 3.0), pair(5.0, 7.0), pair(1.0, -1.0)]),
        pair(11.0, 20.0)
    );
    assert_eq!(run("add.rz.ftz.f32x2", [pair(1.0, 1e-40), pair(-1.0, 0.0), 0]), 0);
    assert_eq!(run("neg.bf16x2", [0x3f80_bf80, 0, 0]), 0xbf80_3f80);
    assert_eq!(run("abs.f16", [0xbc00, 0, 0]), 0x3c00);
}

#[test]
fn min_max_treat_nan_and_zero_as_the_isa_says() {
    assert_eq!(run("max.f16", [0x7e00, 0x3c00, 0]), 0x3c00);
    assert_eq!(run("max.NaN.f16", [0x7e00, 0x3c00, 0]), 0x7fff);
    assert_eq!(run("max.bf16", [0x8000, 0x0000, 0]), 0);
    assert_eq!(run("min.bf16", [0x0000, 0x8000, 0]), 0x8000);
    assert_eq!(run("min.xorsign.abs.bf16", [0xbf80, 0x4000, 0]), 0xbf80);
}

#[test]
fn out_of_bounds_nan_gives_zero() {
    assert_eq!(run("fma.rn.oob.bf16x2", [0xffff_3f80, 0x3f80_3f80, 0x3f80_3f80]), 0x0000_4000);
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "fma.bf16x2",
        "add.rz.f16x2",
        "add.sat.bf16",
        "max.f32x2",
        "min.xorsign.f16",
        "add.ftz.bf16x2",
        "mul.relu.f16x2",
    ] {
        let (mnemonic, rest) = text.split_once('.').expect("has qualifiers");
        assert!(Packed::parse(mnemonic, &rest.split('.').collect::<Vec<_>>()).is_err(), "{text}");
    }
}
