//! Scalar instructions against values worked out from the ISA's text, one kernel for all of them.

mod common;

use common::{Kernel, entry, run, words};
use emulator::ptx::Module;

/// Each row: instructions that leave a result in `%r0`, and the result.
const ROWS: &[(&str, u32)] = &[
    // Integers.
    ("add.sat.s32 %r0, 0x7fffffff, 1;", 0x7fff_ffff),
    ("mul.hi.s32 %r0, -2, 3;", 0xffff_ffff),
    ("mul.hi.u32 %r0, -2, 3;", 2),
    ("mul24.lo.s32 %r0, 0x00ffffff, 5;", 0xffff_fffb),
    ("mad.lo.s32 %r0, 7, 6, -2;", 40),
    ("div.s32 %r0, -7, 2;", 0xffff_fffd),
    ("rem.s32 %r0, -7, 2;", 0xffff_ffff),
    ("sad.u32 %r0, 3, 10, 1;", 8),
    ("abs.s32 %r0, -5;", 5),
    ("min.s32 %r0, -5, 3;", 0xffff_fffb),
    ("max.u32 %r0, -5, 3;", 0xffff_fffb),
    ("dp4a.s32.u32 %r0, 0xff020304, 0x01010101, 10;", 18),
    ("dp2a.hi.s32.s32 %r0, 0x00020003, 0x05060000, 1;", 29),
    ("mul.wide.s16 %r0, %hm, %hm;", 9),
    ("add.u16x2 %r0, 0xffff0001, 0x00010001;", 2),
    ("max.relu.s16x2 %r0, 0xfffe0003, 0xffff0002;", 3),
    // Bits.
    ("prmt.b32 %r0, 0x03020100, 0x07060504, 0x5140;", 0x0501_0400),
    ("prmt.b32 %r0, 0x00008000, 0, 0x9990;", 0xffff_ff00),
    ("prmt.b32.rc16 %r0, 0x44332211, 0, 1;", 0x4433_4433),
    ("prmt.b32.b4e %r0, 0x44332211, 0x88776655, 1;", 0x7788_1122),
    ("lop3.b32 %r0, 0xf0f0f0f0, 0xcccccccc, 0xaaaaaaaa, 0x96;", 0x9696_9696),
    ("shf.l.wrap.b32 %r0, 0x80000000, 1, 33;", 3),
    ("shf.r.clamp.b32 %r0, 1, 2, 40;", 2),
    ("bfe.s32 %r0, 0xf0, 4, 4;", 0xffff_ffff),
    ("bfe.u32 %r0, 0xf0, 4, 2;", 3),
    ("bfe.s32 %r0, 0x80000000, 28, 16;", 0xffff_fff8),
    ("bfi.b32 %r0, 0xff, 0, 4, 8;", 0xff0),
    ("bfind.u32 %r0, 0x00010000;", 16),
    ("bfind.s32 %r0, -1;", 0xffff_ffff),
    ("bfind.shiftamt.u32 %r0, 0x00010000;", 15),
    ("brev.b32 %r0, 1;", 0x8000_0000),
    ("popc.b64 %r0, -1;", 64),
    ("clz.b32 %r0, 0x00010000;", 15),
    ("fns.b32 %r0, 0b101100, 0, 2;", 3),
    ("bmsk.clamp.b32 %r0, 4, 8;", 0xff0),
    ("szext.wrap.s32 %r0, 0x1f, 5;", 0xffff_ffff),
    ("shl.b32 %r0, 1, 40;", 0),
    ("shr.s32 %r0, 0x80000000, 40;", 0xffff_ffff),
    ("cnot.b32 %r0, 0;", 1),
    ("add.cc.u32 %r1, -1, 1; addc.u32 %r0, 5, 0;", 6),
    ("sub.cc.u32 %r1, 0, 1; subc.u32 %r0, 5, 0;", 4),
    ("mad.lo.cc.u32 %r1, -1, 2, 2; madc.hi.u32 %r0, -1, 2, 0;", 2),
    // Floats. 0f3f800000 is 1.
    ("add.rz.f32 %r0, 0f3f800000, 0f33000000;", 0x3f80_0000),
    ("add.rp.f32 %r0, 0f3f800000, 0f33000000;", 0x3f80_0001),
    ("add.sat.f32 %r0, 0f3f800000, 0f3f800000;", 0x3f80_0000),
    ("mul.ftz.f32 %r0, 0f00000001, 0f4b000000;", 0),
    ("fma.rn.f32 %r0, 0f3f800800, 0f3f800800, 0fbf800000;", 0x3a00_0400),
    ("div.rn.f32 %r0, 0f3f800000, 0f40400000;", 0x3eaa_aaab),
    ("div.rm.f32 %r0, 0f3f800000, 0f40400000;", 0x3eaa_aaaa),
    ("sqrt.rn.f32 %r0, 0f40000000;", 0x3fb5_04f3),
    ("min.f32 %r0, 0f7fc00000, 0f3f800000;", 0x3f80_0000),
    ("min.NaN.f32 %r0, 0f7fc00000, 0f3f800000;", 0x7fff_ffff),
    ("max.f32 %r0, 0f80000000, 0f00000000;", 0),
    ("max.f32 %r0, 0f3f800000, 0f40000000, 0f40400000;", 0x4040_0000),
    ("max.xorsign.abs.f32 %r0, 0fc0000000, 0f3f800000;", 0xc000_0000),
    ("copysign.f32 %r0, 0f80000000, 0f3f800000;", 0xbf80_0000),
    ("ex2.approx.f32 %r0, 0f40400000;", 0x4100_0000),
    ("add.rn.f16x2 %r0, 0x3c003c00, 0x40003c00;", 0x4200_4000),
    ("fma.rn.bf16x2 %r0, 0x3f803f80, 0x40003f80, 0x3f803f80;", 0x4040_4000),
    (
        "mov.b64 %d1, {0f3f800000, 0f40000000}; add.rn.f32x2 %d1, %d1, %d1; mov.b64 {%r1, %r0}, %d1;",
        0x4080_0000,
    ),
    ("cvt.rn.bf16x2.f32 %r0, 0f40000000, 0f3f800000;", 0x4000_3f80),
    ("cvt.rzi.s32.f32 %r0, 0fc0200000;", 0xffff_fffe),
    ("cvt.rni.s32.f32 %r0, 0fc0200000;", 0xffff_fffe),
    ("cvt.rn.f32.u32 %r0, -1;", 0x4f80_0000),
    ("cvt.pack.sat.s16.s32 %r0, 70000, -5;", 0x7fff_fffb),
    ("cvt.s32.s16 %r0, %hm;", 0xffff_fffd),
    // Selection.
    ("setp.lt.s32 %p1, -1, 1; selp.b32 %r0, 7, 9, %p1;", 7),
    ("setp.lo.u32 %p1, -1, 1; selp.b32 %r0, 7, 9, %p1;", 9),
    ("setp.gt.and.s32 %p1|%p2, 3, 2, %p0; selp.b32 %r0, 7, 9, %p2;", 9),
    ("setp.ltu.f32 %p1, 0f7fc00000, 0f3f800000; selp.b32 %r0, 7, 9, %p1;", 7),
    ("set.lt.u32.f32 %r0, 0f3f800000, 0f40000000;", 0xffff_ffff),
    ("slct.b32.s32 %r0, 7, 9, -1;", 9),
    ("testp.subnormal.f32 %p1, 0f00000001; selp.b32 %r0, 7, 9, %p1;", 7),
    ("mov.pred %p1, 1; not.pred %p2, %p1; xor.pred %p1, %p1, %p2; selp.b32 %r0, 7, 9, %p1;", 7),
    ("lop3.or.b32 _|%p1, 1, 1, 0, 0x80, 0; selp.b32 %r0, 7, 9, %p1;", 9),
    // Whole warp, one lane alive.
    ("vote.sync.ballot.b32 %r0, 1, 1;", 1),
    ("match.any.sync.b32 %r0, 5, 1;", 1),
    ("redux.sync.add.s32 %r0, 5, 1;", 5),
    ("elect.sync %r0|%p1, 1;", 0),
    ("activemask.b32 %r0;", 1),
    ("mov.u32 %r0, %nctaid.x;", 1),
    ("mov.u32 %r0, WARP_SZ;", 32),
];

