//! What happens after a failure, decided by its class in one table, and what a router may choose about it.

#[cfg(test)]
mod table;

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::breaker::BreakerOutcome;
use super::budget::Budget;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::protocol;

/// The most requests that one call sends where the caller chose no number.
pub const MAX_ATTEMPTS: u32 = 6;

/// How long a call without a deadline waits at most, all its waits together, for a target that has said for how long.
pub(super) const MAX_TOLD_WAIT: Duration = Duration::from_secs(60);

/// The same for a target that has failed: there is no telling that it will ever answer.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// The first pause before the same target is asked again, doubled each time. The real pause is a random part of it, so
/// that callers who failed together do not come back together.
const PAUSE: Duration = Duration::from_millis(250);

/// The same where the target limits the rate and does not say for how long.
const RATE_PAUSE: Duration = Duration::from_secs(1);

const MAX_PAUSE: Duration = Duration::from_secs(8);

/// A time limit below this that ran out tells of the caller's haste, not of the target's health.
const TELLING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a target with a wrong key, a missing model or an empty account stands behind the others.
const DEMOTION: Duration = Duration::from_secs(60);

/// A quota of the day is asked about again after this long at the latest: it may have been raised.
const MAX_REST: Duration = Duration::from_secs(3600);

/// What one call may spend and when it gives up; a router's own choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Time for a whole call: every retry, repair, fallback and pause included. `None` for no end but those of the single
    /// requests.
    pub deadline: Option<Duration>,
    /// The most requests one call sends.
    pub max_attempts: u32,
    /// What all calls of the router may spend together.
    pub budget: Budget,
    /// Whether another target is asked when one refuses.
    pub on_refusal: OnRefusal,
    /// When another target is asked beside one that is slow.
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
    /// Fails with `InvalidInput` where a value makes every call fail.
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

/// What follows a refusal, or a block by a safety filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnRefusal {
    /// The call fails: a refusal is an answer.
    #[default]
    Stop,
    /// The next target is asked.
    Next,
}

impl OnRefusal {
    /// Its name, as [`OnRefusal::from_str`] reads it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Next => "next",
        }
    }
}

impl FromStr for OnRefusal {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "stop" => Ok(Self::Stop),
            "next" => Ok(Self::Next),
            _ => Err(Error::invalid_input(format!("on_refusal must be \"stop\" or \"next\", not {name:?}"))),
        }
    }
}

/// When a second target is asked beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    /// After this long without an answer.
    After(Duration),
    /// When 95 of 100 answers of the target had come; never before enough of them are known.
    P95,
}

/// Whether and how the same target is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
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
pub(super) enum Fallback {
    /// It may.
    Next,
    /// It may where the router was made so: see [`OnRefusal`].
    IfWanted,
    /// No target would answer otherwise.
    Stop,
}

/// What the failure says about the target's health, for every call of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HealthImpact {
    /// Nothing.
    Unknown,
    /// It answered as it should.
    Good,
    /// One failure more; several open the breaker.
    Bad,
    /// The same, unless the time limit that ran out was the caller's own haste.
    Slow,
    /// It wants to be left alone for the time it named.
    Cooldown,
    /// It wants to be left alone until its day is over.
    RestingToday,
    /// This key or model will fail for a while: it stands behind the others.
    Demoted,
}

/// What one class of failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) again: Retry,
    /// How many requests one call sends to one target at most, once it has failed in this way.
    pub(super) tries: u32,
    pub(super) onward: Fallback,
    pub(super) health: HealthImpact,
}

