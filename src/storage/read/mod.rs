//! Moves bytes of files into memory: what to read is a list of [`Block`]s, how is a [`Queue`].
//!
//! [`drive`] is the one loop that keeps a queue full, goes on after short reads and turns every fault into an error;
//! it is generic over the queue so that tests can inject faults, and so that io_uring ([`ring`]) and blocking reads
//! ([`pread`]) share it. [`Reader`] does so on several threads; [`mapped`] reads through `mmap` instead.

pub mod blocks;
mod drive;
pub mod ladder;
pub mod mapped;
pub mod pread;
mod reader;
mod refusal;
pub mod ring;
mod sigbus;
#[cfg(test)]
mod tests;

pub use blocks::{Block, Blocks};
pub use drive::{Completion, Each, Fault, Next, Queue, Read, Source, drive};
pub use reader::{Latencies, Reader, Session, histogram};
pub use refusal::Refusal;
