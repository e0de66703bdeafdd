//! Whether one target is asked at all: learnt by every call of the process, forgotten by none.
//!
//! A breaker has no clock: every operation is told the time, and one that comes late with an older time does no harm.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{Arc, Mutex, lock};

/// So many failures without a success between them open it.
const CONSECUTIVE: u32 = 5;

/// So many outcomes within the window are enough to judge by their ratio.
const JUDGED: u32 = 20;

/// The window of the ratio moves in steps: outcomes are forgotten when they are 27 to 30 seconds old.
const STEP: Duration = Duration::from_secs(3);
const STEPS: usize = 10;

/// How long it is open at first; each failed probe doubles that.
const OPEN: Duration = Duration::from_secs(1);
const OPEN_LONGEST: Duration = Duration::from_secs(30);

/// What a call is told that comes while a probe is out: nobody knows how long it takes.
const PROBING: Duration = Duration::from_millis(100);

/// The longest a target may ask to be left alone. The reset of a daily quota is at most a day away (of 25 hours, once a
/// year), and a nonsensical `Retry-After` must not bench a target for the life of the process.
const LONGEST: Duration = Duration::from_secs(25 * 60 * 60);

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
    /// How long until it admits a call; zero if it would now.
    pub(super) fn ready_in(&self, now: Instant) -> Duration {
        lock(&self.shared).ready_in(now)
    }

    /// The part of that which the target itself has asked for.
    pub(super) fn cooldown(&self, now: Instant) -> Duration {
        left(lock(&self.shared).cooldown_until, now)
    }

    /// Admits one request, or tells when to ask again. The first one after an open time is the probe; while it is out,
    /// nobody else is admitted.
    pub(super) fn admit(&self, now: Instant) -> Result<BreakerPermit, Duration> {
        let pass = lock(&self.shared).admit(now)?;
        Ok(BreakerPermit { shared: Arc::clone(&self.shared), pass, outcome: None })
    }

    /// Whether others should be asked before it.
    pub(super) fn is_demoted(&self, now: Instant) -> bool {
        lock(&self.shared).is_demoted(now)
    }

    /// Whether no ticket is out.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }
}

/// The right to send one request. Dropped unsettled, it says nothing about the target, and the next call may probe.
#[derive(Debug)]
#[must_use = "a ticket that is dropped at once admits nothing"]
pub(super) struct BreakerPermit {
    shared: Arc<Mutex<State>>,
    pass: Pass,
    outcome: Option<(BreakerOutcome, Instant)>,
}

impl BreakerPermit {
    /// Tells how the request went.
    pub(super) fn settle(mut self, verdict: BreakerOutcome, now: Instant) {
        self.outcome = Some((verdict, now));
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        match self.outcome {
            Some((verdict, now)) => state.settle(self.pass, verdict, now),
            None => state.forget(self.pass),
        }
    }
}

/// What a ticket remembers of the breaker when it was given out. An outcome speaks of the time of its request: one from
/// before the breaker opened neither closes it nor counts again.
#[derive(Debug, Clone, Copy)]
struct Pass {
    era: u64,
    demotions: u64,
    is_probe: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    /// Open until `State::open_until`, and from then on until somebody comes to probe.
    Open,
    /// One probe is out.
    Probing,
}

/// The breaker without its lock: plain data, the same for the same operations.
#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Grows when it opens and when it closes.
    era: u64,
    consecutive: u32,
    failed_probes: u32,
    recent: Recent,
    open_until: Option<Instant>,
    cooldown_until: Option<Instant>,
    demoted_until: Option<Instant>,
    demotions: u64,
}

impl State {
    fn ready_in(&self, now: Instant) -> Duration {
        let phase = match self.phase {
            Phase::Closed => Duration::ZERO,
            Phase::Open => left(self.open_until, now),
            Phase::Probing => PROBING,
        };
        phase.max(left(self.cooldown_until, now))
    }

    fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        let wait = self.ready_in(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let is_probe = self.phase == Phase::Open;
        if is_probe {
            self.phase = Phase::Probing;
        }
        Ok(Pass { era: self.era, demotions: self.demotions, is_probe })
    }

    fn is_demoted(&self, now: Instant) -> bool {
        !left(self.demoted_until, now).is_zero()
    }

    fn settle(&mut self, pass: Pass, verdict: BreakerOutcome, now: Instant) {
        match verdict {
            BreakerOutcome::Success => {
                if pass.demotions == self.demotions {
                    self.demoted_until = None;
                }
                if pass.era == self.era {
                    self.failed_probes = 0;
                    self.consecutive = 0;
                    self.recent.good(now);
                }
                if pass.is_probe {
                    self.close();
                }
            }
            BreakerOutcome::Failure if pass.is_probe => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.open(now);
            }
            BreakerOutcome::Failure => {
                if pass.era == self.era {
                    self.consecutive = self.consecutive.saturating_add(1);
                    self.recent.bad(now);
                    if self.consecutive >= CONSECUTIVE || self.recent.is_mostly_bad() {
                        self.open(now);
                    }
                }
            }
            // These two are told by a target that is there, so a probe that learns them has found what it was sent for.
            // A time that was told holds whenever its request was sent.
            BreakerOutcome::Cooldown(time) => {
                extend(&mut self.cooldown_until, now, time);
                if pass.is_probe {
                    self.close();
                }
            }
            BreakerOutcome::Demoted(time) => {
                extend(&mut self.demoted_until, now, time);
                self.demotions += 1;
                if pass.is_probe {
                    self.close();
                }
            }
            BreakerOutcome::Ignored => self.forget(pass),
        }
    }

    /// A request whose outcome says nothing. A probe's place is free for the next call at once.
    fn forget(&mut self, pass: Pass) {
        if pass.is_probe {
            self.phase = Phase::Open;
        }
    }

    fn open(&mut self, now: Instant) {
        let time = OPEN.saturating_mul(1 << self.failed_probes.min(16)).min(OPEN_LONGEST);
        extend(&mut self.open_until, now, time);
        self.turn(Phase::Open);
    }

    fn close(&mut self) {
        self.open_until = None;
        self.turn(Phase::Closed);
    }

    fn turn(&mut self, phase: Phase) {
        self.phase = phase;
        self.era += 1;
        self.consecutive = 0;
        self.recent = Recent { epoch: self.recent.epoch, ..Recent::default() };
    }
}

/// The outcomes of the last half minute, in steps.
#[derive(Debug, Default)]
struct Recent {
    epoch: Option<Instant>,
    /// The step that `counts[step % STEPS]` counts.
    step: u64,
    counts: [Count; STEPS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    good: u32,
    bad: u32,
}

impl Recent {
    fn good(&mut self, now: Instant) {
        let count = self.count(now);
        count.good = count.good.saturating_add(1);
    }

    fn bad(&mut self, now: Instant) {
        let count = self.count(now);
        count.bad = count.bad.saturating_add(1);
    }

    /// Judged after a failure only: a success is no reason to open.
    fn is_mostly_bad(&self) -> bool {
        let bad = self.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(count.bad));
        let good = self.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(count.good));
        bad.saturating_add(good) >= JUDGED && bad >= good
    }

    /// The counts of the step that `now` is in; an older time counts in the newest step.
    fn count(&mut self, now: Instant) -> &mut Count {
        let since = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        let step = self.step.max(since.as_secs() / STEP.as_secs());
        for passed in (self.step + 1..=step).take(STEPS) {
            // Where more than a whole window has passed, every count is cleared once, whatever its number.
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

fn left(until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
}

/// A time that was set is never shortened by a later, shorter one.
fn extend(until: &mut Option<Instant>, now: Instant, time: Duration) {
    let new = now + time.min(LONGEST);
    *until = Some(mem::take(until).map_or(new, |old| old.max(new)));
}
