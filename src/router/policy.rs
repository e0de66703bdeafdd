//! What happens after a failure, decided by its class in one table.

use crate::error::ErrorKind;

/// The next step of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Send the reply back to the same target once, with what is wrong with it; after that, the next target.
    Repair,
    /// Ask the next target of the plan.
    Next,
    /// Fail: no other target would answer otherwise.
    Stop,
}

/// The table. A caller's own error stops the call; whatever is particular to a target goes on to the next one.
pub(super) const fn after(kind: ErrorKind) -> Step {
    match kind {
        ErrorKind::InvalidOutput => Step::Repair,
        ErrorKind::NotConfigured
        | ErrorKind::Unsupported
        | ErrorKind::Connect
        | ErrorKind::Timeout
        | ErrorKind::Disconnected
        | ErrorKind::RateLimited
        | ErrorKind::Unauthorized
        | ErrorKind::Forbidden
        | ErrorKind::ModelMissing
        | ErrorKind::Rejected
        | ErrorKind::Overloaded
        | ErrorKind::Server
        | ErrorKind::MalformedReply
        | ErrorKind::EmptyReply
        | ErrorKind::Truncated => Step::Next,
        // A refusal is an answer. Shopping it around other models is the caller's decision, not ours.
        ErrorKind::Refused
        | ErrorKind::InvalidInput
        | ErrorKind::PromptTooLong
        | ErrorKind::FileNotFound
        | ErrorKind::AllTargetsFailed
        | ErrorKind::DeadlineExceeded
        | ErrorKind::External
        | ErrorKind::Internal => Step::Stop,
    }
}
