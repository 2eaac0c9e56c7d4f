//! Operands of a loop, laid out as its kernel reads them, and the sums that it must give.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::loops::{Instruction, Loop, THREADS};
use crate::number::{E2M1, E4M3, E5M2, Format, Matrix, Scales, encode_bf16, pack_nibbles};
use crate::workload::Verified;
use crate::{Error, Result};

/// Fragments of a and of b of one warp in kernels/peak_mma.cuh.
const TILES: (usize, usize) = (2, 4);
/// Rows of a of one warpgroup, and columns of b, in kernels/peak_wgmma.cuh.
const GROUP: (usize, usize) = (64, 256);

/// Random operands of every warp of a block. Rows of `b` are columns of the product.
pub struct Operands {
    which: Loop,
    a: Matrix,
    b: Matrix,
    /// Whether every sum is an integer that every chip holds exactly.
    exact: bool,
}

impl Operands {
    /// Random operands; codes stand for themselves: factors of a row would be applied after the loop.
    ///
    /// # Errors
    /// Never for the formats of the loops.
    pub fn random(which: Loop, seed: u64) -> Result<Self> {
        let warps = THREADS / 32;
        let (rows, columns) = match which.instruction {
            Instruction::Mma => (warps * TILES.0 * 16, warps * TILES.1 * 8),
            Instruction::Wgmma => (THREADS / 128 * GROUP.0, GROUP.1),
        };
        let random = |rows, seed| {
            let mut matrix = Matrix::random(which.format, rows, which.k(), seed)?;
            if let Scales::PerRow(factors) = &mut matrix.scales {
                factors.fill(1.0);
            }
            Ok(matrix)
        };
        Ok(Self { which, a: random(rows, seed)?, b: random(columns, !seed)?, exact: false })
    }

    /// Random integers from -2 to 2: so small that every sum is exact on every chip, and a step that is left out shows.
    ///
    /// # Errors
    /// Never for the formats of the loops.
    pub fn integers(which: Loop, seed: u64) -> Result<Self> {
        let mut operands = Self::random(which, seed)?;
        operands.exact = true;
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        for matrix in [&mut operands.a, &mut operands.b] {
            let mut integer = || random.random_range(-2i8..=2);
            match which.format {
                Format::Bf16 => matrix.codes.as_chunks_mut().0.iter_mut().for_each(|code| {
                    *code = encode_bf16(f32::from(integer())).to_le_bytes();
                }),
                Format::Int8 => matrix.codes.fill_with(|| integer() as u8),
                Format::Fp8E4m3 => matrix.codes.fill_with(|| E4M3.encode(f32::from(integer()))),
                Format::Fp8E5m2 => matrix.codes.fill_with(|| E5M2.encode(f32::from(integer()))),
                Format::Mxfp4 => {
                    let mut code = || E2M1.encode(f32::from(integer()));
                    matrix.codes.fill_with(|| pack_nibbles(code(), code()));
                }
            }
            if let Scales::PerBlock(scales) = &mut matrix.scales {
                scales.fill_with(|| random.random_range(127..=129));
            }
        }
        Ok(operands)
    }

    /// The words that the kernel is given.
    pub fn words(&self) -> Vec<u32> {
        match self.which.instruction {
            Instruction::Mma => self.fragments(),
            Instruction::Wgmma => self.shared_image(),
        }
    }

    /// Word after word of all threads: see kernels/ptx/mma.cuh for what a thread's registers hold.
    fn fragments(&self) -> Vec<u32> {
        let word = |matrix: &Matrix, row: usize, byte: usize| {
            let bytes = &matrix.row_codes(row)[byte..byte + 4];
            u32::from_le_bytes(bytes.try_into().expect("four bytes"))
        };
        let mut words = Vec::new();
        let mut of_threads = |value: &dyn Fn(Lane) -> u32| {
            words.extend((0..THREADS).map(|thread| value(Lane::of(thread))));
        };
        for (tile, r) in pairs(TILES.0, 4) {
            of_threads(&|l| {
                word(&self.a, l.a_row(tile) + l.group + 8 * (r % 2), 4 * l.in_group + 16 * (r / 2))
            });
        }
        for (tile, r) in pairs(TILES.1, 2) {
            of_threads(&|l| word(&self.b, l.b_row(tile) + l.group, 4 * l.in_group + 16 * r));
        }
        if self.which.format == Format::Mxfp4 {
            let scales = |matrix: &Matrix, row| {
                let codes = matrix.row_blocks(row);
                u32::from(codes[0]) | u32::from(codes[1]) << 8
            };
            for tile in 0..TILES.0 {
                // The other two lanes of four are not read.
                of_threads(&|l| scales(&self.a, l.a_row(tile) + l.group + 8 * (l.in_group % 2)));
            }
            for tile in 0..TILES.1 {
                of_threads(&|l| scales(&self.b, l.b_row(tile) + l.group));
            }
        }
        words
    }

