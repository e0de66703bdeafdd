//! The classes of failures, as used by the policy table, metrics and records.

use crate::named_enum::named_enum;

named_enum! {
    /// The class of a failure.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ErrorKind {
        /// No connection was established, mostly because it was refused.
        Connect = "connect",
        /// The host name could not be resolved.
        Dns = "dns",
        /// No encrypted connection could be agreed on, or the server's certificate is not trusted.
        Tls = "tls",
        /// No connection was established within the time limit.
        ConnectTimeout = "connect_timeout",
        /// A stream delivered no text within the time limit.
        FirstTokenTimeout = "first_token_timeout",
        /// A stream stalled.
        IdleTimeout = "idle_timeout",
        /// The target did not answer within the time limit.
        Timeout = "timeout",
        /// The target is still loading the model, or did not load it within the time limit.
        Loading = "loading",
        /// The connection was closed before the whole reply had arrived.
        Disconnected = "disconnected",
        /// HTTP 5xx, other than 503 and 529.
        Server = "server",
        /// HTTP 503, 529, 408 or 425: the target is up but accepts no more work now.
        Overloaded = "overloaded",
        /// HTTP 429: too many requests or tokens per minute.
        RateLimited = "rate_limited",
        /// The daily quota is used up.
        DailyQuota = "daily_quota",
        /// The account has no quota or credit left. Waiting does not help.
        InsufficientQuota = "insufficient_quota",
        /// HTTP 401, or the provider's code for a wrong key.
        Unauthorized = "unauthorized",
        /// HTTP 403.
        Forbidden = "forbidden",
        /// The model does not exist at the target.
        ModelMissing = "model_missing",
        /// The target rejected the request as malformed (another HTTP 4xx).
        Rejected = "rejected",
        /// The target does not accept an optional parameter of the request.
        ParameterRejected = "parameter_rejected",
        /// The target does not accept the form of the schema.
        SchemaRejected = "schema_rejected",
        /// The prompt does not fit the context window of the model.
        ContextTooLong = "context_too_long",
        /// The target silently truncated the prompt.
        ContextTruncated = "context_truncated",
        /// The reply violates the protocol: it is not JSON or lacks required fields.
        MalformedReply = "malformed_reply",
        /// The reply is well-formed but contains no text.
        EmptyReply = "empty_reply",
        /// The reply was truncated at the limit of output tokens.
        Truncated = "truncated",
        /// Reasoning used up the limit of output tokens before there was an answer.
        ThinkingTruncated = "thinking_truncated",
        /// The reply contains reasoning but no answer.
        ThinkingOnly = "thinking_only",
        /// The text of the reply does not fit the schema.
        InvalidOutput = "invalid_output",
        /// The model refused.
        Refused = "refused",
        /// A safety filter blocked the prompt or the reply.
        Blocked = "blocked",
        /// The target needs an API key and the configuration has none. No request was sent.
        MissingKey = "missing_key",
        /// The target lacks another setting, such as a model name or a price. No request was sent.
        NotConfigured = "not_configured",
        /// The target does not support what the call needs, such as a PDF. No request was sent.
        Unsupported = "unsupported",
        /// The target was skipped: it is in cooldown after its `Retry-After`.
        Cooldown = "cooldown",
        /// The target was skipped: its circuit breaker is open.
        BreakerOpen = "breaker_open",
        /// An argument of the caller is invalid, such as a blank prompt. No request was sent.
        InvalidInput = "invalid_input",
        /// The prompt is longer than the limit of the library. No request was sent.
        PromptTooLong = "prompt_too_long",
        /// A web page of the request could not be read, here or by the target.
        PageUnavailable = "page_unavailable",
        /// A file named by the caller does not exist.
        FileNotFound = "file_not_found",
        /// The attempt was cancelled.
        Cancelled = "cancelled",
        /// Every target of the plan failed; the causes of the error list their failures.
        AllTargetsFailed = "all_targets_failed",
        /// The call reached the deadline of its router.
        DeadlineReached = "deadline_reached",
        /// A stage or a whole run of the workflow reached its deadline.
        DeadlineExceeded = "deadline_exceeded",
        /// The router's budget is used up.
        BudgetReached = "budget_reached",
        /// Code of the caller, such as a custom router, failed; the source is the exception.
        External = "external",
        /// A bug in this library.
        Internal = "internal",
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
