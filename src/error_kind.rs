//! The classes of failures, as used by the policy table, metrics and records.

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument of the caller is invalid, such as a blank prompt. No request was sent.
    InvalidInput,
    /// The prompt is longer than the limit of the library. No request was sent.
    PromptTooLong,
    /// A file named by the caller does not exist.
    FileNotFound,
    /// The target lacks a setting, such as an API key or a model name. No request was sent.
    NotConfigured,
    /// The target does not support what the call needs, such as a PDF. No request was sent.
    Unsupported,
    /// No connection was established, mostly because it was refused.
    Connect,
    /// The host name could not be resolved.
    Dns,
    /// No encrypted connection could be agreed on, or the server's certificate is not trusted.
    Tls,
    /// No connection was established within the time limit.
    ConnectTimeout,
    /// A stream delivered no text within the time limit.
    FirstTokenTimeout,
    /// A stream stalled.
    IdleTimeout,
    /// The target did not answer within the time limit.
    Timeout,
    /// The target did not load the model within the time limit.
    Loading,
    /// The connection was closed before the whole reply had arrived.
    Disconnected,
    /// HTTP 429: too many requests or tokens per minute.
    RateLimited,
    /// The daily quota is used up.
    DailyQuota,
    /// The account has no quota or credit left. Waiting does not help.
    InsufficientQuota,
    /// HTTP 401, or the provider's code for a wrong key.
    Unauthorized,
    /// HTTP 403.
    Forbidden,
    /// The model does not exist at the target.
    ModelMissing,
    /// The target rejected the request as malformed (another HTTP 4xx).
    Rejected,
    /// The target does not accept the form of the schema.
    SchemaRejected,
    /// The prompt does not fit the context window of the model.
    ContextTooLong,
    /// The target silently truncated the prompt.
    ContextTruncated,
    /// HTTP 503, 529, 408 or 425: the target is up but accepts no more work now.
    Overloaded,
    /// Another HTTP 5xx.
    Server,
    /// The reply violates the protocol: it is not JSON or lacks required fields.
    MalformedReply,
    /// The reply is well-formed but contains no text.
    EmptyReply,
    /// The reply was truncated at the limit of output tokens.
    Truncated,
    /// Reasoning used up the limit of output tokens before there was an answer.
    ThinkingTruncated,
    /// The model refused.
    Refused,
    /// A safety filter blocked the prompt or the reply.
    Blocked,
    /// The text of the reply does not fit the schema.
    InvalidOutput,
    /// The target was skipped: it is in cooldown after its `Retry-After`.
    Cooldown,
    /// The target was skipped: its circuit breaker is open.
    BreakerOpen,
    /// The attempt was cancelled.
    Cancelled,
    /// Every target of the plan failed; the causes of the error list their failures.
    AllTargetsFailed,
    /// The call reached the deadline of its router.
    DeadlineReached,
    /// The router's budget is used up.
    BudgetReached,
    /// A stage or a whole run of the workflow reached its deadline.
    DeadlineExceeded,
    /// Code of the caller, such as a custom router, failed; the source is the exception.
    External,
    /// A bug in this library.
    Internal,
}

impl ErrorKind {
    /// Every class in the order of declaration, so that a class is its own index.
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

    /// Returns a stable `snake_case` name.
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
    fn each_class_is_its_index_and_has_a_unique_name() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert!(ErrorKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
