//! The circuit breaker of one target, shared by every call of the process.
//!
//! A breaker has no clock: every operation receives the time. An operation with an older time is harmless.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{Arc, Mutex, lock};

/// The number of consecutive failures that opens the breaker.
const CONSECUTIVE: u32 = 5;

/// The minimum number of outcomes in the window for the failure ratio to open the breaker.
const MIN_OUTCOMES: u32 = 20;

/// The window of the failure ratio moves in steps, so outcomes expire when they are 27 to 30 seconds old.
const STEP: Duration = Duration::from_secs(3);
const STEPS: usize = 10;

/// How long the breaker is open at first. Each failed probe doubles that.
const OPEN: Duration = Duration::from_secs(1);
const MAX_OPEN: Duration = Duration::from_secs(30);

/// When to check again while a probe is in flight, whose duration is unknown.
const PROBE_WAIT: Duration = Duration::from_millis(100);

/// The longest cooldown. A daily quota is renewed within a day (of 25 hours, once a year), and a nonsensical `Retry-After` must
/// not disable a target for the life of the process.
const MAX_COOLDOWN: Duration = Duration::from_secs(25 * 60 * 60);

/// What the outcome of one request says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerOutcome {
    /// The target works.
    Success,
    /// One more failure.
    Failure,
    /// The target requested a cooldown of this length.
    Cooldown(Duration),
    /// Requests with this key or model fail for this long: other targets go first.
    Demoted(Duration),
    /// Nothing.
    Ignored,
}

/// The breaker of one target. A clone is the same breaker.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    shared: Arc<Mutex<State>>,
}

impl Breaker {
    /// Returns the time until a call is admitted; zero if one would be admitted now.
    pub(super) fn ready_in(&self, now: Instant) -> Duration {
        lock(&self.shared).ready_in(now)
    }

    /// Returns the time until the end of the cooldown that the target requested.
    pub(super) fn cooldown(&self, now: Instant) -> Duration {
        time_until(lock(&self.shared).cooldown_until, now)
    }

    /// Admits one request, or returns when to try again. The first request after an open time is the probe; no other request
    /// is admitted while it is in flight.
    pub(super) fn admit(&self, now: Instant) -> Result<BreakerPermit, Duration> {
        let issued = lock(&self.shared).admit(now)?;
        Ok(BreakerPermit { shared: Arc::clone(&self.shared), issued, outcome: None })
    }

    /// Whether other targets should be tried first.
    pub(super) fn is_demoted(&self, now: Instant) -> bool {
        lock(&self.shared).is_demoted(now)
    }

    /// Whether no permit is in use.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }
}

/// A permit to send one request. If it is dropped unsettled, the outcome is ignored and the next call may probe.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once admits nothing"]
pub(super) struct BreakerPermit {
    shared: Arc<Mutex<State>>,
    issued: Issued,
    outcome: Option<(BreakerOutcome, Instant)>,
}

impl BreakerPermit {
    /// Reports the outcome of the request.
    pub(super) fn settle(mut self, outcome: BreakerOutcome, now: Instant) {
        self.outcome = Some((outcome, now));
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        match self.outcome {
            Some((outcome, now)) => state.settle(self.issued, outcome, now),
            None => state.ignore(self.issued),
        }
    }
}

/// The state of the breaker when a permit was issued. An outcome describes the target at that time: one from before the breaker
/// opened neither closes it nor counts again.
#[derive(Debug, Clone, Copy)]
struct Issued {
    generation: u64,
    demotions: u64,
    is_probe: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    /// Open until `State::open_until`, then until the next call probes.
    Open,
    /// One probe is in flight.
    Probing,
}

/// The breaker without its lock: plain, deterministic data.
#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Incremented when the breaker opens or closes.
    generation: u64,
    consecutive: u32,
    failed_probes: u32,
    recent: RecentOutcomes,
    open_until: Option<Instant>,
    cooldown_until: Option<Instant>,
    demoted_until: Option<Instant>,
    demotions: u64,
}

impl State {
    fn ready_in(&self, now: Instant) -> Duration {
        let phase = match self.phase {
            Phase::Closed => Duration::ZERO,
            Phase::Open => time_until(self.open_until, now),
            Phase::Probing => PROBE_WAIT,
        };
        phase.max(time_until(self.cooldown_until, now))
    }

