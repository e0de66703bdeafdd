//! The policy of a router, and the table that decides what follows each class of failure.

#[cfg(test)]
mod table;

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::breaker::BreakerOutcome;
use super::budget::Budget;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::named_enum::named_enum;
use crate::provider::protocol;

/// The default of [`Policy::max_attempts`].
pub const MAX_ATTEMPTS: u32 = 6;

/// The longest wait of a call without a deadline for targets that sent `Retry-After`, all its waits together.
pub(super) const MAX_REQUESTED_WAIT: Duration = Duration::from_secs(60);

/// The longest such wait for targets that failed without `Retry-After`: they may never recover.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// The first pause before a retry at the same target, doubled each time. The actual pause is a random part of it, so that
/// calls that failed together do not retry together.
const PAUSE: Duration = Duration::from_millis(250);

/// The first pause after a rate limit without `Retry-After`.
const RATE_PAUSE: Duration = Duration::from_secs(1);

const MAX_PAUSE: Duration = Duration::from_secs(8);

/// The longest pause while a server loads its model.
const MAX_LOADING_PAUSE: Duration = Duration::from_secs(2);

/// A timeout after a shorter time says nothing about the health of the target.
const MIN_SIGNIFICANT_LATENCY: Duration = Duration::from_secs(10);

/// How long a target with a wrong key, a missing model or an empty account comes after the others.
const DEMOTION: Duration = Duration::from_secs(60);

/// The longest cooldown after a daily quota, which may be raised meanwhile.
const MAX_DAILY_COOLDOWN: Duration = Duration::from_secs(3600);

/// What the calls of a router may spend, and when they give up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The time limit of a whole call, with every retry, repair, fallback and pause. `None` means that only the single
    /// requests have time limits.
    pub deadline: Option<Duration>,
    /// The maximum number of requests of one call.
    pub max_attempts: u32,
    /// The budget of all calls of the router together.
    pub budget: Budget,
    /// What follows a refusal.
    pub on_refusal: OnRefusal,
    /// When a slow request is hedged; `None` disables hedging.
    pub hedge: Option<Hedge>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            deadline: None,
            max_attempts: MAX_ATTEMPTS,
            budget: Budget::default(),
            on_refusal: OnRefusal::Stop,
            hedge: None,
        }
    }
}

impl Policy {
    /// # Errors
    ///
    /// Returns `InvalidInput` if a value would make every call fail.
    pub fn validate(&self) -> Result<()> {
        if self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(Error::invalid_input("deadline must be a positive number of seconds"));
        }
        if self.max_attempts == 0 {
            return Err(Error::invalid_input("max_attempts must be at least 1"));
        }
        if self.hedge == Some(Hedge::After(Duration::ZERO)) {
            return Err(Error::invalid_input("hedge_after must be a positive number of seconds"));
        }
        self.budget.validate()
    }
}

named_enum! {
    /// What follows a refusal or a block by a safety filter.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum OnRefusal {
        /// The call fails.
        #[default]
        Stop = "stop",
        /// The call continues at the next target.
        Next = "next",
    }
}

impl FromStr for OnRefusal {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|choice| choice.as_str() == name);
        found.ok_or_else(|| Error::invalid_input(format!("on_refusal must be \"stop\" or \"next\", not {name:?}")))
    }
}

/// When a second target receives the request too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    /// After this time without a reply.
    After(Duration),
    /// After the 95th percentile of the latency of the first target, once enough replies are known.
    P95,
}

/// Whether and how the same target is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It is not.
    Never,
    /// After its `Retry-After`, otherwise after a pause.
    AfterPause,
    /// After pauses, until the server has loaded its model or the time limit for that is over.
    WhenLoaded,
    /// At once, with the faults of its reply.
    WithCorrection,
    /// At once, with a simpler form of the schema.
    SimplerSchema,
    /// At once, without the parameter that the target refused, or with its other name.
    WithoutParameter,
    /// At once, with a larger context window.
    MoreHeadroom,
    /// At once, with less thinking.
    LessThinking,
}

/// Whether another target is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    /// It is.
    Allowed,
    /// It is if the router is configured so: see [`OnRefusal`].
    OnRefusal,
    /// Every target would fail in the same way.
    Never,
}

/// What a failure says about the health of the target, for every call of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HealthImpact {
    /// Nothing.
    Neutral,
    /// The target works.
    Healthy,
    /// One more failure; repeated failures open the breaker.
    Failure,
    /// One more failure, unless the time limit was too short to say anything about the target.
    SlowFailure,
    /// A cooldown of the length that the target requested.
    Cooldown,
    /// A cooldown until the daily quota is renewed.
    DailyCooldown,
    /// Requests with this key or model fail for a while: other targets go first.
    Demotion,
}

/// What follows a failure of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) retry: Retry,
    /// The number of failures of this class at one target of a call after which the target is not tried again. Failures of
    /// other classes do not count.
    pub(super) max_attempts: u32,
    pub(super) fallback: Fallback,
    pub(super) health: HealthImpact,
}

