//! The attention oracle against right and wrong kernels.

use half::bf16;

use super::*;
use crate::number::Format;

const PREFILL: Attention = Attention {
    phase: Phase::Prefill,
    heads: 8,
    kv_heads: 2,
    queries: 33,
    keys: 70,
    qk_dim: 64,
    v_dim: 64,
    latent: false,
    scale_dim: 64,
};
const DECODE: Attention = Attention { phase: Phase::Decode, queries: 1, keys: 1111, ..PREFILL };
const LATENT: Attention = Attention {
    phase: Phase::Decode,
    heads: 16,
    kv_heads: 1,
    queries: 1,
    keys: 500,
    qk_dim: 576,
    v_dim: 512,
    latent: true,
    scale_dim: 192,
};

struct Operands {
    q: Matrix,
    k: Matrix,
    v: Option<Matrix>,
}

impl Operands {
    fn random(format: Format, problem: &Attention) -> Self {
        let seed = rand::random::<u64>();
        println!("operands' seed {seed}");
        let cached = problem.kv_heads * problem.keys;
        let matrix =
            |rows, columns, salt| Matrix::random(format, rows, columns, seed ^ salt).unwrap();
        Self {
            q: matrix(problem.heads * problem.queries, problem.qk_dim, 0),
            k: matrix(cached, problem.qk_dim, 1),
            v: (!problem.latent).then(|| matrix(cached, problem.v_dim, 2)),
        }
    }

    fn inputs(&self) -> AttentionInputs<'_> {
        AttentionInputs { q: &self.q, k: &self.k, v: self.v.as_ref() }
    }
}

/// A kernel in f32 with online softmax over blocks of keys, and every mistake that the tests make it make.
#[derive(Clone, Copy)]
struct Kernel {
    weights: Rounding,
    /// Keys seen beyond those that the mask leaves.
    extra_keys: isize,
    kv_head: fn(&Attention, usize) -> usize,
    scale_dim: Option<usize>,
    /// First element of a key that is taken as its value, where there is no V.
    latent_offset: usize,
}

const ROUNDINGS: [Rounding; 4] = [
    Rounding::Float(Weights::F32),
    Rounding::Float(Weights::Bf16),
    Rounding::Int8,
    Rounding::Fp8E4m3,
];

const RIGHT: Kernel = Kernel {
    weights: Rounding::Float(Weights::F32),
    extra_keys: 0,
    kv_head: Attention::kv_head,
    scale_dim: None,
    latent_offset: 0,
};

impl Kernel {
    fn run(&self, problem: &Attention, operands: &Operands) -> Vec<f32> {
        let &Attention { heads, queries, keys, v_dim, .. } = problem;
        let factor = (self.scale_dim.unwrap_or(problem.scale_dim) as f32).sqrt().recip();
        let mut o = Vec::new();
        for row in 0..heads * queries {
            let first = (self.kv_head)(problem, row / queries) * keys;
            let inputs = operands.inputs();
            let values = inputs.values();
            let scales = (first..first + keys).map(|key| values.row_scale(key));
            let largest_scale = scales.fold(0.0, f32::max);
            let visible =
                problem.visible_keys(row % queries).saturating_add_signed(self.extra_keys);
            let query = row_f32(&operands.q, row);
            let (mut max, mut total, mut sums) = (f32::NEG_INFINITY, 0f32, vec![0f32; v_dim]);
            let seen: Vec<_> = (first..first + visible.min(keys)).collect();
            for block in seen.chunks(48) {
                let score = |&key: &usize| {
                    let key = row_f32(&operands.k, key);
                    query.iter().zip(&key).fold(0f32, |s, (q, k)| q.mul_add(*k, s)) * factor
                };
                let scores: Vec<f32> = block.iter().map(score).collect();
                let new = scores.iter().fold(max, |max, score| max.max(*score));
                let rescale = (max - new).exp();
                total *= rescale;
                sums.iter_mut().for_each(|sum| *sum *= rescale);
                max = new;
                for (score, &key) in scores.iter().zip(block) {
                    let weight = (score - max).exp();
                    total += weight;
                    let weight = self.rounded(weight, values.row_scale(key), largest_scale);
                    let value = match &operands.v {
                        Some(v) => row_f32(v, key),
                        None => row_f32(&operands.k, key).split_off(self.latent_offset),
                    };
                    sums.iter_mut().zip(&value).for_each(|(s, v)| *s = weight.mul_add(*v, *s));
                }
            }
            o.extend(sums.iter().map(|sum| sum / total));
        }
        o
    }

