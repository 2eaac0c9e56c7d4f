//! What the load metrics share: the shard set, its device, memory for all of it, and the device's ceiling.

use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3;

use super::calibrate::{InFlight, MAX_DEPTH, Pieces, Trial, calibrate};
use super::options::Options;
use super::place::{Memory, Place};
use crate::host::{Buffer, Root, pages};
use crate::storage::layout::directory::read_header;
use crate::storage::layout::{Plan, ShardSet};
use crate::storage::read::ladder::{self, IOPOLL, Rung};
use crate::storage::read::ring::Polling;
use crate::storage::read::{Block, Blocks, Fault, Reader};
use crate::storage::{alignment, cold, device::Device, synthetic};
use crate::{Error, Result};

/// Largest part of the free memory that a set may take: the set itself, a destination that it is moved to, and the page
/// cache may hold it at the same time.
const MEMORY_SHARE: u64 = 4;

/// What is in flight where calibration is impossible.
const PLAIN: InFlight = InFlight { block_bytes: 1 << 20, depth: 1, threads: 1 };

/// Longest time of one calibration trial.
const LONGEST_TRIAL: Duration = Duration::from_millis(250);

/// Trials that fit into the time of one load.
const TRIALS_A_LOAD: u32 = 4;

/// Times that headers are parsed to learn how long that takes.
const PARSES: usize = 3;

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
    /// What is in flight.
    pub in_flight: InFlight,
    /// Calibration, the best trial first; empty without direct reads.
    pub trials: Vec<Trial>,
    /// The set, cut into blocks.
    pub cut: Blocks,
    /// Where threads and memory belong.
    pub place: Place,
    /// How the reader polls, if at all.
    pub polling: Polling,
    /// Direct reader, calibrated.
    pub reader: RefCell<Reader>,
    /// Memory for the whole set.
    pub memory: RefCell<Buffer>,
    /// The node that the memory is bound to.
    pub memory_node: Option<usize>,
    /// What the memory should have been and could not.
    pub memory_refused: Vec<String>,
    /// Every way of reading that was tried, best first.
    pub ladder: Vec<Rung>,
    /// Seconds to parse every header when it is cached: what the number of tensors costs.
    pub parse_s: f64,
    /// Seconds to allocate the memory and touch every page.
    pub prefault_s: f64,
    /// Seconds to register the memory with the rings.
    pub register_s: f64,
    /// About how long one load may take.
    pub load_time: Duration,
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
                let layout = options.layouts.first().unwrap_or(&synthetic::Model::ALL[0]);
                let made = synthetic::obtain(&options.cache, layout, budget)?;
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
        let place = Place::near(&device)?;
        let mut direct = direct_alignment(&first);
        let align = direct.as_ref().copied().unwrap_or(alignment::ASSUMED);
        let ladder = ladder::probe(&first, align, device.disk_name().as_deref());
        let polling = allowed(options.polling, &ladder);

        let (mut memory, mut prefault_s) = memory_for(&set, align, &place)?;
        let mut trials = Vec::new();
        if direct.is_ok() {
            for shard in &set.shards {
                let _ = cold::drop_cache(&shard.path); // made sure of, and proved, before each load
            }
            match search(&set, &place, polling, &mut memory.buffer, align, options.load_time) {
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
                (memory, prefault_s) = memory_for(&set, align, &place)?;
            }
        }
        let in_flight = trials.first().map_or(PLAIN, |best| best.in_flight);
        let mut reader = Reader::new(&place.cpus[..in_flight.threads], in_flight.depth, polling)?;
        let Memory { buffer: mut memory, node: memory_node, refused: memory_refused } = memory;
        let clock = Instant::now();
        reader.register([&mut memory]);
        let register_s = clock.elapsed().as_secs_f64();
        let parse_s = parse(&set)?;
        Ok(Rc::new(Self {
            parse_s,
            cut: Blocks::whole_files(&lengths(&set), in_flight.block_bytes, align),
            set,
            device,
            direct,
            in_flight,
            trials,
            place,
            polling,
            reader: RefCell::new(reader),
            memory: RefCell::new(memory),
            memory_node,
            memory_refused,
            ladder,
            prefault_s,
            register_s,
            load_time: options.load_time,
            hashes,
        }))
    }

    /// Lengths of the shards.
    pub fn lengths(&self) -> Vec<u64> {
        lengths(&self.set)
    }

    /// Reads `blocks` of `files` into the memory by direct reads.
    ///
    /// # Errors
    /// The first fault, explained.
    pub fn read(&self, files: &[File], blocks: &[Block]) -> Result<()> {
        let mut reader = self.reader.borrow_mut();
        let read = reader.open(files, self.cut.align).read(blocks, &mut self.memory.borrow_mut());
        read.map_err(|fault| self.explain(fault))
    }

    /// Opens every shard for direct reads.
    ///
    /// # Errors
    /// When one can't be opened.
    pub fn open_all(&self) -> Result<Vec<File>> {
        self.set.shards.iter().map(|shard| open_direct(&shard.path)).collect()
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

/// `asked`, unless the host refuses to poll for completions: the ladder says so.
fn allowed(asked: Polling, ladder: &[Rung]) -> Polling {
    let refused = ladder.iter().any(|rung| rung.name == IOPOLL && rung.refused.is_some());
    if asked == Polling::Completions && refused { Polling::None } else { asked }
}

/// Seconds to parse every header of `set`: the shortest of some tries, since the first may find one that is not cached.
fn parse(set: &ShardSet) -> Result<f64> {
    let mut shortest = f64::INFINITY;
    for _ in 0..PARSES {
        let clock = Instant::now();
        set.shards.iter().try_for_each(|shard| read_header(&shard.path).map(drop))?;
        shortest = shortest.min(clock.elapsed().as_secs_f64());
    }
    Ok(shortest)
}

fn lengths(set: &ShardSet) -> Vec<u64> {
    set.shards.iter().map(|shard| shard.header.file_bytes).collect()
}

/// Memory for the whole set with every page touched, and the seconds that took.
fn memory_for(set: &ShardSet, align: u64, place: &Place) -> Result<(Memory, f64)> {
    // Tensor by tensor there are more heads and tails that have to be aligned.
    let bytes = [Plan::WholeShards, Plan::TensorByTensor]
        .map(|plan| Blocks::cut(&plan.extents(set), PLAIN.block_bytes, align).memory);
    let bytes = bytes[0].max(bytes[1]);
    let clock = Instant::now();
    let memory = Memory::new(bytes, place.node, POISON)?;
    Ok((memory, clock.elapsed().as_secs_f64()))
}

/// Finds out what has to be in flight, with a reader of every thread that there may be.
fn search(
    set: &ShardSet,
    place: &Place,
    polling: Polling,
    memory: &mut Buffer,
    align: u64,
    load_time: Duration,
) -> Result<Vec<Trial>> {
    let files = set.shards.iter().map(|s| open_direct(&s.path)).collect::<Result<Vec<_>>>()?;
    let mut reader = Reader::new(&place.cpus, MAX_DEPTH, polling)?;
    reader.register([&mut *memory]);
    let mut pieces = Pieces::new(lengths(set), align);
    let trial_time = (load_time / TRIALS_A_LOAD).min(LONGEST_TRIAL);
    let most_threads = place.cpus.len();
    calibrate(&mut reader, most_threads, &files, &mut pieces, memory, trial_time).map_err(|fault| {
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