/// Returns the rule for a failure of class `kind` at a target of `provider`.
///
/// The caller's own errors end the call. Errors of one target continue at the next target at once. A target is retried if no
/// other one is left, or if it can correct the failure at once. Slow failures (timeouts) are retried less often than fast
/// ones.
#[expect(clippy::match_same_arms, reason = "a table: one row for each class")]
pub(super) fn rule(kind: ErrorKind, provider: Provider) -> Rule {
    use {ErrorKind as E, Fallback as F, HealthImpact as H, Retry as R};
    match (kind, protocol(provider).can_recover(kind)) {
        // A server that restarts is back soon.
        (E::Connect, _) => row(R::AfterPause, 3, F::Allowed, H::Failure),
        (E::Dns, _) => row(R::AfterPause, 2, F::Allowed, H::Failure),
        (E::Tls, _) => row(R::Never, 1, F::Allowed, H::Failure),
        (E::ConnectTimeout, _) => row(R::AfterPause, 2, F::Allowed, H::Failure),
        // The model may have worked all that time, and charges for it.
        (E::FirstTokenTimeout, _) => row(R::Never, 1, F::Allowed, H::SlowFailure),
        (E::Timeout, _) => row(R::Never, 1, F::Allowed, H::SlowFailure),
        (E::IdleTimeout, _) => row(R::AfterPause, 2, F::Allowed, H::SlowFailure),
        // Loading a large model takes long on a healthy server too.
        (E::Loading, _) => row(R::WhenLoaded, u32::MAX, F::Allowed, H::Neutral),
        (E::Disconnected, _) => row(R::AfterPause, 3, F::Allowed, H::Failure),
        (E::MalformedReply, _) => row(R::AfterPause, 2, F::Allowed, H::Failure),
        (E::Server, _) => row(R::AfterPause, 3, F::Allowed, H::Failure),
        (E::Overloaded, _) => row(R::AfterPause, 3, F::Allowed, H::Cooldown),
        (E::RateLimited, _) => row(R::AfterPause, 3, F::Allowed, H::Cooldown),
        (E::DailyQuota, _) => row(R::Never, 1, F::Allowed, H::DailyCooldown),
        (E::InsufficientQuota, _) => row(R::Never, 1, F::Allowed, H::Demotion),
        (E::Unauthorized, _) => row(R::Never, 1, F::Allowed, H::Demotion),
        (E::Forbidden, _) => row(R::Never, 1, F::Allowed, H::Demotion),
        (E::ModelMissing, _) => row(R::Never, 1, F::Allowed, H::Demotion),
        (E::Rejected, _) => row(R::Never, 1, F::Allowed, H::Healthy),
        (E::ParameterRejected, _) => row(R::WithoutParameter, 6, F::Allowed, H::Healthy),
        (E::SchemaRejected, _) => row(R::SimplerSchema, 4, F::Allowed, H::Healthy),
        (E::ContextTooLong, true) => row(R::MoreHeadroom, 2, F::Allowed, H::Healthy),
        (E::ContextTooLong, _) => row(R::Never, 1, F::Allowed, H::Healthy),
        (E::ContextTruncated, _) => row(R::MoreHeadroom, 2, F::Allowed, H::Healthy),
        (E::EmptyReply, _) => row(R::AfterPause, 2, F::Allowed, H::Healthy),
        (E::Truncated, _) => row(R::Never, 1, F::Allowed, H::Healthy),
        (E::ThinkingTruncated, true) => row(R::LessThinking, 2, F::Allowed, H::Healthy),
        (E::ThinkingTruncated, _) => row(R::Never, 1, F::Allowed, H::Healthy),
        (E::ThinkingOnly, _) => row(R::LessThinking, 2, F::Allowed, H::Healthy),
        (E::InvalidOutput, true) => row(R::WithCorrection, 2, F::Allowed, H::Healthy),
        (E::InvalidOutput, false) => row(R::Never, 1, F::Allowed, H::Healthy),
        (E::Refused, _) => row(R::Never, 1, F::OnRefusal, H::Healthy),
        (E::Blocked, _) => row(R::Never, 1, F::OnRefusal, H::Healthy),
        (E::MissingKey | E::NotConfigured, _) => row(R::Never, 1, F::Allowed, H::Neutral),
        (E::Unsupported, _) => row(R::Never, 1, F::Allowed, H::Neutral),
        (E::BreakerOpen, _) => row(R::Never, 1, F::Allowed, H::Neutral),
        (E::Cooldown, _) => row(R::Never, 1, F::Allowed, H::Neutral),
        // The caller decides what a page that cannot be read means, not the target.
        (E::PageUnavailable, _) => row(R::Never, 1, F::Never, H::Neutral),
        (E::InvalidInput | E::PromptTooLong | E::FileNotFound, _) => row(R::Never, 1, F::Never, H::Neutral),
        (E::Cancelled, _) => row(R::Never, 1, F::Never, H::Neutral),
        (E::AllTargetsFailed, _) => row(R::Never, 1, F::Never, H::Neutral),
        (E::DeadlineReached | E::DeadlineExceeded, _) => row(R::Never, 1, F::Never, H::Neutral),
        (E::BudgetReached, _) => row(R::Never, 1, F::Never, H::Neutral),
        (E::External | E::Internal, _) => row(R::Never, 1, F::Never, H::Neutral),
    }
}