    /// A weight as it is multiplied with a value whose row has `scale`, `largest` being that of all rows.
    fn rounded(&self, weight: f32, scale: f32, largest: f32) -> f32 {
        let code = |levels: f32| weight * scale / largest * levels;
        let weight_of = |code: f32, levels: f32| code / levels * largest / scale;
        match self.weights {
            Rounding::Float(Weights::F32) => weight,
            Rounding::Float(Weights::Bf16) => bf16::from_f32(weight).to_f32(),
            Rounding::Int8 => weight_of(code(127.0).round_ties_even(), 127.0),
            Rounding::Fp8E4m3 => {
                // Steps of an eighth of the power of two below, of 2^-9 at least.
                let code = code(448.0);
                let step = (code.log2().floor().exp2() / 8.0).max(1.0 / 512.0);
                weight_of((code / step).round_ties_even() * step, 448.0)
            }
            Rounding::Mxfp4 => unreachable!("its tests have a kernel of their own"),
        }
    }

    fn verify(&self, problem: &Attention, operands: &Operands) -> Result<Verified> {
        let o = self.run(problem, operands);
        verify_attention(problem, operands.inputs(), &o, self.weights)
    }
}

#[test]
fn right_kernels_pass_in_every_format_phase_and_precision_of_weights() {
    for format in Format::ALL {
        for problem in [PREFILL, DECODE, LATENT, Attention { queries: 70, ..PREFILL }] {
            let operands = Operands::random(format, &problem);
            for weights in ROUNDINGS {
                let verified = Kernel { weights, ..RIGHT }.verify(&problem, &operands).unwrap();
                assert!(verified.error_over_tolerance <= 1.0);
                assert_eq!(
                    verified.checked as usize,
                    problem.heads * problem.queries * problem.v_dim
                );
            }
        }
    }
}

#[test]
fn one_key_and_one_query_pass() {
    let problem = Attention { heads: 1, kv_heads: 1, queries: 1, keys: 1, ..DECODE };
    for format in Format::ALL {
        let operands = Operands::random(format, &problem);
        RIGHT.verify(&problem, &operands).unwrap();
    }
}

#[test]
fn a_mask_that_is_off_by_one_is_wrong() {
    for format in Format::ALL {
        for extra_keys in [-1, 1] {
            let kernel = Kernel { extra_keys, ..RIGHT };
            wrong(kernel.verify(&PREFILL, &Operands::random(format, &PREFILL)));
            let rounding = Kernel { weights: Weights::Bf16.into(), ..kernel };
            wrong(rounding.verify(&PREFILL, &Operands::random(format, &PREFILL)));
        }
        // Decode has no mask, but a last key.
        let kernel = Kernel { extra_keys: -1, ..RIGHT };
        for problem in [DECODE, LATENT, Attention { heads: 2, keys: 16384, ..DECODE }] {
            wrong(kernel.verify(&problem, &Operands::random(format, &problem)));
        }
    }
}

#[test]
fn a_wrong_scale_head_or_prefix_is_wrong() {
    for format in Format::ALL {
        for &weights in &ROUNDINGS[..2] {
            let operands = Operands::random(format, &DECODE);
            let right = Kernel { weights, ..RIGHT };
            let unscaled = Kernel { scale_dim: Some(1), ..right };
            wrong(unscaled.verify(&DECODE, &operands));
            let interleaved = Kernel { kv_head: |problem, head| head % problem.kv_heads, ..right };
            wrong(interleaved.verify(&DECODE, &operands));
            let operands = Operands::random(format, &LATENT);
            wrong(Kernel { scale_dim: Some(LATENT.qk_dim), ..right }.verify(&LATENT, &operands));
            wrong(Kernel { latent_offset: 64, ..right }.verify(&LATENT, &operands));
        }
    }
}

