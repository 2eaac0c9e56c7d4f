//! Handles: the opaque pointers that C callers hold for our objects.
//!
//! A handle is a number that was never an address: dereferencing one faults, and one that was destroyed, made up or of
//! another kind is recognised and answered with the documented error instead of undefined behaviour.

use super::error::{Code, Result};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a C caller holds.
pub type Handle = *mut c_void;

/// Locks a mutex whose data stays usable after a panic: every holder leaves it whole at each step.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All live objects of one kind.
#[derive(Debug)]
pub struct Table<T> {
    kind: usize,
    objects: Mutex<(usize, HashMap<usize, Arc<T>>)>,
}

/// Handles lie above every user-space address of x86-64 and AArch64 Linux.
const FIRST_HANDLE: usize = 0xE000_0000_0000_0000;

impl<T> Table<T> {
    /// An empty table; `kind` (1 to 255) keeps the handles of different tables apart.
    #[must_use]
    pub fn new(kind: u8) -> Self {
        Self { kind: usize::from(kind), objects: Mutex::new((0, HashMap::new())) }
    }

    /// Takes in an object.
    pub fn insert(&self, object: Arc<T>) -> Handle {
        let mut objects = lock(&self.objects);
        objects.0 += 1;
        let handle = FIRST_HANDLE | (self.kind << 48) | (objects.0 << 4);
        objects.1.insert(handle, object);
        handle as Handle
    }

    /// The object behind a handle.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_HANDLE` unless it is live and of this kind.
    pub fn get(&self, handle: Handle) -> Result<Arc<T>> {
        let objects = lock(&self.objects);
        objects.1.get(&(handle as usize)).cloned().ok_or(Code::CUDA_ERROR_INVALID_HANDLE)
    }

    /// Takes an object out; its handle is dead from now on.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn remove(&self, handle: Handle) -> Result<Arc<T>> {
        lock(&self.objects).1.remove(&(handle as usize)).ok_or(Code::CUDA_ERROR_INVALID_HANDLE)
    }

    /// The handle of the object that `wanted` picks.
    pub fn find(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<Handle> {
        let objects = lock(&self.objects);
        objects.1.iter().find(|(_, object)| wanted(object)).map(|(handle, _)| *handle as Handle)
    }

    /// Takes out all objects that `dead` picks.
    pub fn remove_all(&self, mut dead: impl FnMut(&T) -> bool) -> Vec<Arc<T>> {
        let mut objects = lock(&self.objects);
        objects.1.extract_if(|_, object| dead(object)).map(|(_, object)| object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_foreign_or_made_up_handle_is_refused() {
        let (numbers, texts) = (Table::new(1), Table::new(2));
        let number = numbers.insert(Arc::new(7));
        let text = texts.insert(Arc::new("seven"));
        assert_eq!(numbers.get(number).as_deref(), Ok(&7));
        for bad in [text, std::ptr::null_mut(), (number as usize + 1) as Handle] {
            assert_eq!(numbers.get(bad), Err(Code::CUDA_ERROR_INVALID_HANDLE));
        }
        assert_eq!(numbers.remove(number).as_deref(), Ok(&7));
        assert_eq!(numbers.remove(number), Err(Code::CUDA_ERROR_INVALID_HANDLE));
        assert_ne!(numbers.insert(Arc::new(8)), number, "handles are never used twice");
    }
}
