//! Matrices in shared memory as `wgmma` and `tcgen05.mma` see them: descriptor fields and canonical
//! layouts.
//!
//! PTX ISA 9.0, 9.7.15.5.1.2 and 9.7.16.3 to 9.7.16.4. With rows of `w` bytes (the swizzle width;
//! 16 without swizzle), `T` elements in 16 bytes and 8 lines to an atom, element (mn, k) lies at
//!
//! | major | swizzle | offset from the start |
//! |---|---|---|
//! | K | none | `(mn / 8) * SBO + (mn % 8) * 16 + (k / T) * LBO + k % T` |
//! | K | 32, 64, 128 bytes | `(mn / 8) * SBO + (mn % 8) * w + k` (LBO is not used) |
//! | MN | none | `(mn / T) * SBO + mn % T + (k % 8) * 16 + (k / 8) * LBO` |
//! | MN | 32, 64, 128 bytes | `(mn / (w/16 * T)) * LBO + mn % (w/16 * T) + (k % 8) * w + (k / 8) *
//! SBO` |
//!
//! (`k` and `mn` remainders counted in bytes), and the swizzle inverts bits of the resulting
//! address by its 128-byte line. A non-zero base offset moves the line at which the pattern starts.

use super::Rules;
use super::element::Element;
use super::swizzle::Swizzle;

/// A bit field: lowest bit and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(pub u32, pub u32);

impl Field {
    /// The field's value in a descriptor.
    pub const fn of(self, descriptor: u64) -> u32 {
        (descriptor >> self.0) as u32 & ((1 << self.1) - 1)
    }
}

/// Where a shared-memory descriptor keeps what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorFields {
    /// Start address / 16.
    pub start: Field,
    /// Leading-dimension byte offset / 16.
    pub leading: Field,
    /// Stride-dimension byte offset / 16.
    pub stride: Field,
    /// Base offset: line of the pattern at which the matrix starts.
    pub base: Field,
    /// Swizzle mode.
    pub mode: Field,
    /// The mode each value of that field stands for.
    pub modes: [Option<Swizzle>; 8],
}

/// `wgmma` (ISA 9.7.15.5.1.2.2).
pub const WGMMA: DescriptorFields = DescriptorFields {
    start: Field(0, 14),
    leading: Field(16, 14),
    stride: Field(32, 14),
    base: Field(49, 3),
    mode: Field(62, 2),
    modes: [
        Some(Swizzle::None),
        Some(Swizzle::B128),
        Some(Swizzle::B64),
        Some(Swizzle::B32),
        None,
        None,
        None,
        None,
    ],
};

/// `tcgen05` (ISA 9.7.16.4.1, Table 40).
pub const TCGEN05: DescriptorFields = DescriptorFields {
    mode: Field(61, 3),
    modes: [
        Some(Swizzle::None),
        Some(Swizzle::B128Atom32),
        Some(Swizzle::B128),
        None,
        Some(Swizzle::B64),
        None,
        Some(Swizzle::B32),
        None,
    ],
    ..WGMMA
};

/// Which dimension is contiguous in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Major {
    /// K.
    K,
    /// M of A or N of B ("transposed").
    Mn,
}

/// What to read of a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows of A or columns of B.
    pub mn: std::ops::Range<usize>,
    /// Elements along k, from 0.
    pub k: usize,
    /// Type.
    pub element: Element,
    /// Contiguous dimension.
    pub major: Major,
}

/// A decoded descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMatrix {
    /// Byte address of the first element.
    pub start: u32,
    /// Leading-dimension byte offset.
    pub leading: u32,
    /// Stride-dimension byte offset.
    pub stride: u32,
    /// Line at which the swizzle pattern starts, modulo 8.
    pub base: u32,
    /// Swizzle mode.
    pub swizzle: Swizzle,
}

impl SharedMatrix {
    fn decode(descriptor: u64, fields: &DescriptorFields) -> Result<Self, String> {
        let mode = fields.mode.of(descriptor);
        let swizzle = fields.modes[mode as usize];
        Ok(Self {
            start: fields.start.of(descriptor) << 4,
            leading: fields.leading.of(descriptor) << 4,
            stride: fields.stride.of(descriptor) << 4,
            base: fields.base.of(descriptor),
            swizzle: swizzle.ok_or_else(|| {
                format!(
                    "shared-memory descriptor {descriptor:#018x}: swizzle mode {mode} is invalid"
                )
            })?,
        })
    }