    /// Rows of 128 bytes, chunk c of row r at c ^ (r % 8): a of both warpgroups, then b.
    fn shared_image(&self) -> Vec<u32> {
        let rows = (0..self.a.rows).map(|row| self.a.row_codes(row));
        let rows = rows.chain((0..self.b.rows).map(|row| self.b.row_codes(row)));
        let mut bytes = Vec::new();
        for (row, codes) in rows.enumerate() {
            let chunk = |c: usize| &codes[16 * (c ^ (row % 8))..][..16];
            (0..8).for_each(|c| bytes.extend_from_slice(chunk(c)));
        }
        bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    /// Compares the sums and hashes of `blocks` blocks, in the layout of the kernels, with the exact ones of `turns` turns.
    ///
    /// # Errors
    /// [`Error::Wrong`] with the first sum that is outside its tolerance, or a hash that is not that of its sums: a step
    /// went wrong in another round.
    pub fn check(&self, got: &[u32], turns: u32) -> Result<Verified> {
        let sums = self.which.sums();
        let expected = self.expected(turns);
        let mut worst = 0.0f64;
        for (block, got) in got.chunks_exact((sums + 1) * THREADS).enumerate() {
            for thread in 0..THREADS {
                let mut hash = 0u32;
                for sum in 0..sums {
                    let bits = got[sum * THREADS + thread];
                    hash = hash.rotate_left(1) ^ bits;
                    let (value, tolerance) = expected[sum * THREADS + thread];
                    let ratio = self.error(bits, value) / tolerance;
                    if ratio.is_nan() || ratio > 1.0 {
                        let bits = self.number(bits);
                        return Err(Error::Wrong(format!(
                            "sum {sum} of thread {thread} of block {block} is {bits}, expected {value}"
                        )));
                    }
                    worst = worst.max(ratio);
                }
                if hash != got[sums * THREADS + thread] {
                    return Err(Error::Wrong(format!(
                        "thread {thread} of block {block}: the sums were not the same in every round"
                    )));
                }
            }
        }
        let blocks = got.len() / ((sums + 1) * THREADS);
        let checked = (blocks * sums * THREADS) as u64;
        Ok(Verified { checked, error_over_tolerance: worst })
    }

    fn number(&self, bits: u32) -> f64 {
        match self.which.format {
            Format::Int8 => f64::from(bits as i32),
            _ => f64::from(f32::from_bits(bits)),
        }
    }

    fn error(&self, bits: u32, expected: f64) -> f64 {
        (self.number(bits) - expected).abs()
    }

    /// Value and tolerance of each sum of a block, in the kernels' order.
    fn expected(&self, turns: u32) -> Vec<(f64, f64)> {
        let decode = |matrix: &Matrix| {
            let mut values = vec![0.0; matrix.rows * matrix.columns];
            for (row, values) in values.chunks_exact_mut(matrix.columns).enumerate() {
                matrix.decode_row(row, values);
            }
            values
        };
        let (a, b, k) = (decode(&self.a), decode(&self.b), self.which.k());
        let of = |(sum, thread): (usize, usize)| {
            let (row, column) = self.coordinate(sum, thread);
            let products = a[row * k..][..k].iter().zip(&b[column * k..][..k]);
            let (value, size) = products
                .fold((0.0, 0.0), |(value, size), (a, b)| (value + a * b, size + (a * b).abs()));
            let turns = f64::from(turns);
            (value * turns, self.tolerance(size * turns, turns))
        };
        pairs(self.which.sums(), THREADS).map(of).collect()
    }

    /// Row of a and row of b whose product is `sum` of `thread`.
    fn coordinate(&self, sum: usize, thread: usize) -> (usize, usize) {
        let lane = Lane::of(thread);
        match self.which.instruction {
            Instruction::Mma => {
                let (m, n, r) = (sum / 4 / TILES.1, sum / 4 % TILES.1, sum % 4);
                let row = lane.a_row(m) + lane.group + 8 * (r / 2);
                (row, lane.b_row(n) + 2 * lane.in_group + r % 2)
            }
            Instruction::Wgmma => {
                let row = 16 * lane.warp + lane.group + 8 * (sum / 2 % 2);
                (row, 8 * (sum / 4) + 2 * lane.in_group + sum % 2)
            }
        }
    }

    /// How far a sum may be off whose terms have magnitudes that add up to `size`.
    ///
    /// Integers are exact. f32 sums lose at most a few units of the last place an instruction, since tensor cores truncate
    /// (Fasi et al., "Numerical behavior of NVIDIA tensor cores", 2021); with fp8 operands Hopper keeps about 14 bits of what an
    /// instruction adds (DeepSeek-V3 technical report, section 3.3.2), and an H100 was seen to lose 2^-12.8 of `size` a step.
    fn tolerance(&self, size: f64, turns: f64) -> f64 {
        let steps = turns * self.which.steps() as f64;
        match self.which.format {
            // Half of the distance of integers.
            _ if self.exact => 0.5,
            Format::Int8 => 0.5,
            Format::Bf16 | Format::Mxfp4 => size * steps * 2f64.powi(-22),
            Format::Fp8E4m3 | Format::Fp8E5m2 => size * steps * 2f64.powi(-11),
        }
    }
}

/// Where a thread is.
#[derive(Clone, Copy)]
struct Lane {
    warp: usize,
    group: usize,
    in_group: usize,
}

impl Lane {
    fn of(thread: usize) -> Self {
        Self { warp: thread / 32, group: thread % 32 / 4, in_group: thread % 4 }
    }

    /// First row of the warp's fragment `tile` of a.
    fn a_row(self, tile: usize) -> usize {
        (self.warp * TILES.0 + tile) * 16
    }

    /// First row of the warp's fragment `tile` of b.
    fn b_row(self, tile: usize) -> usize {
        (self.warp * TILES.1 + tile) * 8
    }
}

/// Every pair of an index below `outer` and one below `inner`.
fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |i| (0..inner).map(move |j| (i, j)))
}
