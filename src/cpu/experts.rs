//! The routed experts of a mixture-of-experts layer, one token at a time: what bounds decode when they are in DRAM.
//!
//! ```text
//! h[e] = silu(x Wgate[e]^T) * (x Wup[e]^T)      for each expert e that the token was sent to
//! y    = sum over e of g[e] (h[e] Wdown[e]^T)   with the router's weights g
//! ```
//!
//! Every worker takes a part of the columns of every expert, so that all read DRAM all the time however few experts a
//! token uses. h is quantised to the format of the weights between the two products, as engines do. A layer has three
//! barriers: before h, after h, and at the end, where the next layer waits for y.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError, RwLock};

use super::gemm::{Gemm, Scratch};
use super::kernel::LINE;
use super::{Caches, Isa, Shared};
use crate::Result;
use crate::host::Worker;
use crate::number::{Format, Matrix};
use crate::workload;

/// The two products of one expert, planned.
pub struct Plan {
    /// Into the expert: gate and up are of this shape.
    pub into: Gemm,
    /// Out of it.
    pub out: Gemm,
}

impl Plan {
    /// Experts of `hidden` x `intermediate`, of whose columns every product computes the first `1 / fraction`: a smaller
    /// expert in the place of a large one.
    ///
    /// # Errors
    /// As [`Gemm::new`].
    pub fn new(
        (hidden, intermediate): (usize, usize),
        fraction: usize,
        format: Format,
        isa: Isa,
        caches: &Caches,
        workers: usize,
    ) -> Result<Self> {
        let plan = |n: usize, k| {
            Gemm::new(workload::Gemm::new(1, n / fraction, k), format, isa, caches, workers)
        };
        Ok(Self { into: plan(intermediate, hidden)?, out: plan(hidden, intermediate)? })
    }

    /// Bytes from the start of an expert to its gate, up and down weights, and to its end.
    pub fn offsets(&self) -> [usize; 4] {
        let into = self.into.layout().bytes().next_multiple_of(LINE);
        let out = self.out.layout().bytes().next_multiple_of(LINE);
        [0, into, 2 * into, 2 * into + out]
    }
}

/// What the workers of one layer share. One row an expert that the token was sent to.
pub struct Layer {
    /// Width of the residual stream, width of an expert.
    shape: (usize, usize),
    /// The token, 1 x hidden.
    pub x: Matrix,
    /// The router's weights.
    pub g: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// The experts' activations, quantised.
    pub h: Vec<RwLock<Matrix>>,
    /// What each expert gives.
    pub down: Vec<f32>,
    /// Their weighted sum.
    pub y: Vec<f32>,
    scratch: Vec<Mutex<Scratch>>,
}

impl Layer {
    /// For `active` experts of `shape` (hidden, intermediate) on `workers` workers: a random token and random weights.
    ///
    /// # Errors
    /// When the shape does not suit `format`.
    pub fn new(
        shape: (usize, usize),
        active: usize,
        format: Format,
        workers: usize,
        seed: u64,
    ) -> Result<Self> {
        let (hidden, intermediate) = shape;
        let empty = Matrix::quantise(format, 1, intermediate, &vec![0.0; intermediate])?;
        let total = (active * (active + 1) / 2) as f32;
        Ok(Self {
            shape,
            x: Matrix::random(format, 1, hidden, seed)?,
            g: (1..=active).map(|e| e as f32 / total).collect(),
            gate: vec![0.0; active * intermediate],
            up: vec![0.0; active * intermediate],
            h: (0..active).map(|_| RwLock::new(empty.clone())).collect(),
            down: vec![0.0; active * hidden],
            y: vec![0.0; hidden],
            scratch: (0..workers).map(|_| Mutex::default()).collect(),
        })
    }

    /// Poisons every output.
    pub fn poison(&mut self) {
        for output in [&mut self.gate, &mut self.up, &mut self.down, &mut self.y] {
            output.fill(f32::NAN);
        }
    }

