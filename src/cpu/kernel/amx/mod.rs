//! AMX: the tile of a GEMM by 16 x 16 tile registers; everything else is AVX-512's.
//!
//! The layouts fit as they are. Sixteen lines of a panel (16 columns, four bytes of K each) are a B tile, whose rows
//! hold the same few elements of K of each column; sixteen units of sixteen packed rows are an A tile. So one step
//! multiplies 16 units of K where a vector kernel multiplies one:
//!
//! ```text
//! 32 rows x 2 panels: C tiles 0 to 3, A tiles 4 and 5, B tiles 6 and 7
//! for each 16 units of K: 4 loads, 4 products
//! ```
//!
//! A product takes a cycle a row of A, so the tiles have as many rows as there are, not sixteen always. Where fewer
//! than 16 units of K are left they are copied beside zeros first: what follows them in memory belongs to others, and
//! in bf16 might be no number.

pub mod permission;
mod tiles;

use std::cell::Cell;
use std::marker::PhantomData;

use super::finish::{Merge, RowFactor, Sums};
use super::peak::{Operands, STEPS};
use super::run::Span;
use super::softmax::{PackWeights, Softmax, Transpose};
use super::{Kernel, LANES, LINE};
use tiles::{Configuration, ROW_BYTES, ROWS};

/// Units of K that one product takes.
const DEPTH: usize = ROW_BYTES / size_of::<u32>();

/// Rows of the register tile: two A tiles.
const TILE_ROWS: usize = 2 * ROWS;

/// Units of a row of A in a block of K: two panels of a block are then 32 KiB, and stay in L1 while the rows pass.
const BLOCK: usize = 256;

/// A kernel whose tile is AMX's.
struct Amx<D> {
    base: Box<dyn Kernel>,
    product: PhantomData<D>,
}

/// `base`, an AVX-512 kernel of bf16 units, with the tile by bf16 products.
pub fn bf16(base: Box<dyn Kernel>) -> Box<dyn Kernel> {
    Box::new(Amx::<Bf16> { base, product: PhantomData })
}

/// `base`, an AVX-512 kernel of byte units, with the tile by byte products.
pub fn bytes(base: Box<dyn Kernel>) -> Box<dyn Kernel> {
    Box::new(Amx::<Bytes> { base, product: PhantomData })
}

/// Which product.
trait Product: Send + Sync {
    const PATH: &str;
    /// Tile `C` += tile `A` times tile `B`.
    ///
    /// # Safety
    /// As for [`tiles`].
    unsafe fn multiply<const C: u8, const A: u8, const B: u8>();
}

struct Bf16;

impl Product for Bf16 {
    const PATH: &str = "amx-bf16";
    #[inline(always)]
    unsafe fn multiply<const C: u8, const A: u8, const B: u8>() {
        // SAFETY: the caller's contract.
        unsafe { tiles::dot_bf16::<C, A, B>() }
    }
}

struct Bytes;

impl Product for Bytes {
    const PATH: &str = "amx-int8";
    #[inline(always)]
    unsafe fn multiply<const C: u8, const A: u8, const B: u8>() {
        // SAFETY: the caller's contract.
        unsafe { tiles::dot_bytes::<C, A, B>() }
    }
}

/// One configuration for each number of rows of the register tile.
static CONFIGURATIONS: [Configuration; TILE_ROWS] = {
    let mut all = [const { Configuration::new([0; 8]) }; TILE_ROWS];
    let mut rows = 1;
    while rows <= TILE_ROWS {
        let first = if rows < ROWS { rows } else { ROWS } as u8;
        // Unused tiles have rows as well: a tile of none can't be named.
        let second = if rows > ROWS { rows - ROWS } else { 1 } as u8;
        let k = ROWS as u8;
        all[rows - 1] = Configuration::new([first, first, second, second, first, second, k, k]);
        rows += 1;
    }
    all
};

thread_local! {
    /// Rows that this thread's tiles are configured for; 0 when they are not in use.
    static CONFIGURED: Cell<usize> = const { Cell::new(0) };
}

/// Configures the tiles for `rows` rows, unless they are.
///
/// # Safety
/// As for [`tiles`].
unsafe fn configure(rows: usize) {
    if CONFIGURED.replace(rows) != rows {
        // SAFETY: the caller's contract.
        unsafe { tiles::configure(&CONFIGURATIONS[rows - 1]) };
    }
}

/// Sixteen units of the rows and lines of the panels that are left at the end of K, zeros after them.
#[repr(align(64))]
struct Rest {
    a: [[u32; DEPTH]; TILE_ROWS],
    b: [[[u32; LANES]; DEPTH]; 2],
}

