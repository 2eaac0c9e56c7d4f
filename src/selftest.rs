//! Every kernel for GPUs, each with a small problem: what `hostdyno selftest` checks against the oracle.
//!
//! A module with kernels of its own joins by adding its subjects in [`plan`].

use std::rc::Rc;

use crate::cuda::attention::{self, AttentionSubject};
use crate::cuda::gemm::{GemmSubject, Numbers, Product, paths, worth_expanding};
use crate::cuda::{Gpu, launch, peak, vram};
use crate::measure::{Plan, Profile};
use crate::number::Format;
use crate::record::{MetricId, Part};
use crate::transfer;
use crate::workload::{Attention, DEEPSEEK_R1, Gemm, Phase};
use crate::{Error, Result};

/// Rows, columns and depth of the products: one row, few rows, no multiple of any tile, several tiles.
const PRODUCTS: [(usize, usize, usize); 5] =
    [(1, 256, 1024), (13, 200, 512), (129, 257, 320), (256, 384, 512), (300, 129, 96)];

/// Attentions of every head dimension that there are kernels for, with lengths that are no multiple of any tile.
const ATTENTIONS: [Attention; 6] = [
    attention(Phase::Decode, 1, 1000, (64, 64)),
    attention(Phase::Decode, 1, 4097, (128, 128)),
    attention(Phase::Prefill, 300, 300, (64, 64)),
    attention(Phase::Prefill, 129, 517, (128, 128)),
    attention(Phase::Prefill, 200, 200, (192, 128)),
    Attention { heads: 70, ..DEEPSEEK_R1.decode(1000) },
];

/// Keys a page where the cache of a decode has pages.
const PAGE: usize = 64;

/// Eight query heads on two key/value heads.
const fn attention(phase: Phase, queries: usize, keys: usize, dims: (usize, usize)) -> Attention {
    Attention {
        phase,
        heads: 8,
        kv_heads: 2,
        queries,
        keys,
        qk_dim: dims.0,
        v_dim: dims.1,
        latent: false,
        scale_dim: dims.0,
    }
}

/// Every subject on GPU `ordinal`.
///
/// # Errors
/// When the device can't be opened.
pub fn plan(ordinal: usize) -> Result<Plan> {
    let gpu = Gpu::open(ordinal)?;
    let mut plan = Plan::new(Profile::Standard);
    vram::plan(&mut plan, ordinal);
    transfer::plan_gpu(&mut plan, ordinal);
    launch::plan(&mut plan, ordinal);
    peak::plan(&mut plan, ordinal);
    for format in Format::MAIN {
        for (m, n, k) in PRODUCTS {
            let problem = Gemm::new(m, n, k);
            products(&mut plan, &gpu, ordinal, problem, format.into());
            if worth_expanding(gpu.architecture(), problem, format) {
                products(&mut plan, &gpu, ordinal, problem, Product::WeightOnly(format));
            }
        }
        for problem in ATTENTIONS {
            let id = AttentionSubject::metric_id(&problem, format, ordinal);
            let (device, unit) = (Rc::clone(&gpu), AttentionSubject::unit_of(&problem));
            plan.add(id, Part::Compute, unit, move || {
                AttentionSubject::new(device, ordinal, problem, format, rand::random())
            });
            if problem.phase == Phase::Decode {
                let id = AttentionSubject::paged_metric_id(&problem, format, ordinal, PAGE);
                let gpu = Rc::clone(&gpu);
                plan.add(id, Part::Compute, unit, move || {
                    AttentionSubject::paged(gpu, ordinal, problem, format, PAGE, rand::random())
                });
            }
            if attention::Plan::worth_expanding(&problem, format, gpu.architecture()) {
                let id = AttentionSubject::expanded_metric_id(&problem, format, ordinal);
                let gpu = Rc::clone(&gpu);
                plan.add(id, Part::Compute, unit, move || {
                    AttentionSubject::expanded(gpu, ordinal, problem, format, rand::random())
                });
            }
        }
    }
    for (m, n, k) in PRODUCTS {
        products(&mut plan, &gpu, ordinal, Gemm::new(m, n, k), Numbers::MXFP8.into());
    }
    Ok(plan)
}

/// `problem` by every kernel and tile that the device has for it.
fn products(plan: &mut Plan, gpu: &Rc<Gpu>, ordinal: usize, problem: Gemm, product: Product) {
    let id = GemmSubject::metric_id(problem, product, ordinal);
    let unit = GemmSubject::unit_of(problem, product);
    let count = match paths(gpu, problem, product) {
        Ok(paths) => paths.len(),
        Err(error) => return plan.skip(id, Part::Compute, unit, error.to_string()),
    };
    for index in 0..count {
        let gpu = Rc::clone(gpu);
        let name = paths(&gpu, problem, product).map(|paths| paths[index].name());
        let id = MetricId::new([id.as_str(), &name.unwrap_or_default()]);
        plan.add(id, Part::Compute, unit, move || {
            let path = paths(&gpu, problem, product)?.into_iter().nth(index);
            let path = path.ok_or_else(|| Error::Unavailable("the path is gone".into()))?;
            let seed = rand::random();
            GemmSubject::with_paths(gpu, ordinal, problem, product, seed, vec![path])
        });
    }
}
