//! Model checks of the lock-based parts of the core, over every interleaving of their threads.

mod breaker_and_limiter;
mod shared_requests;

// The checked files name these as `crate::config` and `crate::sync`.
use madspark::config;

/// Replaces `src/sync.rs` with loom's locks.
mod sync {
    use std::sync::PoisonError;

    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
