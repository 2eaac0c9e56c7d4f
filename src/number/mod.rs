//! Number formats: encode, decode, pack, quantise.
//!
//! A [`Matrix`] is what a kernel is given: rows of codes with the scales that its [`Format`] needs. The codecs are
//! the reference that every kernel's own decoding is tested against, and are themselves tested code by code against
//! the definition (nearest of all decoded values, ties to even), against a second implementation, and against tables.

mod blocked;
mod format;
mod matrix;
mod minifloat;
mod quantise;
mod random;
mod scalar;

#[cfg(test)]
mod tests;

pub use blocked::{BlockFormat, BlockMatrix};
pub use format::{Format, MX_BLOCK};
pub use matrix::{Matrix, Rows, Scales};
pub use minifloat::{
    E2M1, E2M1_DOUBLED, E2M1_VALUES, E4M3, E4M3_VALUES, E5M2, E5M2_VALUES, Minifloat,
};
pub use quantise::row_scale;
pub use scalar::{
    E8M0_NAN, INT8_MAX, decode_e8m0, encode_bf16, encode_int8, pack_nibbles, shared_scale,
    unpack_nibbles,
};
