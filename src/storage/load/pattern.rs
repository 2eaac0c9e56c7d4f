//! Reads that are not whole shards, as loaders and decoders make them: the metrics `storage/read/<pattern>`.
//!
//! Where experts do not fit into memory, decoding reads the ones that a token needs: for DeepSeek-R1 three matrices of
//! 14.7 MB and their scales, wherever the shards have them. So every expert is read once, one at a time and in random
//! order, and the latency of each is what a token would wait for; the same for all experts of a layer, which is what a
//! prefill needs. The other patterns are those of loaders: one tensor after the other, and one rank's part of a
//! tensor-parallel group.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::check::compare;
use super::history::{History, milliseconds};
use super::method::Stages;
use super::observe::observe;
use super::prepared::Prepared;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::storage::layout::{Extent, Plan, plan};
use crate::storage::read::{Block, Blocks, Latencies, histogram};
use crate::workload::Verified;
use crate::{Error, Result};

/// Seed of the order: the same units in the same order in every run.
const SEED: u64 = 0x6578_7065_7274;

/// What is read, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// All tensors, each by itself.
    TensorByTensor,
    /// Every routed expert, one at a time.
    SingleExperts,
    /// The routed experts of every layer, a layer at a time.
    LayerExperts,
    /// What the first of so many tensor-parallel ranks needs.
    Rank(u64),
}

impl Pattern {
    /// Last segment of the metric's name.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::TensorByTensor => "tensor-by-tensor".into(),
            Self::SingleExperts => "expert-random".into(),
            Self::LayerExperts => "layer-experts-random".into(),
            Self::Rank(of) => format!("rank-of-{of}").into(),
        }
    }

    /// The byte ranges of each unit that is read at a time.
    fn units(self, prepared: &Prepared) -> Vec<Vec<Extent>> {
        let set = &prepared.set;
        match self {
            Self::TensorByTensor => vec![Plan::TensorByTensor.extents(set)],
            Self::Rank(of) => vec![Plan::TensorParallel { rank: 0, of }.extents(set)],
            Self::SingleExperts => plan::single_experts(set),
            Self::LayerExperts => (plan::expert_layers(set).into_iter())
                .map(|layer| Plan::LayerExperts(layer).extents(set))
                .collect(),
        }
    }
}

/// Every unit of a pattern.
pub struct PatternReads {
    id: MetricId,
    prepared: Rc<Prepared>,
    units: Vec<Blocks>,
    order: Vec<usize>,
    random: rand_pcg::Mcg128Xsl64,
    history: History,
    /// Nanoseconds that each unit took.
    latencies: Latencies,
}

impl PatternReads {
    /// Finds the units of `pattern` in the set.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the model has none, or files can't be read directly.
    pub fn new(id: MetricId, pattern: Pattern, prepared: Rc<Prepared>) -> Result<Self> {
        if let Err(why) = &prepared.direct {
            return Err(Error::Unavailable(why.clone()));
        }
        let units = pattern.units(&prepared);
        let bytes = units.iter().flatten().map(|extent| extent.bytes).sum();
        let cut = |extents: Vec<Extent>| {
            Blocks::cut(&extents, prepared.in_flight.block_bytes, prepared.cut.align)
        };
        let units: Vec<Blocks> = units.into_iter().map(cut).collect();
        let longest = units.iter().map(|cut| cut.memory).max().unwrap_or(0);
        if bytes == 0 {
            let what = "the model has no routed experts in tensors of their own";
            return Err(Error::Unavailable(what.into()));
        }
        if longest > prepared.memory.borrow().len() {
            return Err(Error::Unavailable("its tensors do not fit into the memory".into()));
        }
        Ok(Self {
            id,
            order: (0..units.len()).collect(),
            units,
            random: rand_pcg::Mcg128Xsl64::seed_from_u64(SEED),
            history: History { bytes, loads: Vec::new() },
            latencies: histogram(),
            prepared,
        })
    }

    /// Reads every unit once, in a new order.
    fn read(&mut self) -> Result<Duration> {
        self.order.shuffle(&mut self.random);
        let Self { prepared, units, order, latencies, .. } = self;
        let (elapsed, observation, ()) = observe(prepared, || {
            let clock = Instant::now();
            let files = prepared.open_all()?;
            let open_parse_s = clock.elapsed().as_secs_f64();
            let mut reader = prepared.reader.borrow_mut();
            let mut session = reader.open(&files, prepared.cut.align);
            let memory = &mut prepared.memory.borrow_mut();
            let clock = Instant::now();
            for &unit in &*order {
                let started = Instant::now();
                let read = session.read(&units[unit].blocks, memory);
                read.map_err(|fault| prepared.explain(fault))?;
                let _ = latencies.record(started.elapsed().as_nanos() as u64); // it grows as needed
            }
            Ok((Stages { open_parse_s, read_s: clock.elapsed().as_secs_f64() }, ()))
        })?;
        self.history.loads.push(observation);
        Ok(elapsed)
    }
}

impl Subject for PatternReads {
    fn metric(&self) -> MetricId {
        self.id.clone()
    }

    fn part(&self) -> Part {
        Part::Storage
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    fn work(&self) -> Work {
        Work { bytes_read: self.history.bytes, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.prepared.ceiling()
    }

    fn kernel_path(&self) -> String {
        self.prepared.reader.borrow().path()
    }

    fn cache(&self) -> Cache {
        self.history.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        let files = self.prepared.open_all()?;
        self.order.shuffle(&mut self.random);
        let mut verified = Verified { checked: 0, error_over_tolerance: 0.0 };
        // Units share the memory: one is compared before the next is read.
        for &unit in self.order.iter().take(CHECKED) {
            let read = |blocks: &[Block]| self.prepared.read(&files, blocks);
            verified.checked += compare(&self.prepared, &self.units[unit].blocks, read)?.checked;
        }
        Ok(verified)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            total += self.read()?;
        }
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        self.prepared.placement()
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.history.details();
        details.extend(self.prepared.facts());
        details.extend(self.prepared.reader_facts());
        let blocks: usize = self.units.iter().map(|cut| cut.blocks.len()).sum();
        details.extend(BTreeMap::from([
            ("units".to_owned(), json!(self.units.len())),
            ("unit_bytes".to_owned(), json!(self.history.bytes / self.units.len() as u64)),
            ("unit_reads".to_owned(), json!(self.latencies.len())),
            ("unit_latency_ms".to_owned(), milliseconds(&self.latencies)),
            ("block_reads".to_owned(), json!(blocks)),
        ]));
        details
    }
}

/// Units whose content is compared with buffered reads.
const CHECKED: usize = 4;
