//! The breaker as a state machine: examples, and comparison with a reference.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::breaker::{Breaker, BreakerOutcome, BreakerPermit};

const SECOND: Duration = Duration::from_secs(1);

/// A breaker and a manual clock.
struct Fixture {
    breaker: Breaker,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now() }
    }

    /// A breaker that has just opened.
    fn open() -> Self {
        let fixture = Self::new();
        fixture.fail(5);
        assert_eq!(fixture.ready_in(), SECOND);
        fixture
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    fn ready_in(&self) -> Duration {
        self.breaker.ready_in(self.now)
    }

    fn admit(&self) -> BreakerPermit {
        self.breaker.admit(self.now).unwrap()
    }

    fn settle(&self, outcome: BreakerOutcome) {
        self.admit().settle(outcome, self.now);
    }

    fn fail(&self, times: usize) {
        for _ in 0..times {
            self.settle(BreakerOutcome::Failure);
        }
    }
}

#[test]
fn five_consecutive_failures_open_it() {
    let fixture = Fixture::new();
    fixture.fail(4);
    fixture.settle(BreakerOutcome::Success);
    fixture.fail(4);
    assert_eq!(fixture.ready_in(), Duration::ZERO);
    fixture.fail(1);
    assert_eq!(fixture.ready_in(), SECOND);
    assert_eq!(fixture.breaker.admit(fixture.now).unwrap_err(), SECOND);
}

#[test]
fn a_failure_ratio_of_one_half_opens_it_within_the_window() {
    let alternate = |fixture: &Fixture, pairs: usize| {
        for _ in 0..pairs {
            fixture.settle(BreakerOutcome::Success);
            fixture.settle(BreakerOutcome::Failure);
        }
    };
    let mut fixture = Fixture::new();
    alternate(&fixture, 9);
    assert_eq!(fixture.ready_in(), Duration::ZERO);
    fixture.advance(31 * SECOND);
    alternate(&fixture, 9);
    assert_eq!(fixture.ready_in(), Duration::ZERO);
    fixture.advance(25 * SECOND);
    alternate(&fixture, 1);
    assert_eq!(fixture.ready_in(), SECOND);
}

#[test]
fn a_failed_probe_doubles_the_open_time_and_a_successful_one_closes_it() {
    let mut fixture = Fixture::open();
    for seconds in [2, 4, 8, 16, 30, 30] {
        fixture.advance(fixture.ready_in());
        fixture.settle(BreakerOutcome::Failure);
        assert_eq!(fixture.ready_in(), seconds * SECOND);
    }
    fixture.advance(fixture.ready_in());
    fixture.settle(BreakerOutcome::Success);
    assert_eq!(fixture.ready_in(), Duration::ZERO);
    fixture.fail(5);
    assert_eq!(fixture.ready_in(), SECOND);
}

#[test]
fn one_probe_is_admitted_at_a_time() {
    let mut fixture = Fixture::open();
    fixture.advance(SECOND);
    let probe = fixture.admit();
    let wait = fixture.breaker.admit(fixture.now).unwrap_err();
    assert!(!wait.is_zero() && wait < SECOND, "{wait:?}");
    drop(probe);
    let probe = fixture.admit();
    probe.settle(BreakerOutcome::Ignored, fixture.now);
    let probe = fixture.admit();
    probe.settle(BreakerOutcome::Success, fixture.now);
    let (first, second) = (fixture.admit(), fixture.admit());
    drop((first, second));
}

#[test]
fn a_request_from_before_it_opened_neither_closes_nor_extends_it() {
    let mut fixture = Fixture::new();
    let (slow, slower, slowest) = (fixture.admit(), fixture.admit(), fixture.admit());
    fixture.fail(5);
    slow.settle(BreakerOutcome::Success, fixture.now);
    assert_eq!(fixture.ready_in(), SECOND);
    fixture.advance(SECOND);
    let probe = fixture.admit();
    slower.settle(BreakerOutcome::Success, fixture.now);
    assert!(fixture.breaker.admit(fixture.now).is_err());
    probe.settle(BreakerOutcome::Success, fixture.now);
    fixture.fail(4);
    slowest.settle(BreakerOutcome::Failure, fixture.now);
    assert_eq!(fixture.ready_in(), Duration::ZERO);
}

