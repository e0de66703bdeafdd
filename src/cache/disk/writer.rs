//! The thread that writes: what has gathered in one go, then what keeps the database small.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::access::Access;
use super::database::{Change, Database, Trouble};
use super::health::DiskHealth;
use super::place::Place;
use crate::cache::entry::{Entry, now};
use crate::cache::key::Key;
use crate::cache::worker::Work;

/// How long a write waits for other processes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often entries that are too old are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);

/// What is asked of the thread.
#[derive(Debug)]
pub(super) enum Write {
    /// `expires` in milliseconds since 1970.
    Put {
        key: Key,
        entry: Arc<Entry>,
        expires: u64,
        done: oneshot::Sender<()>,
    },
    Touch {
        key: Key,
    },
    Remove {
        key: Key,
    },
    Clear {
        reply: oneshot::Sender<u64>,
    },
}

/// What the thread and the owner of its queue both look at.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// How many bytes the database may take.
    pub(super) max_bytes: AtomicU64,
    /// How many bytes of entries wait to be written.
    pub(super) queued: AtomicU64,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Writer {
    access: Access,
    bounds: Arc<Bounds>,
    /// When entries that are too old were looked for the last time, and none was left.
    expired: Option<Instant>,
}

impl Writer {
    pub(super) fn new(place: Place, health: Arc<DiskHealth>, bounds: Arc<Bounds>) -> Self {
        Self { access: Access::new(place, health, PATIENCE), bounds, expired: None }
    }

    /// `None` where that failed. In place of a damaged database a new one is tried.
    fn with<T>(&mut self, mut work: impl FnMut(&mut Database) -> Result<T, Trouble>) -> Option<T> {
        for _ in 0..2 {
            if !self.access.health().may_write() {
                return None;
            }
            match self.access.with(&mut work) {
                Ok(done) => return Some(done),
                Err(Trouble::Damaged(_)) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Whoever is not told before its sender is dropped knows that it was given up.
    fn write(&mut self, changes: &[Change], done: Vec<oneshot::Sender<()>>) {
        if changes.is_empty() || self.with(|database| database.apply(changes)).is_none() {
            return;
        }
        tell(done);
        self.tidy();
    }

    fn clear(&mut self, reply: oneshot::Sender<u64>) {
        let cleared = if self.access.is_missing() { Some(0) } else { self.with(Database::clear) };
        self.access.place().remove_damaged();
        if let Some(cleared) = cleared {
            let _ = reply.send(cleared);
        }
    }

    fn tidy(&mut self) {
        if self.expired.is_none_or(|last| last.elapsed() >= EXPIRE_EVERY) {
            let deleted = self.with(|database| database.expire(now()));
            // There may be more: then the next write goes on.
            if deleted.is_none_or(|deleted| deleted == 0) {
                self.expired = Some(Instant::now());
            }
        }
        let max_bytes = self.bounds.max_bytes.load(Ordering::Relaxed);
        self.with(|database| {
            database.evict(max_bytes)?;
            database.give_back()
        });
    }
}

/// One who does not listen any more has given up waiting.
fn tell(done: Vec<oneshot::Sender<()>>) {
    for done in done {
        let _ = done.send(());
    }
}

impl Work for Writer {
    type Job = Write;

    fn run(&mut self, jobs: Vec<Write>) {
        let (mut changes, mut done) = (Vec::with_capacity(jobs.len()), Vec::new());
        let mut size = 0;
        for job in jobs {
            match job {
                Write::Put { key, entry, expires, done: told } => {
                    size += entry.size();
                    if let Some(bytes) = entry.encode(&key) {
                        changes.push(Change::Put { key, used: now(), expires, entry: bytes });
                        done.push(told);
                    }
                }
                Write::Remove { .. } | Write::Touch { .. } if changes.is_empty() && self.access.is_missing() => {}
                Write::Touch { key } => changes.push(Change::Touch { key, used: now() }),
                Write::Remove { key } => changes.push(Change::Remove { key }),
                Write::Clear { reply } => {
                    self.write(&std::mem::take(&mut changes), std::mem::take(&mut done));
                    self.clear(reply);
                }
            }
        }
        self.write(&changes, done);
        self.bounds.queued.fetch_sub(size, Ordering::Relaxed);
    }

    fn let_go(&mut self) {
        self.access.let_go();
    }
}
