//! A mixture-of-experts layer as something that can be timed: decode with the experts in DRAM.
//!
//! One iteration is one layer with experts that no layer used since all others had their turn: drawn from a shuffled
//! pool, which is as large as the memory that the bench may take. Besides the rate the record holds the figures that a
//! projection of a whole model starts from:
//!
//! - `eta`: bytes of weights a second over the measured read bandwidth of DRAM;
//! - `t_fix_us`: what a layer costs besides its bytes (barriers, activations): the intercept of a line through the times
//!   of layers whose experts are cut to a half, a quarter and an eighth, with its 95 % interval;
//! - `tokens_per_second`: of all layers of the model that have experts, one after the other, nothing else counted.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::cpu::experts::{Layer, Plan};
use crate::cpu::{Caches, Ceilings, Isa};
use crate::host::{self, Buffer, Disjoint, Pages, Workers};
use crate::measure::line::{Line, fit_line};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::{Model, Verified, verify_gemm};
use crate::{Error, Result};

/// Whole experts, then cut ones.
const FRACTIONS: [usize; 4] = [1, 2, 4, 8];
/// Times that each size is timed for the line.
const ROUNDS: usize = 12;
/// Layers of one such time.
const BATCH: usize = 2;
/// Different experts; the others are copies of them.
const VARIANTS: usize = 2;
/// Share of the available memory that the pool may take.
const SHARE: f64 = 0.7;

/// The routed experts of one layer after the other.
pub struct ExpertsSubject {
    model: &'static str,
    layers: usize,
    shape: (usize, usize),
    format: Format,
    /// One for each of [`FRACTIONS`].
    plans: Vec<Plan>,
    offsets: [usize; 4],
    workers: Arc<Workers>,
    ceilings: Ceilings,
    variants: Vec<[Matrix; 3]>,
    pool: Buffer,
    /// The order in which the pool's experts have their turn.
    deck: Vec<usize>,
    rotation: Rotation,
    random: Pcg64Mcg,
    layer: Layer,
    line: Option<Line>,
    /// Layers and seconds a layer of each run.
    runs: Vec<(u64, f64)>,
}

impl ExpertsSubject {
    /// Name of the metric of `model` in `format`.
    pub fn metric_id(model: &Model, format: Format) -> MetricId {
        MetricId::new(["experts", "cpu", format.name(), model.name])
    }

    /// The experts of `model` in `format` on `workers`, in a pool of at most `most` bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the model has no experts, memory is short, or this CPU lacks `isa`.
    pub fn new(
        model: &Model,
        format: Format,
        isa: Isa,
        workers: Arc<Workers>,
        ceilings: Ceilings,
        most: u64,
        seed: u64,
    ) -> Result<Self> {
        let experts = model
            .experts
            .ok_or_else(|| Error::Unavailable(format!("{} has no experts", model.name)))?;
        let shape = (model.hidden, experts.intermediate);
        let caches = host::Caches::of(workers.cpus());
        let shares = Caches::of(&caches, workers.count());
        let plan = |fraction| Plan::new(shape, fraction, format, isa, &shares, workers.count());
        let plans = FRACTIONS.into_iter().map(plan).collect::<Result<Vec<_>>>()?;
        let offsets = plans[0].offsets();

        let available = host::pages::available(&host::Root::host());
        let budget = available.map_or(most, |free| most.min((free as f64 * SHARE) as u64));
        let fit = usize::try_from(budget / offsets[3] as u64).unwrap_or(usize::MAX);
        let cold = Rotation::copies(offsets[3] as u64, caches.last_level_total as u64);
        let slots = fit.min(experts.routed * model.layers);
        if slots < cold.max(2 * experts.active) {
            return Err(Error::Unavailable(format!(
                "{} of {} MB would not outgrow the cache: {} fit in memory",
                experts.routed,
                offsets[3] / 1_000_000,
                slots
            )));
        }
        let variants = (0..VARIANTS as u64)
            .map(|variant| {
                let random = |rows, columns, salt: u64| {
                    Matrix::random(format, rows, columns, seed ^ (3 * variant + salt + 1))
                };
                Ok([
                    random(shape.1, shape.0, 0)?,
                    random(shape.1, shape.0, 1)?,
                    random(shape.0, shape.1, 2)?,
                ])
            })
            .collect::<Result<Vec<_>>>()?;
        let pool = fill(&plans[0], &variants, slots, &workers)?;
        let mut subject = Self {
            model: model.name,
            layers: model.layers - model.dense.map_or(0, |dense| dense.layers),
            layer: Layer::new(shape, experts.active, format, workers.count(), seed)?,
            shape,
            format,
            plans,
            offsets,
            workers,
            ceilings,
            variants,
            pool,
            deck: (0..slots).collect(),
            rotation: Rotation::new(slots),
            random: Pcg64Mcg::seed_from_u64(seed),
            line: None,
            runs: Vec::new(),
        };
        subject.deck.shuffle(&mut subject.random);
        subject.line = subject.measure_line();
        Ok(subject)
    }

