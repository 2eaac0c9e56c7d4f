//! The arithmetic of a product: every element decoded from the bytes that the caller's strides lead to, scaled from where
//! the scales lie, summed in `f64` and rounded once. Hardware adds in its own order and loses a little more.

use super::super::command::Work;
use super::super::context::Context;
use super::super::cost::{self, Picoseconds};
use super::super::error::{Code, Result, ensure};
use super::super::region::Region;
use super::rules::{Element, Scaling, Shape};
use crate::convert::Format;
use crate::convert::format::decode_ue8m0;
use crate::machine::Counters;
use rayon::prelude::*;
use std::sync::Arc;

/// Bytes that a caller's device pointer leads to.
#[derive(Clone, Debug)]
pub struct Bytes {
    /// The allocation that they lie in.
    pub region: Arc<Region>,
    /// Where they begin.
    pub address: u64,
    /// How many there are.
    pub count: u64,
}

impl Bytes {
    fn read(&self) -> Result<Vec<u8>> {
        ensure(self.region.is_live(), Code::CUDA_ERROR_ILLEGAL_ADDRESS)?;
        let pointer = self.region.at(self.address).cast_const();
        // SAFETY: the range lies in a live region; stream order keeps others from writing it now.
        Ok(unsafe { std::slice::from_raw_parts(pointer, self.count as usize) }.to_vec())
    }
}

/// A product on its stream.
#[derive(Debug)]
pub struct Product {
    /// What is multiplied.
    pub shape: Shape,
    /// A and B.
    pub operands: [Bytes; 2],
    /// Their scales.
    pub scales: [Option<Bytes>; 2],
    /// The result, 4 bytes an element.
    pub d: Bytes,
    /// What the product is multiplied by.
    pub alpha: f64,
}

/// Bytes from the first element of `columns` columns to behind the last.
#[must_use]
pub fn extent(bits: u64, rows: u64, columns: u64, stride: u64) -> u64 {
    ((columns - 1) * stride + rows) * bits / 8
}

/// Bytes of the scales of `columns` columns of `k` elements.
#[must_use]
pub fn scale_bytes(scaling: Scaling, columns: u64, k: u64) -> u64 {
    let tiles = |block: u64| columns.next_multiple_of(128) * k.div_ceil(block).next_multiple_of(4);
    match scaling {
        Scaling::Whole => 4,
        Scaling::Outer => 4 * columns,
        Scaling::E8m0 => tiles(32),
        Scaling::Ue4m3 => tiles(16),
    }
}

/// Where the scale of block `inner` of column `outer` is, of `blocks` a column: tiles of 128 x 4 (cuBLAS documentation, "1D
/// Block Scaling Factors Layout").
fn block_scale(scales: &[u8], outer: usize, inner: usize, blocks: usize) -> u8 {
    let tile = (outer / 128) * blocks.div_ceil(4) + inner / 4;
    let (row, block) = (outer % 128, inner % 4);
    scales[tile * 512 + (row % 32) * 16 + (row / 32) * 4 + block]
}

fn f32_at(bytes: &[u8], index: usize) -> f64 {
    let four: [u8; 4] = bytes[4 * index..][..4].try_into().unwrap_or_default();
    f64::from(f32::from_le_bytes(four))
}

/// An operand: its columns decoded and scaled.
fn columns(shape: &Shape, operand: usize, codes: &[u8], scales: Option<&[u8]>) -> Vec<Vec<f64>> {
    let (count, k) = ([shape.m, shape.n][operand] as usize, shape.k as usize);
    let stride = shape.strides[operand] as usize;
    let value = |index: usize| match shape.element {
        Element::Bf16 => {
            Format::BF16.decode(u32::from(codes[2 * index]) | u32::from(codes[2 * index + 1]) << 8)
        }
        Element::Int8 => f64::from(codes[index] as i8),
        Element::E4m3 => Format::E4M3.decode(u32::from(codes[index])),
        Element::E2m1 => Format::E2M1.decode(u32::from(codes[index / 2] >> (4 * (index % 2)) & 15)),
    };
    let scale = |column: usize, row: usize| match (shape.scaling, scales) {
        (_, None) => 1.0,
        (Scaling::Whole, Some(scales)) => f32_at(scales, 0),
        (Scaling::Outer, Some(scales)) => f32_at(scales, column),
        (Scaling::E8m0, Some(scales)) => {
            decode_ue8m0(block_scale(scales, column, row / 32, k.div_ceil(32)))
        }
        (Scaling::Ue4m3, Some(scales)) => {
            let code = block_scale(scales, column, row / 16, k.div_ceil(16));
            Format::UE4M3.decode(u32::from(code))
        }
    };
    let of = |column: usize| {
        (0..k).map(|row| value(column * stride + row) * scale(column, row)).collect()
    };
    (0..count).into_par_iter().map(of).collect()
}

