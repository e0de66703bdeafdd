//! A cached answer and its encoding.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Key;
use crate::config::Provider;
use crate::message::{FinishReason, Usage};

/// The first byte of every stored entry.
const VERSION: u8 = 2;

/// The length of the checksum that detects damaged entries.
const CHECKSUM_LEN: usize = 16;

/// The approximate size of an entry in memory without its text.
const OVERHEAD: u64 = 256;

/// A complete answer that its caller accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The text. For a structured request it is the validated JSON.
    pub text: Arc<str>,
    /// The provider that answered.
    pub provider: Provider,
    /// The model that answered.
    pub model: Arc<str>,
    /// The usage of the original request.
    pub usage: Usage,
    /// Why the model stopped.
    pub finish: FinishReason,
    /// The provider's name for that reason.
    pub finish_detail: Option<Arc<str>>,
    /// The reasoning that was returned next to the text.
    pub reasoning: Option<Arc<str>>,
    /// When the answer was received, in milliseconds since 1970.
    pub created: u64,
}

/// The JSON form of an [`Entry`], with short names.
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
    #[serde(rename = "f")]
    finish: &'a str,
    #[serde(rename = "d", borrow, default, skip_serializing_if = "Option::is_none")]
    finish_detail: Option<Cow<'a, str>>,
    #[serde(rename = "r", borrow, default, skip_serializing_if = "Option::is_none")]
    reasoning: Option<Cow<'a, str>>,
    #[serde(rename = "t", borrow)]
    text: Cow<'a, str>,
}

impl Entry {
    /// Creates an entry of the current time, of a model that had finished.
    pub fn new(text: impl Into<Arc<str>>, provider: Provider, model: impl Into<Arc<str>>, usage: Usage) -> Self {
        Self {
            text: text.into(),
            provider,
            model: model.into(),
            usage,
            finish: FinishReason::Stop,
            finish_detail: None,
            reasoning: None,
            created: now(),
        }
    }

    /// Returns whether the entry is at most `max_age` old. One from the future is not, as its clock or this one is wrong.
    pub fn is_fresh(&self, max_age: Duration) -> bool {
        now().checked_sub(self.created).is_some_and(|age| age <= millis(max_age))
    }

    /// Returns the approximate size in memory.
    pub(super) fn size(&self) -> u64 {
        let reasoning = self.reasoning.as_ref().map_or(0, |reasoning| reasoning.len());
        (self.text.len() + self.model.len() + reasoning) as u64 + OVERHEAD
    }

    /// Returns the bytes to store under `key`, or `None` if serialization fails, which no text causes.
    pub(super) fn encode(&self, key: &Key) -> Option<Vec<u8>> {
        let Self { text, provider, model, usage, finish, finish_detail, reasoning, created } = self;
        let Usage { input, cached_input, output, reasoning: thoughts, tool } = *usage;
        let record = Record {
            provider: provider.as_str(),
            model: Cow::Borrowed(model),
            usage: [input, cached_input, output, thoughts, tool],
            created: *created,
            finish: finish.as_str(),
            finish_detail: finish_detail.as_deref().map(Cow::Borrowed),
            reasoning: reasoning.as_deref().map(Cow::Borrowed),
            text: Cow::Borrowed(text),
        };
        let mut bytes = Vec::with_capacity(text.len() + text.len() / 8 + 160);
        bytes.push(VERSION);
        bytes.extend([0; CHECKSUM_LEN]);
        serde_json::to_writer(&mut bytes, &record).ok()?;
        let checksum = checksum(key, &bytes[1 + CHECKSUM_LEN..]);
        bytes[1..=CHECKSUM_LEN].copy_from_slice(&checksum);
        Some(bytes)
    }

    /// Decodes the bytes stored under `key`. Returns `None` if they are damaged, of another version or of another key.
    pub(super) fn decode(key: &Key, bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (expected, json) = rest.split_at_checked(CHECKSUM_LEN)?;
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
            finish: FinishReason::ALL.into_iter().find(|reason| reason.as_str() == record.finish)?,
            finish_detail: record.finish_detail.map(Arc::from),
            reasoning: record.reasoning.map(Arc::from),
            created: record.created,
        })
    }
}

/// Returns the current time in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

/// Returns `time` in milliseconds, bounded so that a sum of two fits into a database column.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs() / 2)
}

fn checksum(key: &Key, json: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash = blake3::keyed_hash(key.as_bytes(), json);
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_LEN]);
    checksum
}
