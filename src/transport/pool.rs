//! Connections between two exchanges.
//!
//! No task watches them: each has a waker of its own, which closes it when its server does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

use tokio::time::Instant;

use super::IDLE_TIMEOUT;
use super::connect::{Stream, is_silent};
use super::connection::Connection;

/// Beyond so many origins, those without a connection are forgotten.
const MOST: usize = 1024;

/// The idle connections of the process, by origin (scheme, host and port).
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Arc<str>, Vec<Idle>>>,
    next: AtomicU64,
}

/// A connection that nobody uses.
#[derive(Debug)]
struct Idle {
    number: u64,
    stream: Box<Stream>,
    since: Instant,
}

/// Woken when an idle connection has something to tell: nothing was asked, so that can only be its end.
struct Watch {
    pool: Weak<Pool>,
    origin: Arc<str>,
    number: u64,
    is_woken: AtomicBool,
}

impl Pool {
    /// A connection to `origin` that was used before, the last one first, and is still open.
    pub(super) fn take(&self, origin: &str, cx: &mut Context<'_>) -> Option<Box<Stream>> {
        loop {
            let mut idle = self.lock().get_mut(origin)?.pop()?;
            if idle.since.elapsed() < IDLE_TIMEOUT && is_silent(&mut idle.stream, cx) {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps the stream of `connection` for the next exchange with `origin`; closes it where it takes no other one.
    pub(super) fn keep(self: &Arc<Self>, origin: &str, connection: Box<Connection>) {
        let Some(stream) = connection.end() else { return };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let origin = self.name(origin);
        let watch = Arc::new(Watch { pool: Arc::downgrade(self), origin, number, is_woken: AtomicBool::new(false) });
        self.watch(&watch, Idle { number, stream, since: Instant::now() });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    fn watch(&self, watch: &Arc<Watch>, mut idle: Idle) {
        let waker = Waker::from(Arc::clone(watch));
        loop {
            watch.is_woken.store(false, Ordering::SeqCst);
            if !is_silent(&mut idle.stream, &mut Context::from_waker(&waker)) {
                return;
            }
            let outdated = self.put(&watch.origin, idle);
            // Closed when no lock is held.
            drop(outdated);
            // Woken before it was there to be found.
            if !watch.is_woken.load(Ordering::SeqCst) {
                return;
            }
            let Some(found) = self.remove(&watch.origin, watch.number) else { return };
            idle = found;
        }
    }

    /// Gives back the oldest, where it has been idle for too long: one a time is enough, as each exchange adds one.
    fn put(&self, origin: &str, idle: Idle) -> Option<Idle> {
        let mut known = self.lock();
        let of_origin = known.get_mut(origin)?;
        of_origin.push(idle);
        let is_outdated = of_origin.first().is_some_and(|first| first.since.elapsed() >= IDLE_TIMEOUT);
        is_outdated.then(|| of_origin.remove(0))
    }

    fn remove(&self, origin: &str, number: u64) -> Option<Idle> {
        let mut idle = self.lock();
        let of_origin = idle.get_mut(origin)?;
        let at = of_origin.iter().position(|idle| idle.number == number)?;
        Some(of_origin.remove(at))
    }

    /// The one text of `origin` that all its connections share.
    fn name(&self, origin: &str) -> Arc<str> {
        let mut idle = self.lock();
        if let Some((name, _)) = idle.get_key_value(origin) {
            return Arc::clone(name);
        }
        if idle.len() >= MOST {
            idle.retain(|_, of_origin| !of_origin.is_empty());
        }
        let name: Arc<str> = Arc::from(origin);
        idle.insert(Arc::clone(&name), Vec::new());
        name
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        let Some(pool) = self.pool.upgrade() else { return };
        // In use again, or about to be kept: whoever has it looks for itself.
        let Some(idle) = pool.remove(&self.origin, self.number) else { return };
        pool.watch(self, idle);
    }
}
