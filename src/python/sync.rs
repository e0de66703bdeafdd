//! The lock of what the bindings share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. Nothing that is locked here is left half done by a panic.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
