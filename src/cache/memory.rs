//! The tier in the process's own memory.

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::entry::Entry;
use super::key::Key;

/// Upper bound of what one store holds in memory, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Parts with a lock each. Few: an entry larger than its part's share is not kept.
const SHARDS: usize = 4;

/// For the tables: about how large an entry is.
const USUAL_ENTRY: u64 = 4 * 1024;

/// Entries by key, the least used leave first.
pub(super) struct Memory {
    entries: Cache<Key, Arc<Entry>, ByBytes, RandomState, DefaultLifecycle<Key, Arc<Entry>>>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.size()
    }
}

impl Memory {
    /// At most `max_bytes`, and at most what is sensible.
    pub(super) fn new(max_bytes: u64) -> Self {
        let bytes = max_bytes.min(MAX_BYTES);
        let items = usize::try_from(bytes / USUAL_ENTRY).unwrap_or(usize::MAX).max(SHARDS);
        let lifecycle = DefaultLifecycle::default;
        let options =
            OptionsBuilder::new().shards(SHARDS).estimated_items_capacity(items).weight_capacity(bytes).build();
        let entries = match options {
            Ok(options) => Cache::with_options(options, ByBytes, RandomState::default(), lifecycle()),
            // Only where a number is missing above.
            Err(_) => Cache::with(items, bytes, ByBytes, RandomState::default(), lifecycle()),
        };
        Self { entries }
    }

    /// The entry of `key`, where it is at most `max_age` old.
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

/// No text is shown.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("entries", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, key};
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_reader_decides_how_old_is_too_old() {
        let memory = Memory::new(MAX_BYTES);
        let old = Entry { created: super::super::entry::now() - 10_000, ..entry("a") };
        memory.insert(key("k"), Arc::new(old));
        assert!(memory.get(&key("k"), Duration::from_secs(9)).is_none());
        assert_eq!(memory.get(&key("k"), DAY).unwrap().text.as_ref(), "a");
    }

    #[test]
    fn an_entry_from_the_future_is_none() {
        let memory = Memory::new(MAX_BYTES);
        let early = Entry { created: super::super::entry::now() + 60_000, ..entry("a") };
        memory.insert(key("k"), Arc::new(early));
        assert!(memory.get(&key("k"), Duration::MAX).is_none());
    }

    #[test]
    fn it_holds_no_more_bytes_than_it_may() {
        let memory = Memory::new(1024 * 1024);
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
