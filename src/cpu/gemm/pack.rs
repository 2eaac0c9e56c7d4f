//! Weights, packed once: the format's own bits, in the order in which the kernels read them.
//!
//! B is cut into **panels** of 16 rows (16 columns of C). A panel runs down K in lines of 64 bytes, each the same few
//! elements of K for the 16 columns, so that a kernel reads a panel from end to end and never crosses lanes:
//!
//! | format | line: for each of 16 columns | |
//! |---|---|---|
//! | bf16 | 2 elements | |
//! | int8 | 4 elements in the order 0, 2, 1, 3, plus 128 | even bytes and odd bytes are neighbours; unsigned for the dot instructions |
//! | fp8 | 4 elements in the order 0, 2, 1, 3 | |
//! | mxfp4 | 4 bytes: elements `j` in the low, `j + 4` in the high nibbles | |
//!
//! After the codes come the panel's scales: 16 f32, or for mxfp4 16 E8M0 codes a block. So a panel is as large as 16
//! rows of the matrix (up to the padding of an odd K), and decode streams exactly the stored bytes. Columns beyond N
//! are zeros.

use std::ops::Range;

use crate::cpu::kernel::{LANES, LINE, finite_below};
use crate::number::{Format, MX_BLOCK, Matrix};

/// Lines of an MX block of 16 columns.
const BLOCK_LINES: usize = MX_BLOCK * LANES / 2 / LINE;

/// Positions of a group's elements in its four bytes.
const QUAD_ORDER: [usize; 4] = [0, 2, 1, 3];

/// Added to int8 codes.
const INT8_OFFSET: u8 = 128;

/// Where everything is in packed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Format of the weights.
    pub format: Format,
    /// Rows of B: columns of C.
    pub n: usize,
    /// The reduction dimension.
    pub k: usize,
}

impl Layout {
    /// Number of panels.
    pub const fn panels(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// Elements of K that a group of lines holds: one line, or an MX block's four.
    const fn group(&self) -> usize {
        match self.format {
            Format::Bf16 => 2,
            Format::Int8 | Format::Fp8E4m3 | Format::Fp8E5m2 => 4,
            Format::Mxfp4 => MX_BLOCK,
        }
    }

    /// Bytes from a panel's start to the codes of element `k`, the first of its group.
    pub const fn codes_at(&self, k: usize) -> usize {
        let lines = match self.format {
            Format::Mxfp4 => BLOCK_LINES,
            _ => 1,
        };
        k.div_ceil(self.group()) * lines * LINE
    }

    /// Bytes from a panel's start to its scales, for mxfp4 those of the block that starts at element `k`.
    pub const fn scales_at(&self, k: usize) -> usize {
        let block = match self.format {
            Format::Mxfp4 => k / MX_BLOCK * LANES,
            _ => 0,
        };
        self.codes_at(self.k) + block
    }

    /// Bytes of a panel: whole lines.
    pub const fn panel_bytes(&self) -> usize {
        let scales = match self.format {
            Format::Bf16 => 0,
            Format::Mxfp4 => self.k / MX_BLOCK * LANES,
            _ => LANES * size_of::<f32>(),
        };
        (self.codes_at(self.k) + scales).next_multiple_of(LINE)
    }

    /// Bytes of the packed weights.
    pub const fn bytes(&self) -> usize {
        self.panels() * self.panel_bytes()
    }

    /// Packs the weights of `panels` into `packed`, which is those panels' part of the whole.
    ///
    /// # Panics
    /// When `weights` has another format or size than the layout, or `packed` another length than its panels.
    pub fn pack(&self, weights: &Matrix, panels: Range<usize>, packed: &mut [u8]) {
        assert_eq!((weights.format, weights.rows, weights.columns), (self.format, self.n, self.k));
        assert_eq!(packed.len(), panels.len() * self.panel_bytes(), "the panels' length");
        self.pack_panels(weights, 0, panels, packed);
    }

    /// Packs `n` rows of a larger matrix, from `first` on, into `packed`.
    ///
    /// # Panics
    /// When `packed` is not [`Self::bytes`] long, or the matrix has fewer rows.
    pub fn pack_rows(&self, weights: &Matrix, first: usize, packed: &mut [u8]) {
        assert_eq!(packed.len(), self.bytes(), "the layout's length");
        self.pack_panels(weights, first, 0..self.panels(), packed);
    }

    fn pack_panels(&self, weights: &Matrix, first: usize, panels: Range<usize>, packed: &mut [u8]) {
        for (panel, packed) in panels.zip(packed.chunks_exact_mut(self.panel_bytes())) {
            let codes = self.codes_at(self.k);
            packed[..codes].fill(if self.format == Format::Int8 { INT8_OFFSET } else { 0 });
            packed[codes..].fill(0);
            for (lane, row) in (panel * LANES..self.n).take(LANES).enumerate() {
                self.pack_row(weights, first + row, lane, packed);
            }
        }
    }

    fn pack_row(&self, weights: &Matrix, row: usize, lane: usize, panel: &mut [u8]) {
        let codes = weights.row_codes(row);
        match self.format {
            Format::Bf16 => {
                for (line, pair) in codes.chunks(4).enumerate() {
                    panel[line * LINE + lane * 4..][..pair.len()].copy_from_slice(pair);
                }
            }
            Format::Int8 | Format::Fp8E4m3 | Format::Fp8E5m2 => {
                let offset = if self.format == Format::Int8 { INT8_OFFSET } else { 0 };
                for (line, quad) in codes.chunks(4).enumerate() {
                    for (&code, at) in quad.iter().zip(QUAD_ORDER) {
                        panel[line * LINE + lane * 4 + at] = code.wrapping_add(offset);
                    }
                }
                let scale = self.row_scale(weights, row);
                panel[self.scales_at(0) + lane * 4..][..4].copy_from_slice(&scale.to_ne_bytes());
            }
            Format::Mxfp4 => {
                // Eight elements, four bytes: two a byte in the matrix, j and j + 4 a byte in the panel.
                for (line, group) in codes.chunks_exact(4).enumerate() {
                    let element = |i: usize| group[i / 2] >> (4 * (i % 2)) & 15;
                    for j in 0..4 {
                        panel[line * LINE + lane * 4 + j] = element(j) | element(j + 4) << 4;
                    }
                }
                for (block, &scale) in weights.row_blocks(row).iter().enumerate() {
                    panel[self.scales_at(0) + block * LANES + lane] = scale;
                }
            }
        }
    }

    /// NaN for a row that holds a code which is not finite: its products are NaN, and the kernels need not look.
    fn row_scale(&self, weights: &Matrix, row: usize) -> f32 {
        let limit = finite_below(self.format);
        let finite = self.format == Format::Int8
            || weights.row_codes(row).iter().all(|&code| code & 0x7f < limit);
        if finite { weights.row_scale(row) } else { f32::NAN }
    }
}
