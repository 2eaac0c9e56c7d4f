//! A tensor to be made, and the search for the largest model that fits.

use safetensors::Dtype;

use crate::storage::layout::Element;

/// A tensor to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Name in the checkpoint.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Elements along each dimension, outermost first.
    pub shape: Vec<u64>,
}

impl Spec {
    /// Bytes of its data.
    pub fn bytes(&self) -> u64 {
        Element::from(self.dtype).tensor_bytes(&self.shape).unwrap_or(0) // whole-byte types and known dimensions
    }
}

/// A model whose tensors take so many bytes.
pub trait Footprint {
    /// Bytes of all tensors.
    fn bytes(&self) -> u64;
}

/// The model of the largest `n` between `fewest` and `most` that takes at most `budget` bytes.
pub fn largest_that_fits<M: Footprint>(
    fewest: u64,
    most: u64,
    budget: u64,
    model: impl Fn(u64) -> M,
) -> Option<M> {
    (fewest..=most).rev().map(model).find(|m| m.bytes() <= budget)
}
