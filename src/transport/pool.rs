//! Connections between two exchanges.
//!
//! No task watches them: each connection has a waker of its own, which closes it when the server closes its side.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Wake, Waker};

use tokio::time::Instant;

use super::IDLE_TIMEOUT;
use super::connect::{IoStream, is_quiet, poll_end};
use super::connection::Connection;
use crate::sync::lock;

/// The number of origins from which on those without a connection are removed.
const MAX_ORIGINS: usize = 1024;

/// The idle connections of the process, by origin (scheme, host and port).
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Arc<str>, Vec<IdleConnection>>>,
    next_id: AtomicU64,
}

#[derive(Debug)]
struct IdleConnection {
    id: u64,
    stream: Box<IoStream>,
    since: Instant,
}

/// The waker of one idle connection, woken when the connection has ended or received unsolicited bytes.
struct IdleWaker {
    pool: Weak<Pool>,
    origin: Arc<str>,
    id: u64,
    is_woken: AtomicBool,
}

impl Pool {
    /// Takes the most recently used connection to `origin` that is still open.
    pub(super) fn take(&self, origin: &str, cx: &mut Context<'_>) -> Option<Box<IoStream>> {
        loop {
            let mut idle = lock(&self.idle).get_mut(origin)?.pop()?;
            let is_open = poll_end(&mut idle.stream, cx).is_pending() && is_quiet(&idle.stream);
            if is_open && idle.since.elapsed() < IDLE_TIMEOUT {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps `connection` for the next exchange with `origin`, or closes it if it cannot be used again.
    pub(super) fn put(self: &Arc<Self>, origin: &str, connection: Box<Connection>) {
        let Some(stream) = connection.into_idle() else { return };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let origin = self.intern(origin);
        let waker = IdleWaker { pool: Arc::downgrade(self), origin, id, is_woken: AtomicBool::new(false) };
        self.watch(&Arc::new(waker), IdleConnection { id, stream, since: Instant::now() });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.idle).values().map(Vec::len).sum()
    }

    /// Registers `idle_waker` with the connection and inserts the connection, unless it has ended.
    fn watch(&self, idle_waker: &Arc<IdleWaker>, mut idle: IdleConnection) {
        let waker = Waker::from(Arc::clone(idle_waker));
        loop {
            idle_waker.is_woken.store(false, Ordering::SeqCst);
            if poll_end(&mut idle.stream, &mut Context::from_waker(&waker)).is_ready() {
                return;
            }
            // The connection is closed here, after the lock is released.
            drop(self.insert(&idle_waker.origin, idle));
            // A wake-up before the insertion did not find the connection.
            if !idle_waker.is_woken.load(Ordering::SeqCst) {
                return;
            }
            let Some(found) = self.remove(&idle_waker.origin, idle_waker.id) else { return };
            idle = found;
        }
    }

    /// Inserts `idle`. Returns the oldest connection to its origin if that has expired; one is enough, since each exchange
    /// adds one.
    fn insert(&self, origin: &str, idle: IdleConnection) -> Option<IdleConnection> {
        let mut origins = lock(&self.idle);
        let connections = origins.get_mut(origin)?;
        connections.push(idle);
        let is_expired = connections.first().is_some_and(|oldest| oldest.since.elapsed() >= IDLE_TIMEOUT);
        is_expired.then(|| connections.remove(0))
    }

    fn remove(&self, origin: &str, id: u64) -> Option<IdleConnection> {
        let mut origins = lock(&self.idle);
        let connections = origins.get_mut(origin)?;
        let index = connections.iter().position(|idle| idle.id == id)?;
        Some(connections.remove(index))
    }

    /// Returns the key of `origin`, which its connections share.
    fn intern(&self, origin: &str) -> Arc<str> {
        let mut origins = lock(&self.idle);
        if let Some((key, _)) = origins.get_key_value(origin) {
            return Arc::clone(key);
        }
        if origins.len() >= MAX_ORIGINS {
            origins.retain(|_, connections| !connections.is_empty());
        }
        let key: Arc<str> = Arc::from(origin);
        origins.insert(Arc::clone(&key), Vec::new());
        key
    }
}

impl Wake for IdleWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        let Some(pool) = self.pool.upgrade() else { return };
        // If the connection is in use again or about to be inserted, its current owner polls it.
        let Some(idle) = pool.remove(&self.origin, self.id) else { return };
        pool.watch(self, idle);
    }
}
