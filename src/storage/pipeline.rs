//! Disk to a destination that is not read into directly: slots are filled and emptied at the same time.
//!
//! A slot is memory that belongs to one side at a time: the reader fills it and hands it over; the consumer moves its
//! content on (a copy in RAM, a transfer to a GPU) and hands it back when that has *finished*. Since the slot itself
//! changes hands, it can't be filled again while the consumer still reads it.

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::read::{Block, Blocks, Direct, Fault};
use crate::host::{Buffer, Pages};
use crate::{Error, Result};

/// Fewest slots: one is filled while the other is emptied.
pub const FEWEST_SLOTS: usize = 2;

/// Takes what was read to where it is wanted.
pub trait Consumer: Send {
    /// Moves `bytes`, which belong at `block.at`, and returns when they are no longer needed where they are.
    ///
    /// # Errors
    /// When they can't be moved; the load ends.
    fn consume(&mut self, block: &Block, bytes: &[u8]) -> Result<()>;
}

/// Copies into memory.
pub struct Copy<'a>(pub &'a mut [u8]);

impl Consumer for Copy<'_> {
    fn consume(&mut self, block: &Block, bytes: &[u8]) -> Result<()> {
        let target = self.0.get_mut(block.at..block.at + bytes.len());
        let target =
            target.ok_or_else(|| Error::Wrong("a block lies outside the destination".into()))?;
        target.copy_from_slice(bytes);
        Ok(())
    }
}

/// Memory that changes hands, with the blocks that it holds: each by its place in the destination.
struct Slot {
    memory: Buffer,
    blocks: Vec<(Block, usize)>,
}

/// Slots and the reader that fills them.
pub struct Pipeline {
    reader: Direct,
    slots: Vec<Slot>,
    slot_bytes: usize,
}

/// Seconds of the two sides of a load, and of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// Reading, without waiting for a free slot.
    pub read_s: f64,
    /// Moving on, without waiting for a full slot.
    pub consume_s: f64,
    /// First read to last move.
    pub total_s: f64,
}

impl Times {
    /// The slower side over the whole: 1 when the other side is hidden behind it entirely.
    pub fn overlap_efficiency(self) -> f64 {
        self.read_s.max(self.consume_s) / self.total_s
    }
}

/// Why a load ended early.
pub enum Failure {
    /// A read failed.
    Read(Fault),
    /// The consumer failed.
    Consume(Error),
}

impl Pipeline {
    /// `slots` slots (at least two) of `slot_bytes`, filled with up to `depth` reads in flight.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(slots: usize, slot_bytes: usize, depth: usize) -> Result<Self> {
        let slot = |_| {
            let mut memory = Buffer::new(slot_bytes, Pages::Transparent)?;
            memory.as_mut_slice::<u8>().fill(0); // touched now, not while it is read into
            Ok(Slot { memory, blocks: Vec::new() })
        };
        let mut slots = (0..slots.max(FEWEST_SLOTS)).map(slot).collect::<Result<Vec<_>>>()?;
        let mut reader = Direct::new(depth);
        reader.register(slots.iter_mut().map(|slot| &mut slot.memory));
        Ok(Self { reader, slots, slot_bytes })
    }

    /// Which code reads.
    pub fn path(&self) -> String {
        format!("{}+{} slots", self.reader.path(), self.slots.len())
    }

    /// Reads everything in `cut` from `files` and hands it to `consumer`, slot by slot.
    ///
    /// # Errors
    /// The first failure of either side; both have stopped when it is returned.
    pub fn run(
        &mut self,
        files: &[File],
        cut: &Blocks,
        consumer: &mut impl Consumer,
    ) -> Result<Times, Failure> {
        if self.slots.len() < FEWEST_SLOTS {
            let lost = "an earlier failure took slots of the pipeline; make a new one";
            return Err(Failure::Consume(Error::Unavailable(lost.into())));
        }
        let clock = Instant::now();
        let (full, filled) = channel::<Slot>();
        let (free, emptied) = channel::<Slot>();
        for slot in self.slots.drain(..) {
            let _ = free.send(slot); // its receiver lives to the end of this function
        }
        let mut times = Times::default();
        let (read, consumed) = std::thread::scope(|scope| {
            let side = scope.spawn(move || empty(filled, free, consumer));
            let read =
                fill(&mut self.reader, files, cut, self.slot_bytes, &emptied, full, &mut times);
            (read, side.join())
        });
        times.total_s = clock.elapsed().as_secs_f64();
        self.slots.extend(emptied.try_iter());
        read.map_err(Failure::Read)?;
        let consumed = consumed.map_err(|_| {
            Failure::Consume(Error::Wrong("the consumer of the load panicked".into()))
        })?;
        times.consume_s = consumed.map_err(Failure::Consume)?;
        Ok(times)
    }
}

