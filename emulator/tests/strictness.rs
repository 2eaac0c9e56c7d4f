//! What hardware lets pass by luck is a fault here, with its class and its line.

mod common;

use common::{Kernel, fault, words};
use emulator::machine::FaultKind;

/// Two warps; warp 1 reads what warp 0 wrote, with `between` in between.
fn exchange(between: &str) -> String {
    common::entry(
        "sm_80",
        ".param .u64 out",
        &format!(
            ".reg .b32 %r<9>; .reg .b64 %d<4>; .shared .align 16 .b8 tile[512];
             mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.b32 %r3, tile; add.s32 %r4, %r3, %r2;
             st.shared.b32 [%r4], %r1;
             {between}
             xor.b32 %r5, %r2, 128; add.s32 %r6, %r3, %r5; ld.shared.b32 %r7, [%r6];
             ld.param.u64 %d1, [out]; cvt.u64.u32 %d2, %r2; add.s64 %d3, %d1, %d2;
             st.global.b32 [%d3], %r7; ret;"
        ),
    )
}

#[test]
fn a_race_between_warps_is_reported_and_a_barrier_mends_it() {
    let kernel = Kernel { block: 64, ..Kernel::default() };
    let found = fault(&exchange(""), &kernel);
    assert_eq!(found.kind, FaultKind::Race, "{found}");
    assert_eq!((found.block, found.line.is_some()), (Some([0, 0, 0]), true));
    for seed in 0..4 {
        let out =
            common::run(&exchange("bar.sync 0;"), &Kernel { seed, ..kernel.clone() }).unwrap();
        assert_eq!(words(&out)[..64], (0..64).map(|i| i ^ 32).collect::<Vec<u32>>());
    }
}

/// A bulk store of 256 bytes that every thread wrote a word of.
fn bulk_store(fence: &str, wait: &str) -> String {
    common::entry(
        "sm_90",
        ".param .u64 out",
        &format!(
            ".reg .b32 %r<9>; .reg .b64 %d<4>; .reg .pred %p<2>; .shared .align 128 .b8 tile[256];
             mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.b32 %r3, tile; add.s32 %r4, %r3, %r2;
             st.shared.b32 [%r4], %r1;
             {fence}
             bar.sync 0;
             setp.ne.u32 %p1, %r1, 0; @%p1 bra DONE;
             ld.param.u64 %d1, [out];
             cp.async.bulk.global.shared::cta.bulk_group [%d1], [%r3], 256;
             cp.async.bulk.commit_group;
             {wait}
             DONE: ret;"
        ),
    )
}

#[test]
fn the_asynchronous_proxy_needs_a_fence_and_a_wait() {
    let kernel = Kernel { block: 64, ..Kernel::default() };
    let wait = "cp.async.bulk.wait_group.read 0;";
    let found = fault(&bulk_store("", wait), &kernel);
    assert_eq!(found.kind, FaultKind::MissingProxyFence, "{found}");
    let fence = "fence.proxy.async.shared::cta;";
    let found = fault(&bulk_store(fence, ""), &kernel);
    assert_eq!(found.kind, FaultKind::NotWaitedFor, "{found}");
    let out = common::run(&bulk_store(fence, wait), &kernel).unwrap();
    assert_eq!(words(&out)[..64], (0..64).collect::<Vec<u32>>());
}

#[test]
fn copies_land_only_when_waited_for() {
    let text = |wait: &str| {
        common::entry(
            "sm_80",
            ".param .u64 out, .param .u64 in",
            &format!(
                ".reg .b32 %r<5>; .reg .b64 %d<4>; .shared .align 16 .b8 tile[16];
                 ld.param.u64 %d1, [out]; ld.param.u64 %d2, [in]; mov.b32 %r1, tile;
                 cp.async.ca.shared.global [%r1], [%d2], 4; cp.async.commit_group;
                 cp.async.ca.shared.global [%r1+4], [%d2+4], 4; cp.async.commit_group;
                 {wait}
                 ld.shared.v2.b32 {{%r2, %r3}}, [%r1]; st.global.v2.b32 [%d1], {{%r2, %r3}}; ret;"
            ),
        )
    };
    let kernel = Kernel { input: Some(vec![7, 9]), ..Kernel::default() };
    let run = |wait| words(&common::run(&text(wait), &kernel).unwrap())[..2].to_vec();
    assert_eq!(run(""), [0xcdcd_cdcd, 0xcdcd_cdcd]);
    assert_eq!(run("cp.async.wait_group 1;"), [7, 0xcdcd_cdcd]);
    assert_eq!(run("cp.async.wait_group 0;"), [7, 9]);
    assert_eq!(run("cp.async.wait_all;"), [7, 9]);
}

