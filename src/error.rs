//! The one error type of the core.
//!
//! An [`Error`] carries data (what class of failure, which provider and model, which HTTP status, how long to wait);
//! its `Display` is text for people. What happens after a failure is decided from [`ErrorKind`] by
//! the router's policy table, never from the text.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{Attempt, Usage};
use crate::provider_id::Provider;

pub use crate::error_kind::ErrorKind;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A reply that was not taken, and why.
#[derive(Clone)]
pub struct Rejected {
    /// The reply's text; for a structured reply its JSON alone, where it holds any.
    pub text: String,
    /// One line for each thing that is wrong with it.
    pub faults: Vec<String>,
}

/// What failed, where, and what is known about it.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    provider: Option<Provider>,
    model: Option<Arc<str>>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    ready_in: Option<Duration>,
    usage: Usage,
    partial: Option<Arc<str>>,
    rejected: Option<Rejected>,
    causes: Vec<Error>,
    attempts: Vec<Attempt>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of class `kind`; `message` is one sentence for people, without keys and without prompt text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            provider: None,
            model: None,
            status: None,
            retry_after: None,
            ready_in: None,
            usage: Usage::default(),
            partial: None,
            rejected: None,
            causes: Vec::new(),
            attempts: Vec::new(),
            source: None,
        }))
    }

    /// The caller's argument is wrong.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// The same failure, seen as one of class `kind`.
    #[must_use]
    pub(crate) fn reclassified(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Names the target that failed.
    #[must_use]
    pub fn at(mut self, provider: Provider, model: impl Into<Arc<str>>) -> Self {
        self.0.provider = Some(provider);
        self.0.model = Some(model.into());
        self
    }

    /// The HTTP status that came back; also that of a reply which then could not be used.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// How long the target asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// How long until the target is asked again, whoever wants that.
    #[must_use]
    pub fn with_ready_in(mut self, wait: Option<Duration>) -> Self {
        self.0.ready_in = wait;
        self
    }

    /// What the failed attempt cost all the same.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.0.usage = usage;
        self
    }

    /// The text that had been delivered of a stream when it failed. It is in no message.
    #[must_use]
    pub fn with_partial(mut self, text: impl Into<Arc<str>>) -> Self {
        self.0.partial = Some(text.into());
        self
    }

    /// The reply that was not taken.
    #[must_use]
    pub fn with_rejected(mut self, rejected: Rejected) -> Self {
        self.0.rejected = Some(rejected);
        self
    }

    /// The errors this one sums up, in the order they happened.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Self>) -> Self {
        self.0.causes = causes;
        self
    }

    /// Every attempt made before giving up.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Arc<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence alone, without provider and status.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The provider that failed.
    pub fn provider(&self) -> Option<Provider> {
        self.0.provider
    }

    /// The model that was asked.
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// The HTTP status, where one came back.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// How long the target asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// How long until the target is asked again: what it asked for, or what its failures made of it.
    pub fn ready_in(&self) -> Option<Duration> {
        self.0.ready_in.max(self.0.retry_after)
    }

    /// What the failed attempt cost all the same.
    pub fn usage(&self) -> Usage {
        self.0.usage
    }

    /// The text that had been delivered of a stream when it failed; `None` for every other failure.
    pub fn partial(&self) -> Option<&str> {
        self.0.partial.as_deref()
    }

    /// The reply that was not taken, where there was one. No text of this error shows it.
    pub fn rejected(&self) -> Option<&Rejected> {
        self.0.rejected.as_ref()
    }

    /// The errors this one sums up.
    pub fn causes(&self) -> &[Self] {
        &self.0.causes
    }

    /// Every attempt made before giving up.
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// Whether it was found before anything was sent that the target's model cannot take the prompt.
    pub(crate) fn is_preflight(&self) -> bool {
        self.kind() == ErrorKind::ContextTooLong && self.status().is_none()
    }

    /// The error underneath, for callers that know its type.
    pub fn source_arc(&self) -> Option<&Arc<dyn StdError + Send + Sync>> {
        self.0.source.as_ref()
    }

    /// True where time ran out: at one target, for a call, a stage or the whole run.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::ConnectTimeout
                | ErrorKind::FirstTokenTimeout
                | ErrorKind::IdleTimeout
                | ErrorKind::Timeout
                | ErrorKind::Loading
                | ErrorKind::DeadlineReached
                | ErrorKind::DeadlineExceeded
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = self.0.provider {
            write!(f, "{provider}")?;
            if let Some(model) = self.0.model.as_deref().filter(|model| !model.is_empty()) {
                write!(f, " ({model})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(status) = self.0.status.filter(|status| !(200..300).contains(status)) {
            write!(f, " [HTTP {status}]")?;
        }
        if let Some(wait) = self.0.retry_after {
            write!(f, " [retry after {:.0} s]", wait.as_secs_f64().ceil())?;
        }
        Ok(())
    }
}

/// The text is the model's own and in no log.
impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("provider", &self.0.provider)
            .field("model", &self.0.model)
            .field("status", &self.0.status)
            .field("retry_after", &self.0.retry_after)
            .field("causes", &self.0.causes)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_tells_where_what_and_when_to_come_back() {
        let error = Error::new(ErrorKind::RateLimited, "quota exceeded")
            .at(Provider::Gemini, "gemini-3-flash-preview")
            .with_status(429)
            .with_retry_after(Some(Duration::from_millis(1500)));
        assert_eq!(error.to_string(), "gemini (gemini-3-flash-preview): quota exceeded [HTTP 429] [retry after 2 s]");
    }
}
