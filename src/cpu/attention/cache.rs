//! The key/value cache, packed once: the format's own bits, in the order in which the kernels read them.
//!
//! A head's keys are the weights of the score product, so they are packed as those of a GEMM ([`Layout`]): panels of 16
//! keys down the feature dimension. Its values are the weights of the second product, whose reduction runs over the
//! keys, so they are packed in **pages** of 128 keys: panels of 16 features down the keys of the page, then the page's
//! scales (an f32 a key, or the E8M0 codes, 128 for each 32 features). Reading a head page by page, first keys then
//! values, passes every stored byte once. A latent cache (absorbed MLA) has no values of its own.

use crate::cpu::gemm::Layout;
use crate::cpu::kernel::{LANES, LINE, finite_below};
use crate::number::{Format, MX_BLOCK, Matrix};
use crate::workload::{Attention, AttentionInputs};

/// Keys of a page.
pub const PAGE: usize = 128;

/// Added to int8 codes.
const INT8_OFFSET: u8 = 128;

/// Where everything is in a packed cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLayout {
    /// The keys of one head.
    pub keys: Layout,
    /// Elements of a value.
    pub v_dim: usize,
    kv_heads: usize,
    latent: bool,
}

impl CacheLayout {
    /// The cache of `problem` in `format`.
    pub const fn new(problem: &Attention, format: Format) -> Self {
        Self {
            keys: Layout { format, n: problem.keys, k: problem.qk_dim },
            v_dim: problem.v_dim,
            kv_heads: problem.kv_heads,
            latent: problem.latent,
        }
    }

    const fn format(&self) -> Format {
        self.keys.format
    }

    /// Keys of one stored line of values.
    pub const fn group(&self) -> usize {
        match self.format() {
            Format::Bf16 => 2,
            Format::Int8 | Format::Fp8E4m3 | Format::Fp8E5m2 => 4,
            Format::Mxfp4 => 8,
        }
    }

    /// Pages of a head.
    pub const fn pages(&self) -> usize {
        self.keys.n.div_ceil(PAGE)
    }

    /// Panels of 16 features of a value.
    pub const fn value_panels(&self) -> usize {
        self.v_dim.div_ceil(LANES)
    }

    /// Bytes of one panel of values in a page.
    pub const fn value_panel_bytes(&self) -> usize {
        PAGE / self.group() * LINE
    }

    /// Bytes from a page's start to its scales.
    const fn value_codes(&self) -> usize {
        self.value_panels() * self.value_panel_bytes()
    }

    /// Bytes of a page of values.
    const fn page_bytes(&self) -> usize {
        let scales = match self.format() {
            Format::Bf16 => 0,
            Format::Mxfp4 => self.v_dim / MX_BLOCK * PAGE,
            _ => PAGE * size_of::<f32>(),
        };
        self.value_codes() + scales
    }

    /// Bytes of a head's keys.
    const fn key_bytes(&self) -> usize {
        self.keys.bytes()
    }

    /// Bytes of one head.
    pub const fn head_bytes(&self) -> usize {
        let values = if self.latent { 0 } else { self.pages() * self.page_bytes() };
        self.key_bytes() + values
    }

    /// Bytes of the packed cache.
    pub const fn bytes(&self) -> usize {
        self.kv_heads * self.head_bytes()
    }