    fn admit(&mut self, now: Instant) -> Result<Issued, Duration> {
        let wait = self.ready_in(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let is_probe = self.phase == Phase::Open;
        if is_probe {
            self.phase = Phase::Probing;
        }
        Ok(Issued { generation: self.generation, demotions: self.demotions, is_probe })
    }

    fn is_demoted(&self, now: Instant) -> bool {
        !time_until(self.demoted_until, now).is_zero()
    }

    fn settle(&mut self, permit: Issued, outcome: BreakerOutcome, now: Instant) {
        use BreakerOutcome::{Cooldown, Demoted, Failure, Ignored, Success};
        match outcome {
            Success => {
                if permit.demotions == self.demotions {
                    self.demoted_until = None;
                }
                if permit.generation == self.generation {
                    self.failed_probes = 0;
                    self.consecutive = 0;
                    self.recent.record_success(now);
                }
            }
            Failure if permit.is_probe => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.open(now);
            }
            Failure => {
                if permit.generation == self.generation {
                    self.consecutive = self.consecutive.saturating_add(1);
                    self.recent.record_failure(now);
                    if self.consecutive >= CONSECUTIVE || self.recent.has_failed_mostly() {
                        self.open(now);
                    }
                }
            }
            // The time holds whenever the request was sent.
            Cooldown(time) => extend(&mut self.cooldown_until, now, time),
            Demoted(time) => {
                extend(&mut self.demoted_until, now, time);
                self.demotions += 1;
            }
            Ignored => self.ignore(permit),
        }
        // A target that requests a cooldown or rejects a key is up too.
        if permit.is_probe && matches!(outcome, Success | Cooldown(_) | Demoted(_)) {
            self.close();
        }
    }

    /// Ignores the outcome of a request. After a probe, the next call may probe at once.
    fn ignore(&mut self, permit: Issued) {
        if permit.is_probe {
            self.phase = Phase::Open;
        }
    }

    fn open(&mut self, now: Instant) {
        let time = OPEN.saturating_mul(1 << self.failed_probes.min(16)).min(MAX_OPEN);
        extend(&mut self.open_until, now, time);
        self.enter(Phase::Open);
    }

    fn close(&mut self) {
        self.open_until = None;
        self.enter(Phase::Closed);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
        self.consecutive = 0;
        self.recent = RecentOutcomes { epoch: self.recent.epoch, ..RecentOutcomes::default() };
    }
}

/// The outcomes of the last half minute, in steps.
#[derive(Debug, Default)]
struct RecentOutcomes {
    epoch: Option<Instant>,
    /// The newest step; its counts are in `counts[step % STEPS]`.
    step: u64,
    counts: [Count; STEPS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    successes: u32,
    failures: u32,
}

impl RecentOutcomes {
    fn record_success(&mut self, now: Instant) {
        let count = self.count(now);
        count.successes = count.successes.saturating_add(1);
    }

    fn record_failure(&mut self, now: Instant) {
        let count = self.count(now);
        count.failures = count.failures.saturating_add(1);
    }

    /// Whether at least half of the outcomes are failures. Only checked after a failure.
    fn has_failed_mostly(&self) -> bool {
        let failures = self.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(count.failures));
        let successes = self.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(count.successes));
        failures.saturating_add(successes) >= MIN_OUTCOMES && failures >= successes
    }

    /// Returns the counts of the step of `now`; an older time counts in the newest step.
    fn count(&mut self, now: Instant) -> &mut Count {
        let since = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        let step = self.step.max(since.as_secs() / STEP.as_secs());
        for passed in (self.step + 1..=step).take(STEPS) {
            // At most every count once, even if more than a whole window has passed.
            self.counts[index(passed)] = Count::default();
        }
        self.step = step;
        &mut self.counts[index(step)]
    }
}

fn index(step: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "a remainder is small")]
    let index = (step % STEPS as u64) as usize;
    index
}

fn time_until(until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
}

/// Extends `until`, which is never shortened.
fn extend(until: &mut Option<Instant>, now: Instant, time: Duration) {
    *until = (*until).max(Some(now + time.min(MAX_COOLDOWN)));
}
