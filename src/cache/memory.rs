//! The memory tier of one process.

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::entry::Entry;
use super::key::Key;

/// The maximum size of the tier in bytes, whatever the configuration.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The number of shards. Few, as an entry larger than its shard is not stored.
const SHARDS: usize = 4;

/// The estimated size of an entry, for the initial capacity.
const ESTIMATED_ENTRY_BYTES: u64 = 4 * 1024;

/// Entries by key. The least used ones are evicted first.
pub(super) struct MemoryTier {
    entries: Cache<Key, Arc<Entry>, ByBytes, RandomState, DefaultLifecycle<Key, Arc<Entry>>>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.size()
    }
}

impl MemoryTier {
    /// Creates a tier of at most `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        let bytes = max_bytes.min(MAX_BYTES);
        let items = usize::try_from(bytes / ESTIMATED_ENTRY_BYTES).unwrap_or(usize::MAX).max(SHARDS);
        let lifecycle = DefaultLifecycle::default;
        let options =
            OptionsBuilder::new().shards(SHARDS).estimated_items_capacity(items).weight_capacity(bytes).build();
        let entries = match options {
            Ok(options) => Cache::with_options(options, ByBytes, RandomState::default(), lifecycle()),
            // Not reached: every required option is set above.
            Err(_) => Cache::with(items, bytes, ByBytes, RandomState::default(), lifecycle()),
        };
        Self { entries }
    }

    /// Returns the entry of `key` if it is at most `max_age` old.
    pub(super) fn get(&self, key: &Key, max_age: Duration) -> Option<Arc<Entry>> {
        self.entries.get(key).filter(|entry| entry.is_fresh(max_age))
    }

    pub(super) fn insert(&self, key: Key, entry: Arc<Entry>) {
        self.entries.insert(key, entry);
    }

    pub(super) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries.weight()
    }
}

/// Omits the texts.
impl fmt::Debug for MemoryTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTier").field("entries", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, key};
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_maximum_age_is_given_by_the_reader() {
        let memory = MemoryTier::new(MAX_BYTES);
        let old = Entry { created: super::super::entry::now() - 10_000, ..entry("a") };
        memory.insert(key("k"), Arc::new(old));
        assert!(memory.get(&key("k"), Duration::from_secs(9)).is_none());
        assert_eq!(memory.get(&key("k"), DAY).unwrap().text.as_ref(), "a");
    }

    #[test]
    fn an_entry_from_the_future_is_not_found() {
        let memory = MemoryTier::new(MAX_BYTES);
        let early = Entry { created: super::super::entry::now() + 60_000, ..entry("a") };
        memory.insert(key("k"), Arc::new(early));
        assert!(memory.get(&key("k"), Duration::MAX).is_none());
    }

    #[test]
    fn the_size_stays_within_its_limit() {
        let memory = MemoryTier::new(1024 * 1024);
        for number in 0..2000 {
            memory.insert(key(&number.to_string()), Arc::new(entry(&"x".repeat(1024))));
        }
        assert!(memory.bytes() <= 1024 * 1024, "{memory:?}");
        assert!(memory.len() > 100, "{memory:?}");
        memory.insert(key("huge"), Arc::new(entry(&"x".repeat(2 * 1024 * 1024))));
        assert!(memory.get(&key("huge"), DAY).is_none());
        assert!(memory.bytes() <= 1024 * 1024, "{memory:?}");
    }
}
