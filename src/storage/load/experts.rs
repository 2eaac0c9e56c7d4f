//! Reading single routed experts in random order: the metric `storage/read/expert-random`.
//!
//! Where experts do not fit into memory, decoding reads the ones that a token needs: for DeepSeek-R1 three matrices of
//! 14.7 MB and their scales, wherever the shards have them. One iteration reads every expert of the set once, one at a
//! time, so the latency of each is what a token would wait for.

use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::history::History;
use super::method::Stages;
use super::observe::{note_cpu, observe};
use super::prepared::{POISON, Prepared, open_direct};
use crate::measure::statistics::quantile;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::storage::layout::{Extent, plan};
use crate::storage::read::{Blocks, pread};
use crate::workload::Verified;
use crate::{Error, Result};

/// Experts whose content is compared with a buffered read.
const CHECKED: usize = 4;

/// Seed of the order: the same experts in the same order in every run.
const SEED: u64 = 0x6578_7065_7274;

/// Every routed expert of the set.
pub struct ExpertReads {
    prepared: Rc<Prepared>,
    experts: Vec<(Vec<Extent>, Blocks)>,
    order: Vec<usize>,
    random: rand_pcg::Mcg128Xsl64,
    history: History,
    /// Seconds of each read of an expert.
    latencies: Vec<f64>,
    cpus: Vec<usize>,
}

impl ExpertReads {
    /// Name of the metric.
    pub fn id() -> MetricId {
        MetricId::new(["storage", "read", "expert-random"])
    }

    /// Finds the experts of the set.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the model has no routed experts of its own, or files can't be read directly.
    pub fn new(prepared: Rc<Prepared>) -> Result<Self> {
        if let Err(why) = &prepared.direct {
            return Err(Error::Unavailable(why.clone()));
        }
        let cut = |extents: Vec<Extent>| {
            let blocks = Blocks::cut(&extents, prepared.block_bytes, prepared.cut.align);
            (extents, blocks)
        };
        let experts: Vec<_> = plan::single_experts(&prepared.set).into_iter().map(cut).collect();
        let longest = experts.iter().map(|(_, cut)| cut.memory).max().unwrap_or(0);
        if experts.is_empty() || longest > prepared.memory.borrow().len() {
            return Err(Error::Unavailable(
                "the model has no routed experts in tensors of their own".into(),
            ));
        }
        let bytes = experts.iter().flat_map(|(extents, _)| extents).map(|e| e.bytes).sum();
        Ok(Self {
            order: (0..experts.len()).collect(),
            experts,
            random: rand_pcg::Mcg128Xsl64::seed_from_u64(SEED),
            history: History { bytes, loads: Vec::new() },
            latencies: Vec::new(),
            cpus: Vec::new(),
            prepared,
        })
    }

    /// Reads every expert once, in a new order.
    fn read(&mut self) -> Result<std::time::Duration> {
        self.order.shuffle(&mut self.random);
        let (prepared, latencies) = (&self.prepared, &mut self.latencies);
        let (elapsed, observation, ()) = observe(prepared, || {
            let clock = Instant::now();
            let files = open_all(prepared)?;
            let open_parse_s = clock.elapsed().as_secs_f64();
            let mut reader = prepared.reader.borrow_mut();
            let memory = &mut prepared.memory.borrow_mut();
            let clock = Instant::now();
            for &expert in &self.order {
                let cut = &self.experts[expert].1;
                let started = clock.elapsed().as_secs_f64();
                let read = reader.read(&files, &cut.blocks, memory, cut.align);
                read.map_err(|fault| prepared.explain(fault))?;
                latencies.push(clock.elapsed().as_secs_f64() - started);
            }
            let read_s = clock.elapsed().as_secs_f64();
            Ok((Stages { open_parse_s, read_s, ..Stages::default() }, ()))
        })?;
        self.history.loads.push(observation);
        note_cpu(&mut self.cpus);
        Ok(elapsed)
    }
}

fn open_all(prepared: &Prepared) -> Result<Vec<File>> {
    prepared.set.shards.iter().map(|shard| open_direct(&shard.path)).collect()
}

impl Subject for ExpertReads {
    fn metric(&self) -> MetricId {
        Self::id()
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
        let prepared = &self.prepared;
        let files = open_all(prepared)?;
        let mut checked = 0;
        self.order.shuffle(&mut self.random);
        for &expert in self.order.iter().take(CHECKED) {
            let (extents, cut) = &self.experts[expert];
            let memory = &mut prepared.memory.borrow_mut();
            let mut content = |read: &mut dyn FnMut(&mut crate::host::Buffer) -> Result<()>| {
                memory.as_mut_slice::<u8>()[..cut.memory].fill(POISON);
                read(memory)?;
                let bytes = memory.as_slice::<u8>();
                let hashes = extents.iter().zip(&cut.placements);
                Ok(hashes
                    .map(|(e, &at)| xxh3_64(&bytes[at..at + e.bytes as usize]))
                    .collect::<Vec<u64>>())
            };
            let direct = content(&mut |memory| {
                let read =
                    prepared.reader.borrow_mut().read(&files, &cut.blocks, memory, cut.align);
                read.map_err(|fault| prepared.explain(fault))
            })?;
            let buffered: Vec<File> = (prepared.set.shards.iter())
                .map(|shard| {
                    File::open(&shard.path).map_err(|e| Error::path("open", &shard.path, e))
                })
                .collect::<Result<_>>()?;
            let plain = content(&mut |memory| {
                pread::read(&buffered, &cut.blocks, memory, 1, 1)
                    .map_err(|fault| prepared.explain(fault))
            })?;
            if direct != plain {
                return Err(Error::Wrong(format!(
                    "expert {expert} differs from a buffered read of it"
                )));
            }
            checked += extents.iter().map(|e| e.bytes).sum::<u64>();
        }
        Ok(Verified { checked, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = std::time::Duration::ZERO;
        for _ in 0..iterations {
            total += self.read()?;
        }
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        Placement::new(self.cpus.clone(), &self.prepared.memory.borrow().census())
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.history.details();
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |p: f64| (!sorted.is_empty()).then(|| quantile(&sorted, p) * 1e3);
        details.extend(BTreeMap::from([
            ("experts".to_owned(), json!(self.experts.len())),
            ("expert_bytes".to_owned(), json!(self.history.bytes / self.experts.len() as u64)),
            ("expert_reads".to_owned(), json!(sorted.len())),
            (
                "expert_latency_ms".to_owned(),
                json!({ "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0) }),
            ),
            ("block_bytes".to_owned(), json!(self.prepared.block_bytes)),
            ("queue_depth".to_owned(), json!(self.prepared.depth)),
            ("model".to_owned(), json!(self.prepared.set.description)),
            ("device".to_owned(), json!(self.prepared.device.describe())),
        ]));
        details
    }
}
