//! The tier on disk, shared by all processes that name one folder.
//!
//! One `SQLite` database with a write-ahead log. No call waits for it on a thread that serves others: one thread reads, one
//! writes, and a caller waits for the first for a moment and for the second where it wants to. Whatever goes wrong here,
//! a call goes on without it.

mod access;
mod database;
mod health;
mod place;
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
use super::worker::{OnStart, Paused, Worker};
use health::DiskHealth;
use place::Place;
use reader::{Found, Read, Reader};
use writer::{Bounds, Write, Writer};

pub(super) use database::Holdings;

/// How long a call waits for what is on disk. The tests of this module are about other things.
const READ_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 250 });

/// How long the first ones wait, for whom the database has to be opened.
const OPEN_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 1000 });

/// How long whoever asks for it waits for the whole database to be counted or cleared.
const CARE_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes of entries wait to be written at most.
const MAX_QUEUED: u64 = 64 * 1024 * 1024;

/// One folder.
#[derive(Debug)]
pub(super) struct Disk {
    place: Place,
    health: Arc<DiskHealth>,
    bounds: Arc<Bounds>,
    reader: Worker<Reader>,
    writer: Worker<Writer>,
}

impl Disk {
    /// The tier in `folder`. Nothing is opened, made or started before the first use.
    pub(super) fn new(folder: PathBuf, max_bytes: u64, on_start: &OnStart) -> Self {
        let (place, health, bounds) = (Place::new(folder), Arc::<DiskHealth>::default(), Arc::<Bounds>::default());
        bounds.max_bytes.store(max_bytes, Ordering::Relaxed);
        let reader = Reader::new(place.clone(), Arc::clone(&health));
        let writer = Writer::new(place.clone(), Arc::clone(&health), Arc::clone(&bounds));
        Self {
            place,
            health,
            bounds,
            reader: Worker::new("madspark-cache-r", reader, Arc::clone(on_start)),
            writer: Worker::new("madspark-cache-w", writer, Arc::clone(on_start)),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.place.folder()
    }

    /// From now on the files take `max_bytes` at most.
    pub(super) fn bound(&self, max_bytes: u64) {
        self.bounds.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// The entry of `key`, where it is at most `max_age` old. `None` as well where the disk does not answer in time.
    pub(super) async fn get(&self, key: &Key, max_age: Duration) -> Option<Entry> {
        if !self.health.may_read() {
            return None;
        }
        let (reply, found) = oneshot::channel();
        if !self.reader.send(Read::Entry { key: *key, reply }) {
            self.health.late(self.place.folder());
            return None;
        }
        let limit = if self.health.is_open() { READ_LIMIT } else { OPEN_LIMIT };
        let Ok(found) = timeout(limit, found).await else {
            self.health.late(self.place.folder());
            return None;
        };
        self.health.in_time();
        match found.unwrap_or(Found::Nothing) {
            Found::Nothing => None,
            Found::Garbage => {
                self.remove(key);
                None
            }
            Found::Entry(entry, is_noted) => {
                let entry = Some(entry).filter(|entry| entry.is_fresh(max_age))?;
                if is_noted {
                    self.writer.send(Write::Touch { key: *key });
                }
                Some(entry)
            }
        }
    }

    /// Hands `entry` over to be written; nobody is to take it after `expires`, in milliseconds since 1970. What comes back
    /// is told when it is on disk, and dropped when it was given up; `None` where that is known at once.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, expires: u64) -> Option<oneshot::Receiver<()>> {
        let size = entry.size();
        let is_huge = size > self.bounds.max_bytes.load(Ordering::Relaxed) / 4;
        if is_huge || !self.health.may_write() {
            return None;
        }
        if self.bounds.queued.fetch_add(size, Ordering::Relaxed) + size > MAX_QUEUED {
            self.bounds.queued.fetch_sub(size, Ordering::Relaxed);
            return None;
        }
        let (done, told) = oneshot::channel();
        if self.writer.send(Write::Put { key, entry, expires, done }) {
            return Some(told);
        }
        self.bounds.queued.fetch_sub(size, Ordering::Relaxed);
        None
    }

    pub(super) fn remove(&self, key: &Key) {
        self.writer.send(Write::Remove { key: *key });
    }

    /// What the database holds; `None` where it cannot be used.
    pub(super) async fn holdings(&self) -> Option<Holdings> {
        let (reply, counted) = oneshot::channel();
        self.reader.send(Read::Holdings { reply });
        timeout(CARE_LIMIT, counted).await.ok()?.ok()
    }

    /// Deletes every entry; how many there were. `None` where the database cannot be used.
    pub(super) async fn clear(&self) -> Option<u64> {
        let (reply, cleared) = oneshot::channel();
        self.writer.send(Write::Clear { reply });
        timeout(CARE_LIMIT, cleared).await.ok()?.ok()
    }

    /// What went wrong so far.
    pub(super) fn errors(&self) -> u64 {
        self.health.errors()
    }

    /// Has both threads close their files until what comes back is dropped, or `until` has come.
    pub(super) fn pause(&self, until: Instant) -> Vec<Paused> {
        [self.writer.pause(until), self.reader.pause(until)].into_iter().flatten().collect()
    }

    /// Writes what was handed over and ends both threads; `until` at the latest.
    pub(super) fn close(&self, until: Instant) {
        self.writer.close(until);
        self.reader.close(until);
    }
}
