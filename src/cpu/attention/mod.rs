//! `O = softmax(Q K^T / sqrt(d)) V` on all cores, over a packed cache ([`cache`]).
//!
//! Both products are the GEMM kernels'. Scores are computed in the cache's own format (integer dot products for int8 and
//! mxfp4, bf16 dot products where the CPU has them); weights multiply values that are expanded to their type, with the
//! values' scales moved to the weights: bf16 where the CPU multiplies bf16 faster than f32, else f32 ([`Attention::weights`]). In between is the online softmax, a page of 128 keys at a time, so that
//! scores never leave the cache ([`rows`]).
//!
//! The rows of one key/value head are multiplied together (GQA): the cache is read once for all query heads of a group,
//! and with 128 heads on one latent (MLA) the products are as dense as those of a large GEMM.
//!
//! - **Prefill**: a task is a block of queries of one head; workers take tasks as they come, the longest first. Pages
//!   beyond the mask are not touched, and of the last one only the panels that a query sees.
//! - **Decode**: the pages of all heads are cut into one run a worker; then the partial results of a head are merged.

pub mod cache;
mod decode;
mod prefill;
mod rows;

use std::sync::atomic::AtomicUsize;

use super::kernel::{Kernel, Operands, kernel, values};
use super::{Caches, Isa};
use crate::number::{Format, Matrix};
use crate::workload::{self, Phase, Weights};
use crate::{Error, Result};

use cache::CacheLayout;
pub use decode::Partials;
pub use rows::Rows;

/// Attention of one shape and format, planned for an instruction set, the caches, and a number of workers.
pub struct Attention {
    problem: workload::Attention,
    layout: CacheLayout,
    scores: Box<dyn Kernel>,
    values: Box<dyn Kernel>,
    workers: usize,
    /// Queries a head of one prefill task.
    block: usize,
}

impl Attention {
    /// Plans it.
    ///
    /// # Errors
    /// When the shape can't be computed in `format`, or this CPU lacks the instructions.
    pub fn new(
        problem: workload::Attention,
        format: Format,
        isa: Isa,
        caches: &Caches,
        workers: usize,
    ) -> Result<Self> {
        problem.check(format)?;
        let lacking = || Error::Unavailable(format!("this CPU lacks {isa}"));
        let scores = kernel(isa, format).ok_or_else(lacking)?;
        let values = values(isa, format).ok_or_else(lacking)?;
        let group = problem.heads / problem.kv_heads;
        Ok(Self {
            problem,
            layout: CacheLayout::new(&problem, format),
            block: prefill::block(&problem, group, caches, workers),
            scores,
            values,
            workers: workers.max(1),
        })
    }

    /// Where the cache is to be packed.
    pub fn layout(&self) -> &CacheLayout {
        &self.layout
    }

    /// Names of the codes that multiply: scores, and values where that is another.
    pub fn path(&self) -> String {
        let (scores, values) = (self.scores.path(), self.values.path());
        if scores == values { scores.into() } else { format!("{scores}+{values}") }
    }

    /// What the weights are between the two products.
    pub fn weights(&self) -> Weights {
        match self.values.operands() {
            Operands::Bf16 => Weights::Bf16,
            _ => Weights::F32,
        }
    }

    /// Computes what worker `index` takes of `o`; `next` counts the prefill tasks taken, and starts at zero.
    /// After decode every worker has to call [`Self::merge`], once all are here.
    ///
    /// # Safety
    /// `o` must be valid for `heads x queries x v_dim` f32, and nobody but the workers may access it meanwhile; each
    /// worker index is used once, with a `rows` of its own.
    ///
    /// # Panics
    /// When `q` or `cache` has another format or size than planned.
    pub unsafe fn attend(
        &self,
        index: usize,
        (q, cache): (&Matrix, &[u8]),
        o: *mut f32,
        next: &AtomicUsize,
        rows: &mut Rows,
        partials: &Partials,
    ) {
        let problem = &self.problem;
        let expected = (self.layout.keys.format, problem.heads * problem.queries, problem.qk_dim);
        assert_eq!((q.format, q.rows, q.columns), expected, "Q as planned");
        assert_eq!(cache.len(), self.layout.bytes(), "the cache as planned");
        match problem.phase {
            // SAFETY: the caller's contract.
            Phase::Prefill => unsafe { prefill::attend(self, q, cache, o, next, rows) },
            Phase::Decode => decode::attend(self, index, q, cache, rows, partials),
        }
        self.scores.release();
        self.values.release();
    }

    /// After decode: merges the partial results of worker `index`'s share of the heads into `o`.
    ///
    /// # Safety
    /// As for [`Self::attend`].
    pub unsafe fn merge(&self, index: usize, o: *mut f32, partials: &Partials) {
        if self.problem.phase == Phase::Decode {
            // SAFETY: the caller's contract.
            unsafe { decode::merge(self, index, o, partials) };
        }
    }

    /// Query heads that share a key/value head.
    fn group(&self) -> usize {
        self.problem.heads / self.problem.kv_heads
    }

    /// The packed bytes of key/value head `head`.
    fn head<'a>(&self, cache: &'a [u8], head: usize) -> &'a [u8] {
        &cache[head * self.layout.head_bytes()..][..self.layout.head_bytes()]
    }
}

#[cfg(test)]
mod tests;