#[test]
fn results_are_those_of_the_isa() {
    let wrong: Vec<String> = ROWS
        .iter()
        .filter_map(|(code, expected)| {
            let body = format!(
                ".reg .b32 %r<3>; .reg .b64 %d<2>; .reg .pred %p<3>; .reg .b16 %hm; .reg .b64 %out;
                 ld.param.u64 %out, [out]; mov.b16 %hm, -3; mov.pred %p0, 1;
                 {code}
                 st.global.b32 [%out], %r0; ret;"
            );
            let text = entry("sm_100", ".param .u64 out", &body);
            if let Err(error) = Module::parse(&text) {
                return Some(error.to_string());
            }
            let got = words(&run(&text, &Kernel::default()).unwrap())[0];
            (got != *expected).then(|| format!("{code} gives {got:#010x}, not {expected:#010x}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn atomics_scopes_and_switches() {
    let text = entry(
        "sm_80",
        ".param .u64 out",
        ".reg .b32 %r<6>; .reg .b64 %d<3>; .reg .pred %p<2>;
         ld.param.u64 %d1, [out]; mov.u32 %r1, %tid.x;
         atom.global.add.u32 %r2, [%d1], 2;
         red.global.gpu.relaxed.max.s32 [%d1+4], %r1;
         atom.global.inc.u32 %r2, [%d1+8], 4;
         red.global.add.f32 [%d1+12], 0f3f800000;
         { .reg .pred done; AGAIN: atom.global.cas.b32 %r3, [%d1+16], %r1, %r1; setp.ge.u32 done, %r3, 0; @!done bra AGAIN; }
         { .reg .pred done; AGAIN: setp.eq.u32 done, 0, 0; @!done bra AGAIN; }
         rem.u32 %r4, %r1, 3;
         TABLE: .branchtargets A, B, C;
         brx.idx %r4, TABLE;
         A: mov.b32 %r5, 10; bra END;
         B: mov.b32 %r5, 20; bra END;
         C: mov.b32 %r5, 30;
         END: mul.wide.u32 %d2, %r1, 4; add.s64 %d2, %d2, %d1; st.global.b32 [%d2+64], %r5; ret;",
    );
    let out = words(&run(&text, &Kernel { block: 64, ..Kernel::default() }).unwrap());
    assert_eq!(out[..4], [128, 63, 64 % 5, 64f32.to_bits()]);
    assert_eq!(out[16..22], [10, 20, 30, 10, 20, 30]);
}

#[test]
fn what_the_isa_does_not_have_is_refused_with_its_line() {
    for code in [
        "add.f8 %r1, %r1, %r1;",
        "add.rn.s32 %r1, %r1, %r1;",
        "frobnicate.b32 %r1, %r1;",
        "mov.b32 %r1, %r7;",
        "ld.global.weird.b32 %r1, [%d1];",
        "st.param.b32 [out], %r1;",
        "fma.f32 %r1, %r1, %r1, %r1;",
        "bra NOWHERE;",
        "mma.sync.aligned.m16n8k15.row.col.f32.bf16.bf16.f32 {%r1,%r1,%r1,%r1}, {%r1,%r1,%r1,%r1}, {%r1,%r1}, {%r1,%r1,%r1,%r1};",
        "add.s32 %r1, %d1, %h1;",
        "cp.async.cg.shared.global [%r1], [%d1], 8;",
    ] {
        let body = format!(".reg .b32 %r<3>; .reg .b64 %d<2>; .reg .b16 %h<2>;\n{code}\nret;");
        let error = Module::parse(&entry("sm_90", ".param .u64 out", &body)).unwrap_err();
        assert_eq!(error.line, common::LINE_OF_CODE + 1, "{code}: {error}");
    }
}
