//! Order between warps, and the shared-memory accesses that have none.
//!
//! Time is a counter that advances at each release (a barrier arrival, an `mbarrier` arrival, ...). `known[w][v]` is
//! the time up to which everything that warp `v` did happened before what warp `w` does now: vector clocks over one
//! global time. Each 4-byte cell of shared memory remembers who last wrote it and who read it since; an access that
//! conflicts with one that is not known to have happened before is a race.
//!
//! Only true races are reported. What is forgotten (readers of sub-words, all but the earliest of many readers' times)
//! can hide a race, never invent one. Lanes of one warp are not checked against each other.
//!
//! The same bookkeeping tells whether a `fence.proxy.async` stands between a generic write and an asynchronous read.

/// A vector clock: for each warp of the cluster, the time up to which it is known.
pub(super) type Clock = Vec<u32>;

/// Joins `other` into `clock`.
pub(super) fn join(clock: &mut Clock, other: &[u32]) {
    clock.resize(clock.len().max(other.len()), 0);
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

/// Clocks of all warps of a cluster.
pub(super) struct Clocks {
    now: u32,
    known: Vec<Clock>,
}

impl Clocks {
    pub fn new(warps: usize) -> Self {
        Self { now: 1, known: vec![vec![0; warps]; warps] }
    }

    /// Warp `w` publishes all it did and knows into a synchronisation object.
    pub fn release(&mut self, w: usize, into: &mut Clock) {
        self.known[w][w] = self.now;
        self.now += 1;
        join(into, &self.known[w]);
    }

    /// Warp `w` learns what a synchronisation object holds.
    pub fn acquire(&mut self, w: usize, from: &[u32]) {
        join(&mut self.known[w], from);
    }
}

/// Which proxy an access goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    Generic,
    Asynchronous,
}

/// What is known of 4 bytes.
#[derive(Clone, Copy, Default)]
struct Cell {
    written: u32,
    read_first: u32,
    read_last: u32,
    /// Bit of each reading warp of the block.
    readers: u32,
    writer: u16,
    write_bytes: u8,
    read_bytes: u8,
    generic: bool,
}

/// A conflict that no order explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// With a write of this warp (cluster-wide number).
    Write(usize),
    /// With a read of this warp.
    Read(usize),
    /// An asynchronous read of a generic write of this warp, without a proxy fence between.
    Unfenced(usize),
}

/// The cells of one block's shared memory.
pub(super) struct Shadow {
    cells: Vec<Cell>,
    /// Cluster-wide number of the block's first warp.
    first_warp: usize,
    /// For each warp of the cluster, the time up to which its generic writes were fenced.
    fenced: Clock,
}

impl Shadow {
    pub fn new(bytes: usize, first_warp: usize, warps: usize) -> Self {
        Self { cells: vec![Cell::default(); bytes.div_ceil(4)], first_warp, fenced: vec![0; warps] }
    }

    /// `fence.proxy.async` by warp `w`: all that happened before it becomes visible to the asynchronous proxy.
    pub fn fence(&mut self, clocks: &mut Clocks, w: usize) {
        clocks.known[w][w] = clocks.now;
        clocks.now += 1;
        join(&mut self.fenced, &clocks.known[w]);
    }

    fn each_cell(offset: usize, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
        let end = offset + bytes;
        (offset / 4..end.div_ceil(4)).map(move |cell| {
            let from = offset.max(cell * 4) - cell * 4;
            let to = end.min(cell * 4 + 4) - cell * 4;
            (cell, ((1u8 << to) - 1) & !((1u8 << from) - 1))
        })
    }

    /// Warp `w` of this block reads.
    pub fn read(
        &mut self,
        clocks: &Clocks,
        w: usize,
        offset: usize,
        bytes: usize,
        proxy: Proxy,
    ) -> Option<Conflict> {
        let known = &clocks.known[w];
        let bit = 1u32 << ((w - self.first_warp) & 31);
        for (index, mask) in Self::each_cell(offset, bytes) {
            let Some(cell) = self.cells.get_mut(index) else { break };
            let writer = usize::from(cell.writer);
            if cell.write_bytes & mask != 0 {
                if writer != w && cell.written > known[writer] {
                    return Some(Conflict::Write(writer));
                }
                if proxy == Proxy::Asynchronous
                    && cell.generic
                    && cell.written > self.fenced[writer]
                {
                    return Some(Conflict::Unfenced(writer));
                }
            }
            let superseded = cell.readers & !bit == 0
                || cell.read_bytes != mask
                || super::warp::lanes(cell.readers & !bit)
                    .all(|r| cell.read_last <= known[self.first_warp + r]);
            if superseded {
                (cell.readers, cell.read_bytes, cell.read_first) = (bit, mask, clocks.now);
            } else {
                cell.readers |= bit;
            }
            cell.read_last = clocks.now;
        }
        None
    }

