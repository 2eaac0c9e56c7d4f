//! Some query rows of one key/value head, taken through its pages.

use super::Attention;
use super::cache::PAGE;
use crate::cpu::gemm::Line;
use crate::cpu::gemm::tiles::{Tiles, block_of, factors, operand, pack_block, pack_stream};
use crate::cpu::kernel::{
    A_STRIDE, Kernel, LANES, LINE, MAX_ROWS, PackWeights, RowFactor, RowState, Softmax, Transpose,
};
use crate::number::{Format, MX_BLOCK, Matrix};
use crate::workload::Weights;

/// Rows up to which the cache is expanded on the fly, once a register tile, instead of into a buffer first.
const STREAM_ROWS: usize = 16;

/// One worker's rows and buffers.
#[derive(Default)]
pub struct Rows {
    count: usize,
    /// Whether values are expanded on the fly.
    stream: bool,
    /// Whether keys are.
    stream_keys: bool,
    /// Packed queries: for the stream row after row, for the tile block after block of features.
    q: Vec<u32>,
    q_stride: usize,
    factors: Vec<RowFactor>,
    /// Scores of a page, then weights; [`A_STRIDE`] from row to row.
    scores: Vec<f32>,
    /// Weights times the scales of the values, as units.
    weights: Vec<u32>,
    /// The rows' states.
    pub(super) states: Vec<RowState>,
    /// Weighted values, padded to whole panels.
    pub(super) o: Vec<f32>,
    unpacked: Vec<Line>,
    transposed: Vec<Line>,
}

impl Rows {
    /// Takes `rows` of `q`, which belong to one key/value head.
    pub(super) fn start(&mut self, plan: &Attention, q: &Matrix, rows: &[std::ops::Range<usize>]) {
        let kernel = plan.scores.as_ref();
        self.count = rows.iter().map(ExactSizeIterator::len).sum();
        let few = self.count <= STREAM_ROWS && !plan.problem.latent;
        let streams =
            |kernel: &dyn Kernel| few && kernel.streams(self.count.min(kernel.stream_rows()));
        self.stream = streams(plan.values.as_ref());
        self.stream_keys = streams(kernel);
        let k = plan.problem.qk_dim;
        let blocks = k.div_ceil(kernel.block());
        self.q_stride = if self.stream_keys { kernel.units(k) + LANES } else { A_STRIDE };
        let units = if self.stream_keys { self.q_stride } else { blocks * A_STRIDE };
        self.q.resize(self.count * units + MAX_ROWS * self.q_stride, 0);
        self.factors.clear();
        let mut some = Vec::new();
        let mut above = 0;
        for rows in rows {
            factors(kernel, q, rows.clone(), self.stream_keys, &mut some);
            self.factors.append(&mut some);
            if self.stream_keys {
                let to = &mut self.q[above * self.q_stride..];
                pack_stream(kernel, q, rows.clone(), self.q_stride, to);
            } else {
                for block in 0..blocks {
                    let to = &mut self.q[(block * self.count + above) * A_STRIDE..];
                    let range = block_of(k, kernel.block(), block);
                    pack_block(kernel, q, rows.clone(), range, A_STRIDE, to);
                }
            }
            above += rows.len();
        }
        self.scores.resize((self.count + MAX_ROWS) * A_STRIDE, 0.0);
        self.weights.resize((self.count + MAX_ROWS) * A_STRIDE, 0);
        self.states.clear();
        self.states.resize(self.count, RowState::EMPTY);
        self.o.clear();
        self.o.resize(self.count * padded(plan), 0.0);
    }