    fn active(&self) -> usize {
        self.layer.g.len()
    }

    /// The experts of `layers` layers: no expert comes again before all others had their turn.
    fn draw(&mut self, layers: usize) -> Vec<Vec<usize>> {
        let active = self.active();
        let mut layer = || {
            (0..active)
                .map(|_| {
                    let turn = self.rotation.advance();
                    self.deck[turn]
                })
                .collect()
        };
        (0..layers).map(|_| layer()).collect()
    }

    /// Computes `layers` layers by `plan`, of experts drawn before.
    fn compute(&mut self, plan: usize, draws: &[Vec<usize>]) -> Elapsed {
        let Self { plans, offsets, pool, layer, workers, .. } = self;
        let (plan, bytes) = (&plans[plan], pool.as_slice::<u8>());
        let outputs = layer.outputs();
        let draws: Vec<Vec<&[u8]>> = draws
            .iter()
            .map(|draw| {
                draw.iter().map(|&slot| &bytes[slot * offsets[3]..][..offsets[3]]).collect()
            })
            .collect();
        Elapsed(workers.timed(|worker| {
            for experts in &draws {
                outputs.run(worker, plan, offsets, experts);
            }
        }))
    }

    /// Seconds a layer over its bytes.
    fn measure_line(&mut self) -> Option<Line> {
        let whole = self.bytes_of_layer() as f64;
        let mut points = Vec::new();
        for round in 0..=ROUNDS {
            for (plan, fraction) in FRACTIONS.into_iter().enumerate() {
                let draws = self.draw(BATCH);
                let seconds = self.compute(plan, &draws).0.as_secs_f64() / BATCH as f64;
                // The first round warms up.
                if round > 0 {
                    points.push((whole / fraction as f64, seconds));
                }
            }
        }
        fit_line(&points)
    }

    fn bytes_of_layer(&self) -> u64 {
        let (hidden, intermediate) = self.shape;
        let row = |k| self.format.stored_row_bytes(k);
        (self.active() * (2 * intermediate * row(hidden) + hidden * row(intermediate))) as u64
    }
}

/// Packs the variants, by turns, into `slots` experts: each worker the panels that it will read, so that their pages
/// are near it.
fn fill(plan: &Plan, variants: &[[Matrix; 3]], slots: usize, workers: &Workers) -> Result<Buffer> {
    let offsets = plan.offsets();
    let stride = offsets[3];
    let mut buffer = Buffer::new(slots * stride, Pages::Transparent)?;
    let packed = Disjoint::new(buffer.as_mut_slice::<u8>());
    workers.run(|worker| {
        let products = [&plan.into, &plan.into, &plan.out];
        for ((gemm, &offset), which) in products.into_iter().zip(&offsets).zip(0..) {
            // One row: one part a worker.
            let Some(part) = gemm.parts(worker.index(), worker.count()).next() else { continue };
            let (layout, bytes) = (gemm.layout(), gemm.layout().panel_bytes());
            let range = |slot: usize| {
                let start = slot * stride + offset;
                start + part.panels.start * bytes..start + part.panels.end * bytes
            };
            for slot in 0..slots {
                // SAFETY: with one row, parts have disjoint panels; the copied slot is complete and this worker's own.
                unsafe {
                    let to = packed.slice(range(slot));
                    match slot.checked_sub(variants.len()) {
                        None => layout.pack(&variants[slot][which], part.panels.clone(), to),
                        Some(_) => to.copy_from_slice(packed.slice(range(slot % variants.len()))),
                    }
                }
            }
        }
    });
    Ok(buffer)
}

