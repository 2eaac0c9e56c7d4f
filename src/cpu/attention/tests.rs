use std::sync::atomic::AtomicUsize;

use super::*;
use crate::workload::{AttentionInputs, verify_attention};

const TINY: Caches = Caches { l2: 40 << 10, l3_share: 128 << 10 };

fn check(problem: workload::Attention, isa: Isa, format: Format, workers: usize, seed: u64) {
    let rows = |heads: usize, each: usize, columns: usize, salt: u64| {
        Matrix::random(format, heads * each, columns, seed ^ salt).unwrap()
    };
    let q = rows(problem.heads, problem.queries, problem.qk_dim, 1);
    let k = rows(problem.kv_heads, problem.keys, problem.qk_dim, 2);
    let v = (!problem.latent).then(|| rows(problem.kv_heads, problem.keys, problem.v_dim, 3));
    let inputs = AttentionInputs { q: &q, k: &k, v: v.as_ref() };
    let plan = Attention::new(problem, format, isa, &TINY, workers).unwrap();
    let layout = plan.layout();
    let mut lines = vec![super::super::gemm::Line::ZERO; layout.bytes().div_ceil(64)];
    let cache = bytemuck::cast_slice_mut::<u32, u8>(
        super::super::gemm::Line::arrays_mut(&mut lines).as_flattened_mut(),
    );
    let cache = &mut cache[..layout.bytes()];
    for (head, packed) in cache.chunks_exact_mut(layout.head_bytes()).enumerate() {
        layout.pack(inputs, head, packed);
    }
    let mut o = vec![f32::NAN; problem.heads * problem.queries * problem.v_dim];
    let next = AtomicUsize::new(0);
    let partials = Partials::new(workers);
    for index in 0..workers {
        let mut rows = Rows::default();
        // SAFETY: O has every row, and there is one thread.
        unsafe { plan.attend(index, (&q, cache), o.as_mut_ptr(), &next, &mut rows, &partials) };
    }
    for index in 0..workers {
        // SAFETY: as above.
        unsafe { plan.merge(index, o.as_mut_ptr(), &partials) };
    }
    let verified = verify_attention(&problem, inputs, &o, plan.weights());
    assert!(verified.is_ok(), "{isa} on {workers}, seed {seed}: {verified:?}");
}

#[test]
fn every_path_format_and_odd_shape() {
    let seed = rand::random::<u64>() >> 1;
    println!("seed {seed}");
    let shape = |phase, heads, kv_heads, queries, keys, qk_dim, v_dim| workload::Attention {
        phase,
        heads,
        kv_heads,
        queries,
        keys,
        qk_dim,
        v_dim,
        latent: false,
        scale_dim: qk_dim,
    };
    let latent = |phase, heads, queries, keys| workload::Attention {
        latent: true,
        scale_dim: 192,
        ..shape(phase, heads, 1, queries, keys, 288, 224)
    };
    let shapes = [
        shape(Phase::Decode, 1, 1, 1, 1, 32, 32),
        shape(Phase::Decode, 8, 1, 1, 300, 128, 128),
        shape(Phase::Decode, 6, 3, 1, 129, 64, 96),
        shape(Phase::Decode, 40, 2, 1, 257, 128, 64),
        shape(Phase::Prefill, 8, 1, 37, 37, 64, 64),
        shape(Phase::Prefill, 4, 2, 150, 301, 128, 128),
        shape(Phase::Prefill, 3, 3, 1, 200, 96, 32),
        latent(Phase::Decode, 16, 1, 150),
        latent(Phase::Prefill, 4, 5, 140),
    ];
    for isa in Isa::detected() {
        for format in Format::ALL {
            for problem in shapes {
                for workers in [1, 3] {
                    check(problem, isa, format, workers, seed);
                }
            }
        }
    }
    // Features that are no multiple of anything: not for mxfp4.
    for format in [Format::Bf16, Format::Int8, Format::Fp8E4m3, Format::Fp8E5m2] {
        for problem in [
            shape(Phase::Decode, 10, 2, 1, 77, 37, 23),
            shape(Phase::Prefill, 2, 1, 19, 90, 51, 70),
        ] {
            check(problem, Isa::chosen().unwrap(), format, 2, seed);
        }
    }
}
