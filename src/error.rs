//! The error type of the core.
//!
//! An [`Error`] carries data: the class of the failure, the provider and model, the HTTP status, the time to wait. Its `Display`
//! is text for people. The policy table decides from the [`ErrorKind`] what follows, never from the text.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{Attempt, Usage};
use crate::parameter::Refusal;
use crate::provider_id::Provider;

pub use crate::error_kind::ErrorKind;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A rejected reply.
#[derive(Clone)]
pub struct Rejected {
    /// The text of the reply; for a structured reply only its JSON, if it contains any.
    pub text: String,
    /// One line per fault.
    pub faults: Vec<String>,
}

/// A failure.
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
    refusal: Option<Refusal>,
    causes: Vec<Error>,
    attempts: Vec<Attempt>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Returns an error of class `kind`. `message` is one sentence for people, without API keys and without text of the prompt.
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
            refusal: None,
            causes: Vec::new(),
            attempts: Vec::new(),
            source: None,
        }))
    }

    /// Returns an `InvalidInput` error.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Replaces the class by `kind`.
    #[must_use]
    pub(crate) fn reclassified(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Replaces the message.
    #[must_use]
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.0.message = message;
        self
    }

    /// Sets the target that failed.
    #[must_use]
    pub fn at(mut self, provider: Provider, model: impl Into<Arc<str>>) -> Self {
        self.0.provider = Some(provider);
        self.0.model = Some(model.into());
        self
    }

    /// Sets the HTTP status, also that of a successful reply that is unusable.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Sets the `Retry-After` of the target.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Sets the time until the target is available again.
    #[must_use]
    pub fn with_ready_in(mut self, wait: Option<Duration>) -> Self {
        self.0.ready_in = wait;
        self
    }

    /// Sets the usage of the failed attempt.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.0.usage = usage;
        self
    }

    /// Sets the text that a stream had delivered before it failed. No message contains it.
    #[must_use]
    pub fn with_partial(mut self, text: impl Into<Arc<str>>) -> Self {
        self.0.partial = Some(text.into());
        self
    }

    /// Sets the rejected reply.
    #[must_use]
    pub fn with_rejected(mut self, rejected: Rejected) -> Self {
        self.0.rejected = Some(rejected);
        self
    }

    /// Sets the refusal of a parameter of the request.
    #[must_use]
    pub fn with_refusal(mut self, refusal: Refusal) -> Self {
        self.0.refusal = Some(refusal);
        self
    }

    /// Sets the errors that this one summarises, in order.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Self>) -> Self {
        self.0.causes = causes;
        self
    }

    /// Sets the attempts of the failed call.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Sets the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Arc<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without provider and status.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the provider that failed.
    pub fn provider(&self) -> Option<Provider> {
        self.0.provider
    }

    /// Returns the requested model.
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Returns the `Retry-After` of the target.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the time until the target is available again, because of its `Retry-After` or its circuit breaker.
    pub fn ready_in(&self) -> Option<Duration> {
        self.0.ready_in.max(self.0.retry_after)
    }

    /// Returns the usage of the failed attempt.
    pub fn usage(&self) -> Usage {
        self.0.usage
    }

    /// Returns the text that a stream had delivered before it failed; `None` for every other failure.
    pub fn partial(&self) -> Option<&str> {
        self.0.partial.as_deref()
    }

    /// Returns the refusal of a parameter of the request.
    pub fn refusal(&self) -> Option<Refusal> {
        self.0.refusal
    }

    /// Returns the rejected reply. Neither `Display` nor `Debug` contains its text.
    pub fn rejected(&self) -> Option<&Rejected> {
        self.0.rejected.as_ref()
    }

    /// Returns the errors that this one summarises.
    pub fn causes(&self) -> &[Self] {
        &self.0.causes
    }

    /// Returns the attempts of the failed call.
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// Whether the error was found before a request was sent, from the facts about the model.
    pub(crate) fn is_preflight(&self) -> bool {
        self.kind() == ErrorKind::ContextTooLong && self.status().is_none()
    }

    /// Returns the underlying error, for callers that know its type.
    pub fn source_arc(&self) -> Option<&Arc<dyn StdError + Send + Sync>> {
        self.0.source.as_ref()
    }

    /// Whether a time limit was reached: of a request, a call, a stage or a run.
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

/// Omits the text, which must not appear in logs.
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
    fn display_contains_target_message_status_and_retry_after() {
        let error = Error::new(ErrorKind::RateLimited, "quota exceeded")
            .at(Provider::Gemini, "gemini-3-flash-preview")
            .with_status(429)
            .with_retry_after(Some(Duration::from_millis(1500)));
        assert_eq!(error.to_string(), "gemini (gemini-3-flash-preview): quota exceeded [HTTP 429] [retry after 2 s]");
    }
}