/// The reading side: ends early without an error when the other side has gone.
fn fill(
    reader: &mut Direct,
    files: &[File],
    cut: &Blocks,
    slot_bytes: usize,
    emptied: &Receiver<Slot>,
    full: Sender<Slot>,
    times: &mut Times,
) -> Result<(), Fault> {
    let mut rest = &cut.blocks[..];
    while !rest.is_empty() {
        let Ok(mut slot) = emptied.recv() else { return Ok(()) };
        let clock = Instant::now();
        let mut used = 0;
        slot.blocks.clear();
        for block in rest {
            if used + block.asked > slot_bytes {
                break;
            }
            slot.blocks.push((*block, used));
            used += block.asked;
        }
        if slot.blocks.is_empty() {
            let error = std::io::ErrorKind::InvalidInput.into(); // a block is longer than a slot
            return Err(Fault { file: rest[0].file, offset: rest[0].offset, error });
        }
        rest = &rest[slot.blocks.len()..];
        let here: Vec<Block> =
            slot.blocks.iter().map(|&(block, at)| Block { at, ..block }).collect();
        reader.read(files, &here, &mut slot.memory, cut.align)?;
        times.read_s += clock.elapsed().as_secs_f64();
        if full.send(slot).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The consuming side; seconds that it was busy.
fn empty(
    filled: Receiver<Slot>,
    free: Sender<Slot>,
    consumer: &mut impl Consumer,
) -> Result<f64, Error> {
    let mut busy = 0.0;
    for slot in filled {
        let clock = Instant::now();
        for (block, at) in &slot.blocks {
            consumer.consume(block, &slot.memory.as_slice::<u8>()[*at..at + block.bytes])?;
        }
        busy += clock.elapsed().as_secs_f64();
        let _ = free.send(slot); // the reader may have ended on an error of its own
    }
    Ok(busy)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::{RngCore, SeedableRng};

    use super::*;

    /// Two files of random bytes, and their content.
    fn files() -> (tempfile::TempDir, Vec<File>, Vec<Vec<u8>>) {
        let dir = tempfile::tempdir_in(".").unwrap();
        let mut random = rand_pcg::Mcg128Xsl64::seed_from_u64(5);
        let make = |(i, bytes): (usize, usize)| {
            let mut content = vec![0; bytes];
            random.fill_bytes(&mut content);
            let path = dir.path().join(i.to_string());
            std::fs::write(&path, &content).unwrap();
            (File::open(path).unwrap(), content)
        };
        let (files, contents) = [700_001, 1_300_000].into_iter().enumerate().map(make).unzip();
        (dir, files, contents)
    }

    fn cut(contents: &[Vec<u8>]) -> Blocks {
        let lengths: Vec<u64> = contents.iter().map(|c| c.len() as u64).collect();
        Blocks::whole_files(&lengths, 1 << 15, 512)
    }

    /// Looks at the bytes only after a while, as a transfer that is still under way would.
    struct Late<C>(C, u32);

    impl<C: Consumer> Consumer for Late<C> {
        fn consume(&mut self, block: &Block, bytes: &[u8]) -> Result<()> {
            if self.1 > 0 {
                self.1 -= 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            self.0.consume(block, bytes)
        }
    }

    #[test]
    fn a_slot_is_not_filled_again_before_its_consumer_is_done() {
        let (_dir, files, contents) = files();
        let cut = cut(&contents);
        let mut pipeline = Pipeline::new(1, 1 << 17, 4).unwrap();
        assert_eq!(pipeline.slots.len(), FEWEST_SLOTS);
        for delays in [0, 12] {
            let mut target = vec![0xa5; cut.memory];
            let mut late = Late(Copy(&mut target), delays);
            let Ok(times) = pipeline.run(&files, &cut, &mut late) else { panic!("it loads") };
            for (content, &at) in contents.iter().zip(&cut.placements) {
                assert!(target[at..at + content.len()] == content[..], "{delays} delays");
            }
            assert!(times.total_s >= times.read_s.max(times.consume_s));
            assert!(times.consume_s >= 0.02 * f64::from(delays));
            assert_eq!(pipeline.slots.len(), FEWEST_SLOTS, "slots come back");
        }
    }

    /// Fails after some blocks.
    struct Failing(u32);

    impl Consumer for Failing {
        fn consume(&mut self, _: &Block, _: &[u8]) -> Result<()> {
            self.0 -= 1;
            if self.0 == 0 { Err(Error::Unavailable("device lost".into())) } else { Ok(()) }
        }
    }

    #[test]
    fn a_failure_on_either_side_ends_the_load() {
        let (_dir, files, contents) = files();
        let mut pipeline = Pipeline::new(2, 1 << 17, 4).unwrap();
        let failure = pipeline.run(&files, &cut(&contents), &mut Failing(7)).err();
        assert!(matches!(failure, Some(Failure::Consume(Error::Unavailable(_)))));

        let mut longer = contents.clone();
        longer[1].push(0);
        let mut target = vec![0; cut(&longer).memory];
        let mut pipeline = Pipeline::new(2, 1 << 17, 4).unwrap();
        let failure = pipeline.run(&files, &cut(&longer), &mut Copy(&mut target)).err();
        let Some(Failure::Read(fault)) = failure else { panic!("the file is too short") };
        assert_eq!((fault.file, fault.error.kind()), (1, std::io::ErrorKind::UnexpectedEof));

        let mut small = Pipeline::new(2, 1 << 10, 4).unwrap();
        let failure = small.run(&files, &cut(&contents), &mut Copy(&mut target)).err();
        assert!(matches!(failure, Some(Failure::Read(_))), "a block longer than a slot");
        let again = small.run(&files, &cut(&contents), &mut Copy(&mut target)).err();
        assert!(matches!(again, Some(Failure::Consume(_))), "without slots it would wait for ever");
    }
}
