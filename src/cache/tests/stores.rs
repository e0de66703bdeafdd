//! Stores: which tier answers, who shares what, and that nothing is opened before it is needed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Cache, Entry, Store};
use super::{entry, key};
use crate::config;

const DAY: Duration = Duration::from_secs(86_400);

/// A folder of one test, removed after it.
pub(in crate::cache) struct Folder(std::path::PathBuf);

impl Folder {
    pub(in crate::cache) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("madspark-{name}-{}-{}", std::process::id(), fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(in crate::cache) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn config(dir: &Path) -> config::Cache {
    config::Cache { dir: dir.to_owned(), ..config::Cache::default() }
}

async fn kept(store: &Store, question: &str, answer: Entry) {
    assert!(store.keep(key(question), Arc::new(answer), DAY).await, "it is on disk");
}

async fn found(store: &Store, question: &str) -> Option<String> {
    let key = key(question);
    let entry = match store.recall(&key, DAY) {
        Some(entry) => Some(entry),
        None => store.look_up(&key, DAY).await,
    };
    entry.map(|entry| entry.text.to_string())
}

#[tokio::test]
async fn an_answer_outlives_the_process_that_kept_it() {
    let folder = Folder::new("outlives");
    let answer = Entry { text: Arc::from("naïve \0 \u{10ffff} \"quoted\""), ..entry("") };
    kept(&Cache::default().store(&config(folder.path())), "q", answer.clone()).await;

    let later = Cache::default().store(&config(folder.path()));
    assert!(later.recall(&key("q"), DAY).is_none(), "it is not in this one's memory");
    assert_eq!(*later.look_up(&key("q"), DAY).await.unwrap(), answer);
    assert_eq!(*later.recall(&key("q"), DAY).unwrap(), answer);
    let stats = later.stats().await;
    assert_eq!((stats.memory_hits, stats.disk_hits, stats.misses), (1, 1, 0));
    assert_eq!((stats.memory_entries, stats.disk_entries, stats.errors), (1, Some(1), 0));
    assert!(later.look_up(&key("another"), DAY).await.is_none());
    assert_eq!(later.stats().await.misses, 1);
}

#[tokio::test]
async fn making_a_store_touches_nothing() {
    let folder = Folder::new("lazy");
    let dir = folder.path().join("cache");
    let cache = Cache::default();
    let store = cache.store(&config(&dir));
    assert!(store.recall(&key("q"), DAY).is_none());
    drop((store, cache));
    assert!(!dir.exists());
}

#[tokio::test]
async fn two_folders_know_nothing_of_each_other_and_one_folder_is_one_store() {
    let (one, two) = (Folder::new("one"), Folder::new("two"));
    let cache = Cache::default();
    kept(&cache.store(&config(one.path())), "q", entry("one")).await;
    assert_eq!(found(&cache.store(&config(two.path())), "q").await, None);
    assert_eq!(found(&cache.store(&config(one.path())), "q").await.unwrap(), "one");
    assert!(Arc::ptr_eq(&cache.store(&config(one.path())), &cache.store(&config(one.path()))));
}

#[tokio::test]
async fn only_so_many_stores_are_held_and_none_in_use_is_closed() {
    let folder = Folder::new("many");
    let cache = Cache::default();
    let used = cache.store(&config(&folder.path().join("used")));
    for number in 0..100 {
        cache.store(&config(&folder.path().join(number.to_string())));
    }
    assert_eq!(cache.all().len(), super::super::MAX_STORES);
    assert!(Arc::ptr_eq(&used, &cache.store(&config(&folder.path().join("used")))));
}

#[tokio::test]
async fn a_reader_says_how_old_is_too_old_and_a_writer_what_nobody_takes() {
    let folder = Folder::new("ttl");
    let old = Entry { created: super::super::entry::now() - 60_000, ..entry("old") };
    let early = Entry { created: super::super::entry::now() + 60_000, ..entry("early") };
    {
        let store = Cache::default().store(&config(folder.path()));
        kept(&store, "old", old).await;
        kept(&store, "early", early).await;
    }
    let store = Cache::default().store(&config(folder.path()));
    assert!(store.look_up(&key("old"), Duration::from_secs(59)).await.is_none());
    assert!(store.look_up(&key("old"), Duration::from_secs(61)).await.is_some());
    assert!(store.look_up(&key("early"), Duration::MAX).await.is_none());
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_tier() {
    let folder = Folder::new("forget");
    let store = Cache::default().store(&config(folder.path()));
    kept(&store, "bad", entry("bad")).await;
    kept(&store, "good", entry("good")).await;
    store.forget(&key("bad"));
    assert!(store.recall(&key("bad"), DAY).is_none());
    drop(store);
    let store = Cache::default().store(&config(folder.path()));
    assert_eq!(found(&store, "bad").await, None);
    assert_eq!(found(&store, "good").await.unwrap(), "good");
}

#[tokio::test]
async fn clearing_tells_how_many_there_were_and_gives_the_space_back() {
    let folder = Folder::new("clear");
    let store = Cache::default().store(&config(folder.path()));
    for number in 0..200 {
        let _kept = store.keep(key(&number.to_string()), Arc::new(entry(&"x".repeat(10_000))), DAY);
    }
    assert_eq!(store.clear().await, Some(200));
    assert_eq!(found(&store, "7").await, None);
    let stats = store.stats().await;
    assert_eq!((stats.memory_entries, stats.disk_entries), (0, Some(0)));
    let size: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 200_000, "{size} bytes are left");
    kept(&store, "next", entry("works")).await;
}

#[tokio::test]
async fn what_was_handed_over_is_written_when_the_cache_ends() {
    let folder = Folder::new("end");
    let cache = Cache::default();
    let store = cache.store(&config(folder.path()));
    for number in 0..500 {
        let _kept = store.keep(key(&number.to_string()), Arc::new(entry("answer")), DAY);
    }
    cache.close(Duration::from_secs(60));
    assert!(!store.keep(key("late"), Arc::new(entry("late")), DAY).await, "it has ended");
    assert_eq!(store.recall(&key("late"), DAY).unwrap().text.as_ref(), "late");
    let next = Cache::default().store(&config(folder.path()));
    assert_eq!(next.stats().await.disk_entries, Some(500));
}

#[tokio::test]
async fn a_pause_closes_the_files_and_ends() {
    let folder = Folder::new("pause");
    let cache = Cache::default();
    let store = cache.store(&config(folder.path()));
    kept(&store, "q", entry("before")).await;
    assert!(found(&store, "none").await.is_none());
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
    let late = store.keep(key("q2"), Arc::new(entry("during")), DAY);
    drop(pause);
    assert!(late.await);
}
