//! The record of one attempt: a request to one target, or the reason why none was sent.
//!
//! Plain data without behaviour, so that errors, responses and observers can carry it.

mod change;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error_kind::ErrorKind;
use crate::named_enum::named_enum;
use crate::parameter::Parameter;
use crate::provider_id::Provider;

pub use change::Change;

/// The record of one attempt.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one attempt")]
pub struct Attempt {
    /// The provider of the target.
    pub provider: Provider,
    /// The requested model; the model that the provider reports in its reply, if any.
    pub model: Arc<str>,
    /// The class of the failure; `None` if the reply was accepted.
    pub error: Option<ErrorKind>,
    /// The error message.
    pub message: Option<String>,
    /// The HTTP status of the reply.
    pub status: Option<u16>,
    /// Whether a request was sent.
    pub sent: bool,
    /// The time the call waited before this attempt: for the target to become ready, or for its limits.
    pub waited: Duration,
    /// The duration of the attempt.
    pub latency: Duration,
    /// The tokens counted by the provider.
    pub usage: Usage,
    /// Whether `usage` is an estimate, because the request was cancelled before the provider reported it.
    pub is_estimated: bool,
    /// Whether this was a hedged request: sent while another target was slow to answer.
    pub is_hedge: bool,
    /// Whether the reply is that of an identical request of another call. This call sent nothing then.
    pub is_shared: bool,
    /// The `Retry-After` of the target.
    pub retry_after: Option<Duration>,
    /// The number of stream events that could not be decoded and were skipped.
    pub skipped_events: u32,
    /// The changes that turned the reply into JSON of its schema; empty if it was accepted as received.
    pub changes: Vec<Change>,
    /// The web pages that the provider was to read, and the outcome of each; and the pages that could not be fetched for it.
    pub pages: Vec<Page>,
    /// The requested parameters that were not sent under this name, because the target does not take them.
    pub omitted: Vec<Parameter>,
}

impl Attempt {
    /// Returns the record of an attempt at `provider` that has sent nothing and taken no time.
    pub fn new(provider: Provider, model: Arc<str>) -> Self {
        Self {
            provider,
            model,
            error: None,
            message: None,
            status: None,
            sent: false,
            waited: Duration::ZERO,
            latency: Duration::ZERO,
            usage: Usage::default(),
            is_estimated: false,
            is_hedge: false,
            is_shared: false,
            retry_after: None,
            skipped_events: 0,
            changes: Vec::new(),
            pages: Vec::new(),
            omitted: Vec::new(),
        }
    }

    /// Whether the reply was accepted.
    pub fn ok(&self) -> bool {
        self.error.is_none()
    }
}

/// The tokens of one attempt, in disjoint buckets: their sum is the total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens, without those read from the provider's cache.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: u64,
    /// Tokens of the answer, without reasoning.
    pub output: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
    /// Prompt tokens of the provider's own tools, such as the web pages it read.
    pub tool: u64,
}

impl Usage {
    /// Returns the number of billed tokens; sums of token counts saturate.
    pub const fn total(&self) -> u64 {
        let prompt = self.input.saturating_add(self.cached_input).saturating_add(self.tool);
        prompt.saturating_add(self.output).saturating_add(self.reasoning)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.tool = self.tool.saturating_add(other.tool);
    }
}

/// Returns the tokens of `attempts`.
pub(crate) fn total_tokens(attempts: &[Attempt]) -> u64 {
    attempts.iter().fold(0, |total, attempt| total.saturating_add(attempt.usage.total()))
}

/// The record of a web page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The address without credentials, query and fragment, which may contain secrets.
    pub url: String,
    /// The outcome.
    pub status: PageStatus,
    /// Why it could not be read, if it was fetched here.
    pub reason: Option<Arc<str>>,
}

impl Page {
    /// Returns why the page could not be read, as the rest of a sentence that begins with "the page at" and its address; `None` if
    /// it was read.
    pub fn problem(&self) -> Option<&str> {
        Some(match self.status {
            PageStatus::Success => return None,
            _ if self.reason.is_some() => self.reason.as_deref()?,
            PageStatus::Paywall => "could not be read: it is behind a paywall",
            PageStatus::Unsafe => "was not read: the provider considers it unsafe",
            PageStatus::Error | PageStatus::Other => "could not be read by the provider",
        })
    }
}

named_enum! {
    /// The outcome of reading a web page.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum PageStatus {
        /// The page was read.
        Success = "success",
        /// The page could not be read.
        Error = "error",
        /// The page is behind a paywall.
        Paywall = "paywall",
        /// The provider considers the content unsafe.
        Unsafe = "unsafe",
        /// Any other outcome, or none reported.
        Other = "other",
    }
}
