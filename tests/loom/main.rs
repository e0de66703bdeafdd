//! Model checks of the lock-based parts of the core, over every interleaving of their threads.

mod breaker_and_limiter;
mod shared_requests;

// Named as the checked files name it.
use madspark::config;
