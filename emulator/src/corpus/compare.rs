//! An output against its answer: `|got - expected| <= atol + rtol * |expected|` everywhere; NaN never passes.

use crate::convert::Format;
use safetensors::Dtype;

/// Compares two buffers of one type.
pub(super) fn compare(
    dtype: Dtype,
    got: &[u8],
    expected: &[u8],
    rtol: f64,
    atol: f64,
) -> Result<(), String> {
    let (width, read) = reader(dtype)?;
    let count = expected.len() / width;
    let mut wrong = 0usize;
    let mut first = None;
    let pairs = got.chunks_exact(width).zip(expected.chunks_exact(width));
    for (index, (got, expected)) in pairs.enumerate() {
        if got == expected && !read(got).is_nan() {
            continue;
        }
        let (got, expected) = (read(got), read(expected));
        let close = (got - expected).abs() <= atol + rtol * expected.abs();
        // Different infinities give a NaN or infinite difference: not close.
        if !close {
            wrong += 1;
            first.get_or_insert((index, got, expected));
        }
    }
    match first {
        None => Ok(()),
        Some((index, got, expected)) => Err(format!(
            "{wrong} of {count} elements are wrong; the first is {index}: {got}, expected {expected} (atol {atol}, rtol {rtol})",
        )),
    }
}

type Read = fn(&[u8]) -> f64;

/// Bytes of an element and its value.
fn reader(dtype: Dtype) -> Result<(usize, Read), String> {
    fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
        std::array::from_fn(|i| bytes[i])
    }
    Ok(match dtype {
        Dtype::F64 => (8, |b| f64::from_le_bytes(array(b))),
        Dtype::F32 => (4, |b| f64::from(f32::from_le_bytes(array(b)))),
        Dtype::F16 => (2, |b| Format::F16.decode(u32::from(u16::from_le_bytes(array(b))))),
        Dtype::BF16 => (2, |b| Format::BF16.decode(u32::from(u16::from_le_bytes(array(b))))),
        Dtype::F8_E4M3 => (1, |b| Format::E4M3.decode(u32::from(b[0]))),
        Dtype::F8_E5M2 => (1, |b| Format::E5M2.decode(u32::from(b[0]))),
        Dtype::I64 => (8, |b| i64::from_le_bytes(array(b)) as f64),
        Dtype::U64 => (8, |b| u64::from_le_bytes(array(b)) as f64),
        Dtype::I32 => (4, |b| f64::from(i32::from_le_bytes(array(b)))),
        Dtype::U32 => (4, |b| f64::from(u32::from_le_bytes(array(b)))),
        Dtype::I16 => (2, |b| f64::from(i16::from_le_bytes(array(b)))),
        Dtype::U16 => (2, |b| f64::from(u16::from_le_bytes(array(b)))),
        Dtype::I8 => (1, |b| f64::from(b[0] as i8)),
        Dtype::U8 | Dtype::BOOL => (1, |b| f64::from(b[0])),
        other => return Err(format!("outputs of type {other:?} cannot be compared")),
    })
}
