//! Causal prefill: blocks of queries.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::cache::PAGE;
use super::rows::padded;
use super::{Attention, Rows};
use crate::cpu::Caches;
use crate::cpu::kernel::A_STRIDE;
use crate::number::Matrix;
use crate::workload;

/// Queries a head of one task: as many as keep the rows' queries, scores and results in a third of L2, beside the
/// unpacked page, but so few that every worker has several tasks.
pub fn block(
    problem: &workload::Attention,
    group: usize,
    caches: &Caches,
    workers: usize,
) -> usize {
    let row_bytes = (problem.qk_dim + problem.v_dim + A_STRIDE) * size_of::<f32>();
    let rows = (caches.l2 / 3 / row_bytes).max(1);
    let fair = (problem.queries * problem.kv_heads).div_ceil(4 * workers.max(1));
    (rows / group).min(fair).clamp(1, problem.queries)
}

/// Takes tasks until there are none.
///
/// # Safety
/// As for [`Attention::attend`].
pub unsafe fn attend(
    plan: &Attention,
    q: &Matrix,
    cache: &[u8],
    o: *mut f32,
    next: &AtomicUsize,
    rows: &mut Rows,
) {
    let problem = &plan.problem;
    let blocks = problem.queries.div_ceil(plan.block);
    loop {
        let task = next.fetch_add(1, Ordering::Relaxed);
        if task >= blocks * problem.kv_heads {
            return;
        }
        // The last queries see most keys: the longest tasks come first.
        let block = blocks - 1 - task / problem.kv_heads;
        let kv_head = task % problem.kv_heads;
        let queries = block * plan.block..((block + 1) * plan.block).min(problem.queries);
        // SAFETY: no other task has these queries of these heads.
        unsafe { attend_block(plan, q, plan.head(cache, kv_head), kv_head, queries, o, rows) };
    }
}

/// # Safety
/// As for [`Attention::attend`]; nobody else may access the rows of these queries.
unsafe fn attend_block(
    plan: &Attention,
    q: &Matrix,
    head: &[u8],
    kv_head: usize,
    queries: std::ops::Range<usize>,
    o: *mut f32,
    rows: &mut Rows,
) {
    let problem = &plan.problem;
    let group = plan.group();
    let heads = kv_head * group..(kv_head + 1) * group;
    let ranges: Vec<_> = heads
        .map(|head| head * problem.queries + queries.start..head * problem.queries + queries.end)
        .collect();
    rows.start(plan, q, &ranges);
    let visible = |r: usize| problem.visible_keys(queries.start + r % queries.len());
    let most = problem.visible_keys(queries.end - 1);
    for page in 0..most.div_ceil(PAGE) {
        let first = page * PAGE;
        let here = (most - first).min(PAGE);
        rows.page(plan, head, page, here, |r| visible(r).saturating_sub(first));
    }
    let sums = rows.states.iter().zip(rows.o.chunks_exact(padded(plan)));
    for (row, (state, from)) in ranges.into_iter().flatten().zip(sums) {
        let factor = 1.0 / state.sum;
        for (feature, &value) in from.iter().take(problem.v_dim).enumerate() {
            // SAFETY: inside O; the row is this task's.
            unsafe { o.add(row * problem.v_dim + feature).write(value * factor) };
        }
    }
}