impl Subject for ExpertsSubject {
    fn metric(&self) -> MetricId {
        MetricId::new(["experts", "cpu", self.format.name(), self.model])
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    /// The bytes are those of the weights alone: activations stay in cache.
    fn work(&self) -> Work {
        let (hidden, intermediate) = self.shape;
        let flops = 6 * (self.active() * hidden * intermediate) as u64;
        Work { flops, bytes_read: self.bytes_of_layer(), ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.ceilings.roofline(&self.work(), self.unit())
    }

    fn raise_ceiling(&mut self) -> Result<bool> {
        self.ceilings.raise()
    }

    fn kernel_path(&self) -> String {
        format!("cpu/{}", self.plans[0].into.path())
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.layer.poison();
        let draws = self.draw(1);
        self.compute(0, &draws);
        let mut all = Verified { checked: 0, error_over_tolerance: 0.0 };
        let mut note = |found: Verified| {
            all.checked += found.checked;
            all.error_over_tolerance = all.error_over_tolerance.max(found.error_over_tolerance);
        };
        let (hidden, layer) = (self.shape.0, &self.layer);
        for (e, &slot) in draws[0].iter().enumerate() {
            let [gate, up, down] = &self.variants[slot % self.variants.len()];
            let (got_gate, got_up) = layer.into(e);
            note(verify_gemm(&layer.x, gate, got_gate)?);
            note(verify_gemm(&layer.x, up, got_up)?);
            let h = layer.h[e].read().unwrap_or_else(PoisonError::into_inner);
            note(verify_gemm(&h, down, &layer.down[e * hidden..][..hidden])?);
        }
        for (column, &y) in layer.y.iter().enumerate() {
            let terms = (0..self.active())
                .map(|e| f64::from(layer.g[e]) * f64::from(layer.down[e * hidden + column]));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
            // As many f32 roundings as there are experts, products and additions.
            let tolerance = size * f64::from(f32::EPSILON) * 2.0 * self.active() as f64 + 1e-30;
            if (f64::from(y) - sum).abs() > tolerance || y.is_nan() {
                return Err(Error::Wrong(format!(
                    "y[{column}] is {y}, not {sum} +- {tolerance:e}"
                )));
            }
        }
        Ok(all)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        if iterations == 0 {
            return Err(Error::Wrong("a sample of no iterations".into()));
        }
        let draws = self.draw(usize::try_from(iterations).unwrap_or(usize::MAX));
        let elapsed = self.compute(0, &draws);
        self.runs.push((iterations, elapsed.0.as_secs_f64() / iterations as f64));
        Ok(elapsed)
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [&self.pool])
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        let mut details = BTreeMap::from([
            ("threads".to_owned(), self.workers.count().into()),
            ("pool_experts".to_owned(), self.deck.len().into()),
            ("pool_bytes".to_owned(), self.pool.len().into()),
            ("experts_a_layer".to_owned(), self.active().into()),
            ("layers".to_owned(), self.layers.into()),
        ]);
        // The samples are as long as the last run; what was shorter warmed up.
        let batch = self.runs.last().map_or(0, |run| run.0);
        let of_batch = self.runs.iter().filter(|run| run.0 == batch).map(|run| run.1);
        let mut sorted: Vec<f64> = of_batch.collect();
        sorted.sort_by(f64::total_cmp);
        if !sorted.is_empty() {
            let layer = crate::measure::statistics::quantile(&sorted, 0.5);
            let rate = 1.0 / (layer * self.layers as f64);
            details.insert("tokens_per_second".into(), rate.into());
            if let Some(read) = &self.ceilings.dram_read {
                let eta = self.bytes_of_layer() as f64 / layer / 1e9 / read.value;
                details.insert("eta".into(), eta.into());
            }
        }
        if let Some(line) = self.line {
            let interval = [line.intercept_ci95.low * 1e6, line.intercept_ci95.high * 1e6];
            details.insert("t_fix_us".into(), (line.intercept * 1e6).into());
            details.insert("t_fix_us_ci95".into(), interval.to_vec().into());
            details.insert("large_expert_gb_per_second".into(), (1e-9 / line.slope).into());
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Experts, QWEN3_235B};

    #[test]
    fn right_in_every_format_and_level_and_cold_after_a_round() {
        let workers = Arc::new(Workers::new().unwrap());
        let experts = Experts { routed: 16, active: 3, shared: 0, intermediate: 224 };
        let model = Model { hidden: 416, layers: 4000, experts: Some(experts), ..QWEN3_235B };
        for format in Format::MAIN {
            for isa in Isa::detected() {
                let mut subject = ExpertsSubject::new(
                    &model,
                    format,
                    isa,
                    workers.clone(),
                    Ceilings::default(),
                    1 << 33,
                    rand::random(),
                )
                .unwrap();
                assert!(subject.verify().unwrap().checked > 0);
                subject.run(1).unwrap();
                assert!(subject.details().contains_key("t_fix_us"), "{format} {isa}");
            }
        }
    }
}
