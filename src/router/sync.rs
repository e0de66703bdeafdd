//! The lock and the shared pointer of what calls share. One place, so that the model check can compile the files that
//! use them over its own.

use std::sync::PoisonError;

pub(super) use std::sync::{Arc, Mutex, MutexGuard};

/// Locks `mutex`. Whoever panicked with it left plain counts behind, which the next one can go on with.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
