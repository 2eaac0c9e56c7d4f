//! Somewhere that host memory is emptied into, piece by piece: other host memory, or a device's.
//!
//! Whoever reads a model into host memory does not know devices, and whoever knows devices does not read files; this is
//! all that they have to agree on.

use std::any::Any;

use super::buffer::Buffer;
use crate::Result;

/// Bytes, and where in the destination they belong.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// What is moved.
    pub bytes: &'a [u8],
    /// Offset of its first byte in the destination.
    pub at: usize,
}

/// Takes bytes out of host memory to where they are wanted.
pub trait Destination: Send {
    /// Prepares for moves out of `staging`, once, before the first of them: page-locks it, for instance. What is returned
    /// is dropped before `staging` is.
    ///
    /// # Errors
    /// When the memory can't be prepared; then nothing can be moved.
    fn attach(&mut self, staging: &mut Buffer) -> Result<Box<dyn Any + Send>>;

    /// Moves `pieces`, and returns when they are no longer needed where they are.
    ///
    /// # Errors
    /// When they can't be moved.
    fn take(&mut self, pieces: &[Piece<'_>]) -> Result<()>;

    /// Copies what is at `at` in the destination to `into`.
    ///
    /// # Errors
    /// When it can't be copied, or lies outside.
    fn read_back(&mut self, at: usize, into: &mut [u8]) -> Result<()>;

    /// Fills the destination with `value`, so that what was not moved is found.
    ///
    /// # Errors
    /// When it can't be filled.
    fn poison(&mut self, value: u8) -> Result<()>;

    /// What moves the bytes, for the kernel path.
    fn path(&self) -> String;

    /// Why times of moves must not be used: the device is emulated.
    fn disqualified(&self) -> Option<String> {
        None
    }
}

impl Destination for Buffer {
    fn attach(&mut self, _staging: &mut Buffer) -> Result<Box<dyn Any + Send>> {
        Ok(Box::new(()))
    }

    fn take(&mut self, pieces: &[Piece<'_>]) -> Result<()> {
        for piece in pieces {
            let all = self.as_mut_slice::<u8>();
            let target = all.get_mut(piece.at..piece.at + piece.bytes.len()).ok_or_else(outside)?;
            target.copy_from_slice(piece.bytes);
        }
        Ok(())
    }

    fn read_back(&mut self, at: usize, into: &mut [u8]) -> Result<()> {
        let source = self.as_slice::<u8>().get(at..at + into.len()).ok_or_else(outside)?;
        into.copy_from_slice(source);
        Ok(())
    }

    fn poison(&mut self, value: u8) -> Result<()> {
        self.as_mut_slice::<u8>().fill(value);
        Ok(())
    }

    fn path(&self) -> String {
        "memcpy".into()
    }
}

/// The error of a place that the destination does not have.
pub fn outside() -> crate::Error {
    crate::Error::Wrong("a block lies outside the destination".into())
}
