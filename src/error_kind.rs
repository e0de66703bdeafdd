//! The class of a failure: what the policy table, metrics and records use to tell failures apart.

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's argument is wrong (blank prompt, prompt too long, bad number). No request was sent.
    InvalidInput,
    /// The prompt is longer than the library sends. No request was sent.
    PromptTooLong,
    /// A file named by the caller does not exist.
    FileNotFound,
    /// The target lacks a setting it needs, for example an API key or a model name. No request was sent.
    NotConfigured,
    /// The target cannot do what the call needs (take a PDF, read a URL). No request was sent.
    Unsupported,
    /// No connection could be made, mostly because it was refused.
    Connect,
    /// The server's name could not be resolved.
    Dns,
    /// No encrypted connection could be agreed on, or the server's certificate is not trusted.
    Tls,
    /// No connection was made in time.
    ConnectTimeout,
    /// A stream gave no text in time.
    FirstTokenTimeout,
    /// A stream stood still.
    IdleTimeout,
    /// The target did not answer in time.
    Timeout,
    /// The target was still loading the model when the time for that was over.
    Loading,
    /// The connection was cut before the whole reply had arrived.
    Disconnected,
    /// HTTP 429: too many requests or tokens in a minute.
    RateLimited,
    /// The quota of the day is used up.
    DailyQuota,
    /// The account has no quota or no credit left; waiting does not help.
    InsufficientQuota,
    /// HTTP 401, or a provider's own code for a wrong key.
    Unauthorized,
    /// HTTP 403.
    Forbidden,
    /// The model does not exist at the target.
    ModelMissing,
    /// The target rejected the request as malformed (another HTTP 4xx).
    Rejected,
    /// The target does not take the reply's schema in the form it was sent in.
    SchemaRejected,
    /// The prompt does not fit the context window of the target's model.
    ContextTooLong,
    /// The target read a part of the prompt alone, without saying so.
    ContextTruncated,
    /// HTTP 503 or 529, also 408 and 425: the target is up but takes no more work now.
    Overloaded,
    /// Another HTTP 5xx.
    Server,
    /// The reply is not what the protocol says: no JSON, or an envelope without the fields it must have.
    MalformedReply,
    /// The reply is well-formed and holds no text.
    EmptyReply,
    /// The reply was cut at the limit of output tokens.
    Truncated,
    /// The model's thoughts used up the limit of output tokens before there was an answer.
    ThinkingTruncated,
    /// The model refused.
    Refused,
    /// A safety filter blocked the prompt or the reply.
    Blocked,
    /// The reply's text does not fit the schema asked for.
    InvalidOutput,
    /// The target was not asked: it has asked to be left alone.
    Cooldown,
    /// The target was not asked: it has failed again and again.
    BreakerOpen,
    /// Nobody waited for the reply any more.
    Cancelled,
    /// Every target in the plan failed; [`Error::causes`] tells how.
    AllTargetsFailed,
    /// The call reached the deadline of its router.
    DeadlineReached,
    /// The router's budget is used up.
    BudgetReached,
    /// A stage or a whole run of the workflow reached its deadline.
    DeadlineExceeded,
    /// Code of the caller, such as a router object of its own, failed; `source` is what it raised.
    External,
    /// A defect of this library.
    Internal,
}

impl ErrorKind {
    /// Every class, in the order of their declaration, so that a class is the index of its own place.
    pub(crate) const ALL: [Self; 42] = [
        Self::InvalidInput,
        Self::PromptTooLong,
        Self::FileNotFound,
        Self::NotConfigured,
        Self::Unsupported,
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::ConnectTimeout,
        Self::FirstTokenTimeout,
        Self::IdleTimeout,
        Self::Timeout,
        Self::Loading,
        Self::Disconnected,
        Self::RateLimited,
        Self::DailyQuota,
        Self::InsufficientQuota,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ModelMissing,
        Self::Rejected,
        Self::SchemaRejected,
        Self::ContextTooLong,
        Self::ContextTruncated,
        Self::Overloaded,
        Self::Server,
        Self::MalformedReply,
        Self::EmptyReply,
        Self::Truncated,
        Self::ThinkingTruncated,
        Self::Refused,
        Self::Blocked,
        Self::InvalidOutput,
        Self::Cooldown,
        Self::BreakerOpen,
        Self::Cancelled,
        Self::AllTargetsFailed,
        Self::DeadlineReached,
        Self::BudgetReached,
        Self::DeadlineExceeded,
        Self::External,
        Self::Internal,
    ];

    /// A short snake-case name, stable, for records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::PromptTooLong => "prompt_too_long",
            Self::FileNotFound => "file_not_found",
            Self::NotConfigured => "not_configured",
            Self::Unsupported => "unsupported",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Loading => "loading",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::RateLimited => "rate_limited",
            Self::DailyQuota => "daily_quota",
            Self::InsufficientQuota => "insufficient_quota",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ModelMissing => "model_missing",
            Self::Rejected => "rejected",
            Self::SchemaRejected => "schema_rejected",
            Self::ContextTooLong => "context_too_long",
            Self::ContextTruncated => "context_truncated",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::MalformedReply => "malformed_reply",
            Self::EmptyReply => "empty_reply",
            Self::Truncated => "truncated",
            Self::ThinkingTruncated => "thinking_truncated",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::InvalidOutput => "invalid_output",
            Self::Cooldown => "cooldown",
            Self::BreakerOpen => "breaker_open",
            Self::Cancelled => "cancelled",
            Self::AllTargetsFailed => "all_targets_failed",
            Self::DeadlineReached => "deadline_reached",
            Self::BudgetReached => "budget_reached",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::External => "external",
            Self::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_index_of_its_place_and_has_a_name_of_its_own() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert!(ErrorKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
