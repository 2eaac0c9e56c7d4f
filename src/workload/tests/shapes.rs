//! Shapes: what can be given, and what is refused with which advice.

use proptest::prelude::*;

use super::*;
use crate::number::Format;

fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(error @ Error::Input { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn gemm_shapes_are_read() {
    assert_eq!(Gemm::parse("2048x2048x2048").unwrap(), Gemm::new(2048, 2048, 2048));
    assert_eq!(Gemm::parse(" 1 X 7168x\t32\n").unwrap(), Gemm::new(1, 7168, 32));
    let list = Gemm::parse_list("1x2x3,4x5x6, 1x2x3").unwrap();
    assert_eq!(list, [Gemm::new(1, 2, 3), Gemm::new(4, 5, 6)]);
}

#[test]
fn what_is_not_three_positive_integers_is_refused_with_an_example() {
    let long = "9".repeat(100_000);
    for text in [
        "",
        " ",
        ",",
        "x",
        "xx",
        "1x2",
        "1x2x3x4",
        "1x2x",
        "0x1x1",
        "1x0x1",
        "1x1x0",
        "-1x2x3",
        "+1x2x3",
        "1.5x2x3",
        "1e3x2x3",
        "ax2x3",
        "1x2x3,",
        ",1x2x3",
        "1x2x3;4x5x6",
        "1×2×3",
        "1x2x18446744073709551616",
        "1x2x1048577",
        "\u{0}x\u{7f}x\u{202e}",
        &long,
        &format!("1x{long}x3"),
        "0x10x10",
        "٣x٣x٣",
    ] {
        let message = refused(Gemm::parse_list(text));
        assert!(message.contains("HOSTDYNO_GEMM=2048x2048x2048"), "{message}");
        assert!(message.len() < 300, "{}", message.len());
    }
    assert!(refused(Gemm::parse("1x2x0")).contains("K is zero"));
    assert!(refused(Gemm::parse("1x1048577x1")).contains("N is larger than 1048576"));
}

#[test]
fn a_format_that_cannot_store_k_is_refused_with_the_nearest() {
    assert!(refused(Gemm::new(1, 1, 2050).check(Format::Mxfp4)).contains("K = 2048"));
    assert!(refused(Gemm::new(1, 1, 2070).check(Format::Mxfp4)).contains("K = 2080"));
    for format in [Format::Bf16, Format::Int8, Format::Fp8E4m3, Format::Fp8E5m2] {
        Gemm::new(1, 1, 2050).check(format).unwrap();
    }
    Gemm::new(1, 1, 133_144).check(Format::Int8).unwrap();
    assert!(refused(Gemm::new(1, 1, 133_145).check(Format::Int8)).contains("133144"));
    Gemm::new(1, 1, 133_145).check(Format::Bf16).unwrap();
    refused(Gemm::new(0, 1, 32).check(Format::Bf16));
    refused(Gemm::new(1, usize::MAX, 32).check(Format::Bf16));
}

#[test]
fn the_largest_shape_is_counted_without_overflow() {
    let largest = 1 << 20;
    let gemm = Gemm::new(largest, largest, largest);
    assert_eq!(gemm.flops(), 1 << 61);
    assert_eq!(gemm.bytes_read(Format::Bf16), 1 << 42);
    let message = refused(gemm.check_fits(Format::Bf16, usize::MAX, 24 << 30));
    assert!(message.contains("25.8 GB are free"), "{message}");
    Gemm::new(1, 2048, 7168).check_fits(Format::Bf16, 2, 1 << 30).unwrap();
}

#[test]
fn attention_shapes_that_make_no_sense_are_refused() {
    let right = Attention {
        phase: Phase::Prefill,
        heads: 8,
        kv_heads: 2,
        queries: 16,
        keys: 32,
        qk_dim: 64,
        v_dim: 64,
        latent: false,
        scale_dim: 64,
    };
    right.check(Format::Mxfp4).unwrap();
    for wrong in [
        Attention { heads: 0, ..right },
        Attention { kv_heads: 0, ..right },
        Attention { kv_heads: 3, ..right },
        Attention { queries: 33, ..right },
        Attention { phase: Phase::Decode, ..right },
        Attention { latent: true, v_dim: 65, ..right },
        Attention { v_dim: 48, ..right },
        Attention { qk_dim: 48, ..right },
        Attention { scale_dim: 0, ..right },
        Attention { keys: usize::MAX, ..right },
        Attention { heads: 1 << 20, keys: 1 << 20, queries: 1 << 20, ..right },
    ] {
        refused(wrong.check(Format::Mxfp4));
    }
    refused(right.check_fits(Format::Bf16, usize::MAX, u64::MAX));
}

#[test]
fn pairs_are_those_that_the_mask_leaves() {
    let base = Attention {
        phase: Phase::Prefill,
        heads: 3,
        kv_heads: 3,
        queries: 5,
        keys: 9,
        qk_dim: 32,
        v_dim: 32,
        latent: false,
        scale_dim: 32,
    };
    for problem in [
        base,
        Attention { queries: 9, ..base },
        Attention { phase: Phase::Decode, queries: 1, ..base },
    ] {
        let a_head: usize = (0..problem.queries).map(|query| problem.visible_keys(query)).sum();
        assert_eq!(problem.pairs(), (problem.heads * a_head) as u64);
        assert_eq!(problem.visible_keys(problem.queries - 1), problem.keys);
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read(m in 1usize..=1 << 20, n in 1usize..=1 << 20, k in 1usize..=1 << 20) {
        prop_assert_eq!(Gemm::parse(&format!("{m}x{n}x{k}")).unwrap(), Gemm::new(m, n, k));
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = Gemm::parse_list(&text);
    }

    #[test]
    fn no_text_of_the_right_characters_panics(text in "[0-9xX, +-]{0,64}") {
        let _ = Gemm::parse_list(&text);
    }
}