impl Rest {
    /// The last `count % DEPTH` units and lines of `span`.
    ///
    /// # Safety
    /// As for [`Kernel::tile`].
    unsafe fn of(rows: usize, panels: usize, span: &Span) -> Self {
        let mut rest = Self { a: [[0; DEPTH]; TILE_ROWS], b: [[[0; LANES]; DEPTH]; 2] };
        let (done, left) = (span.count / DEPTH * DEPTH, span.count % DEPTH);
        for (row, to) in rest.a.iter_mut().enumerate().take(rows) {
            // SAFETY: the caller's contract: `count` units a row.
            unsafe {
                span.a
                    .add(row * span.a_stride + done)
                    .copy_to_nonoverlapping(to.as_mut_ptr(), left);
            }
        }
        for (panel, to) in rest.b.iter_mut().enumerate().take(panels) {
            // SAFETY: the caller's contract: `count` lines a panel.
            unsafe {
                let from = span.b.add(panel * span.b_stride + done * LINE);
                from.copy_to_nonoverlapping(to.as_mut_ptr().cast(), left * LINE);
            }
        }
        rest
    }
}

/// Where a step reads: A and its stride in bytes, B and the bytes from panel to panel.
#[derive(Clone, Copy)]
struct Operand {
    a: *const u8,
    a_stride: usize,
    b: *const u8,
    b_stride: usize,
}

/// One step of a register tile: `TALL` of more than 16 rows, `WIDE` of two panels.
///
/// # Safety
/// As for [`tiles`]; the operand must hold the rows and panels.
#[inline(always)]
unsafe fn step<P: Product, const TALL: bool, const WIDE: bool>(at: Operand) {
    // SAFETY: the caller's contract.
    unsafe {
        tiles::load::<4>(at.a, at.a_stride);
        tiles::load::<6>(at.b, LINE);
        P::multiply::<0, 4, 6>();
        if WIDE {
            tiles::load::<7>(at.b.add(at.b_stride), LINE);
            P::multiply::<1, 4, 7>();
        }
        if TALL {
            tiles::load::<5>(at.a.add(ROWS * at.a_stride), at.a_stride);
            P::multiply::<2, 5, 6>();
            if WIDE {
                P::multiply::<3, 5, 7>();
            }
        }
    }
}

/// A register tile.
///
/// # Safety
/// As for [`Kernel::tile`], and for [`tiles`] with a configuration for `rows`.
unsafe fn tile<P: Product, const TALL: bool, const WIDE: bool>(rows: usize, span: Span) {
    // SAFETY: the caller's contract.
    unsafe {
        tiles::zero::<0>();
        tiles::zero::<1>();
        tiles::zero::<2>();
        tiles::zero::<3>();
        let mut at = Operand {
            a: span.a.cast(),
            a_stride: span.a_stride * size_of::<u32>(),
            b: span.b,
            b_stride: span.b_stride,
        };
        for _ in 0..span.count / DEPTH {
            step::<P, TALL, WIDE>(at);
            at.a = at.a.add(ROW_BYTES);
            at.b = at.b.add(DEPTH * LINE);
        }
        if !span.count.is_multiple_of(DEPTH) {
            let rest = Rest::of(rows, 1 + usize::from(WIDE), &span);
            step::<P, TALL, WIDE>(Operand {
                a: rest.a.as_ptr().cast(),
                a_stride: ROW_BYTES,
                b: rest.b.as_ptr().cast(),
                b_stride: DEPTH * LINE,
            });
        }
        let stride = span.out_stride * size_of::<u32>();
        let out = span.out.cast::<u8>();
        tiles::store::<0>(out, stride);
        if WIDE {
            tiles::store::<1>(out.add(ROW_BYTES), stride);
        }
        if TALL {
            let out = out.add(ROWS * stride);
            tiles::store::<2>(out, stride);
            if WIDE {
                tiles::store::<3>(out.add(ROW_BYTES), stride);
            }
        }
    }
}

