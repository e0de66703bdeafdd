//! What happens after a failure, decided by its class in one table.

use crate::config::Provider;
use crate::error::ErrorKind;

/// Whether and how the same target is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would fail again.
    Never,
    /// After the time it asked for, else after a pause.
    Later,
    /// At once, told what is wrong with its reply.
    Corrected,
    /// At once, with the schema in a simpler form.
    Simpler,
    /// At once, with more room: a larger context window, or fewer thoughts.
    Roomier,
}

/// Whether another target may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onward {
    /// It may.
    Next,
    /// It may where the router was made so; a refusal is an answer.
    IfWanted,
    /// No target would answer otherwise.
    Stop,
}

/// What the failure says about the target's health, for every call of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing.
    Unknown,
    /// It answered as it should.
    Good,
    /// One failure more; several open the breaker.
    Bad,
    /// It wants to be left alone for the time it named.
    Resting,
    /// It wants to be left alone until its day is over.
    RestingToday,
    /// This key or model will fail for a while: it goes behind the others.
    Demoted,
}

/// What one class of failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) again: Again,
    /// How many requests one call sends to one target at most, once it has failed in this way.
    pub(super) tries: u8,
    pub(super) onward: Onward,
    pub(super) health: Health,
}

/// The table. A caller's own error stops the call; whatever is particular to a target goes on to the next one.
///
/// A class that took long (a time limit) is tried less often than one that came at once.
pub(super) const fn after(kind: ErrorKind, provider: Provider) -> Rule {
    use {Again as A, Health as H, Onward as O};
    match kind {
        // Nobody listens: a server that restarts is back in a moment.
        ErrorKind::Connect => rule(A::Later, 3, O::Next, H::Bad),
        ErrorKind::Dns => rule(A::Later, 2, O::Next, H::Bad),
        ErrorKind::Tls => rule(A::Never, 1, O::Next, H::Bad),
        ErrorKind::ConnectTimeout => rule(A::Later, 2, O::Next, H::Bad),
        // The model may have worked all that time, and been paid.
        ErrorKind::FirstTokenTimeout | ErrorKind::Timeout => rule(A::Never, 1, O::Next, H::Bad),
        ErrorKind::IdleTimeout => rule(A::Later, 2, O::Next, H::Bad),
        // A large model on a slow disk is no broken server.
        ErrorKind::Loading => rule(A::Never, 1, O::Next, H::Unknown),
        ErrorKind::Disconnected | ErrorKind::Server | ErrorKind::Overloaded => rule(A::Later, 3, O::Next, H::Bad),
        ErrorKind::MalformedReply => rule(A::Later, 2, O::Next, H::Bad),
        ErrorKind::RateLimited => rule(A::Later, 3, O::Next, H::Resting),
        ErrorKind::DailyQuota => rule(A::Never, 1, O::Next, H::RestingToday),
        ErrorKind::InsufficientQuota | ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::ModelMissing => {
            rule(A::Never, 1, O::Next, H::Demoted)
        }
        ErrorKind::Rejected => rule(A::Never, 1, O::Next, H::Good),
        ErrorKind::SchemaRejected => rule(A::Simpler, 4, O::Next, H::Good),
        ErrorKind::ContextTooLong => rule(A::Never, 1, O::Next, H::Good),
        ErrorKind::ContextTruncated => rule(A::Roomier, 2, O::Next, H::Good),
        ErrorKind::EmptyReply => rule(A::Later, 2, O::Next, H::Good),
        ErrorKind::Truncated => rule(A::Never, 1, O::Next, H::Good),
        ErrorKind::ThinkingTruncated => match provider {
            Provider::Gemini => rule(A::Roomier, 2, O::Next, H::Good),
            _ => rule(A::Never, 1, O::Next, H::Good),
        },
        ErrorKind::InvalidOutput => match provider {
            // It gives the same reply to the same request.
            Provider::Mock => rule(A::Never, 1, O::Next, H::Good),
            _ => rule(A::Corrected, 2, O::Next, H::Good),
        },
        // Shopping a refusal around other models is the caller's decision, not ours.
        ErrorKind::Refused | ErrorKind::Blocked => rule(A::Never, 1, O::IfWanted, H::Good),
        ErrorKind::NotConfigured | ErrorKind::Unsupported | ErrorKind::Resting => {
            rule(A::Never, 1, O::Next, H::Unknown)
        }
        ErrorKind::InvalidInput
        | ErrorKind::PromptTooLong
        | ErrorKind::FileNotFound
        | ErrorKind::Cancelled
        | ErrorKind::AllTargetsFailed
        | ErrorKind::DeadlineReached
        | ErrorKind::BudgetReached
        | ErrorKind::DeadlineExceeded
        | ErrorKind::External
        | ErrorKind::Internal => rule(A::Never, 1, O::Stop, H::Unknown),
    }
}

const fn rule(again: Again, tries: u8, onward: Onward, health: Health) -> Rule {
    Rule { again, tries, onward, health }
}
