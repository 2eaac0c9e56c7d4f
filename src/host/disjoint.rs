//! One slice written by many workers, each in its own part.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice whose disjoint parts are handed to threads that the borrow checker can't tell apart.
pub struct Disjoint<'a, T> {
    start: *mut T,
    length: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for `&mut [T]`, whose parts may be sent to threads when `T` may.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: access is by `slice` only, whose callers promise disjoint parts.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Takes `slice` for as long as it is shared.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), owner: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Address of the first element.
    pub fn as_mut_ptr(&self) -> *mut T {
        self.start
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// No two live slices may overlap.
    ///
    /// # Panics
    /// When `range` is not inside the slice.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.length, "part outside the slice");
        // SAFETY: inside the slice; disjoint from other live slices by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