    /// Gate and up of expert `e`.
    pub fn into(&self, e: usize) -> (&[f32], &[f32]) {
        let width = self.shape.1;
        (&self.gate[e * width..][..width], &self.up[e * width..][..width])
    }

    /// For the workers.
    pub fn outputs(&mut self) -> Outputs<'_> {
        let [gate, up, down, y] = [&mut self.gate, &mut self.up, &mut self.down, &mut self.y]
            .map(|output| Shared(output.as_mut_ptr()));
        let Self { shape, x, g, h, scratch, .. } = self;
        Outputs { shape: *shape, x, g, h, scratch, gate, up, down, y }
    }
}

/// A [`Layer`] while the workers write to it.
pub struct Outputs<'a> {
    shape: (usize, usize),
    x: &'a Matrix,
    g: &'a [f32],
    h: &'a [RwLock<Matrix>],
    scratch: &'a [Mutex<Scratch>],
    gate: Shared<f32>,
    up: Shared<f32>,
    down: Shared<f32>,
    y: Shared<f32>,
}

impl Outputs<'_> {
    /// Computes this worker's share of the layer with `experts`, the packed weights of each, gate, up and down where
    /// [`Plan::offsets`] of the whole experts says.
    ///
    /// # Panics
    /// When an expert is shorter than `plan` says.
    pub fn run(&self, worker: Worker<'_>, plan: &Plan, offsets: &[usize; 4], experts: &[&[u8]]) {
        let (hidden, intermediate) = self.shape;
        let index = worker.index();
        let mut scratch = self.scratch[index].lock().unwrap_or_else(PoisonError::into_inner);
        let &[gate_at, up_at, down_at, _] = offsets;
        // A row is not shared out: every worker has its part.
        let unused = AtomicUsize::new(0);
        let (into, out) = (plan.into.layout().bytes(), plan.out.layout().bytes());
        for (e, weights) in experts.iter().enumerate() {
            for (at, c) in [(gate_at, &self.gate), (up_at, &self.up)] {
                let weights = &weights[at..][..into];
                // SAFETY: C has a row an expert; each worker writes its own part of it.
                unsafe {
                    let c = c.get().add(e * intermediate);
                    plan.into.multiply(index, &unused, (self.x, weights), c, &mut scratch);
                }
            }
        }
        worker.barrier();
        for e in (index..experts.len()).step_by(worker.count()) {
            // SAFETY: every worker is past the barrier, so gate and up are complete and nobody writes to them.
            let (gate, up) = unsafe {
                let row = |c: &Shared<f32>| {
                    std::slice::from_raw_parts(c.get().add(e * intermediate), intermediate)
                };
                (row(&self.gate), row(&self.up))
            };
            let h: Vec<f32> = gate.iter().zip(up).map(|(&g, &u)| silu(g) * u).collect();
            let mut to = self.h[e].write().unwrap_or_else(PoisonError::into_inner);
            *to = Matrix::quantise(self.x.format, 1, intermediate, &h).expect("planned");
        }
        worker.barrier();
        for (e, weights) in experts.iter().enumerate() {
            let h = self.h[e].read().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: as above.
            unsafe {
                let c = self.down.get().add(e * hidden);
                let inputs = (&*h, &weights[down_at..][..out]);
                plan.out.multiply(index, &unused, inputs, c, &mut scratch);
            }
        }
        for part in plan.out.parts(index, worker.count()) {
            let lanes = super::kernel::LANES;
            let end = (part.panels.end * lanes).min(plan.out.layout().n);
            for column in part.panels.start * lanes..end {
                // SAFETY: this worker wrote these columns of every expert; they are its own in y too.
                unsafe {
                    let down = |e: usize| *self.down.get().add(e * hidden + column);
                    let sum = (0..experts.len()).map(|e| self.g[e] * down(e)).sum();
                    self.y.get().add(column).write(sum);
                }
            }
        }
        worker.barrier();
    }
}

/// x / (1 + e^-x), the activation of DeepSeek's, Qwen's and Llama's gates.
fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}
