//! The disk tier, shared by all processes that use one folder.
//!
//! It is an `SQLite` database with a write-ahead log, which one thread reads and another one writes. A call waits a short
//! time for the reader, and for the writer only if it wants to. Errors are logged and never fail a call.

mod database;
mod error;
mod folder;
mod health;
mod lazy_database;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::entry::Entry;
use super::key::Key;
use super::thread::OnStart;
use super::worker::{PausedWorker, Worker};
use folder::Folder;
use health::DiskHealth;
use reader::{Read, ReadResult, Reader};
use writer::{Sizes, Write, Writer};

pub(super) use database::DatabaseSize;

/// How long a call waits for the disk. Unit tests are not about this limit.
const READ_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 250 });

/// How long a call waits if the database has to be opened first.
const OPEN_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 1000 });

/// How long counting or clearing the whole database may take.
const MAINTENANCE_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of bytes of entries that may be queued for writing.
const MAX_QUEUED: u64 = 64 * 1024 * 1024;

/// The tier in one folder.
#[derive(Debug)]
pub(super) struct DiskTier {
    folder: Folder,
    health: Arc<DiskHealth>,
    sizes: Arc<Sizes>,
    reader: Worker<Reader>,
    writer: Worker<Writer>,
}

impl DiskTier {
    /// Creates the tier in `folder` without opening, creating or starting anything.
    pub(super) fn new(folder: PathBuf, max_bytes: u64, on_start: &OnStart) -> Self {
        let folder = Folder::new(folder);
        let (health, sizes) = (Arc::<DiskHealth>::default(), Arc::<Sizes>::default());
        sizes.max_bytes.store(max_bytes, Ordering::Relaxed);
        let reader = {
            let (folder, health) = (folder.clone(), Arc::clone(&health));
            move || Reader::new(folder.clone(), Arc::clone(&health))
        };
        let writer = {
            let (folder, health, sizes) = (folder.clone(), Arc::clone(&health), Arc::clone(&sizes));
            move || Writer::new(folder.clone(), Arc::clone(&health), Arc::clone(&sizes))
        };
        Self {
            folder,
            health,
            sizes,
            reader: Worker::new("madspark-cache-r", on_start, reader),
            writer: Worker::new("madspark-cache-w", on_start, writer),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Changes the number of bytes that the database may use.
    pub(super) fn set_max_bytes(&self, max_bytes: u64) {
        self.sizes.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// Returns the entry of `key` if it is at most `max_age` old. A disk that does not respond in time has no entry.
    pub(super) async fn get(&self, key: &Key, max_age: Duration) -> Option<Entry> {
        if !self.health.can_read() {
            return None;
        }
        let (reply, result) = oneshot::channel();
        if !self.reader.send(Read::Entry { key: *key, reply }) {
            self.health.timed_out(self.folder.path());
            return None;
        }
        let limit = if self.health.is_open() { READ_TIMEOUT } else { OPEN_TIMEOUT };
        let Ok(result) = timeout(limit, result).await else {
            self.health.timed_out(self.folder.path());
            return None;
        };
        self.health.responded();
        match result.unwrap_or(ReadResult::Missing) {
            ReadResult::Missing => None,
            ReadResult::Invalid => {
                self.remove(key);
                None
            }
            ReadResult::Found { entry, is_touch_due } => {
                let entry = Some(entry).filter(|entry| entry.is_fresh(max_age))?;
                if is_touch_due {
                    self.writer.send(Write::Touch { key: *key });
                }
                Some(entry)
            }
        }
    }

    /// Queues `entry` for writing, to be deleted after `expires`, in milliseconds since 1970.
    ///
    /// The returned receiver completes when the entry is on disk, and fails if writing it failed. `None` means that it was
    /// not queued.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, expires: u64) -> Option<oneshot::Receiver<()>> {
        let size = entry.size();
        let is_too_large = size > self.sizes.max_bytes.load(Ordering::Relaxed) / 4;
        if is_too_large || !self.health.can_write() {
            return None;
        }
        if self.sizes.queued.fetch_add(size, Ordering::Relaxed) + size > MAX_QUEUED {
            self.sizes.queued.fetch_sub(size, Ordering::Relaxed);
            return None;
        }
        let (written, is_written) = oneshot::channel();
        if self.writer.send(Write::Put { key, entry, expires, written }) {
            return Some(is_written);
        }
        self.sizes.queued.fetch_sub(size, Ordering::Relaxed);
        None
    }

    pub(super) fn remove(&self, key: &Key) {
        self.writer.send(Write::Remove { key: *key });
    }

    /// Returns the size of the database, or `None` if it cannot be used.
    pub(super) async fn size(&self) -> Option<DatabaseSize> {
        let (reply, size) = oneshot::channel();
        self.reader.send(Read::Size { reply });
        timeout(MAINTENANCE_TIMEOUT, size).await.ok()?.ok()
    }

    /// Deletes every entry and returns their number, or `None` if the database cannot be used.
    pub(super) async fn clear(&self) -> Option<u64> {
        let (reply, cleared) = oneshot::channel();
        self.writer.send(Write::Clear { reply });
        timeout(MAINTENANCE_TIMEOUT, cleared).await.ok()?.ok()
    }

    /// Returns the number of errors so far.
    pub(super) fn errors(&self) -> u64 {
        self.health.errors()
    }

    /// Closes the files of both threads until the returned guards are dropped. Waits until `deadline` at most.
    pub(super) fn pause(&self, deadline: Instant) -> Vec<PausedWorker> {
        [self.writer.pause(deadline), self.reader.pause(deadline)].into_iter().flatten().collect()
    }

    /// Writes what is queued and ends both threads. Waits until `deadline` at most.
    pub(super) fn close(&self, deadline: Instant) {
        self.writer.close(deadline);
        self.reader.close(deadline);
    }
}
