//! Stores: which tier has an entry, what stores share, and when files are opened.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Cache, Entry, Store};
use super::{entry, key};
use crate::config;

const DAY: Duration = Duration::from_secs(86_400);

/// A temporary folder.
pub(in crate::cache) struct TempFolder(std::path::PathBuf);

impl TempFolder {
    pub(in crate::cache) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("madspark-{name}-{}-{}", std::process::id(), fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(in crate::cache) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn config(dir: &Path) -> config::CacheConfig {
    config::CacheConfig { dir: dir.to_owned(), ..config::CacheConfig::default() }
}

async fn put(store: &Store, prompt: &str, entry: Entry) {
    assert!(store.put(key(prompt), Arc::new(entry), DAY).written().await, "it is on disk");
}

async fn find(store: &Store, prompt: &str) -> Option<String> {
    let key = key(prompt);
    let entry = match store.get(&key, DAY) {
        Some(entry) => Some(entry),
        None => store.load(&key, DAY).await,
    };
    entry.map(|entry| entry.text.to_string())
}

#[tokio::test]
async fn an_entry_outlives_its_process() {
    let folder = TempFolder::new("outlives");
    let answer = Entry { text: Arc::from("naïve \0 \u{10ffff} \"quoted\""), ..entry("") };
    put(&Cache::default().store(&config(folder.path())), "q", answer.clone()).await;

    let later = Cache::default().store(&config(folder.path()));
    assert!(later.get(&key("q"), DAY).is_none(), "it is not in memory");
    assert_eq!(*later.load(&key("q"), DAY).await.unwrap(), answer);
    assert_eq!(*later.get(&key("q"), DAY).unwrap(), answer);
    let stats = later.stats().await;
    assert_eq!((stats.memory_hits, stats.disk_hits, stats.misses), (1, 1, 0));
    assert_eq!((stats.memory_entries, stats.disk_entries, stats.errors), (1, Some(1), 0));
    assert!(later.load(&key("another"), DAY).await.is_none());
    assert_eq!(later.stats().await.misses, 1);
}

#[tokio::test]
async fn creating_a_store_does_no_io() {
    let folder = TempFolder::new("lazy");
    let dir = folder.path().join("cache");
    let cache = Cache::default();
    let store = cache.store(&config(&dir));
    assert!(store.get(&key("q"), DAY).is_none());
    drop((store, cache));
    assert!(!dir.exists());
}

#[tokio::test]
async fn each_folder_has_one_separate_store() {
    let (one, two) = (TempFolder::new("one"), TempFolder::new("two"));
    let cache = Cache::default();
    put(&cache.store(&config(one.path())), "q", entry("one")).await;
    assert_eq!(find(&cache.store(&config(two.path())), "q").await, None);
    assert_eq!(find(&cache.store(&config(one.path())), "q").await.unwrap(), "one");
    assert!(Arc::ptr_eq(&cache.store(&config(one.path())), &cache.store(&config(one.path()))));
}

#[tokio::test]
async fn the_number_of_unused_stores_is_limited() {
    let folder = TempFolder::new("many");
    let cache = Cache::default();
    let used = cache.store(&config(&folder.path().join("used")));
    for number in 0..100 {
        cache.store(&config(&folder.path().join(number.to_string())));
    }
    assert_eq!(cache.all().len(), super::super::MAX_STORES);
    assert!(Arc::ptr_eq(&used, &cache.store(&config(&folder.path().join("used")))));
}

#[tokio::test]
async fn the_reader_decides_the_maximum_age() {
    let folder = TempFolder::new("ttl");
    let old = Entry { created: super::super::entry::now() - 60_000, ..entry("old") };
    let early = Entry { created: super::super::entry::now() + 60_000, ..entry("early") };
    {
        let store = Cache::default().store(&config(folder.path()));
        put(&store, "old", old).await;
        put(&store, "early", early).await;
    }
    let store = Cache::default().store(&config(folder.path()));
    assert!(store.load(&key("old"), Duration::from_secs(59)).await.is_none());
    assert!(store.load(&key("old"), Duration::from_secs(61)).await.is_some());
    assert!(store.load(&key("early"), Duration::MAX).await.is_none());
}

#[tokio::test]
async fn a_removed_entry_is_in_no_tier() {
    let folder = TempFolder::new("forget");
    let store = Cache::default().store(&config(folder.path()));
    put(&store, "bad", entry("bad")).await;
    put(&store, "good", entry("good")).await;
    store.remove(&key("bad"));
    assert!(store.get(&key("bad"), DAY).is_none());
    drop(store);
    let store = Cache::default().store(&config(folder.path()));
    assert_eq!(find(&store, "bad").await, None);
    assert_eq!(find(&store, "good").await.unwrap(), "good");
}

#[tokio::test]
async fn clearing_returns_the_number_of_entries_and_frees_the_space() {
    let folder = TempFolder::new("clear");
    let store = Cache::default().store(&config(folder.path()));
    for number in 0..200 {
        let _pending = store.put(key(&number.to_string()), Arc::new(entry(&"x".repeat(10_000))), DAY);
    }
    assert_eq!(store.clear().await, Some(200));
    assert_eq!(find(&store, "7").await, None);
    let stats = store.stats().await;
    assert_eq!((stats.memory_entries, stats.disk_entries), (0, Some(0)));
    let size: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 200_000, "{size} bytes are left");
    put(&store, "next", entry("works")).await;
}

#[tokio::test]
async fn queued_entries_are_written_on_close() {
    let folder = TempFolder::new("end");
    let cache = Cache::default();
    let store = cache.store(&config(folder.path()));
    for number in 0..500 {
        let _pending = store.put(key(&number.to_string()), Arc::new(entry("answer")), DAY);
    }
    cache.close(Duration::from_secs(60));
    assert!(!store.put(key("late"), Arc::new(entry("late")), DAY).written().await, "it is closed");
    assert_eq!(store.get(&key("late"), DAY).unwrap().text.as_ref(), "late");
    let next = Cache::default().store(&config(folder.path()));
    assert_eq!(next.stats().await.disk_entries, Some(500));
}

#[tokio::test]
async fn a_pause_closes_the_files_until_it_is_dropped() {
    let folder = TempFolder::new("pause");
    let cache = Cache::default();
    let store = cache.store(&config(folder.path()));
    put(&store, "q", entry("before")).await;
    assert!(find(&store, "none").await.is_none());
    let open = || {
        let files = fs::read_dir("/proc/self/fd").unwrap();
        files
            .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
            .filter(|at| at.starts_with(folder.path()))
            .count()
    };
    assert!(open() > 0);
    let pause = cache.pause(Duration::from_secs(60));
    assert_eq!(open(), 0);
    let late = store.put(key("q2"), Arc::new(entry("during")), DAY);
    drop(pause);
    assert!(late.written().await);
}