impl Work for Product {
    fn run(&self, context: &Context) -> Result<Picoseconds> {
        let driver = super::super::state::driver_anywhere()?;
        let struck = super::super::launch::strike(driver, context)?;
        let Shape { m, n, k, strides, .. } = self.shape;
        let mut decoded = Vec::new();
        for operand in 0..2 {
            let codes = self.operands[operand].read()?;
            let scales = self.scales[operand].as_ref().map(Bytes::read).transpose()?;
            decoded.push(columns(&self.shape, operand, &codes, scales.as_deref()));
        }
        let (integers, alpha) = (self.shape.integers(), self.alpha);
        let element = |row: &[f64], column: &[f64]| {
            let sum: f64 = row.iter().zip(column).map(|(a, b)| a * b).sum();
            let sum = sum * alpha;
            // Integers are exact in f64; whoever overflows i32 gets what wraps.
            if integers { sum as i64 as u32 } else { (sum as f32).to_bits() }
        };
        let result: Vec<Vec<u32>> = decoded[1]
            .par_iter()
            .map(|column| decoded[0].iter().map(|row| element(row, column)).collect())
            .collect();
        ensure(self.d.region.is_live(), Code::CUDA_ERROR_ILLEGAL_ADDRESS)?;
        let d = self.d.region.at(self.d.address).cast::<u32>();
        for (column, values) in result.iter().enumerate() {
            // SAFETY: the whole of D was found inside a live region; stream order keeps others from it now.
            unsafe {
                let column = d.add(column * strides[2] as usize);
                column.copy_from_nonoverlapping(values.as_ptr(), values.len());
            }
        }
        if struck.wrong {
            // SAFETY: as above: the fourth byte of the first element.
            unsafe { *d.cast::<u8>().add(3) ^= 0x40 };
        }
        let counters = Counters { tensor_macs: m * n * k, ..Counters::default() };
        Ok(cost::kernel(context.device.model, &counters, struck.clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two columns of 32 E2M1 elements, 48 elements apart, one of them 1 and the rest 0.
    #[test]
    fn strides_and_scales_are_followed() {
        let shape = Shape {
            element: Element::E2m1,
            scaling: Scaling::Ue4m3,
            m: 2,
            n: 1,
            k: 32,
            strides: [48, 32, 2],
        };
        let mut codes = vec![0; extent(4, 32, 2, 48) as usize];
        // Element 17 of column 1: a high nibble.
        codes[(48 + 17) / 2] = 0x20;
        let mut scales = vec![0; scale_bytes(Scaling::Ue4m3, 2, 32) as usize];
        // 0x40 is 2: column 1, block 1.
        scales[16 + 1] = 0x40;
        let columns = columns(&shape, 0, &codes, Some(&scales));
        assert_eq!(columns[1][17], 2.0);
        assert_eq!(columns.concat().iter().filter(|value| **value != 0.0).count(), 1);
        assert_eq!(scales.len(), 512);
    }

    #[test]
    fn tiles_of_scales_lie_one_after_the_other() {
        let scales: Vec<u8> = (0..4 * 512).map(|index| (index / 512) as u8).collect();
        // 256 columns of 8 blocks.
        let tile = |outer, inner| block_scale(&scales, outer, inner, 8);
        assert_eq!([tile(0, 0), tile(127, 4), tile(128, 3), tile(255, 7)], [0, 1, 2, 3]);
    }
}
