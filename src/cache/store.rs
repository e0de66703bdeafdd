//! The place where the answers of one configuration are kept, tier by tier.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::disk::Disk;
use super::entry::{Entry, millis, now};
use super::key::Key;
use super::memory::Memory;
use super::shared::Shared;
use super::worker::{OnStart, Paused};
use crate::config;

/// How long the end of a store waits for its threads.
const GRACE: Duration = Duration::from_secs(1);

/// How long [`Kept`] waits for the disk. The tests of this module are about other things.
const KEEP_LIMIT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

/// Answers by key, in memory, on disk and on a shared server.
#[derive(Debug)]
pub struct Store {
    memory: Memory,
    /// `None` where the user has no home to put it in.
    disk: Option<Disk>,
    shared: Option<Shared>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    memory_hits: AtomicU64,
    disk_hits: AtomicU64,
    shared_hits: AtomicU64,
    misses: AtomicU64,
}

/// What a store of this process has done, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Answers found in memory.
    pub memory_hits: u64,
    /// Answers found on disk.
    pub disk_hits: u64,
    /// Answers found on the shared server.
    pub shared_hits: u64,
    /// Answers found nowhere.
    pub misses: u64,
    /// Entries in memory.
    pub memory_entries: u64,
    /// About how many bytes they take.
    pub memory_bytes: u64,
    /// Entries on disk; `None` where the disk cannot be used.
    pub disk_entries: Option<u64>,
    /// Bytes of the database in use.
    pub disk_bytes: Option<u64>,
    /// The folder of the disk tier.
    pub dir: Option<String>,
    /// Whether the shared server answers; `None` without one, and before it was asked.
    pub is_shared_up: Option<bool>,
    /// Things that went wrong with the disk or the shared server.
    pub errors: u64,
}

impl Store {
    pub(super) fn new(config: &config::Cache, on_start: &OnStart) -> Self {
        let disk = config.folder().map(|folder| Disk::new(folder, config.max_bytes, on_start));
        if disk.is_none() {
            tracing::warn!("there is no home to keep answers in: set cache_dir to keep them on disk");
        }
        Self {
            memory: Memory::new(config.max_bytes),
            disk,
            shared: config.url.as_ref().map(|url| Shared::new(url, on_start)),
            counts: Counts::default(),
        }
    }

    pub(super) fn bound(&self, max_bytes: u64) {
        if let Some(disk) = &self.disk {
            disk.bound(max_bytes);
        }
    }

    /// The entry of `key` that is in memory and at most `max_age` old. Waits for nothing.
    pub fn recall(&self, key: &Key, max_age: Duration) -> Option<Arc<Entry>> {
        let entry = self.memory.get(key, max_age)?;
        count(&self.counts.memory_hits);
        Some(entry)
    }

    /// The entry of `key` that is on disk or on the shared server, and at most `max_age` old; it is in memory from then on.
    ///
    /// Never fails, and waits a moment at most: what is not found in time counts as not there. Needs a tokio runtime with
    /// a clock. Cancel safety: nothing is lost.
    pub async fn look_up(&self, key: &Key, max_age: Duration) -> Option<Arc<Entry>> {
        if let Some(disk) = &self.disk
            && let Some(entry) = disk.get(key, max_age).await
        {
            count(&self.counts.disk_hits);
            return Some(self.remember(key, entry));
        }
        if let Some(shared) = &self.shared
            && let Some(entry) = shared.get(key).await
            && entry.is_fresh(max_age)
        {
            count(&self.counts.shared_hits);
            let entry = self.remember(key, entry);
            if let Some(disk) = &self.disk {
                disk.put(*key, Arc::clone(&entry), expires(&entry, max_age));
            }
            return Some(entry);
        }
        count(&self.counts.misses);
        None
    }

    /// Keeps `entry` in memory at once and hands it over to the other tiers. Nobody has to take it when it is older than
    /// `max_age`; a reader may be stricter.
    ///
    /// What comes back is ready when the entry is on disk, so that not even the end of the process by force can lose it any
    /// more, or when it was given up. Dropping it loses nothing.
    pub fn keep(&self, key: Key, entry: Arc<Entry>, max_age: Duration) -> Kept {
        self.memory.insert(key, Arc::clone(&entry));
        if let Some(shared) = &self.shared {
            shared.put(key, Arc::clone(&entry), max_age);
        }
        let expires = expires(&entry, max_age);
        Kept { told: self.disk.as_ref().and_then(|disk| disk.put(key, entry, expires)), limit: None }
    }

    /// Removes the entry of `key` from every tier: whoever asked for it cannot use it.
    pub fn forget(&self, key: &Key) {
        self.memory.remove(key);
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
        if let Some(shared) = &self.shared {
            shared.remove(key);
        }
    }

    /// What it has done and holds. Counting what is on disk may take a while.
    pub async fn stats(&self) -> Stats {
        let on_disk = match &self.disk {
            Some(disk) => disk.holdings().await,
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
            disk_entries: on_disk.map(|holdings| holdings.entries),
            disk_bytes: on_disk.map(|holdings| holdings.bytes),
            dir: self.disk.as_ref().map(|disk| disk.folder().display().to_string()),
            is_shared_up: self.shared.as_ref().and_then(Shared::is_up),
            errors: self.disk.as_ref().map_or(0, Disk::errors) + self.shared.as_ref().map_or(0, Shared::errors),
        }
    }

    /// Removes every entry from every tier; how many were on disk, or where there is none, in memory, and on the shared
    /// server. Other processes keep what they have in memory until it is too old for them.
    ///
    /// `None` where a tier could not be cleared.
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
        // What was being read meanwhile.
        self.memory.clear();
        Some(on_disk? + on_server?)
    }

    pub(super) fn pause(&self, until: Instant) -> Vec<Paused> {
        self.disk.as_ref().map_or_else(Vec::new, |disk| disk.pause(until))
    }

    pub(super) fn close(&self, until: Instant) {
        if let Some(disk) = &self.disk {
            disk.close(until);
        }
        if let Some(shared) = &self.shared {
            shared.close(until);
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
        self.close(Instant::now() + GRACE);
    }
}

/// Ready when an entry is on disk, or was given up. Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "an entry is kept whether or not this is awaited"]
pub struct Kept {
    told: Option<oneshot::Receiver<()>>,
    limit: Option<Pin<Box<Sleep>>>,
}

impl Future for Kept {
    /// Whether it is on disk.
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Some(told) = &mut self.told else { return Poll::Ready(false) };
        if let Poll::Ready(outcome) = Pin::new(told).poll(context) {
            self.told = None;
            return Poll::Ready(outcome.is_ok());
        }
        let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(KEEP_LIMIT)));
        limit.as_mut().poll(context).map(|()| false)
    }
}

fn expires(entry: &Entry, max_age: Duration) -> u64 {
    entry.created.max(now()).saturating_add(millis(max_age))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