    /// The packed keys of a head's bytes.
    pub fn key_part<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[..self.key_bytes()]
    }

    /// The page `page` of values of a head's bytes.
    pub fn value_page<'a>(&self, head: &'a [u8], page: usize) -> &'a [u8] {
        &head[self.key_bytes() + page * self.page_bytes()..][..self.page_bytes()]
    }

    /// Packs head `head` of `inputs` into `packed`.
    ///
    /// # Panics
    /// When `packed` is not [`Self::head_bytes`] long.
    pub fn pack(&self, inputs: AttentionInputs<'_>, head: usize, packed: &mut [u8]) {
        assert_eq!(packed.len(), self.head_bytes(), "a head's length");
        let (keys, values) = packed.split_at_mut(self.key_bytes());
        let first = head * self.keys.n;
        self.keys.pack_rows(inputs.k, first, keys);
        let Some(v) = inputs.v else { return };
        for (page, packed) in values.chunks_exact_mut(self.page_bytes()).enumerate() {
            packed.fill(0);
            if self.format() == Format::Int8 {
                packed[..self.value_codes()].fill(INT8_OFFSET);
            }
            for key in 0..PAGE.min(self.keys.n - page * PAGE) {
                self.pack_value(v, first + page * PAGE + key, key, packed);
            }
        }
    }

    /// Packs one value, row `row` of `v`, as key `key` of a page.
    fn pack_value(&self, v: &Matrix, row: usize, key: usize, page: &mut [u8]) {
        let codes = v.row_codes(row);
        // Place of a feature's four bytes in the line that holds `key`.
        let at = |feature: usize| {
            feature / LANES * self.value_panel_bytes()
                + key / self.group() * LINE
                + feature % LANES * 4
        };
        let slot = key % self.group();
        match self.format() {
            Format::Bf16 => {
                for (feature, code) in codes.chunks_exact(2).enumerate() {
                    page[at(feature) + 2 * slot..][..2].copy_from_slice(code);
                }
            }
            Format::Int8 | Format::Fp8E4m3 | Format::Fp8E5m2 => {
                let offset = if self.format() == Format::Int8 { INT8_OFFSET } else { 0 };
                for (feature, &code) in codes.iter().enumerate() {
                    // Elements 0, 2, 1, 3: see `gemm::pack`.
                    page[at(feature) + [0, 2, 1, 3][slot]] = code.wrapping_add(offset);
                }
                let limit = finite_below(self.format());
                let finite = offset != 0 || codes.iter().all(|&code| code & 0x7f < limit);
                let scale = if finite { v.row_scale(row) } else { f32::NAN };
                page[self.value_codes() + key * 4..][..4].copy_from_slice(&scale.to_ne_bytes());
            }
            Format::Mxfp4 => {
                for feature in 0..self.v_dim {
                    let code = codes[feature / 2] >> (4 * (feature % 2)) & 15;
                    page[at(feature) + slot % 4] |= code << (4 * (slot / 4));
                }
                for (block, &scale) in v.row_blocks(row).iter().enumerate() {
                    page[self.value_codes() + block * PAGE + key] = scale;
                }
            }
        }
    }

    /// The scales of a page's values as f32, for features from `32 x block` on: by what the weights of its keys are to
    /// be multiplied. Nothing for bf16.
    pub fn value_scales(
        &self,
        head: &[u8],
        page: usize,
        block: usize,
        to: &mut [f32; PAGE],
    ) -> bool {
        let per_key = |bytes: &[u8], to: &mut [f32]| {
            for (to, &scale) in to.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *to = f32::from_ne_bytes(scale);
            }
        };
        let e8m0 = |bytes: &[u8], to: &mut [f32]| {
            for (to, &code) in to.iter_mut().zip(bytes) {
                *to = crate::number::decode_e8m0(code);
            }
        };
        if self.format() == Format::Bf16 {
            return false;
        }
        if !self.latent {
            let scales = &self.value_page(head, page)[self.value_codes()..];
            match self.format() {
                Format::Mxfp4 => e8m0(&scales[block * PAGE..][..PAGE], to),
                _ => per_key(scales, to),
            }
            return true;
        }
        // The values are keys: their scales are in the panels of the keys.
        let panels = page * PAGE / LANES..((page + 1) * PAGE / LANES).min(self.keys.panels());
        for (panel, to) in panels.zip(to.chunks_exact_mut(LANES)) {
            let panel = &self.key_part(head)[panel * self.keys.panel_bytes()..];
            match self.format() {
                Format::Mxfp4 => e8m0(&panel[self.keys.scales_at(block * MX_BLOCK)..][..LANES], to),
                _ => per_key(&panel[self.keys.scales_at(0)..][..4 * LANES], to),
            }
        }
        true
    }
}