#[test]
fn weights_that_are_rounded_in_secret_are_wrong() {
    let operands = Operands::random(Format::Bf16, &DECODE);
    let o = Kernel { weights: Weights::Bf16.into(), ..RIGHT }.run(&DECODE, &operands);
    wrong(verify_attention(&DECODE, operands.inputs(), &o, Weights::F32));
    // A 127th of the largest of weights that are much alike is about what bf16 rounds to; three bits are not.
    let o = Kernel { weights: Rounding::Fp8E4m3, ..RIGHT }.run(&DECODE, &operands);
    wrong(verify_attention(&DECODE, operands.inputs(), &o, Weights::Bf16));
}

#[test]
fn one_wrong_output_is_found_and_named() {
    let operands = Operands::random(Format::Fp8E4m3, &PREFILL);
    let right = RIGHT.run(&PREFILL, &operands);
    let check = |o: &[f32]| verify_attention(&PREFILL, operands.inputs(), o, Weights::F32);
    check(&right).unwrap();
    let row = PREFILL.v_dim;
    for (index, name) in [
        (0, "O[head 0, query 0, 0]"),
        (row * 33 - 1, "O[head 0, query 32, 63]"),
        (right.len() - 1, "O[head 7, query 32, 63]"),
        (row * 40 + 5, "O[head 1, query 7, 5]"),
    ] {
        for poison in [f32::NAN, f32::INFINITY, 0.0, right[index] + 0.01] {
            let mut o = right.clone();
            o[index] = poison;
            let message = wrong(check(&o));
            assert!(message.contains(name) && message.contains("seed"), "{message}");
        }
    }
    let mut swapped = right.clone();
    swapped.swap(row * 50, row * 50 + 1);
    wrong(check(&swapped));
    wrong(check(&vec![f32::NAN; right.len()]));
    wrong(check(&right[row..]));
}

/// A problem too large to be checked as a whole: edges always, the rest by a sample.
#[test]
fn large_problems_are_sampled_at_their_edges_and_at_random() {
    let problem = Attention { heads: 16, kv_heads: 4, queries: 256, keys: 512, ..PREFILL };
    let operands = Operands::random(Format::Bf16, &problem);
    let right = RIGHT.run(&problem, &operands);
    let check = |o: &[f32]| verify_attention(&problem, operands.inputs(), o, Weights::F32);
    let verified = check(&right).unwrap();
    assert!((1000..right.len() as u64).contains(&verified.checked), "{verified:?}");
    for (head, query) in [(0, 0), (0, 255), (3, 0), (4, 255), (15, 0), (15, 255)] {
        let mut o = right.clone();
        o[(head * 256 + query) * 64] += 0.1;
        assert!(wrong(check(&o)).contains(&format!("O[head {head}, query {query}, 0]")));
    }
    let mut o = right.clone();
    o[7 * 256 * 64..][..128 * 64].fill(f32::NAN); // half of a head
    wrong(check(&o));
}

#[test]
fn operands_that_do_not_suit_the_problem_are_refused() {
    let operands = Operands::random(Format::Bf16, &DECODE);
    let o = vec![0.0; 8 * 64];
    let refused = |problem: &Attention, inputs: AttentionInputs<'_>| {
        let result = verify_attention(problem, inputs, &o, Weights::F32);
        assert!(matches!(result, Err(Error::Input { .. })), "{result:?}");
    };
    let inputs = operands.inputs();
    refused(&Attention { keys: 1110, ..DECODE }, inputs);
    refused(&Attention { heads: 4, ..DECODE }, inputs);
    refused(&Attention { latent: true, ..DECODE }, inputs);
    refused(&DECODE, AttentionInputs { v: None, ..inputs });
    refused(&DECODE, AttentionInputs { q: &operands.k, ..inputs });
    let other = Operands::random(Format::Int8, &DECODE);
    refused(&DECODE, AttentionInputs { k: &other.k, ..inputs });
}
