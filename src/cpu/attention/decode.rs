//! Decode: one query a head, the cache cut over the workers.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::cache::PAGE;
use super::rows::padded;
use super::{Attention, Rows};
use crate::cpu::kernel::{RowState, exp2};
use crate::number::Matrix;

/// What the workers found of each head: one list a worker.
pub struct Partials(Vec<Mutex<Vec<Partial>>>);

/// A key/value head's rows over some of its pages.
struct Partial {
    kv_head: usize,
    states: Vec<RowState>,
    o: Vec<f32>,
}

impl Partials {
    /// Room for `workers`.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }
}

/// The run of pages of worker `index`: pages are counted through all heads.
fn run_of(plan: &Attention, index: usize) -> Range<usize> {
    let all = plan.problem.kv_heads * plan.layout.pages();
    all * index / plan.workers..all * (index + 1) / plan.workers
}

/// Attends to worker `index`'s run of pages.
pub fn attend(
    plan: &Attention,
    index: usize,
    q: &Matrix,
    cache: &[u8],
    rows: &mut Rows,
    partials: &Partials,
) {
    let mut found = partials.0[index].lock().unwrap_or_else(PoisonError::into_inner);
    found.clear();
    let pages = plan.layout.pages();
    let mut run = run_of(plan, index);
    while !run.is_empty() {
        let kv_head = run.start / pages;
        let end = run.end.min((kv_head + 1) * pages);
        let group = plan.group();
        let heads = kv_head * group..(kv_head + 1) * group;
        rows.start(plan, q, std::slice::from_ref(&heads));
        let head = plan.head(cache, kv_head);
        for page in run.start % pages..end - kv_head * pages {
            let here = (plan.problem.keys - page * PAGE).min(PAGE);
            rows.page(plan, head, page, here, |_| here);
        }
        found.push(Partial { kv_head, states: rows.states.clone(), o: rows.o.clone() });
        run.start = end;
    }
}

/// Merges the partial results of worker `index`'s share of the heads.
///
/// # Safety
/// As for [`Attention::attend`], after every worker has attended.
pub unsafe fn merge(plan: &Attention, index: usize, o: *mut f32, partials: &Partials) {
    let (group, v_dim) = (plan.group(), plan.problem.v_dim);
    for head in (index..plan.problem.heads).step_by(plan.workers) {
        let (kv_head, row) = (head / group, head % group);
        let mut total = RowState::EMPTY;
        // SAFETY: inside O; the head is this worker's.
        let o = unsafe { std::slice::from_raw_parts_mut(o.add(head * v_dim), v_dim) };
        let mut sums = vec![0.0; v_dim];
        for found in &partials.0 {
            let found = found.lock().unwrap_or_else(PoisonError::into_inner);
            for partial in found.iter().filter(|partial| partial.kv_head == kv_head) {
                let state = partial.states[row];
                let max = total.max.max(state.max);
                let (old, new) = (exp2(total.max - max), exp2(state.max - max));
                let values = &partial.o[row * padded(plan)..][..v_dim];
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = *sum * old + value * new;
                }
                total = RowState { max, sum: total.sum * old + state.sum * new };
            }
        }
        for (o, sum) in o.iter_mut().zip(sums) {
            *o = sum / total.sum;
        }
    }
}
