//! What is computed on the emulated device in place of what a bench asks for: the same kind of problem, small. It shows that
//! a bench works from its name to its record, not how fast. The metric keeps the name of what was asked, and its details
//! say what was computed.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use super::Gpu;
use crate::workload::{Attention, Gemm};

/// M, N and K of a product at most.
const PRODUCT: Gemm = Gemm::new(150, 300, 512);
/// Keys and queries of an attention at most.
const KEYS: usize = 300;
/// Heads of keys and values of an attention at most.
const KV_HEADS: usize = 2;
/// No format and no library asks more of a product's sizes than that they are multiples of this (elements).
const STEP: usize = 32;

/// `asked`, or on the emulated device a product of at most [`PRODUCT`]'s size that is as odd.
pub(super) fn product(gpu: &Gpu, asked: Gemm) -> Gemm {
    if gpu.disqualified().is_none() {
        return asked;
    }
    Gemm::new(shrunk(asked.m, PRODUCT.m), shrunk(asked.n, PRODUCT.n), shrunk(asked.k, PRODUCT.k))
}

/// `asked`, or on the emulated device fewer keys and heads of it.
pub(super) fn attention(gpu: &Gpu, asked: Attention) -> Attention {
    if gpu.disqualified().is_none() {
        return asked;
    }
    let kv_heads = asked.kv_heads.min(KV_HEADS);
    let keys = asked.keys.min(KEYS);
    Attention {
        kv_heads,
        heads: asked.heads / asked.kv_heads * kv_heads,
        keys,
        queries: asked.queries.min(keys),
        ..asked
    }
}

/// Says in a record's `details` what was computed, where it is not what was asked.
pub(super) fn note<P: Display + PartialEq>(
    details: &mut BTreeMap<String, Value>,
    asked: &P,
    computed: &P,
) {
    if computed != asked {
        details.insert("shrunk_to".into(), computed.to_string().into());
    }
}

/// The largest size up to `most` that leaves the same rest as `size` when divided by [`STEP`].
const fn shrunk(size: usize, most: usize) -> usize {
    if size <= most { size } else { size - (size - most).next_multiple_of(STEP) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_shrink_to_the_limit_and_stay_as_odd() {
        for size in 1..5000 {
            let small = shrunk(size, PRODUCT.m);
            assert!((1..=PRODUCT.m).contains(&small) && small % STEP == size % STEP, "{size}");
            assert!(
                small == size || small + STEP > PRODUCT.m,
                "{size}: {small} is less than needed"
            );
        }
        assert_eq!(shrunk(2048, PRODUCT.n), 288);
        assert_eq!(shrunk(7168, PRODUCT.k), 512);
    }

    #[test]
    fn only_what_shrank_is_noted() {
        let (asked, computed) = (Gemm::new(1, 2048, 7168), Gemm::new(1, 288, 512));
        let mut details = BTreeMap::new();
        note(&mut details, &asked, &asked);
        assert!(details.is_empty());
        note(&mut details, &asked, &computed);
        assert_eq!(details["shrunk_to"], "m1n288k512");
    }
}
