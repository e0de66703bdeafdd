//! Shared helpers of the cache tests.

mod keys;
mod single_flight;
pub(super) mod stores;

use super::{Entry, Key};
use crate::config::Provider;
use crate::message::Usage;
use crate::provider::Target;
use crate::transport::WireRequest;

/// Returns an entry with `text`.
pub(super) fn entry(text: &str) -> Entry {
    Entry::new(text, Provider::Ollama, "gemma3:4b", Usage { input: 3, output: 5, ..Usage::default() })
}

/// Returns the key of a request with `prompt`.
pub(super) fn key(prompt: &str) -> Key {
    let target = Target::new(Provider::Ollama, "gemma3:4b", &"http://localhost".into(), None);
    let wire = WireRequest {
        method: reqwest::Method::POST,
        url: url::Url::parse("http://localhost/api/chat").unwrap(),
        headers: Vec::new(),
        body: bytes::Bytes::copy_from_slice(prompt.as_bytes()),
    };
    Key::of(&target, &wire, None)
}