#[test]
fn unpaired_and_divergent_barriers_and_deadlocks_are_reported() {
    let body = |code: &str| {
        common::entry(
            "sm_90",
            ".param .u64 out",
            &format!(
                ".reg .b32 %r<5>; .reg .pred %p<3>; .shared .align 8 .b8 bar[16];
                 mov.u32 %r1, %tid.x; mov.b32 %r2, bar; setp.lt.u32 %p1, %r1, 32; setp.lt.u32 %p2, %r1, 16;
                 {code}
                 DONE: ret;"
            ),
        )
    };
    let kernel = Kernel { block: 64, ..Kernel::default() };
    // Warp 1 leaves; warp 0 waits for it.
    assert_eq!(fault(&body("@!%p1 bra DONE; bar.sync 0;"), &kernel).kind, FaultKind::Deadlock);
    // Half of warp 0 takes one barrier, half another.
    let split = "@%p2 bra HALF; bar.sync 0; bra DONE; HALF: bar.sync 0;";
    assert_eq!(fault(&body(split), &kernel).kind, FaultKind::Divergence);
    // A guard that differs between lanes.
    assert_eq!(fault(&body("@%p2 bar.sync 0;"), &kernel).kind, FaultKind::Divergence);
    // Different counts.
    let counts = "@%p1 bra A; bar.sync 1, 64; bra DONE; A: bar.sync 1, 32;";
    assert_eq!(fault(&body(counts), &kernel).kind, FaultKind::Deadlock);
    // An mbarrier that nobody arrives on.
    let never = "@%p2 bra X; bra DONE; X: mbarrier.init.shared.b64 [%r2], 1; \
                 W: mbarrier.try_wait.parity.shared.b64 %p2, [%r2], 0; @!%p2 bra W;";
    let one = Kernel::default();
    assert_eq!(fault(&body(never), &one).kind, FaultKind::Deadlock);
    // A cluster barrier without its other half.
    assert_eq!(fault(&body("barrier.cluster.wait;"), &kernel).kind, FaultKind::Deadlock);
    assert_eq!(
        fault(&body("barrier.cluster.arrive; barrier.cluster.arrive;"), &kernel).kind,
        FaultKind::Deadlock
    );
}

#[test]
fn addresses_are_checked() {
    let body = |code: &str| {
        common::entry(
            "sm_80",
            ".param .u64 out",
            &format!(
                ".reg .b32 %r<5>; .reg .b64 %d<5>; .shared .align 8 .b8 tile[16]; .local .align 8 .b8 own[8];
                 ld.param.u64 %d1, [out]; mov.b32 %r1, tile;
                 {code}
                 ret;"
            ),
        )
    };
    let one = Kernel::default();
    for (code, kind) in [
        ("ld.global.b32 %r2, [%d1+1048576];", FaultKind::IllegalAddress),
        ("ld.global.b32 %r2, [%d1+-4];", FaultKind::IllegalAddress),
        ("ld.global.b32 %r2, [%d1+2];", FaultKind::MisalignedAddress),
        ("ld.global.v4.b32 {%r2, %r2, %r3, %r3}, [%d1+8];", FaultKind::MisalignedAddress),
        ("ld.shared.b32 %r2, [%r1+16];", FaultKind::IllegalAddress),
        ("mov.b32 %r3, 0; st.shared.b32 [%r3], %r1;", FaultKind::IllegalAddress),
        ("ld.local.b32 %r2, [own+8];", FaultKind::IllegalAddress),
        (
            "cvt.u64.u32 %d2, %r1; cvta.shared.u64 %d3, %d2; ld.global.b32 %r2, [%d3];",
            FaultKind::AddressSpace,
        ),
        ("ld.shared.b32 %r2, [%d1];", FaultKind::AddressSpace),
        ("cvta.to.shared.u64 %d2, %d1;", FaultKind::AddressSpace),
    ] {
        let found = fault(&body(code), &one);
        assert_eq!(found.kind, kind, "{code}: {found}");
        assert_eq!(found.line, Some(common::LINE_OF_CODE + 2), "{code}: {found}");
    }
}

#[test]
fn runaway_kernels_end() {
    let text = common::entry("sm_80", ".param .u64 out", "L: bra L;");
    let found = fault(&text, &Kernel { step_limit: 10_000, ..Kernel::default() });
    assert_eq!(found.kind, FaultKind::StepLimit);
}

#[test]
fn shuffles_wait_for_their_members() {
    // Lanes 16 to 31 take a detour before the same instruction: they still exchange with lanes 0 to 15.
    let text = common::entry(
        "sm_80",
        ".param .u64 out",
        ".reg .b32 %r<7>; .reg .b64 %d<4>; .reg .pred %p<2>;
         mov.u32 %r1, %tid.x; mov.b32 %r2, %r1; setp.lt.u32 %p1, %r1, 16;
         @%p1 bra MEET; add.s32 %r2, %r2, 100;
         MEET: shfl.sync.bfly.b32 %r3, %r2, 16, 31, -1;
         ld.param.u64 %d1, [out]; mul.wide.u32 %d2, %r1, 4; add.s64 %d3, %d1, %d2; st.global.b32 [%d3], %r3; ret;",
    );
    let out = words(&common::run(&text, &Kernel { block: 32, ..Kernel::default() }).unwrap());
    let expected: Vec<u32> = (0..32).map(|i| if i < 16 { i + 16 + 100 } else { i - 16 }).collect();
    assert_eq!(out[..32], expected);
}
