//! Moves bytes of files into memory: what to read is a list of [`Block`]s, how is a [`Queue`].
//!
//! [`drive`] is the one loop that keeps a queue full, goes on after short reads and turns every fault into an error;
//! it is generic over the queue so that tests can inject faults, and so that io_uring ([`ring`]) and blocking reads
//! ([`pread`]) share it. [`mapped`] reads through `mmap` instead.

pub mod blocks;
mod direct;
mod drive;
pub mod ladder;
pub mod mapped;
pub mod pread;
mod refusal;
pub mod ring;
mod sigbus;
#[cfg(test)]
mod tests;

pub use blocks::{Block, Blocks};
pub use direct::Direct;
pub use drive::{Completion, Fault, Queue, Read, drive};
pub use refusal::Refusal;
