//! The lock of what calls share. One place, so that the model check can compile the files that use it over its own.

use std::sync::PoisonError;

pub(super) use std::sync::{Mutex, MutexGuard};

/// Locks `mutex`. Nothing that is locked here is left half done by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