/// The table. A caller's own error stops the call; whatever is particular to a target goes on to the next one, at once.
/// The same target is asked again where no other is left, or where it alone can mend what failed.
///
/// A class that took long (a time limit) is tried less often than one that came at once.
#[expect(clippy::match_same_arms, reason = "a table: one row for each class")]
pub(super) fn after(kind: ErrorKind, provider: Provider) -> Rule {
    use {ErrorKind as E, Fallback as O, HealthImpact as H, Retry as A};
    match (kind, protocol(provider).can_recover(kind)) {
        // Nobody listens: a server that restarts is back in a moment.
        (E::Connect, _) => rule(A::Later, 3, O::Next, H::Bad),
        (E::Dns, _) => rule(A::Later, 2, O::Next, H::Bad),
        (E::Tls, _) => rule(A::Never, 1, O::Next, H::Bad),
        (E::ConnectTimeout, _) => rule(A::Later, 2, O::Next, H::Bad),
        // The model may have worked all that time, and been paid.
        (E::FirstTokenTimeout, _) => rule(A::Never, 1, O::Next, H::Slow),
        (E::Timeout, _) => rule(A::Never, 1, O::Next, H::Slow),
        (E::IdleTimeout, _) => rule(A::Later, 2, O::Next, H::Slow),
        // A large model on a slow disk is no broken server.
        (E::Loading, _) => rule(A::Never, 1, O::Next, H::Unknown),
        (E::Disconnected, _) => rule(A::Later, 3, O::Next, H::Bad),
        (E::MalformedReply, _) => rule(A::Later, 2, O::Next, H::Bad),
        (E::Server, _) => rule(A::Later, 3, O::Next, H::Bad),
        (E::Overloaded, _) => rule(A::Later, 3, O::Next, H::Cooldown),
        (E::RateLimited, _) => rule(A::Later, 3, O::Next, H::Cooldown),
        (E::DailyQuota, _) => rule(A::Never, 1, O::Next, H::RestingToday),
        (E::InsufficientQuota, _) => rule(A::Never, 1, O::Next, H::Demoted),
        (E::Unauthorized, _) => rule(A::Never, 1, O::Next, H::Demoted),
        (E::Forbidden, _) => rule(A::Never, 1, O::Next, H::Demoted),
        (E::ModelMissing, _) => rule(A::Never, 1, O::Next, H::Demoted),
        (E::Rejected, _) => rule(A::Never, 1, O::Next, H::Good),
        (E::SchemaRejected, _) => rule(A::Simpler, 4, O::Next, H::Good),
        (E::ContextTooLong, true) => rule(A::Roomier, 2, O::Next, H::Good),
        (E::ContextTooLong, _) => rule(A::Never, 1, O::Next, H::Good),
        (E::ContextTruncated, _) => rule(A::Roomier, 2, O::Next, H::Good),
        (E::EmptyReply, _) => rule(A::Later, 2, O::Next, H::Good),
        (E::Truncated, _) => rule(A::Never, 1, O::Next, H::Good),
        (E::ThinkingTruncated, true) => rule(A::Roomier, 2, O::Next, H::Good),
        (E::ThinkingTruncated, _) => rule(A::Never, 1, O::Next, H::Good),
        (E::InvalidOutput, true) => rule(A::Corrected, 2, O::Next, H::Good),
        (E::InvalidOutput, false) => rule(A::Never, 1, O::Next, H::Good),
        (E::Refused, _) => rule(A::Never, 1, O::IfWanted, H::Good),
        (E::Blocked, _) => rule(A::Never, 1, O::IfWanted, H::Good),
        (E::NotConfigured, _) => rule(A::Never, 1, O::Next, H::Unknown),
        (E::Unsupported, _) => rule(A::Never, 1, O::Next, H::Unknown),
        (E::BreakerOpen, _) => rule(A::Never, 1, O::Next, H::Unknown),
        (E::Cooldown, _) => rule(A::Never, 1, O::Next, H::Unknown),
        (E::InvalidInput | E::PromptTooLong | E::FileNotFound, _) => rule(A::Never, 1, O::Stop, H::Unknown),
        (E::Cancelled, _) => rule(A::Never, 1, O::Stop, H::Unknown),
        (E::AllTargetsFailed, _) => rule(A::Never, 1, O::Stop, H::Unknown),
        (E::DeadlineReached | E::DeadlineExceeded, _) => rule(A::Never, 1, O::Stop, H::Unknown),
        (E::BudgetReached, _) => rule(A::Never, 1, O::Stop, H::Unknown),
        (E::External | E::Internal, _) => rule(A::Never, 1, O::Stop, H::Unknown),
    }
}

