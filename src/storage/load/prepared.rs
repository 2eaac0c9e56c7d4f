//! What the load metrics share: the shard set, its device, memory for all of it, and the device's ceiling.

use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3;

use super::calibrate::{Calibration, MAX_DEPTH, Trial};
use super::options::Options;
use crate::host::{Buffer, Pages, Root, pages};
use crate::record::{Ceiling, Origin};
use crate::storage::layout::ShardSet;
use crate::storage::pipeline::{Copy, Failure, Pipeline, Times};
use crate::storage::read::ladder::{self, Rung};
use crate::storage::read::{Blocks, Direct, Fault};
use crate::storage::{alignment, cold, device::Device, synthetic};
use crate::{Error, Result};

/// Largest part of the free memory that a set may take; the page cache may hold it a second time.
const MEMORY_SHARE: u64 = 3;

/// Block size in bytes where calibration is impossible.
const PLAIN_BLOCK: usize = 1 << 20;

/// Longest time of one calibration trial.
const LONGEST_TRIAL: Duration = Duration::from_millis(250);

/// Trials that fit into the time of one load.
const TRIALS_A_LOAD: u32 = 4;

/// Slots of the pipeline: one is filled, one emptied, one on its way between.
const SLOTS: usize = 3;

/// Bytes of a slot, in queues full of blocks: the queue runs empty at the end of each.
const SLOT_DEPTHS: usize = 2;

/// Smallest slot in bytes.
const SMALLEST_SLOT: usize = 32 << 20;

/// The content of memory before a load: a load that leaves bytes out is found by their hash.
pub const POISON: u8 = 0xa5;

/// A set ready to be loaded.
pub struct Prepared {
    /// What is loaded.
    pub set: ShardSet,
    /// The device that holds it.
    pub device: Device,
    /// Alignment of direct reads, or why there are none.
    pub direct: Result<u64, String>,
    /// Block size of reads in bytes.
    pub block_bytes: usize,
    /// Reads in flight.
    pub depth: usize,
    /// Calibration, the best trial first; empty without direct reads.
    pub trials: Vec<Trial>,
    /// The set, cut into blocks.
    pub cut: Blocks,
    /// Direct reader, calibrated.
    pub reader: RefCell<Direct>,
    /// Memory for the whole set.
    pub memory: RefCell<Buffer>,
    /// Slots in front of the memory, made when they are first needed.
    pub pipeline: RefCell<Option<Pipeline>>,
    /// Every way of reading that was tried, best first.
    pub ladder: Vec<Rung>,
    /// Seconds to allocate the memory and touch every page.
    pub prefault_s: f64,
    /// Seconds to register the memory with the ring.
    pub register_s: f64,
    hashes: OnceCell<Vec<u64>>,
}

impl Prepared {
    /// Finds or makes the set, allocates memory for it and calibrates the device.
    ///
    /// # Errors
    /// Whatever is wrong with the model directory, the disk or the memory.
    pub fn new(options: &Options) -> Result<Rc<Self>> {
        let free = pages::available(&Root::host()).unwrap_or(u64::MAX);
        let budget = options.budget.min(free / MEMORY_SHARE);
        let hashes = OnceCell::new();
        let mut set = match &options.model_dir {
            Some(dir) => ShardSet::open(dir)?.within(budget),
            None => {
                let made = synthetic::obtain(&options.cache, &options.layout, budget)?;
                let _ = hashes.set(made.hashes); // a new cell: never set before
                made.set
            }
        };
        if set.bytes() > free / 2 {
            return Err(Error::input(
                format!(
                    "the first shard has {:.1} GB, more than half of the {:.1} GB of free memory",
                    set.bytes() as f64 / 1e9,
                    free as f64 / 1e9
                ),
                "Name a model with smaller shards in HOSTDYNO_MODEL_DIR, or stop other programs",
            ));
        }
        let first = set.shards[0].path.clone();
        let device = Device::of(&first);
        let mut direct = direct_alignment(&first);
        let align = direct.as_ref().copied().unwrap_or(alignment::ASSUMED);

        let clock = Instant::now();
        let mut memory = memory_for(&set, PLAIN_BLOCK, align)?;
        let mut prefault_s = clock.elapsed().as_secs_f64();
        let (mut reader, mut trials) = (Direct::new(MAX_DEPTH), Vec::new());
        if direct.is_ok() {
            for shard in &set.shards {
                let _ = cold::drop_cache(&shard.path); // made sure of, and proved, before each load
            }
            match calibrate(&set, &mut reader, &mut memory, align, options.load_time) {
                Ok(tried) => trials = tried,
                // Some file systems take O_DIRECT when a file is opened and refuse it when it is read.
                Err(Error::Os { source, .. }) if refuses_direct(&source) => {
                    direct = Err(format!("the file system refuses direct reads: {source}"));
                }
                Err(other) => return Err(other),
            }
        }
        if let Some(best) = trials.first() {
            let fits = best.gb_per_s * 1e9 * options.load_time.as_secs_f64();
            let before = set.shards.len();
            set = set.within(fits as u64);
            if set.shards.len() < before {
                drop(memory);
                let clock = Instant::now();
                memory = memory_for(&set, PLAIN_BLOCK, align)?;
                prefault_s = clock.elapsed().as_secs_f64();
            }
        }
        let (block_bytes, depth) =
            trials.first().map_or((PLAIN_BLOCK, 1), |best| (best.block_bytes, best.depth));
        reader.limit(depth);
        let clock = Instant::now();
        reader.register([&mut memory]);
        let register_s = clock.elapsed().as_secs_f64();
        let ladder = ladder::probe(&first, align, device.disk_name().as_deref());
        let lengths: Vec<u64> = set.shards.iter().map(|s| s.header.file_bytes).collect();
        Ok(Rc::new(Self {
            cut: Blocks::whole_files(&lengths, block_bytes, align),
            set,
            device,
            direct,
            block_bytes,
            depth,
            trials,
            reader: RefCell::new(reader),
            memory: RefCell::new(memory),
            pipeline: RefCell::new(None),
            ladder,
            prefault_s,
            register_s,
            hashes,
        }))
    }

