//! What the tests of the cache start from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use madspark::cache::{Entry, Key, Store};
use madspark::config::{self, Provider, Tuning};
use madspark::message::Usage;
use madspark::provider::Target;
use madspark::transport::WireRequest;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A folder of one test, removed after it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("madspark-{name}-{}-{}", std::process::id(), fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A cache in `dir`, as by default otherwise.
pub(crate) fn config(dir: &Path) -> config::Cache {
    config::Cache { dir: dir.to_owned(), ..config::Cache::default() }
}

/// An answer given now.
pub(crate) fn entry(text: &str) -> Entry {
    Entry::new(text, Provider::Ollama, "gemma3:4b", Usage { input: 3, output: 5, ..Usage::default() })
}

/// The key of a question.
pub(crate) fn key(question: &str) -> Key {
    let target = Target {
        provider: Provider::Ollama,
        model: Arc::from("gemma3:4b"),
        base_url: "http://localhost".into(),
        key: None,
        timeout: Duration::from_secs(1),
        tuning: Tuning::default(),
        facts: None,
    };
    let wire = WireRequest {
        method: reqwest::Method::POST,
        url: url::Url::parse("http://localhost/api/chat").unwrap(),
        headers: Vec::new(),
        body: Bytes::copy_from_slice(question.as_bytes()),
    };
    Key::of(&target, &wire, None)
}

/// Keeps the answer to `question` on disk. On a machine that is busy the first try may be given up.
pub(crate) async fn keep(store: &Store, question: &str, answer: &str) {
    let mut tries = 0;
    while !store.keep(key(question), Arc::new(entry(answer)), DAY).await {
        tries += 1;
        assert!(tries < 20, "{question} was not kept");
    }
}

/// The answer to `question` on disk or on the server. What is not found in time is not lost.
pub(crate) async fn look_up(store: &Store, question: &str) -> Option<Arc<Entry>> {
    for _ in 0..20 {
        if let Some(found) = store.look_up(&key(question), DAY).await {
            return Some(found);
        }
    }
    None
}
