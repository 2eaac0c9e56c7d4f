//! Tensor Memory of a CTA: 128 lanes of 512 columns of 32 bits, its allocator, and the shapes of
//! `tcgen05.ld` and `.st`.
//!
//! PTX ISA 9.0, 9.7.16.1, 9.7.16.2.3, 9.7.16.7 and 9.7.16.8. An address is `lane << 16 | column`.
//! Every access must lie in allocated columns; a fresh allocation holds [`POISON`]. The fragments
//! of the shapes are figures in the ISA; here they are formulas, which agree with CUTLASS's
//! `SM100_TMEM_LOAD_*` (`copy_traits_sm100.hpp`).

use super::{Lanes, Rules};

/// Lanes (datapaths).
pub const LANES: u32 = 128;
/// Columns of 32 bits.
pub const COLUMNS: u32 = 512;
/// What unwritten words hold.
pub const POISON: u32 = 0xdead_beef;
/// Unit of allocation, columns.
const UNIT: u32 = 32;

/// The Tensor Memory of one CTA.
#[derive(Clone, Debug)]
pub struct TensorMemory {
    /// Word of (lane, column) at `lane * COLUMNS + column`.
    words: Vec<u32>,
    /// First column and width of each allocation.
    allocations: Vec<(u32, u32)>,
}

impl Default for TensorMemory {
    fn default() -> Self {
        Self { words: vec![POISON; (LANES * COLUMNS) as usize], allocations: Vec::new() }
    }
}

impl TensorMemory {
    /// Allocates columns: their address, or `None` where the instruction would block.
    ///
    /// # Errors
    /// A number of columns the ISA does not allow.
    pub fn allocate(&mut self, columns: u32) -> Result<Option<u32>, String> {
        check_size(columns)?;
        let free = |start: u32| {
            self.allocations.iter().all(|&(at, width)| start + columns <= at || at + width <= start)
        };
        let Some(start) = (0..=COLUMNS - columns).step_by(UNIT as usize).find(|&start| free(start))
        else {
            return Ok(None);
        };
        self.allocations.push((start, columns));
        for lane in self.words.chunks_exact_mut(COLUMNS as usize) {
            lane[start as usize..(start + columns) as usize].fill(POISON);
        }
        Ok(Some(start))
    }

    /// Frees an allocation.
    ///
    /// # Errors
    /// Columns that were not allocated together.
    pub fn deallocate(&mut self, address: u32, columns: u32) -> Result<(), String> {
        check_size(columns)?;
        match self.allocations.iter().position(|&allocation| allocation == (address, columns)) {
            Some(at) => {
                self.allocations.swap_remove(at);
                Ok(())
            }
            None => Err(format!(
                "tcgen05.dealloc of {columns} columns at {address:#x}: no such allocation"
            )),
        }
    }

    /// Columns still allocated: a kernel must free them all before it ends.
    pub fn allocated(&self) -> u32 {
        self.allocations.iter().map(|&(_, width)| width).sum()
    }

    /// Refuses columns `start..start + count` unless one allocation holds them all.
    ///
    /// # Errors
    /// A sentence naming the columns.
    pub fn check(&self, start: u32, count: u32) -> Result<(), String> {
        let inside = |&(at, width): &(u32, u32)| {
            at <= start && u64::from(start) + u64::from(count) <= u64::from(at + width)
        };
        if self.allocations.iter().any(inside) {
            return Ok(());
        }
        Err(format!(
            "Tensor Memory columns {start} to {} are not in one allocation",
            u64::from(start) + u64::from(count)
        ))
    }

    /// The word at a lane and column.
    pub fn read(&self, lane: u32, column: u32) -> u32 {
        self.words[index(lane, column)]
    }

    /// Replaces the word at a lane and column.
    pub fn write(&mut self, lane: u32, column: u32, word: u32) {
        self.words[index(lane, column)] = word;
    }
}

/// Lanes and columns are checked where an address enters; the remainders keep a broken rule inside
/// the memory.
fn index(lane: u32, column: u32) -> usize {
    (lane % LANES * COLUMNS + column % COLUMNS) as usize
}

fn check_size(columns: u32) -> Result<(), String> {
    if columns.is_power_of_two() && (UNIT..=COLUMNS).contains(&columns) {
        return Ok(());
    }
    Err(format!("tcgen05 allocations are a power of two from 32 to 512 columns, not {columns}"))
}

/// Lane and column of a Tensor Memory address.
pub fn split(address: u32) -> (u32, u32) {
    (address >> 16, address & 0xffff)
}

/// Base shape of `tcgen05.ld` and `.st`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `.32x32b`
    L32x32b,
    /// `.16x64b`
    L16x64b,
    /// `.16x128b`
    L16x128b,
    /// `.16x256b`
    L16x256b,
    /// `.16x32bx2`
    L16x32bx2,
}

/// (lane, column) relative to the address that register `r` of a thread holds. For `.16x32bx2`, the
/// column is within the half that the thread belongs to: threads 16 to 31 read the second.
pub fn place(shape: Shape, thread: usize, r: usize) -> (usize, usize) {
    let (group, quad) = (thread / 4, thread % 4);
    match shape {
        Shape::L32x32b => (thread, r),
        Shape::L16x64b => (group + 8 * (quad % 2), 2 * r + quad / 2),
        Shape::L16x128b => (group + 8 * (r % 2), 4 * (r / 2) + quad),
        Shape::L16x256b => (group + 8 * (r / 2 % 2), 8 * (r / 4) + 2 * quad + r % 2),
        Shape::L16x32bx2 => (thread % 16, r),
    }
}

