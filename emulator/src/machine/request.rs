//! One memory request of a warp, and the counters that tell how well its lanes' accesses fit together.

use super::access::Place;
use super::context::Context;

/// Bytes of a sector: the unit in which global memory moves.
const SECTOR: u64 = 32;

/// The places that the lanes of one request touch.
#[derive(Default)]
pub(super) struct Request {
    global: Vec<u64>,
    shared: Vec<u32>,
    bytes: usize,
}

impl Request {
    pub fn new(bytes: usize) -> Self {
        Self { bytes, ..Self::default() }
    }

    pub fn note(&mut self, place: Place) {
        match place {
            Place::Global(address) => self.global.push(address),
            Place::Shared { offset, .. } => self.shared.push(offset as u32),
            Place::Local(_) | Place::Param(_) => {}
        }
    }

    /// The global and the shared part.
    pub fn split(self) -> (Self, Self) {
        let bytes = self.bytes;
        (
            Self { global: self.global, ..Self::new(bytes) },
            Self { shared: self.shared, ..Self::new(bytes) },
        )
    }
}

impl Context<'_, '_> {
    /// Adds a request to the counters.
    pub(super) fn count(&mut self, mut request: Request, load: bool) {
        let counters = &mut self.machine.counters;
        let bytes = request.bytes as u64;
        if !request.global.is_empty() {
            let total = request.global.len() as u64 * bytes;
            let last = bytes.max(1) - 1;
            let mut sectors: Vec<u64> =
                request.global.drain(..).flat_map(|a| a / SECTOR..=(a + last) / SECTOR).collect();
            sectors.sort_unstable();
            sectors.dedup();
            let (requests, touched, moved) = if load {
                (
                    &mut counters.global_load_requests,
                    &mut counters.global_load_sectors,
                    &mut counters.global_load_bytes,
                )
            } else {
                (
                    &mut counters.global_store_requests,
                    &mut counters.global_store_sectors,
                    &mut counters.global_store_bytes,
                )
            };
            *requests += 1;
            *touched += sectors.len() as u64;
            *moved += total;
        }
        if !request.shared.is_empty() {
            counters.shared_requests += 1;
            let moved = if load {
                &mut counters.shared_load_bytes
            } else {
                &mut counters.shared_store_bytes
            };
            *moved += request.shared.len() as u64 * bytes;
            // A pass serves 128 bytes: 8-byte accesses go by half warps, 16-byte ones by quarter warps.
            let lanes_a_pass = (128 / request.bytes.max(4)).clamp(1, 32);
            for pass in request.shared.chunks(lanes_a_pass) {
                counters.bank_conflicts += u64::from(extra_passes(pass, request.bytes));
            }
        }
    }
}

/// Little-endian bytes, at most eight, as a number.
pub(super) fn word(bytes: &[u8]) -> u64 {
    let mut full = [0; 8];
    full[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(full)
}

/// Passes beyond the first that the accesses of one pass need: the most different words in one of the 32 banks, less one.
fn extra_passes(offsets: &[u32], bytes: usize) -> u32 {
    let words = (bytes as u32).div_ceil(4).max(1);
    let mut touched: Vec<u32> = offsets.iter().flat_map(|o| o / 4..o / 4 + words).collect();
    touched.sort_unstable();
    touched.dedup();
    let mut banks = [0u32; 32];
    for word in touched {
        banks[(word % 32) as usize] += 1;
    }
    banks.iter().max().map_or(0, |most| most.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::extra_passes;

    #[test]
    fn banks() {
        let strided = |stride: u32| (0..32).map(|lane| lane * stride).collect::<Vec<_>>();
        assert_eq!(extra_passes(&strided(4), 4), 0);
        assert_eq!(extra_passes(&strided(8), 4), 1);
        assert_eq!(extra_passes(&strided(128), 4), 31);
        assert_eq!(extra_passes(&[0; 32], 4), 0); // a broadcast
        assert_eq!(extra_passes(&strided(16)[..8], 16), 0);
        assert_eq!(extra_passes(&strided(132), 4), 0);
    }
}