    /// Decodes a descriptor of `wgmma`.
    ///
    /// # Errors
    /// A sentence naming the bad field.
    pub fn wgmma(descriptor: u64, rules: &Rules) -> Result<Self, String> {
        Self::decode(descriptor, &rules.wgmma_descriptor)
    }

    /// Decodes a descriptor of `tcgen05`.
    ///
    /// # Errors
    /// A sentence naming the bad field.
    pub fn tcgen05(descriptor: u64, rules: &Rules) -> Result<Self, String> {
        if descriptor >> 46 & 7 != 1 {
            return Err(format!(
                "shared-memory descriptor {descriptor:#018x}: bits 46-48 must be 0b001"
            ));
        }
        if descriptor >> 52 & 1 != 0 {
            return Err(
                "shared-memory descriptor: absolute leading-dimension addresses are of sm_103a"
                    .into(),
            );
        }
        if descriptor >> 53 & 0xff != 0 {
            return Err(format!(
                "shared-memory descriptor {descriptor:#018x}: bits 53-60 must be zero"
            ));
        }
        Self::decode(descriptor, &rules.tcgen05_descriptor)
    }

    /// Address of the 16 bytes that hold (mn, k) and the byte's offset in them; `bits` is the
    /// element's container.
    pub fn address(
        &self,
        mn: usize,
        k: usize,
        bits: usize,
        major: Major,
        rules: &Rules,
    ) -> (u32, usize) {
        let width = self.swizzle.width();
        let per_chunk = 128 / bits;
        let lines = if self.swizzle == Swizzle::B128Atom32 { 4 } else { 8 };
        let (mn32, k32) = (mn as u32, k as u32);
        let offset = match (major, self.swizzle) {
            (Major::K, Swizzle::None) => {
                (mn32 / 8) * self.stride + (mn32 % 8) * 16 + (k / per_chunk) as u32 * self.leading
            }
            (Major::K, _) => {
                (mn32 / 8) * self.stride + (mn32 % 8) * width + (k / per_chunk) as u32 * 16
            }
            (Major::Mn, Swizzle::None) => {
                (mn / per_chunk) as u32 * self.stride + (k32 % 8) * 16 + (k32 / 8) * self.leading
            }
            (Major::Mn, _) => {
                let chunk = (mn / per_chunk) as u32;
                let chunks = width / 16;
                (chunk / chunks) * self.leading
                    + (chunk % chunks) * 16
                    + (k32 % lines) * width
                    + (k32 / lines) * self.stride
            }
        };
        let linear = self.start.wrapping_add(offset);
        let line = (linear >> 7).wrapping_sub(self.base);
        let inner = if major == Major::K { k } else { mn } % per_chunk;
        (linear ^ (rules.swizzle)(self.swizzle, line), inner)
    }

    /// Reads a tile in 16-byte chunks; `put(mn, k, value)` gets every element, `mn` counted from
    /// the start of the tile.
    ///
    /// # Errors
    /// What `read` returns.
    pub fn read<E>(
        &self,
        tile: Tile,
        rules: &Rules,
        mut read: impl FnMut(u32) -> Result<[u8; 16], E>,
        mut put: impl FnMut(usize, usize, f64),
    ) -> Result<(), E> {
        let Tile { mn, k, element, major } = tile;
        let per_chunk = 128 / element.bits();
        let first = mn.start;
        let (outer, inner) = match major {
            Major::K => (mn, 0..k),
            Major::Mn => (0..k, mn),
        };
        for o in outer {
            for i in inner.clone().step_by(per_chunk) {
                let (row, column) = if major == Major::K { (o, i) } else { (i, o) };
                let (address, _) = self.address(row, column, element.bits(), major, rules);
                let chunk = element.chunk(u128::from_le_bytes(read(address)?));
                for (word, shift) in (0..16).step_by(4).enumerate() {
                    element.unpack((chunk >> (8 * shift)) as u64 & 0xffff_ffff, |e, value| {
                        let at = i + word * element.per_register() + e;
                        match major {
                            Major::K => put(o - first, at, value),
                            Major::Mn => put(at - first, o, value),
                        }
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
