//! The store of one cache configuration, with up to three tiers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::disk::DiskTier;
use super::entry::{Entry, millis, now};
use super::key::Key;
use super::memory::MemoryTier;
use super::shared::SharedTier;
use super::thread::OnStart;
use super::worker::PausedWorker;
use crate::config;

/// How long dropping a store waits for its threads.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long [`PendingWrite::written`] waits for the disk. Unit tests are not about this limit.
const WRITE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

/// Entries by key, in memory, on disk and on a shared server.
#[derive(Debug)]
pub struct Store {
    memory: MemoryTier,
    /// `None` if no folder is configured and the user has no home directory.
    disk: Option<DiskTier>,
    shared: Option<SharedTier>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    memory_hits: AtomicU64,
    disk_hits: AtomicU64,
    shared_hits: AtomicU64,
    misses: AtomicU64,
}

/// The contents of a store and its use by this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Entries found in memory.
    pub memory_hits: u64,
    /// Entries found on disk.
    pub disk_hits: u64,
    /// Entries found on the shared server.
    pub shared_hits: u64,
    /// Lookups that found no entry in any tier.
    pub misses: u64,
    /// Entries in memory.
    pub memory_entries: u64,
    /// The approximate number of bytes they use.
    pub memory_bytes: u64,
    /// Entries on disk. `None` means that the disk cannot be used.
    pub disk_entries: Option<u64>,
    /// Bytes of the database in use.
    pub disk_bytes: Option<u64>,
    /// The folder of the disk tier.
    pub dir: Option<String>,
    /// Whether the shared server is reachable. `None` without a server, and before the first connection attempt.
    #[serde(rename = "shared_up")]
    pub is_shared_up: Option<bool>,
    /// Errors of the disk and the shared server.
    pub errors: u64,
}

impl Store {
    /// Creates the store of `config` without I/O and without starting a thread.
    pub(super) fn new(config: &config::CacheConfig, on_start: &OnStart) -> Self {
        let disk = config.folder().map(|folder| DiskTier::new(folder, config.max_bytes, on_start));
        if disk.is_none() {
            tracing::warn!("there is no home directory for the response cache: set cache_dir to store answers on disk");
        }
        Self {
            memory: MemoryTier::new(config.max_bytes),
            disk,
            shared: config.url.as_ref().map(|url| SharedTier::new(url, on_start)),
            counts: Counts::default(),
        }
    }

    /// Changes the number of bytes that the disk tier may use.
    pub(super) fn set_max_bytes(&self, max_bytes: u64) {
        if let Some(disk) = &self.disk {
            disk.set_max_bytes(max_bytes);
        }
    }

    /// Returns the entry of `key` if it is in memory and at most `max_age` old. Does not wait.
    pub fn get(&self, key: &Key, max_age: Duration) -> Option<Arc<Entry>> {
        let entry = self.memory.get(key, max_age)?;
        increment(&self.counts.memory_hits);
        Some(entry)
    }