#[test]
fn a_cooldown_is_never_shortened_and_needs_no_probe() {
    let mut fixture = Fixture::new();
    let others: Vec<_> = (0..7).map(|_| fixture.admit()).collect();
    fixture.settle(BreakerOutcome::Cooldown(20 * SECOND));
    for (other, outcome) in others.into_iter().zip([
        BreakerOutcome::Cooldown(5 * SECOND),
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Success,
    ]) {
        other.settle(outcome, fixture.now);
    }
    assert_eq!(fixture.ready_in(), 20 * SECOND);

    let mut cooling = Fixture::new();
    cooling.settle(BreakerOutcome::Cooldown(3 * SECOND));
    cooling.advance(3 * SECOND);
    drop((cooling.admit(), cooling.admit()));

    fixture.advance(20 * SECOND);
    let probe = fixture.admit();
    probe.settle(BreakerOutcome::Cooldown(2 * SECOND), fixture.now);
    assert_eq!(fixture.ready_in(), 2 * SECOND);
    fixture.advance(2 * SECOND);
    drop((fixture.admit(), fixture.admit()));
}

#[test]
fn a_shorter_cooldown_does_not_end_the_open_time() {
    let mut fixture = Fixture::new();
    let slow = fixture.admit();
    fixture.fail(5);
    for _ in 0..4 {
        fixture.advance(fixture.ready_in());
        fixture.settle(BreakerOutcome::Failure);
    }
    slow.settle(BreakerOutcome::Cooldown(SECOND), fixture.now);
    assert_eq!(fixture.ready_in(), 16 * SECOND);
}

#[test]
fn a_cooldown_is_bounded() {
    let fixture = Fixture::new();
    fixture.settle(BreakerOutcome::Cooldown(Duration::MAX));
    assert!(fixture.ready_in() <= Duration::from_secs(48 * 60 * 60));
}

#[test]
fn a_demoted_target_is_admitted_until_a_later_request_succeeds() {
    let mut fixture = Fixture::new();
    let early = fixture.admit();
    fixture.settle(BreakerOutcome::Demoted(60 * SECOND));
    fixture.settle(BreakerOutcome::Demoted(SECOND));
    assert!(fixture.breaker.is_demoted(fixture.now));
    assert_eq!(fixture.ready_in(), Duration::ZERO);
    early.settle(BreakerOutcome::Success, fixture.now);
    fixture.advance(59 * SECOND);
    assert!(fixture.breaker.is_demoted(fixture.now), "an earlier request says nothing");
    fixture.advance(SECOND);
    assert!(!fixture.breaker.is_demoted(fixture.now));

    fixture.settle(BreakerOutcome::Demoted(60 * SECOND));
    fixture.settle(BreakerOutcome::Success);
    assert!(!fixture.breaker.is_demoted(fixture.now));
}

#[test]
fn a_demotion_closes_the_breaker_after_a_probe() {
    let mut fixture = Fixture::open();
    fixture.advance(SECOND);
    fixture.settle(BreakerOutcome::Demoted(60 * SECOND));
    assert_eq!(fixture.ready_in(), Duration::ZERO);
    assert!(fixture.breaker.is_demoted(fixture.now));
}

/// A reference implementation with lists instead of counters.
#[derive(Default)]
struct Reference {
    /// The outcomes since the last change of the state: the step of the window, and whether it was a success.
    outcomes: Vec<(u64, bool)>,
    open: Option<Instant>,
    is_probing: bool,
    failed_probes: u32,
    cooldowns: Vec<Instant>,
    demotions: Vec<Instant>,
    changes: usize,
    epoch: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    changes: usize,
    demotions: usize,
    is_probe: bool,
}

impl Reference {
    fn ready_in(&self, now: Instant) -> Option<Duration> {
        let until = self.cooldowns.iter().chain(&self.open).map(|until| until.saturating_duration_since(now)).max();
        // The duration of a probe is unknown.
        (!self.is_probing).then(|| until.unwrap_or_default())
    }

    fn admit(&mut self) -> Sent {
        self.is_probing = self.open.is_some();
        Sent { changes: self.changes, demotions: self.demotions.len(), is_probe: self.is_probing }
    }

    fn settle(&mut self, sent: Sent, outcome: BreakerOutcome, now: Instant) {
        let is_current = sent.changes == self.changes;
        let mut closes = sent.is_probe;
        self.is_probing &= !sent.is_probe;
        match outcome {
            BreakerOutcome::Success => {
                if sent.demotions == self.demotions.len() {
                    self.demotions.iter_mut().for_each(|until| *until = now - Duration::from_secs(1));
                }
                if is_current {
                    self.failed_probes = 0;
                    self.outcome(true, now);
                }
            }
            BreakerOutcome::Failure => {
                closes = false;
                if sent.is_probe {
                    self.failed_probes += 1;
                    self.enter(Some(now + SECOND * 2_u32.pow(self.failed_probes.min(5)).min(30)));
                } else if is_current {
                    self.outcome(false, now);
                    let consecutive = self.outcomes.iter().rev().take_while(|(_, is_success)| !is_success).count();
                    let step = self.step(now);
                    let recent: Vec<_> = self.outcomes.iter().filter(|(at, _)| at + 10 > step).collect();
                    let failures = recent.iter().filter(|(_, is_success)| !is_success).count();
                    if consecutive >= 5 || (recent.len() >= 20 && 2 * failures >= recent.len()) {
                        self.enter(Some(now + SECOND * 2_u32.pow(self.failed_probes.min(5)).min(30)));
                    }
                }
            }
            BreakerOutcome::Cooldown(time) => self.cooldowns.push(now + time),
            BreakerOutcome::Demoted(time) => self.demotions.push(now + time),
            BreakerOutcome::Ignored => closes = false,
        }
        if closes {
            self.enter(None);
        }
    }

