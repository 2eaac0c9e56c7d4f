//! The loop that keeps a queue of reads full until every block has arrived or something is wrong.

use std::io;
use std::time::{Duration, Instant};

use super::blocks::Block;

/// Times a read is tried again after `EAGAIN` or `EINTR` before that counts as an error.
const RETRIES: u32 = 1000;

/// One read that is asked of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Index of the file.
    pub file: usize,
    /// Offset in the file.
    pub offset: u64,
    /// Offset in memory.
    pub at: usize,
    /// Most bytes to read.
    pub bytes: usize,
}

/// The answer to a read: its tag, and the bytes read or a negated errno, as io_uring gives it.
pub type Completion = (usize, i64);

/// Somewhere reads can be queued.
pub trait Queue {
    /// Most reads in flight.
    fn depth(&self) -> usize;

    /// What file offsets have to be aligned to.
    fn align(&self) -> usize;

    /// Queues `read`; called only while fewer than [`Self::depth`] are in flight.
    ///
    /// # Errors
    /// When the queue does not take it; it is then not in flight.
    fn push(&mut self, tag: usize, read: Read) -> io::Result<()>;

    /// Submits what was pushed, waits for at least one of the reads in flight, and appends what has completed.
    ///
    /// # Errors
    /// When the queue itself is broken.
    fn wait(&mut self, done: &mut Vec<Completion>) -> io::Result<()>;
}

/// What a source answers when it is asked for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This one.
    Block(Block),
    /// None now, perhaps after some of those in flight have arrived.
    Later,
    /// None any more.
    End,
}

/// Where the blocks to be read come from, and who is told when one has arrived.
pub trait Source {
    /// The next block. When nothing is in flight `wait` is true, and it waits until it knows: then it does not answer
    /// [`Next::Later`].
    fn next(&mut self, wait: bool) -> Next;

    /// `block` is in memory, `took` after it was queued.
    fn arrived(&mut self, block: &Block, took: Duration);
}

/// The blocks of an iterator, with nobody to be told.
pub struct Each<I>(pub I);

impl<I: Iterator<Item = Block>> Source for Each<I> {
    fn next(&mut self, _wait: bool) -> Next {
        self.0.next().map_or(Next::End, Next::Block)
    }

    fn arrived(&mut self, _block: &Block, _took: Duration) {}
}

/// What went wrong with a block.
#[derive(Debug)]
pub struct Fault {
    /// Index of its file.
    pub file: usize,
    /// Offset in the file.
    pub offset: u64,
    /// `UnexpectedEof` when the file ended, else the operating system's answer.
    pub error: io::Error,
}

/// A block in flight.
struct Flight {
    block: Block,
    /// Bytes that have arrived and need not be read again.
    done: usize,
    retries: u32,
    queued: Instant,
}

/// Reads every block of `source` through `queue`.
///
/// # Errors
/// The first fault; no read is in flight any more when it is returned, unless the queue itself broke.
pub fn drive(queue: &mut impl Queue, source: &mut impl Source) -> Result<(), Fault> {
    let mut flights: Vec<Option<Flight>> = (0..queue.depth().max(1)).map(|_| None).collect();
    let mut free: Vec<usize> = (0..flights.len()).rev().collect();
    let mut done = Vec::with_capacity(flights.len());
    let mut fault = None;
    loop {
        let mut ended = fault.is_some();
        while !ended && let Some(tag) = free.pop() {
            let idle = free.len() + 1 == flights.len();
            let block = match source.next(idle) {
                Next::Block(block) => block,
                other => {
                    free.push(tag);
                    ended = other == Next::End;
                    break;
                }
            };
            match push(queue, tag, Flight { block, done: 0, retries: 0, queued: Instant::now() }) {
                Ok(flight) => flights[tag] = Some(flight),
                Err(error) => {
                    free.push(tag);
                    fault = Some(error);
                    ended = true;
                }
            }
        }
        if free.len() == flights.len() {
            if ended {
                return fault.map_or(Ok(()), Err);
            }
            continue;
        }
        if let Err(error) = queue.wait(&mut done) {
            let at =
                flights.iter().flatten().next().map_or((0, 0), |f| (f.block.file, f.block.offset));
            return Err(fault.unwrap_or(Fault { file: at.0, offset: at.1, error }));
        }
        for (tag, result) in done.drain(..) {
            let Some(flight) = flights.get_mut(tag).and_then(Option::take) else { continue };
            let (block, queued) = (flight.block, flight.queued);
            let again = match arrived(flight, result, queue.align()) {
                Ok(Some(flight)) if fault.is_none() => push(queue, tag, flight).map(Some),
                Ok(Some(_)) => Ok(None),
                Ok(None) => {
                    source.arrived(&block, queued.elapsed());
                    Ok(None)
                }
                Err(error) => Err(error),
            };
            match again {
                Ok(Some(flight)) => flights[tag] = Some(flight),
                Ok(None) => free.push(tag),
                Err(error) => {
                    free.push(tag);
                    fault.get_or_insert(error);
                }
            }
        }
    }
}

/// Queues what is left of a block.
fn push(queue: &mut impl Queue, tag: usize, flight: Flight) -> Result<Flight, Fault> {
    let Block { file, offset, at, asked, .. } = flight.block;
    let offset = offset + flight.done as u64;
    let read = Read { file, offset, at: at + flight.done, bytes: asked - flight.done };
    match queue.push(tag, read) {
        Ok(()) => Ok(flight),
        Err(error) => Err(Fault { file, offset, error }),
    }
}

/// What a completion means: the block is there (`None`), or the rest has to be read.
fn arrived(mut flight: Flight, result: i64, align: usize) -> Result<Option<Flight>, Fault> {
    let fault = |flight: &Flight, error| Fault {
        file: flight.block.file,
        offset: flight.block.offset + flight.done as u64,
        error,
    };
    let Ok(bytes) = usize::try_from(result) else {
        let errno = i32::try_from(-result).unwrap_or(libc::EIO);
        let transient = errno == libc::EAGAIN || errno == libc::EINTR;
        if transient && flight.retries < RETRIES {
            flight.retries += 1;
            return Ok(Some(flight));
        }
        return Err(fault(&flight, io::Error::from_raw_os_error(errno)));
    };
    let total = flight.done + bytes;
    if total >= flight.block.bytes {
        return Ok(None);
    }
    // A short read goes on at an aligned offset; without a whole aligned piece the file has ended.
    let resume = total - total % align;
    if resume <= flight.done {
        return Err(fault(&flight, io::ErrorKind::UnexpectedEof.into()));
    }
    flight.done = resume;
    Ok(Some(flight))
}