    /// Loads the entry of `key` from disk or the shared server into memory and returns it if it is at most `max_age` old.
    ///
    /// Never fails, and waits a short time only: an entry that is not found in time counts as missing. Needs a tokio runtime
    /// with a timer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn load(&self, key: &Key, max_age: Duration) -> Option<Arc<Entry>> {
        if let Some(disk) = &self.disk
            && let Some(entry) = disk.get(key, max_age).await
        {
            increment(&self.counts.disk_hits);
            return Some(self.remember(key, entry));
        }
        if let Some(shared) = &self.shared
            && let Some(entry) = shared.get(key).await
            && entry.is_fresh(max_age)
        {
            increment(&self.counts.shared_hits);
            let entry = self.remember(key, entry);
            if let Some(disk) = &self.disk {
                disk.put(*key, Arc::clone(&entry), expires(&entry, max_age));
            }
            return Some(entry);
        }
        increment(&self.counts.misses);
        None
    }

    /// Puts `entry` into memory and queues it for the other tiers, which delete it when it is older than `max_age`.
    pub fn put(&self, key: Key, entry: Arc<Entry>, max_age: Duration) -> PendingWrite {
        self.memory.insert(key, Arc::clone(&entry));
        if let Some(shared) = &self.shared {
            shared.put(key, Arc::clone(&entry), max_age);
        }
        let expires = expires(&entry, max_age);
        PendingWrite { written: self.disk.as_ref().and_then(|disk| disk.put(key, entry, expires)) }
    }

    /// Removes the entry of `key` from every tier.
    pub fn remove(&self, key: &Key) {
        self.memory.remove(key);
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
        if let Some(shared) = &self.shared {
            shared.remove(key);
        }
    }

    /// Returns the statistics. Counting the entries on disk may take a while.
    pub async fn stats(&self) -> Stats {
        let disk_size = match &self.disk {
            Some(disk) => disk.size().await,
            None => None,
        };
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            memory_hits: read(&self.counts.memory_hits),
            disk_hits: read(&self.counts.disk_hits),
            shared_hits: read(&self.counts.shared_hits),
            misses: read(&self.counts.misses),
            memory_entries: self.memory.len(),
            memory_bytes: self.memory.bytes(),
            disk_entries: disk_size.map(|size| size.entries),
            disk_bytes: disk_size.map(|size| size.bytes),
            dir: self.disk.as_ref().map(|disk| disk.folder().display().to_string()),
            is_shared_up: self.shared.as_ref().and_then(SharedTier::is_up),
            errors: self.disk.as_ref().map_or(0, DiskTier::errors) + self.shared.as_ref().map_or(0, SharedTier::errors),
        }
    }

    /// Removes every entry from every tier. Returns the number of entries on disk (in memory without a disk tier) and on
    /// the shared server, or `None` if a tier could not be cleared.
    ///
    /// Other processes keep the entries in their memory until these are too old.
    pub async fn clear(&self) -> Option<u64> {
        let in_memory = self.memory.len();
        self.memory.clear();
        let on_disk = match &self.disk {
            Some(disk) => disk.clear().await,
            None => Some(in_memory),
        };
        let on_server = match &self.shared {
            Some(shared) => shared.clear().await,
            None => Some(0),
        };
        // Concurrent calls may have loaded entries meanwhile.
        self.memory.clear();
        Some(on_disk? + on_server?)
    }

    pub(super) fn pause(&self, deadline: Instant) -> Vec<PausedWorker> {
        self.disk.as_ref().map_or_else(Vec::new, |disk| disk.pause(deadline))
    }

    pub(super) fn close(&self, deadline: Instant) {
        if let Some(disk) = &self.disk {
            disk.close(deadline);
        }
        if let Some(shared) = &self.shared {
            shared.close(deadline);
        }
    }

    fn remember(&self, key: &Key, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        self.memory.insert(*key, Arc::clone(&entry));
        entry
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close(Instant::now() + DROP_TIMEOUT);
    }
}

/// An entry that is queued to be written to disk. Dropping this does not cancel the write.
#[derive(Debug)]
#[must_use = "an entry is written even if nobody waits for it"]
pub struct PendingWrite {
    /// `None` if the entry was not queued.
    written: Option<oneshot::Receiver<()>>,
}

impl PendingWrite {
    /// Waits until the entry is on disk, where it survives a kill of the process. Returns `false` if writing it failed or
    /// takes too long.
    pub async fn written(self) -> bool {
        let Some(written) = self.written else { return false };
        matches!(timeout(WRITE_TIMEOUT, written).await, Ok(Ok(())))
    }
}

/// Returns when `entry` expires, in milliseconds since 1970.
fn expires(entry: &Entry, max_age: Duration) -> u64 {
    entry.created.max(now()).saturating_add(millis(max_age))
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
