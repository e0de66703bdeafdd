//! Shared helpers of the cache tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use madspark::cache::{Entry, Key, Store};
use madspark::config::{self, Provider};
use madspark::message::Usage;
use madspark::provider::{ModelOptions, Target};
use madspark::transport::WireRequest;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A temporary folder.
pub(crate) struct TempFolder(PathBuf);

impl TempFolder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("madspark-{name}-{}-{}", std::process::id(), fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Returns the default configuration with the cache in `dir`.
pub(crate) fn config(dir: &Path) -> config::CacheConfig {
    config::CacheConfig { dir: dir.to_owned(), ..config::CacheConfig::default() }
}

/// Returns an entry with `text`.
pub(crate) fn entry(text: &str) -> Entry {
    Entry::new(text, Provider::Ollama, "gemma3:4b", Usage { input: 3, output: 5, ..Usage::default() })
}

/// Returns the key of a request with `prompt`.
pub(crate) fn key(prompt: &str) -> Key {
    let target = Target {
        provider: Provider::Ollama,
        model: Arc::from("gemma3:4b"),
        base_url: "http://localhost".into(),
        key: None,
        timeout: Duration::from_secs(1),
        options: ModelOptions::default(),
        facts: None,
    };
    let wire = WireRequest {
        method: reqwest::Method::POST,
        url: url::Url::parse("http://localhost/api/chat").unwrap(),
        headers: Vec::new(),
        body: Bytes::copy_from_slice(prompt.as_bytes()),
    };
    Key::of(&target, &wire, None)
}

/// Writes an entry to disk. Retries, as a write may time out on a busy machine.
pub(crate) async fn put(store: &Store, prompt: &str, text: &str) {
    let mut tries = 0;
    while !store.put(key(prompt), Arc::new(entry(text)), DAY).written().await {
        tries += 1;
        assert!(tries < 20, "{prompt} was not written");
    }
}

/// Loads an entry from disk or from the server. Retries, as a read may time out on a busy machine.
pub(crate) async fn load(store: &Store, prompt: &str) -> Option<Arc<Entry>> {
    for _ in 0..20 {
        if let Some(found) = store.load(&key(prompt), DAY).await {
            return Some(found);
        }
    }
    None
}
