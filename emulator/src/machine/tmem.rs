//! Tensor memory.

/// Tensor memory of one block.
#[derive(Default)]
pub(super) struct TensorMemory;

/// Tensor-memory accesses of a warp in flight.
#[derive(Default)]
pub(super) struct Accesses;

impl super::context::Context<'_, '_> {
    pub(super) fn land_tensor(&mut self, _block: usize, _before: u64) -> Result<(), super::Fault> {
        Ok(())
    }
}