const fn row(retry: Retry, max_attempts: u32, fallback: Fallback, health: HealthImpact) -> Rule {
    Rule { retry, max_attempts, fallback, health }
}

/// Returns the pause before a retry after `error`, the failure of the last of `attempts` at one target.
///
/// A `Retry-After` is never shortened. Otherwise the pause is exponential backoff with full jitter, as in "Exponential Backoff
/// And Jitter" of the AWS Architecture Blog.
pub(super) fn retry_delay(error: &Error, attempts: u32) -> Duration {
    if let Some(wait) = error.retry_after() {
        return wait + wait.min(PAUSE * 4).mul_f64(0.1 * fastrand::f64());
    }
    let first = if error.kind() == ErrorKind::RateLimited { RATE_PAUSE } else { PAUSE };
    let doubled = first.saturating_mul(1 << attempts.saturating_sub(1).min(10));
    if error.kind() == ErrorKind::Loading {
        return doubled.min(MAX_LOADING_PAUSE).mul_f64(0.5 + 0.5 * fastrand::f64());
    }
    doubled.min(MAX_PAUSE).mul_f64(fastrand::f64())
}

/// Returns what the breaker learns from `error` of a target of `provider`, which came after `latency`.
pub(super) fn breaker_outcome(error: &Error, provider: Provider, latency: Duration) -> BreakerOutcome {
    match rule(error.kind(), provider).health {
        HealthImpact::Neutral => BreakerOutcome::Ignored,
        HealthImpact::Healthy => BreakerOutcome::Success,
        HealthImpact::SlowFailure if latency < MIN_SIGNIFICANT_LATENCY => BreakerOutcome::Ignored,
        HealthImpact::Failure | HealthImpact::SlowFailure => BreakerOutcome::Failure,
        // Without a `Retry-After` it only says that the target is overloaded now.
        HealthImpact::Cooldown => error.retry_after().map_or(BreakerOutcome::Failure, BreakerOutcome::Cooldown),
        HealthImpact::DailyCooldown => BreakerOutcome::Cooldown(until_quota_renewal(SystemTime::now())),
        HealthImpact::Demotion => BreakerOutcome::Demoted(DEMOTION),
    }
}

/// Returns the time until a daily quota is renewed: midnight in California, which is 7:00 UTC in summer and 8:00 in winter; at
/// most [`MAX_DAILY_COOLDOWN`]. The `Retry-After` of such an error is that of the limit per minute.
fn until_quota_renewal(now: SystemTime) -> Duration {
    const HOUR: u64 = 3600;
    let of_day = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % (24 * HOUR);
    let midnights = [7 * HOUR, 8 * HOUR, 31 * HOUR];
    let wait = midnights.into_iter().find(|midnight| *midnight > of_day).map_or(HOUR, |midnight| midnight - of_day);
    Duration::from_secs(wait).min(MAX_DAILY_COOLDOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_never_shortened() {
        let error = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Some(Duration::from_secs(12)));
        for tried in 1..4 {
            let wait = retry_delay(&error, tried).as_secs_f64();
            assert!((12.0..12.2).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn pauses_are_random_double_and_are_bounded() {
        let error = Error::new(ErrorKind::Server, "oops");
        for (tried, longest) in [(1, 250), (2, 500), (3, 1000), (6, 8000), (60, 8000)] {
            let waits: Vec<_> = (0..200).map(|_| retry_delay(&error, tried)).collect();
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            let longest = Duration::from_millis(longest);
            assert!(*most <= longest && *most > longest / 2 && *least < longest / 2, "{tried}: {least:?} to {most:?}");
        }
    }

    #[test]
    fn a_daily_quota_is_retried_at_midnight_in_california_or_after_an_hour() {
        let wait = |hour: u64, minute: u64| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + hour * 3600 + minute * 60);
            until_quota_renewal(now).as_secs() / 60
        };
        assert_eq!([wait(6, 50), wait(7, 10), wait(8, 0), wait(23, 59)], [10, 50, 60, 60]);
    }

    #[test]
    fn a_fast_timeout_does_not_count_against_the_target() {
        let error = Error::new(ErrorKind::Timeout, "late");
        let of = |seconds| breaker_outcome(&error, Provider::Ollama, Duration::from_secs(seconds));
        assert_eq!((of(1), of(10)), (BreakerOutcome::Ignored, BreakerOutcome::Failure));
    }
}