    fn outcome(&mut self, is_success: bool, now: Instant) {
        let step = self.step(now);
        self.outcomes.push((step, is_success));
    }

    fn step(&mut self, now: Instant) -> u64 {
        (now - *self.epoch.get_or_insert(now)).as_secs() / 3
    }

    fn enter(&mut self, open: Option<Instant>) {
        self.open = open;
        self.changes += 1;
        self.outcomes.clear();
    }
}

#[derive(Debug, Clone)]
enum Op {
    Pass(u64),
    Admit,
    Settle(prop::sample::Index, BreakerOutcome),
}

fn outcome() -> impl Strategy<Value = BreakerOutcome> {
    prop_oneof![
        4 => Just(BreakerOutcome::Success),
        6 => Just(BreakerOutcome::Failure),
        1 => (0_u64..40_000).prop_map(|ms| BreakerOutcome::Cooldown(Duration::from_millis(ms))),
        1 => (0_u64..90_000).prop_map(|ms| BreakerOutcome::Demoted(Duration::from_millis(ms))),
        1 => Just(BreakerOutcome::Ignored),
    ]
}

fn operations() -> impl Strategy<Value = Vec<Op>> {
    let operation = prop_oneof![
        2 => prop_oneof![0_u64..300, 0_u64..40_000].prop_map(Op::Pass),
        4 => Just(Op::Admit),
        4 => (any::<prop::sample::Index>(), outcome()).prop_map(|(which, outcome)| Op::Settle(which, outcome)),
    ];
    prop::collection::vec(operation, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_matches_the_reference(operations in operations()) {
        let mut fixture = Fixture::new();
        let mut reference = Reference::default();
        let mut permits = Vec::new();
        for operation in operations {
            match operation {
                Op::Pass(ms) => fixture.advance(Duration::from_millis(ms)),
                Op::Admit => match fixture.breaker.admit(fixture.now) {
                    Ok(permit) => {
                        prop_assert_eq!(reference.ready_in(fixture.now), Some(Duration::ZERO));
                        permits.push((permit, reference.admit()));
                    }
                    Err(wait) => prop_assert!(!wait.is_zero()),
                },
                Op::Settle(which, outcome) if !permits.is_empty() => {
                    let (permit, sent) = permits.swap_remove(which.index(permits.len()));
                    permit.settle(outcome, fixture.now);
                    reference.settle(sent, outcome, fixture.now);
                }
                Op::Settle(..) => {}
            }
            match reference.ready_in(fixture.now) {
                Some(wait) => prop_assert_eq!(fixture.ready_in(), wait),
                None => prop_assert!(!fixture.ready_in().is_zero()),
            }
            let demoted = reference.demotions.iter().any(|until| *until > fixture.now);
            prop_assert_eq!(fixture.breaker.is_demoted(fixture.now), demoted);
        }
    }

    /// Threads read the clock before they take the lock, so times arrive out of order.
    #[test]
    fn an_older_time_never_shortens_a_cooldown(operations in operations(), ages in prop::collection::vec(0_u64..5_000, 300)) {
        let mut fixture = Fixture::new();
        fixture.advance(Duration::from_secs(10));
        let mut permits = Vec::new();
        let mut cooldown = fixture.now - Duration::from_secs(10);
        for (operation, age) in operations.into_iter().zip(ages) {
            let seen = fixture.now - Duration::from_millis(age);
            match operation {
                Op::Pass(ms) => fixture.advance(Duration::from_millis(ms)),
                Op::Admit => {
                    if let Ok(permit) = fixture.breaker.admit(seen) {
                        prop_assert!(seen >= cooldown);
                        permits.push(permit);
                    }
                }
                Op::Settle(which, outcome) if !permits.is_empty() => {
                    if let BreakerOutcome::Cooldown(time) = outcome {
                        cooldown = cooldown.max(seen + time);
                    }
                    permits.swap_remove(which.index(permits.len())).settle(outcome, seen);
                }
                Op::Settle(..) => {}
            }
            prop_assert!(fixture.ready_in() >= cooldown.saturating_duration_since(fixture.now));
        }
    }
}
