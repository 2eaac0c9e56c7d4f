//! Clusters: shared memory of other blocks, multicast, remote barriers; and what the counters say.

mod common;

use common::{Kernel, entry, fault, launched, run, words};
use emulator::machine::FaultKind;

#[test]
fn blocks_of_a_cluster_read_each_others_shared_memory() {
    let text = |barrier: &str| {
        entry(
            "sm_90",
            ".param .u64 out",
            &format!(
                ".reg .b32 %r<8>; .reg .b64 %d<3>; .shared .align 4 .b8 own[4];
                 mov.u32 %r1, %cluster_ctarank; mov.u32 %r2, %ctaid.x; mov.b32 %r3, own;
                 add.s32 %r4, %r2, 100; st.shared.b32 [%r3], %r4;
                 {barrier}
                 xor.b32 %r5, %r1, 1; mapa.shared::cluster.u32 %r6, %r3, %r5;
                 ld.shared::cluster.b32 %r7, [%r6];
                 ld.param.u64 %d1, [out]; mul.wide.u32 %d2, %r2, 4; add.s64 %d2, %d1, %d2; st.global.b32 [%d2], %r7;
                 {barrier}
                 ret;"
            ),
        )
    };
    let kernel = Kernel { grid: 4, cluster: 2, ..Kernel::default() };
    let barrier = "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;";
    for seed in 0..3 {
        let out = run(&text(barrier), &Kernel { seed, ..kernel.clone() }).unwrap();
        assert_eq!(words(&out)[..4], [101, 100, 103, 102]);
    }
    let alone = Kernel { grid: 4, ..Kernel::default() };
    assert_eq!(fault(&text(barrier), &alone).kind, FaultKind::IllegalInstruction);
}

#[test]
fn a_multicast_copy_reaches_every_block_and_its_barrier() {
    let text = entry(
        "sm_90",
        ".param .u64 out, .param .u64 in",
        ".reg .b32 %r<8>; .reg .b64 %d<5>; .reg .pred %p<3>; .reg .b16 %h;
         .shared .align 16 .b8 tile[64]; .shared .align 8 .b8 bar[8];
         mov.u32 %r1, %cluster_ctarank; mov.b32 %r2, tile; mov.b32 %r3, bar; mov.b16 %h, 3;
         ld.param.u64 %d1, [out]; ld.param.u64 %d2, [in];
         mbarrier.init.shared::cta.b64 [%r3], 1; fence.mbarrier_init.release.cluster;
         mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], 64;
         barrier.cluster.arrive; barrier.cluster.wait;
         setp.eq.u32 %p1, %r1, 0;
         @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r2], [%d2], 64, [%r3], %h;
         WAIT: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r3], 0; @!%p2 bra WAIT;
         ld.shared.b32 %r4, [%r2+60];
         mul.wide.u32 %d3, %r1, 4; add.s64 %d3, %d1, %d3; st.global.b32 [%d3], %r4;
         barrier.cluster.arrive; barrier.cluster.wait; ret;",
    );
    let input = Some((1..=16).collect());
    let out = run(&text, &Kernel { grid: 2, cluster: 2, input, ..Kernel::default() }).unwrap();
    assert_eq!(words(&out)[..2], [16, 16]);
}

#[test]
fn a_remote_store_counts_on_the_other_blocks_barrier() {
    let text = entry(
        "sm_90",
        ".param .u64 out",
        ".reg .b32 %r<9>; .reg .b64 %d<3>; .reg .pred %p<3>;
         .shared .align 16 .b8 tile[16]; .shared .align 8 .b8 bar[8];
         mov.u32 %r1, %cluster_ctarank; mov.b32 %r2, tile; mov.b32 %r3, bar; ld.param.u64 %d1, [out];
         mbarrier.init.shared::cta.b64 [%r3], 1;
         mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], 4;
         barrier.cluster.arrive; barrier.cluster.wait;
         xor.b32 %r4, %r1, 1; mapa.shared::cluster.u32 %r5, %r2, %r4; mapa.shared::cluster.u32 %r6, %r3, %r4;
         add.s32 %r7, %r1, 40;
         st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r5], %r7, [%r6];
         WAIT: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r3], 0; @!%p2 bra WAIT;
         ld.shared.b32 %r8, [%r2];
         mul.wide.u32 %d2, %r1, 4; add.s64 %d2, %d1, %d2; st.global.b32 [%d2], %r8;
         barrier.cluster.arrive; barrier.cluster.wait; ret;",
    );
    let out = run(&text, &Kernel { grid: 2, cluster: 2, ..Kernel::default() }).unwrap();
    assert_eq!(words(&out)[..2], [41, 40]);
}

/// Blocks that wait for each other through global memory all become resident.
#[test]
fn a_grid_barrier_ends() {
    let text = entry(
        "sm_80",
        ".param .u64 out",
        ".reg .b32 %r<5>; .reg .b64 %d<2>; .reg .pred %p<2>;
         ld.param.u64 %d1, [out]; mov.u32 %r1, %nctaid.x;
         red.release.gpu.global.add.u32 [%d1], 1;
         SPIN: ld.acquire.gpu.global.b32 %r2, [%d1]; setp.lt.u32 %p1, %r2, %r1; @%p1 bra SPIN;
         red.global.add.u32 [%d1+4], %r2; ret;",
    );
    let kernel = Kernel { grid: 5, step_limit: 1_000_000_000, ..Kernel::default() };
    assert_eq!(words(&run(&text, &kernel).unwrap())[..2], [5, 25]);
}

#[test]
fn counters_tell_coalesced_from_strided_and_conflicts_from_none() {
    let text = |stride: u32| {
        entry(
            "sm_80",
            ".param .u64 out, .param .u64 in",
            &format!(
                ".reg .b32 %r<5>; .reg .b64 %d<4>; .shared .align 128 .b8 tile[4096];
                 mov.u32 %r1, %tid.x; ld.param.u64 %d1, [out]; ld.param.u64 %d2, [in]; mov.b32 %r2, tile;
                 mad.wide.u32 %d3, %r1, {stride}, %d2; ld.global.b32 %r3, [%d3];
                 mad.lo.s32 %r4, %r1, {stride}, %r2; st.shared.b32 [%r4], %r3; ret;"
            ),
        )
    };
    let kernel = Kernel { block: 32, input: Some(vec![0; 1024]), ..Kernel::default() };
    let (_, ideal) = launched(&text(4), &kernel).unwrap();
    assert_eq!(
        (ideal.global_load_requests, ideal.global_load_sectors, ideal.global_load_bytes),
        (1, 4, 128)
    );
    assert_eq!((ideal.shared_requests, ideal.bank_conflicts), (1, 0));
    let (_, strided) = launched(&text(128), &kernel).unwrap();
    assert_eq!((strided.global_load_sectors, strided.bank_conflicts), (32, 31));
}
