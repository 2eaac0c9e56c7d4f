//! Disk to a destination that is not read into directly: slots are filled and emptied at the same time.
//!
//! A slot holds one block and belongs to one side at a time: the reader fills it and hands it over; the destination
//! takes its content (a copy in RAM, a transfer to a GPU) and hands it back when that has *finished*. The slot's number
//! is the right to use it: it is in one channel or in one hand, so a slot can't be filled again while its content is
//! still being taken. Slots are blocks, so that the device's queue never runs empty while one is free.

use std::any::Any;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::read::{Block, Blocks, Fault, Next, Reader, Source};
use crate::host::{Buffer, Census, Destination, Disjoint, Piece};
use crate::{Error, Result};

/// Fewest slots: one is filled while the other is emptied.
pub const FEWEST_SLOTS: usize = 2;

/// Slots and the reader that fills them.
pub struct Pipeline {
    /// What the destination did to the memory; undone before the memory goes.
    _attached: Box<dyn Any + Send>,
    reader: Reader,
    memory: Buffer,
    slots: usize,
    slot_bytes: usize,
    /// Seconds to prepare the memory for the destination and for the reader.
    pub register_s: f64,
}

/// Seconds of a load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// The destination was busy.
    pub take_s: f64,
    /// First read to last move.
    pub total_s: f64,
}

/// Why a load ended early.
#[derive(Debug)]
pub enum Failure {
    /// A read failed.
    Read(Fault),
    /// The destination failed.
    Take(Error),
}

impl Pipeline {
    /// Cuts `memory` into slots of `slot_bytes` (at least two), which `reader` fills and `destination` empties.
    ///
    /// # Errors
    /// When the memory is too small, or can't be prepared for the destination.
    pub fn new(
        mut reader: Reader,
        mut memory: Buffer,
        slot_bytes: usize,
        destination: &mut dyn Destination,
    ) -> Result<Self> {
        let slots = memory.len() / slot_bytes.max(1);
        if slots < FEWEST_SLOTS {
            return Err(Error::Unavailable(format!(
                "{} bytes of memory make fewer than {FEWEST_SLOTS} slots of {slot_bytes}",
                memory.len()
            )));
        }
        memory.as_mut_slice::<u8>().fill(0); // touched now, not while it is read into
        let clock = Instant::now();
        let attached = destination.attach(&mut memory)?;
        reader.register([&mut memory]);
        let register_s = clock.elapsed().as_secs_f64();
        Ok(Self { _attached: attached, reader, memory, slots, slot_bytes, register_s })
    }

    /// Which code reads.
    pub fn path(&self) -> String {
        format!("{}+{} slots", self.reader.path(), self.slots)
    }

    /// Where the slots are.
    pub fn census(&self) -> Census {
        self.memory.census()
    }

    /// CPUs that the reader's threads were found on.
    pub fn cpus_seen(&self) -> Vec<usize> {
        self.reader.cpus_seen()
    }

    /// Reads everything in `cut` from `files` and moves it to `destination`.
    ///
    /// # Errors
    /// The first failure of either side; both have stopped when it is returned.
    pub fn run(
        &mut self,
        files: &[File],
        cut: &Blocks,
        destination: &mut dyn Destination,
    ) -> Result<Times, Failure> {
        if let Some(block) = cut.blocks.iter().find(|block| block.asked > self.slot_bytes) {
            let error = std::io::ErrorKind::InvalidInput.into();
            return Err(Failure::Read(Fault { file: block.file, offset: block.offset, error }));
        }
        let (free, emptied) = channel::<usize>();
        for slot in 0..self.slots {
            let _ = free.send(slot); // its receiver lives to the end of this function
        }
        let emptied = Mutex::new(emptied);
        let (full, filled) = channel::<Filled>();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let memory = Disjoint::new(self.memory.as_mut_slice());
        let (slots, slot_bytes) = (self.slots, self.slot_bytes);
        let clock = Instant::now();
        let (read, taken) = std::thread::scope(|scope| {
            let (memory, stop, emptied) = (&memory, &stop, &emptied);
            let taker = scope.spawn(move || empty(memory, slot_bytes, &filled, free, destination));
            let mut session = self.reader.open(files, cut.align);
            let read = session.each(memory, stop, |_| Slots {
                blocks: &cut.blocks,
                next: &next,
                stop,
                slot_bytes,
                emptied,
                full: full.clone(),
                places: vec![0; slots],
            });
            let read = read.map(drop);
            drop(full); // the last sender: now the other side ends
            (read, taker.join())
        });
        let total_s = clock.elapsed().as_secs_f64();
        read.map_err(Failure::Read)?;
        let taken = taken.map_err(|_| {
            Failure::Take(Error::Wrong("the destination of the load panicked".into()))
        })?;
        Ok(Times { take_s: taken.map_err(Failure::Take)?, total_s })
    }