impl<P: Product> Kernel for Amx<P> {
    fn path(&self) -> &'static str {
        P::PATH
    }
    fn stream_path(&self) -> &'static str {
        self.base.path()
    }
    fn tile_size(&self) -> (usize, usize) {
        (TILE_ROWS, 2)
    }
    fn stream_rows(&self) -> usize {
        self.base.stream_rows()
    }
    fn streams(&self, rows: usize) -> bool {
        // From the second row on, a product a line is more than a core can issue while DRAM delivers it.
        rows == 1
    }
    fn block(&self) -> usize {
        self.base.block() * BLOCK / super::BLOCK_UNITS
    }
    fn units(&self, k: usize) -> usize {
        self.base.units(k)
    }
    fn unpacked_lines(&self, k: usize) -> usize {
        self.base.unpacked_lines(k)
    }
    fn tile_count(&self, k: usize) -> usize {
        self.base.tile_count(k)
    }
    fn stream_count(&self, k: usize) -> usize {
        self.base.stream_count(k)
    }
    fn sums(&self) -> Sums {
        self.base.sums()
    }
    fn row_factor(&self, codes: &[u8], scale: f32, stream: bool) -> RowFactor {
        self.base.row_factor(codes, scale, stream)
    }
    fn pack_row(&self, codes: &[u8], blocks: &[u8], units: &mut [u32], stream: bool) {
        self.base.pack_row(codes, blocks, units, stream);
    }
    unsafe fn unpack(&self, codes: *const u8, scales: *const u8, k: usize, to: *mut u32) {
        // SAFETY: the caller's contract, here and below.
        unsafe { self.base.unpack(codes, scales, k, to) }
    }
    unsafe fn tile(&self, rows: usize, panels: usize, span: Span) {
        // SAFETY: the instruction set is available, so the permission is granted.
        unsafe {
            configure(rows);
            match (rows > ROWS, panels == 2) {
                (false, false) => tile::<P, false, false>(rows, span),
                (false, true) => tile::<P, false, true>(rows, span),
                (true, false) => tile::<P, true, false>(rows, span),
                (true, true) => tile::<P, true, true>(rows, span),
            }
        }
    }
    unsafe fn stream(&self, rows: usize, panels: usize, span: Span) {
        // SAFETY: as above.
        unsafe { self.base.stream(rows, panels, span) }
    }
    fn operands(&self) -> Operands {
        self.base.operands()
    }
    fn peak_depth(&self) -> usize {
        DEPTH
    }
    unsafe fn peak(&self, span: Span) {
        // SAFETY: as above; the span holds a tile of sums, two units, a line.
        unsafe { peak::<P>(span) }
    }
    unsafe fn softmax(&self, softmax: Softmax) {
        // SAFETY: as above.
        unsafe { self.base.softmax(softmax) }
    }
    unsafe fn pack_weights(&self, pack: PackWeights) {
        // SAFETY: as above.
        unsafe { self.base.pack_weights(pack) }
    }
    unsafe fn transpose(&self, transpose: Transpose) {
        // SAFETY: as above.
        unsafe { self.base.transpose(transpose) }
    }
    unsafe fn merge(&self, merge: Merge) {
        // SAFETY: as above.
        unsafe { self.base.merge(merge) }
    }
    fn release(&self) {
        if CONFIGURED.replace(0) != 0 {
            // SAFETY: tiles were configured, so there are some.
            unsafe { tiles::release() };
        }
    }
}

/// [`Kernel::peak`]: four products a step, of tiles that stay where they are.
///
/// # Safety
/// As for [`Kernel::peak`].
unsafe fn peak<P: Product>(span: Span) {
    let stride = span.out_stride * size_of::<u32>();
    // SAFETY: the caller's contract: a tile of sums, two units, a line.
    unsafe {
        let units: [[[u32; DEPTH]; ROWS]; STEPS] =
            std::array::from_fn(|step| [[*span.a.add(step); DEPTH]; ROWS]);
        let line = span.b.cast::<[u32; LANES]>().read_unaligned();
        let lines = [line; DEPTH];
        configure(TILE_ROWS);
        let out = |row: usize, panel: usize| {
            span.out.cast::<u8>().add(row * ROWS * stride + panel * ROW_BYTES)
        };
        tiles::load::<0>(out(0, 0), stride);
        tiles::load::<1>(out(0, 1), stride);
        tiles::load::<2>(out(1, 0), stride);
        tiles::load::<3>(out(1, 1), stride);
        tiles::load::<4>(units[0].as_ptr().cast(), ROW_BYTES);
        tiles::load::<5>(units[1].as_ptr().cast(), ROW_BYTES);
        tiles::load::<6>(lines.as_ptr().cast(), LINE);
        for _ in 0..span.count {
            P::multiply::<0, 4, 6>();
            P::multiply::<1, 4, 6>();
            P::multiply::<2, 4, 6>();
            P::multiply::<3, 4, 6>();
            P::multiply::<0, 5, 6>();
            P::multiply::<1, 5, 6>();
            P::multiply::<2, 5, 6>();
            P::multiply::<3, 5, 6>();
        }
        tiles::store::<0>(out(0, 0), stride);
        tiles::store::<1>(out(0, 1), stride);
        tiles::store::<2>(out(1, 0), stride);
        tiles::store::<3>(out(1, 1), stride);
    }
}
