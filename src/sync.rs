//! The locks of the crate, in one module, so that the model checks compile the files that use them over loom's.

use std::sync::PoisonError;

pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

/// Locks `mutex`. A panic leaves nothing under these locks half done, so poisoning is ignored.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