const fn rule(again: Retry, tries: u32, onward: Fallback, health: HealthImpact) -> Rule {
    Rule { again, tries, onward, health }
}

/// How long to wait before the target of `error` is asked again, after `tried` requests to it.
///
/// What the target asked for is never cut short. Otherwise full jitter: a random part of a time that doubles, as in
/// "Exponential Backoff And Jitter" of the AWS Architecture Blog.
pub(super) fn pause(error: &Error, tried: u32) -> Duration {
    if let Some(told) = error.retry_after() {
        return told + told.min(PAUSE * 4).mul_f64(0.1 * fastrand::f64());
    }
    let first = if error.kind() == ErrorKind::RateLimited { RATE_PAUSE } else { PAUSE };
    let doubled = first.saturating_mul(1 << tried.saturating_sub(1).min(10));
    doubled.min(MAX_PAUSE).mul_f64(fastrand::f64())
}

/// What every call of the process is to know about the target of `error`, which took `took` to come.
pub(super) fn verdict(error: &Error, health: HealthImpact, took: Duration) -> BreakerOutcome {
    match health {
        HealthImpact::Unknown => BreakerOutcome::Unknown,
        HealthImpact::Good => BreakerOutcome::Good,
        HealthImpact::Slow if took < TELLING_TIMEOUT => BreakerOutcome::Unknown,
        HealthImpact::Bad | HealthImpact::Slow => BreakerOutcome::Bad,
        // Without a time it says no more than that it is too much now.
        HealthImpact::Cooldown => error.retry_after().map_or(BreakerOutcome::Bad, BreakerOutcome::Cooldown),
        HealthImpact::RestingToday => BreakerOutcome::Cooldown(rest_of_the_day(SystemTime::now())),
        HealthImpact::Demoted => BreakerOutcome::Demoted(DEMOTION),
    }
}

/// How long a quota of the day stays used up: to midnight in California, which is 7:00 UTC in summer and 8:00 in winter,
/// [`MAX_REST`] at most. What a provider says in its place is the wait of its limit per minute.
fn rest_of_the_day(now: SystemTime) -> Duration {
    const HOUR: u64 = 3600;
    let of_day = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % (24 * HOUR);
    let midnights = [7 * HOUR, 8 * HOUR, 31 * HOUR];
    let wait = midnights.into_iter().find(|midnight| *midnight > of_day).map_or(HOUR, |midnight| midnight - of_day);
    Duration::from_secs(wait).min(MAX_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_asked_for_is_never_cut_short() {
        let error = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Some(Duration::from_secs(12)));
        for tried in 1..4 {
            let wait = pause(&error, tried).as_secs_f64();
            assert!((12.0..12.2).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn pauses_double_are_random_and_end() {
        let error = Error::new(ErrorKind::Server, "oops");
        for (tried, longest) in [(1, 250), (2, 500), (3, 1000), (6, 8000), (60, 8000)] {
            let waits: Vec<_> = (0..200).map(|_| pause(&error, tried)).collect();
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            let longest = Duration::from_millis(longest);
            assert!(*most <= longest && *most > longest / 2 && *least < longest / 2, "{tried}: {least:?} to {most:?}");
        }
    }

    #[test]
    fn a_quota_of_the_day_is_asked_about_at_midnight_in_california_or_after_an_hour() {
        let wait = |hour: u64, minute: u64| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + hour * 3600 + minute * 60);
            rest_of_the_day(now).as_secs() / 60
        };
        assert_eq!([wait(6, 50), wait(7, 10), wait(8, 0), wait(23, 59)], [10, 50, 60, 60]);
    }

    #[test]
    fn a_short_time_limit_says_nothing_about_the_target() {
        let error = Error::new(ErrorKind::Timeout, "late");
        let of = |seconds| verdict(&error, after(error.kind(), Provider::Ollama).health, Duration::from_secs(seconds));
        assert_eq!((of(1), of(10)), (BreakerOutcome::Unknown, BreakerOutcome::Bad));
    }
}