    /// Attends to page `page` of `head`; row `r` sees its first `visible(r)` keys, and none sees more than `most`.
    pub(super) fn page(
        &mut self,
        plan: &Attention,
        head: &[u8],
        page: usize,
        most: usize,
        visible: impl Fn(usize) -> usize,
    ) {
        self.multiply_keys(plan, head, page, most);
        let width = most.next_multiple_of(LANES);
        let scale = std::f32::consts::LOG2_E / (plan.problem.scale_dim as f32).sqrt();
        let rows = self.scores.chunks_exact_mut(A_STRIDE).zip(&mut self.states);
        for (r, ((scores, state), o)) in rows.zip(self.o.chunks_exact_mut(padded(plan))).enumerate()
        {
            let scores = &mut scores[..width];
            let softmax = Softmax { scores, visible: visible(r).min(most), scale, state, o };
            // SAFETY: the plan's constructor checked the instructions; the job touches nothing but its slices.
            unsafe { plan.values.softmax(softmax) };
        }
        self.multiply_values(plan, head, page, width);
    }

    /// Scores of the page's first `most` keys.
    fn multiply_keys(&mut self, plan: &Attention, head: &[u8], page: usize, most: usize) {
        let (kernel, layout) = (plan.scores.as_ref(), plan.layout.keys);
        let keys = plan.layout.key_part(head);
        let panels = page * PAGE / LANES..(page * PAGE + most).div_ceil(LANES);
        let first = &keys[panels.start * layout.panel_bytes()..];
        let k = layout.k;
        let scales = |last: bool| {
            let columns = first.as_ptr().wrapping_add(layout.scales_at(0));
            (last && layout.format.has_row_scale()).then_some((
                &self.factors[..],
                columns,
                layout.panel_bytes(),
            ))
        };
        let columns = panels.len() * LANES;
        let whole = Tiles {
            kernel,
            stream: true,
            count: kernel.stream_count(k),
            a: &self.q,
            a_stride: self.q_stride,
            b: first.as_ptr(),
            b_stride: layout.panel_bytes(),
            b_scales: layout.scales_at(0),
            first: true,
            scales: scales(true),
            c: self.scores.as_mut_ptr(),
            c_stride: A_STRIDE,
        };
        if self.stream_keys {
            // SAFETY: Q is packed for the stream, `first` starts the panels, the scores have room for a page.
            unsafe { whole.run(self.count, columns) };
            return;
        }
        let blocks = k.div_ceil(kernel.block());
        let lines = kernel.unpacked_lines(kernel.block().min(k));
        self.unpacked.resize(lines * panels.len(), Line::ZERO);
        for block in 0..blocks {
            let range = block_of(k, kernel.block(), block);
            let (b, b_stride) =
                operand(kernel, &layout, keys, panels.clone(), range.clone(), &mut self.unpacked);
            let tiles = Tiles {
                stream: false,
                count: kernel.tile_count(range.len()),
                a: &self.q[block * self.count * A_STRIDE..],
                b,
                b_stride,
                first: block == 0,
                scales: scales(block + 1 == blocks),
                ..whole
            };
            // SAFETY: as above, with the block of Q and of the panels.
            unsafe { tiles.run(self.count, columns) };
        }
    }

    /// Adds the weighted values of the page's first `width` keys to O.
    fn multiply_values(&mut self, plan: &Attention, head: &[u8], page: usize, width: usize) {
        let (kernel, layout) = (plan.values.as_ref(), &plan.layout);
        let (b, b_stride) = if plan.problem.latent {
            self.transpose_keys(plan, head, page, width)
        } else if self.stream || kernel.unpacked_lines(width) == 0 {
            (layout.value_page(head, page).as_ptr(), layout.value_panel_bytes())
        } else {
            self.unpack_values(plan, head, page, width)
        };
        // mxfp4 has a scale for each 32 features: the weights are scaled anew for each two panels.
        let step = match layout.keys.format {
            Format::Mxfp4 => MX_BLOCK,
            _ => layout.v_dim,
        };
        let mut factors = [0.0; PAGE];
        for (block, feature) in (0..layout.v_dim).step_by(step).enumerate() {
            let scaled = layout.value_scales(head, page, block, &mut factors);
            let rows = self.scores.chunks_exact(A_STRIDE).take(self.count);
            for (from, to) in rows.zip(self.weights.chunks_exact_mut(A_STRIDE)) {
                let factors = scaled.then_some(&factors[..width]);
                let pack = PackWeights { from: &from[..width], factors, as_: plan.weights(), to };
                // SAFETY: the plan's constructor checked the instructions.
                unsafe { kernel.pack_weights(pack) };
            }
            let tiles = Tiles {
                kernel,
                stream: self.stream,
                count: if self.stream {
                    kernel.stream_count(width)
                } else {
                    kernel.tile_count(width)
                },
                a: &self.weights,
                a_stride: A_STRIDE,
                b: b.wrapping_add(feature / LANES * b_stride),
                b_stride,
                b_scales: 0,
                first: false,
                scales: None,
                c: self.o[feature..].as_mut_ptr(),
                c_stride: padded(plan),
            };
            let columns = step.min(layout.v_dim - feature).next_multiple_of(LANES);
            // SAFETY: the weights have `width` units a row, the values as many keys, O whole panels.
            unsafe { tiles.run(self.count, columns) };
        }
    }

