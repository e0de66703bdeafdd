//! An answer as it is kept.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Key;
use crate::config::Provider;
use crate::message::Usage;

/// The first byte of every stored entry.
const VERSION: u8 = 1;

/// How much of a hash guards an entry against a damaged file.
const CHECKSUM: usize = 16;

/// What an entry takes in memory besides its text, about.
const OVERHEAD: u64 = 256;

/// A whole answer that its caller took.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The text: of a structured request the JSON text that passed the check.
    pub text: Arc<str>,
    /// Who answered.
    pub provider: Provider,
    /// The model that answered.
    pub model: Arc<str>,
    /// What the answer cost when it was given.
    pub usage: Usage,
    /// When it was given, in milliseconds since 1970.
    pub created: u64,
}

/// [`Entry`] as JSON, with short names.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(rename = "p")]
    provider: &'a str,
    #[serde(rename = "m", borrow)]
    model: Cow<'a, str>,
    #[serde(rename = "u")]
    usage: [u64; 5],
    #[serde(rename = "c")]
    created: u64,
    #[serde(rename = "t", borrow)]
    text: Cow<'a, str>,
}

impl Entry {
    /// An answer given now.
    pub fn new(text: impl Into<Arc<str>>, provider: Provider, model: impl Into<Arc<str>>, usage: Usage) -> Self {
        Self { text: text.into(), provider, model: model.into(), usage, created: now() }
    }

    /// Whether it is at most `max_age` old. One from the future is not: a clock was wrong, and nobody knows which.
    pub fn is_fresh(&self, max_age: Duration) -> bool {
        now().checked_sub(self.created).is_some_and(|age| age <= millis(max_age))
    }

    /// About how many bytes it takes in memory.
    pub(super) fn size(&self) -> u64 {
        (self.text.len() + self.model.len()) as u64 + OVERHEAD
    }

    /// The bytes to store under `key`; `None` where there is no JSON of it, which no text gives reason for.
    pub(super) fn encode(&self, key: &Key) -> Option<Vec<u8>> {
        let Self { text, provider, model, usage, created } = self;
        let Usage { input, cached_input, output, reasoning, tool } = *usage;
        let record = Record {
            provider: provider.as_str(),
            model: Cow::Borrowed(model),
            usage: [input, cached_input, output, reasoning, tool],
            created: *created,
            text: Cow::Borrowed(text),
        };
        let mut bytes = Vec::with_capacity(text.len() + text.len() / 8 + 160);
        bytes.push(VERSION);
        bytes.extend([0; CHECKSUM]);
        serde_json::to_writer(&mut bytes, &record).ok()?;
        let checksum = checksum(key, &bytes[1 + CHECKSUM..]);
        bytes[1..=CHECKSUM].copy_from_slice(&checksum);
        Some(bytes)
    }

    /// What was stored under `key`; `None` where the bytes are of another version, damaged, or those of another key.
    pub(super) fn decode(key: &Key, bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (expected, json) = rest.split_at_checked(CHECKSUM)?;
        if version != VERSION || expected != checksum(key, json) {
            return None;
        }
        let record: Record<'_> = serde_json::from_slice(json).ok()?;
        let [input, cached_input, output, reasoning, tool] = record.usage;
        Some(Self {
            text: Arc::from(record.text),
            provider: record.provider.parse().ok()?,
            model: Arc::from(record.model),
            usage: Usage { input, cached_input, output, reasoning, tool },
            created: record.created,
        })
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

/// `time` in milliseconds, as many as a row of the database holds at most.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs() / 2)
}

fn checksum(key: &Key, json: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::keyed_hash(key.as_bytes(), json);
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&hash.as_bytes()[..CHECKSUM]);
    checksum
}
