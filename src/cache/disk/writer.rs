//! The thread that writes the database: queued changes in one transaction, then expiry and eviction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::database::{Change, Database};
use super::error::DatabaseError;
use super::folder::Folder;
use super::health::DiskHealth;
use super::lazy_database::LazyDatabase;
use crate::cache::entry::{Entry, now};
use crate::cache::key::Key;
use crate::cache::worker::Work;

/// How long a write waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The interval at which expired entries are deleted.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// A job of the writer. A sender that is dropped unsent means that the job failed.
#[derive(Debug)]
pub(super) enum Write {
    Put {
        key: Key,
        entry: Arc<Entry>,
        /// Milliseconds since 1970.
        expires: u64,
        written: oneshot::Sender<()>,
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

/// Sizes that the writer shares with the owner of its queue.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// The number of bytes that the database may use.
    pub(super) max_bytes: AtomicU64,
    /// The number of bytes of queued entries.
    pub(super) queued: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Writer {
    database: LazyDatabase,
    sizes: Arc<Sizes>,
    /// When the last search for expired entries found none.
    expired: Option<Instant>,
}

impl Writer {
    pub(super) fn new(folder: Folder, health: Arc<DiskHealth>, sizes: Arc<Sizes>) -> Self {
        Self { database: LazyDatabase::new(folder, health, BUSY_TIMEOUT), sizes, expired: None }
    }

    /// Calls `work` with the database, a second time if the first one was damaged. Returns `None` if that failed.
    fn with<T>(&mut self, mut work: impl FnMut(&mut Database) -> Result<T, DatabaseError>) -> Option<T> {
        for _ in 0..2 {
            if !self.database.health.can_write() {
                return None;
            }
            match self.database.with(&mut work) {
                Ok(value) => return Some(value),
                Err(DatabaseError::Damaged(_)) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn write(&mut self, changes: &[Change], written: Vec<oneshot::Sender<()>>) {
        if changes.is_empty() || self.with(|database| database.apply(changes)).is_none() {
            return;
        }
        for written in written {
            // Fails if nobody waits for it.
            let _ = written.send(());
        }
        self.enforce_limits();
    }

    fn clear(&mut self, reply: oneshot::Sender<u64>) {
        let cleared = if self.database.is_missing() { Some(0) } else { self.with(Database::clear) };
        self.database.folder.remove_damaged_database();
        if let Some(cleared) = cleared {
            let _ = reply.send(cleared);
        }
    }

    fn enforce_limits(&mut self) {
        if self.expired.is_none_or(|last| last.elapsed() >= EXPIRY_INTERVAL) {
            let deleted = self.with(|database| database.expire(now()));
            // Each call deletes a bounded number. The next write deletes more.
            if deleted.is_none_or(|deleted| deleted == 0) {
                self.expired = Some(Instant::now());
            }
        }
        let max_bytes = self.sizes.max_bytes.load(Ordering::Relaxed);
        self.with(|database| {
            database.evict(max_bytes)?;
            database.shrink()
        });
    }
}

impl Work for Writer {
    type Job = Write;

    fn run(&mut self, jobs: Vec<Write>) {
        let (mut changes, mut senders) = (Vec::with_capacity(jobs.len()), Vec::new());
        let mut size = 0;
        for job in jobs {
            match job {
                Write::Put { key, entry, expires, written } => {
                    size += entry.size();
                    if let Some(bytes) = entry.encode(&key) {
                        changes.push(Change::Put { key, used: now(), expires, entry: bytes });
                        senders.push(written);
                    }
                }
                Write::Remove { .. } | Write::Touch { .. } if changes.is_empty() && self.database.is_missing() => {}
                Write::Touch { key } => changes.push(Change::Touch { key, used: now() }),
                Write::Remove { key } => changes.push(Change::Remove { key }),
                Write::Clear { reply } => {
                    self.write(&std::mem::take(&mut changes), std::mem::take(&mut senders));
                    self.clear(reply);
                }
            }
        }
        self.write(&changes, senders);
        self.sizes.queued.fetch_sub(size, Ordering::Relaxed);
    }

    fn close_files(&mut self) {
        self.database.close();
    }
}