    /// Expands the values of the page's first `width` keys.
    fn unpack_values(
        &mut self,
        plan: &Attention,
        head: &[u8],
        page: usize,
        width: usize,
    ) -> (*const u8, usize) {
        let (kernel, layout) = (plan.values.as_ref(), &plan.layout);
        let lines = kernel.unpacked_lines(width);
        let panels = layout.value_panels();
        self.transposed.resize(panels * lines, Line::ZERO);
        let stored = layout.value_page(head, page);
        for (panel, to) in self.transposed.chunks_exact_mut(lines).enumerate() {
            let codes = stored[panel * layout.value_panel_bytes()..].as_ptr();
            // SAFETY: the panel holds a page of keys; `to` has room for its lines.
            unsafe { kernel.unpack(codes, codes, width, to.as_mut_ptr().cast()) };
        }
        (self.transposed.as_ptr().cast(), lines * LINE)
    }

    /// Expands the keys of a latent cache, and turns them into values.
    fn transpose_keys(
        &mut self,
        plan: &Attention,
        head: &[u8],
        page: usize,
        width: usize,
    ) -> (*const u8, usize) {
        let (kernel, layout) = (plan.values.as_ref(), &plan.layout);
        let weights = plan.weights();
        // Elements of a lane, of neighbouring features before and of neighbouring keys after.
        let each = match weights {
            Weights::F32 => 1,
            Weights::Bf16 => 2,
        };
        let v_lines = layout.v_dim.div_ceil(each);
        let panel_lines = LANES / each;
        let room = v_lines.max(kernel.unpacked_lines(layout.v_dim));
        self.unpacked.resize(self.unpacked.len().max(room), Line::ZERO);
        self.transposed.resize(layout.value_panels() * PAGE / each, Line::ZERO);
        let keys = layout.key_part(head);
        for group in 0..width / LANES {
            let panel = page * PAGE / LANES + group;
            let codes = &keys[panel * layout.keys.panel_bytes()..];
            if kernel.unpacked_lines(layout.v_dim) == 0 {
                let lines = Line::arrays_mut(&mut self.unpacked[..v_lines]).as_flattened_mut();
                let to = bytemuck::cast_slice_mut(lines);
                to.copy_from_slice(&codes[..v_lines * LINE]);
            } else {
                let to = self.unpacked.as_mut_ptr().cast();
                // SAFETY: the panel holds at least `v_dim` elements, the buffer their lines.
                unsafe { kernel.unpack(codes.as_ptr(), codes.as_ptr(), layout.v_dim, to) };
            }
            let features = self.unpacked[..v_lines].chunks(panel_lines);
            let values = self.transposed.chunks_exact_mut(PAGE / each);
            for (from, to) in features.zip(values) {
                let transpose = Transpose {
                    from: Line::arrays(from),
                    to: Line::arrays_mut(&mut to[group * panel_lines..][..panel_lines]),
                    for_: weights,
                };
                // SAFETY: the plan's constructor checked the instructions.
                unsafe { kernel.transpose(transpose) };
            }
        }
        (self.transposed.as_ptr().cast(), PAGE / each * LINE)
    }
}

/// Elements from one row of O to the next.
pub(super) const fn padded(plan: &Attention) -> usize {
    plan.layout.value_panels() * LANES
}