    /// Makes the pipeline's slots, unless they are there.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn make_pipeline(&self) -> Result<()> {
        let mut pipeline = self.pipeline.borrow_mut();
        if pipeline.is_none() {
            let slot_bytes = (SLOT_DEPTHS * self.depth * self.block_bytes).max(SMALLEST_SLOT);
            *pipeline = Some(Pipeline::new(SLOTS, slot_bytes, self.depth)?);
        }
        Ok(())
    }

    /// Loads `files` through slots into the memory.
    ///
    /// # Errors
    /// When there is no memory for slots, or a read fails.
    pub fn pipelined(&self, files: &[File]) -> Result<Times> {
        self.make_pipeline()?;
        let mut pipeline = self.pipeline.borrow_mut();
        let mut memory = self.memory.borrow_mut();
        let run = pipeline.as_mut().map_or(Ok(Times::default()), |pipeline| {
            pipeline.run(files, &self.cut, &mut Copy(memory.as_mut_slice()))
        });
        run.map_err(|failure| {
            *pipeline = None; // its slots may be lost
            match failure {
                Failure::Read(fault) => self.explain(fault),
                Failure::Consume(error) => error,
            }
        })
    }

    /// The device's best raw read.
    pub fn ceiling(&self) -> Option<Ceiling> {
        self.trials.first().map(|best| Ceiling {
            value: best.gb_per_s,
            origin: Origin::Measured,
            source: format!(
                "best raw sequential direct read of the same files: {}, blocks of {} KiB, {} in flight",
                self.reader.borrow().path(),
                best.block_bytes >> 10,
                best.depth
            ),
        })
    }

    /// XXH3 of each shard: from when it was written, or from a buffered read now.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub fn hashes(&self) -> Result<&[u64]> {
        if self.hashes.get().is_none() {
            let hashes = self.set.shards.iter().map(|shard| hash_file(&shard.path));
            let _ = self.hashes.set(hashes.collect::<Result<_>>()?); // was empty a moment ago, one thread
        }
        Ok(self.hashes.get().map_or(&[], Vec::as_slice))
    }

    /// A fault as an error that names the file and what to do.
    pub fn explain(&self, fault: Fault) -> Error {
        let Some(shard) = self.set.shards.get(fault.file) else {
            return Error::os("can't read the model", fault.error, "Report this as a bug");
        };
        if fault.error.kind() == std::io::ErrorKind::UnexpectedEof {
            return shrank(&shard.path, shard.header.file_bytes);
        }
        Error::path(&format!("read at byte {} of", fault.offset), &shard.path, fault.error)
    }
}

/// The error of a file that is not as long as its header said.
pub fn shrank(path: &Path, expected: u64) -> Error {
    let now = path.metadata().map_or("fewer".into(), |m| m.len().to_string());
    Error::input(
        format!("{} has {now} bytes, but had {expected} when the load began", path.display()),
        "Load again when nothing else writes to the directory",
    )
}

/// Opens `path` for direct reads.
///
/// # Errors
/// When it can't be opened.
pub fn open_direct(path: &Path) -> Result<File> {
    let opened = File::options().read(true).custom_flags(libc::O_DIRECT).open(path);
    opened.map_err(|e| Error::path("open for direct reads", path, e))
}

/// Alignment of direct reads of `path`, or why the file system refuses them.
fn direct_alignment(path: &Path) -> Result<u64, String> {
    let opened = File::options().read(true).custom_flags(libc::O_DIRECT).open(path);
    let file = opened.map_err(|e| format!("the file system refuses direct I/O: {e}"))?;
    alignment::direct(&file).ok_or_else(|| "the file system has no direct I/O".to_owned())
}

/// Whether a read failed because it was a direct one.
fn refuses_direct(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

/// Memory for the whole set with every page touched.
fn memory_for(set: &ShardSet, block: usize, align: u64) -> Result<Buffer> {
    let lengths: Vec<u64> = set.shards.iter().map(|s| s.header.file_bytes).collect();
    let bytes = Blocks::whole_files(&lengths, block, align).memory;
    let mut memory = Buffer::new(bytes, Pages::Transparent)?;
    memory.as_mut_slice::<u8>().fill(POISON);
    Ok(memory)
}

fn calibrate(
    set: &ShardSet,
    reader: &mut Direct,
    memory: &mut Buffer,
    align: u64,
    load_time: Duration,
) -> Result<Vec<Trial>> {
    let files = set.shards.iter().map(|s| open_direct(&s.path)).collect::<Result<Vec<_>>>()?;
    let lengths: Vec<u64> = set.shards.iter().map(|s| s.header.file_bytes).collect();
    reader.register([&mut *memory]);
    let mut calibration =
        Calibration { reader, files: &files, lengths: &lengths, memory, align, cursor: 0 };
    calibration.run((load_time / TRIALS_A_LOAD).min(LONGEST_TRIAL)).map_err(|fault| {
        let path = set.shards.get(fault.file).map_or(Path::new("the model"), |s| &s.path);
        Error::path("read", path, fault.error)
    })
}

fn hash_file(path: &Path) -> Result<u64> {
    let read = || {
        let mut file = File::open(path)?;
        let (mut hash, mut chunk) = (Xxh3::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hash.digest()),
                bytes => hash.update(&chunk[..bytes]),
            }
        }
    };
    read().map_err(|e| Error::path("read", path, e))
}