    /// Warp `w` of this block writes; `same` says that the bytes do not change, which is no race between writers.
    pub fn write(
        &mut self,
        clocks: &Clocks,
        w: usize,
        offset: usize,
        bytes: usize,
        proxy: Proxy,
        same: bool,
    ) -> Option<Conflict> {
        let known = &clocks.known[w];
        for (index, mask) in Self::each_cell(offset, bytes) {
            let Some(cell) = self.cells.get_mut(index) else { break };
            let writer = usize::from(cell.writer);
            if writer != w && cell.write_bytes & mask != 0 && cell.written > known[writer] && !same
            {
                return Some(Conflict::Write(writer));
            }
            if cell.read_bytes & mask != 0 && !same {
                for r in super::warp::lanes(cell.readers) {
                    let reader = self.first_warp + r;
                    if reader != w && cell.read_first > known[reader] {
                        return Some(Conflict::Read(reader));
                    }
                }
            }
            if writer == w && cell.written == clocks.now {
                cell.write_bytes |= mask;
            } else {
                cell.write_bytes = mask;
            }
            cell.writer = w as u16;
            cell.written = clocks.now;
            cell.generic = proxy == Proxy::Generic;
            cell.readers = 0;
            cell.read_bytes = 0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Clocks, Shadow) {
        (Clocks::new(2), Shadow::new(64, 0, 2))
    }

    #[test]
    fn unordered_conflicts_are_races_and_barriers_order() {
        let (mut clocks, mut shadow) = pair();
        assert_eq!(shadow.write(&clocks, 0, 0, 4, Proxy::Generic, false), None);
        assert_eq!(shadow.read(&clocks, 1, 4, 4, Proxy::Generic), None);
        assert_eq!(shadow.read(&clocks, 1, 2, 4, Proxy::Generic), Some(Conflict::Write(0)));
        let mut barrier = Clock::new();
        clocks.release(0, &mut barrier);
        clocks.release(1, &mut barrier);
        clocks.acquire(0, &barrier);
        clocks.acquire(1, &barrier);
        assert_eq!(shadow.read(&clocks, 1, 0, 4, Proxy::Generic), None);
        assert_eq!(shadow.write(&clocks, 0, 0, 4, Proxy::Generic, false), Some(Conflict::Read(1)));
        assert_eq!(shadow.write(&clocks, 0, 0, 4, Proxy::Generic, true), None);
    }

    #[test]
    fn a_release_covers_only_what_came_before_it() {
        let (mut clocks, mut shadow) = pair();
        let mut flag = Clock::new();
        clocks.release(0, &mut flag);
        shadow.write(&clocks, 0, 8, 4, Proxy::Generic, false);
        clocks.acquire(1, &flag);
        assert_eq!(shadow.read(&clocks, 1, 8, 4, Proxy::Generic), Some(Conflict::Write(0)));
    }

    #[test]
    fn asynchronous_reads_need_a_fence_after_the_write() {
        let (mut clocks, mut shadow) = pair();
        shadow.fence(&mut clocks, 0);
        shadow.write(&clocks, 0, 0, 16, Proxy::Generic, false);
        assert_eq!(
            shadow.read(&clocks, 0, 0, 16, Proxy::Asynchronous),
            Some(Conflict::Unfenced(0))
        );
        shadow.fence(&mut clocks, 0);
        assert_eq!(shadow.read(&clocks, 0, 0, 16, Proxy::Asynchronous), None);
        shadow.write(&clocks, 0, 0, 16, Proxy::Asynchronous, false);
        assert_eq!(shadow.read(&clocks, 0, 0, 16, Proxy::Asynchronous), None);
    }
}