    /// Seconds to move everything in `cut` to `destination` out of slots that are full already: the load without its
    /// reads. What arrives is what the slots last held.
    ///
    /// # Errors
    /// When the destination fails.
    pub fn take_only(&self, cut: &Blocks, destination: &mut dyn Destination) -> Result<f64> {
        let bytes = self.memory.as_slice::<u8>();
        let clock = Instant::now();
        for group in cut.blocks.chunks(self.slots) {
            let pieces: Vec<Piece<'_>> = (group.iter().enumerate())
                .map(|(slot, block)| {
                    let start = slot * self.slot_bytes;
                    Piece { bytes: &bytes[start..start + block.bytes], at: block.at }
                })
                .collect();
            destination.take(&pieces)?;
        }
        Ok(clock.elapsed().as_secs_f64())
    }
}

/// A slot whose block has arrived.
struct Filled {
    slot: usize,
    /// Where the block belongs in the destination.
    at: usize,
    bytes: usize,
}

/// Longest time that a thread waits for a slot before it looks whether it is still needed.
const PATIENCE: Duration = Duration::from_millis(5);

/// One thread's source of blocks: each goes into a free slot.
struct Slots<'a> {
    blocks: &'a [Block],
    next: &'a AtomicUsize,
    stop: &'a AtomicBool,
    slot_bytes: usize,
    emptied: &'a Mutex<Receiver<usize>>,
    full: Sender<Filled>,
    /// Where in the destination the block in each slot belongs.
    places: Vec<usize>,
}

impl Slots<'_> {
    /// A free slot, if there is one now or, with `wait`, soon.
    fn slot(&self, wait: bool) -> Result<usize, TryRecvError> {
        if !wait {
            // Whoever holds the lock waits for a slot: there is none.
            return self.emptied.try_lock().map_or(Err(TryRecvError::Empty), |e| e.try_recv());
        }
        let emptied = self.emptied.lock().unwrap_or_else(PoisonError::into_inner);
        emptied.recv_timeout(PATIENCE).map_err(|e| match e {
            RecvTimeoutError::Timeout => TryRecvError::Empty,
            RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl Source for Slots<'_> {
    fn next(&mut self, wait: bool) -> Next {
        loop {
            let left = self.next.load(Ordering::Relaxed) < self.blocks.len();
            if !left || self.stop.load(Ordering::Relaxed) {
                return Next::End;
            }
            let slot = match self.slot(wait) {
                Ok(slot) => slot,
                Err(TryRecvError::Empty) if wait => continue,
                Err(TryRecvError::Empty) => return Next::Later,
                // The destination has failed and gone.
                Err(TryRecvError::Disconnected) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Next::End;
                }
            };
            // Where another thread took the last block, the slot is not needed any more.
            let block = self.blocks.get(self.next.fetch_add(1, Ordering::Relaxed));
            return block.map_or(Next::End, |&block| {
                self.places[slot] = block.at;
                Next::Block(Block { at: slot * self.slot_bytes, ..block })
            });
        }
    }

    fn arrived(&mut self, block: &Block, _took: Duration) {
        let slot = block.at / self.slot_bytes;
        let filled = Filled { slot, at: self.places[slot], bytes: block.bytes };
        let _ = self.full.send(filled); // the destination may have failed and gone
    }
}

/// The side of the destination: takes what is there, gives the slots back; seconds that it was busy.
fn empty(
    memory: &Disjoint<'_, u8>,
    slot_bytes: usize,
    filled: &Receiver<Filled>,
    free: Sender<usize>,
    destination: &mut dyn Destination,
) -> Result<f64> {
    let mut busy = Duration::ZERO;
    while let Ok(first) = filled.recv() {
        let group: Vec<Filled> = std::iter::once(first).chain(filled.try_iter()).collect();
        let clock = Instant::now();
        let piece = |filled: &Filled| {
            let start = filled.slot * slot_bytes;
            // SAFETY: a slot that was handed over is read into by nobody until its number is sent back.
            let bytes = unsafe { memory.slice(start..start + filled.bytes) };
            Piece { bytes, at: filled.at }
        };
        destination.take(&group.iter().map(piece).collect::<Vec<_>>())?;
        busy += clock.elapsed();
        for filled in group {
            let _ = free.send(filled.slot); // the reader may have ended on an error of its own
        }
    }
    Ok(busy.as_secs_f64())
}

#[cfg(test)]
mod tests;