/// A decoded `tcgen05.ld` or `tcgen05.st`.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    shape: Shape,
    /// `.xN`.
    count: usize,
    /// `.pack::16b` or `.unpack::16b`: two columns to a register.
    packed: bool,
    rules: Rules,
}

impl Transfer {
    /// Parses the qualifiers after `tcgen05`, from `ld` or `st` on.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        let [direction @ ("ld" | "st"), "sync", "aligned", shape, count, rest @ ..] = qualifiers
        else {
            return Err("tcgen05.ld and .st need .sync.aligned, a shape and a count".into());
        };
        let shape = match *shape {
            "32x32b" => Shape::L32x32b,
            "16x64b" => Shape::L16x64b,
            "16x128b" => Shape::L16x128b,
            "16x256b" => Shape::L16x256b,
            "16x32bx2" => Shape::L16x32bx2,
            other => return Err(format!("tcgen05.{direction} does not know the shape .{other}")),
        };
        let packed = match (*direction, rest) {
            (_, ["b32"]) => false,
            ("ld", ["pack::16b", "b32"]) | ("st", ["unpack::16b", "b32"]) => true,
            _ => {
                return Err(format!("tcgen05.{direction}: the ISA does not list these qualifiers"));
            }
        };
        let number = count.strip_prefix('x').and_then(|n| n.parse::<usize>().ok());
        let transfer = Self { shape, count: number.unwrap_or(0), packed, rules: *rules };
        if !transfer.count.is_power_of_two() || transfer.registers() > 128 {
            return Err(format!("tcgen05.{direction} does not take .{count} with this shape"));
        }
        Ok(transfer)
    }

    /// 32-bit registers of each thread.
    pub fn registers(&self) -> usize {
        self.count
            * match self.shape {
                Shape::L16x256b => 4,
                Shape::L16x128b => 2,
                _ => 1,
            }
    }

    /// Whether an immediate gives the offset of the second half.
    pub fn has_half_offset(&self) -> bool {
        self.shape == Shape::L16x32bx2
    }

    /// Loads into the registers of `warp` (its number modulo 4 decides which lanes it may reach).
    ///
    /// # Errors
    /// Lanes of another warp, or columns that are not allocated.
    pub fn load(
        &self,
        memory: &TensorMemory,
        warp: usize,
        address: u32,
        half_offset: u32,
        registers: &mut [Lanes],
    ) -> Result<(), String> {
        let at = self.locate(memory, warp, address, half_offset, registers.len())?;
        for (r, register) in registers.iter_mut().enumerate() {
            for (thread, slot) in register.iter_mut().enumerate() {
                let (lane, column) = at(thread, r);
                *slot = u64::from(if self.packed {
                    memory.read(lane, column) & 0xffff | memory.read(lane, column + 1) << 16
                } else {
                    memory.read(lane, column)
                });
            }
        }
        Ok(())
    }

    /// Stores the registers of `warp`. Unpacked halves are zero-extended to their columns.
    ///
    /// # Errors
    /// Lanes of another warp, or columns that are not allocated.
    pub fn store(
        &self,
        memory: &mut TensorMemory,
        warp: usize,
        address: u32,
        half_offset: u32,
        registers: &[Lanes],
    ) -> Result<(), String> {
        let at = self.locate(memory, warp, address, half_offset, registers.len())?;
        for (r, register) in registers.iter().enumerate() {
            for (thread, &value) in register.iter().enumerate() {
                let (lane, column) = at(thread, r);
                if self.packed {
                    memory.write(lane, column, value as u32 & 0xffff);
                    memory.write(lane, column + 1, value as u32 >> 16);
                } else {
                    memory.write(lane, column, value as u32);
                }
            }
        }
        Ok(())
    }

    /// Checks an access; the result gives the lane and (first) column of a register of a thread.
    fn locate(
        &self,
        memory: &TensorMemory,
        warp: usize,
        address: u32,
        half_offset: u32,
        registers: usize,
    ) -> Result<impl Fn(usize, usize) -> (u32, u32) + use<>, String> {
        if registers != self.registers() {
            return Err(format!(
                "tcgen05.ld/st takes {} registers, not {registers}",
                self.registers()
            ));
        }
        let (lane, column) = split(address);
        let first = 32 * (warp as u32 % 4);
        let allowed = lane == first || (self.shape != Shape::L32x32b && lane == first + 16);
        if !allowed {
            return Err(format!(
                "tcgen05.ld/st of warp {warp} at lane {lane}: it reaches lanes {first} to {}",
                first + 31
            ));
        }
        let step = if self.packed { 2 } else { 1 };
        // Words of a lane: all registers of a thread for the 32-bit shapes, those of a quad over
        // two rows otherwise.
        let words = match self.shape {
            Shape::L32x32b | Shape::L16x32bx2 => self.count,
            _ => 2 * self.registers(),
        } as u32;
        memory.check(column, words * step)?;
        if self.has_half_offset() {
            memory.check(column.saturating_add(half_offset), words * step)?;
        }
        let Self { shape, rules, .. } = *self;
        Ok(move |thread, r| {
            let (row, at) = (rules.tensor_memory)(shape, thread, r);
            let half = if shape == Shape::L16x32bx2 && thread >= 16 { half_offset } else { 0 };
            (lane + row as u32, column + half + at as u32 * step)
        })
    }
}

#[cfg(test)]
mod tests;
