//! The breaker as a state machine, by examples and against a reference.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::breaker::{Breaker, BreakerOutcome, BreakerPermit};

const SECOND: Duration = Duration::from_secs(1);

/// One breaker, and a clock that moves when it is told to.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now() }
    }

    /// One that has just opened.
    fn open() -> Self {
        let bench = Self::new();
        bench.fail(5);
        assert_eq!(bench.ready_in(), SECOND);
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn ready_in(&self) -> Duration {
        self.breaker.ready_in(self.now)
    }

    fn admit(&self) -> BreakerPermit {
        self.breaker.admit(self.now).unwrap()
    }

    fn settle(&self, verdict: BreakerOutcome) {
        self.admit().settle(verdict, self.now);
    }

    fn fail(&self, times: usize) {
        for _ in 0..times {
            self.settle(BreakerOutcome::Failure);
        }
    }
}

#[test]
fn five_failures_in_a_row_open_it() {
    let bench = Bench::new();
    bench.fail(4);
    bench.settle(BreakerOutcome::Success);
    bench.fail(4);
    assert_eq!(bench.ready_in(), Duration::ZERO);
    bench.fail(1);
    assert_eq!(bench.ready_in(), SECOND);
    assert_eq!(bench.breaker.admit(bench.now).unwrap_err(), SECOND);
}

#[test]
fn half_of_twenty_outcomes_open_it_and_old_ones_do_not_count() {
    let alternate = |bench: &Bench, pairs: usize| {
        for _ in 0..pairs {
            bench.settle(BreakerOutcome::Success);
            bench.settle(BreakerOutcome::Failure);
        }
    };
    let mut bench = Bench::new();
    alternate(&bench, 9);
    assert_eq!(bench.ready_in(), Duration::ZERO);
    bench.pass(31 * SECOND);
    alternate(&bench, 9);
    assert_eq!(bench.ready_in(), Duration::ZERO);
    bench.pass(25 * SECOND);
    alternate(&bench, 1);
    assert_eq!(bench.ready_in(), SECOND);
}

#[test]
fn each_failed_probe_doubles_the_open_time_and_a_good_one_ends_it() {
    let mut bench = Bench::open();
    for seconds in [2, 4, 8, 16, 30, 30] {
        bench.pass(bench.ready_in());
        bench.settle(BreakerOutcome::Failure);
        assert_eq!(bench.ready_in(), seconds * SECOND);
    }
    bench.pass(bench.ready_in());
    bench.settle(BreakerOutcome::Success);
    assert_eq!(bench.ready_in(), Duration::ZERO);
    bench.fail(5);
    assert_eq!(bench.ready_in(), SECOND);
}

#[test]
fn one_probe_at_a_time_and_a_cancelled_one_makes_room() {
    let mut bench = Bench::open();
    bench.pass(SECOND);
    let probe = bench.admit();
    let wait = bench.breaker.admit(bench.now).unwrap_err();
    assert!(!wait.is_zero() && wait < SECOND, "{wait:?}");
    drop(probe);
    let probe = bench.admit();
    probe.settle(BreakerOutcome::Ignored, bench.now);
    let probe = bench.admit();
    probe.settle(BreakerOutcome::Success, bench.now);
    let (first, second) = (bench.admit(), bench.admit());
    drop((first, second));
}

#[test]
fn a_request_from_before_it_opened_neither_closes_nor_extends_it() {
    let mut bench = Bench::new();
    let (slow, slower, slowest) = (bench.admit(), bench.admit(), bench.admit());
    bench.fail(5);
    slow.settle(BreakerOutcome::Success, bench.now);
    assert_eq!(bench.ready_in(), SECOND);
    bench.pass(SECOND);
    let probe = bench.admit();
    slower.settle(BreakerOutcome::Success, bench.now);
    assert!(bench.breaker.admit(bench.now).is_err());
    probe.settle(BreakerOutcome::Success, bench.now);
    bench.fail(4);
    slowest.settle(BreakerOutcome::Failure, bench.now);
    assert_eq!(bench.ready_in(), Duration::ZERO);
}

#[test]
fn a_told_rest_is_never_shortened_and_needs_no_probe() {
    let mut bench = Bench::new();
    let others: Vec<_> = (0..7).map(|_| bench.admit()).collect();
    bench.settle(BreakerOutcome::Cooldown(20 * SECOND));
    for (other, verdict) in others.into_iter().zip([
        BreakerOutcome::Cooldown(5 * SECOND),
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Failure,
        BreakerOutcome::Success,
    ]) {
        other.settle(verdict, bench.now);
    }
    assert_eq!(bench.ready_in(), 20 * SECOND);

    let mut bench_of_rest = Bench::new();
    bench_of_rest.settle(BreakerOutcome::Cooldown(3 * SECOND));
    bench_of_rest.pass(3 * SECOND);
    drop((bench_of_rest.admit(), bench_of_rest.admit()));

    bench.pass(20 * SECOND);
    let probe = bench.admit();
    probe.settle(BreakerOutcome::Cooldown(2 * SECOND), bench.now);
    assert_eq!(bench.ready_in(), 2 * SECOND);
    bench.pass(2 * SECOND);
    drop((bench.admit(), bench.admit()));
}

#[test]
fn an_open_time_outlasts_a_shorter_rest_told_meanwhile() {
    let mut bench = Bench::new();
    let slow = bench.admit();
    bench.fail(5);
    for _ in 0..4 {
        bench.pass(bench.ready_in());
        bench.settle(BreakerOutcome::Failure);
    }
    slow.settle(BreakerOutcome::Cooldown(SECOND), bench.now);
    assert_eq!(bench.ready_in(), 16 * SECOND);
}

#[test]
fn a_nonsensical_rest_ends_within_two_days() {
    let bench = Bench::new();
    bench.settle(BreakerOutcome::Cooldown(Duration::MAX));
    assert!(bench.ready_in() <= Duration::from_secs(48 * 60 * 60));
}

#[test]
fn a_demoted_target_is_admitted_until_a_later_request_succeeds() {
    let mut bench = Bench::new();
    let early = bench.admit();
    bench.settle(BreakerOutcome::Demoted(60 * SECOND));
    bench.settle(BreakerOutcome::Demoted(SECOND));
    assert!(bench.breaker.is_demoted(bench.now));
    assert_eq!(bench.ready_in(), Duration::ZERO);
    early.settle(BreakerOutcome::Success, bench.now);
    bench.pass(59 * SECOND);
    assert!(bench.breaker.is_demoted(bench.now), "a request from before says nothing");
    bench.pass(SECOND);
    assert!(!bench.breaker.is_demoted(bench.now));

    bench.settle(BreakerOutcome::Demoted(60 * SECOND));
    bench.settle(BreakerOutcome::Success);
    assert!(!bench.breaker.is_demoted(bench.now));
}

#[test]
fn a_probe_that_meets_a_wrong_key_has_found_the_server() {
    let mut bench = Bench::open();
    bench.pass(SECOND);
    bench.settle(BreakerOutcome::Demoted(60 * SECOND));
    assert_eq!(bench.ready_in(), Duration::ZERO);
    assert!(bench.breaker.is_demoted(bench.now));
}

/// What is true of a breaker, kept as lists instead of counts.
#[derive(Default)]
struct Reference {
    /// Since the state last changed: the step of the window, and whether it was good.
    outcomes: Vec<(u64, bool)>,
    open: Option<Instant>,
    is_probing: bool,
    failed_probes: u32,
    rests: Vec<Instant>,
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
        let until = self.rests.iter().chain(&self.open).map(|until| until.saturating_duration_since(now)).max();
        // How long a probe takes nobody knows.
        (!self.is_probing).then(|| until.unwrap_or_default())
    }

    fn admit(&mut self) -> Sent {
        self.is_probing = self.open.is_some();
        Sent { changes: self.changes, demotions: self.demotions.len(), is_probe: self.is_probing }
    }

    fn settle(&mut self, sent: Sent, verdict: BreakerOutcome, now: Instant) {
        let is_current = sent.changes == self.changes;
        let mut closes = sent.is_probe;
        self.is_probing &= !sent.is_probe;
        match verdict {
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
                    self.turn(Some(now + SECOND * 2_u32.pow(self.failed_probes.min(5)).min(30)));
                } else if is_current {
                    self.outcome(false, now);
                    let in_a_row = self.outcomes.iter().rev().take_while(|(_, good)| !good).count();
                    let step = self.step(now);
                    let recent: Vec<_> = self.outcomes.iter().filter(|(at, _)| at + 10 > step).collect();
                    let bad = recent.iter().filter(|(_, good)| !good).count();
                    if in_a_row >= 5 || (recent.len() >= 20 && 2 * bad >= recent.len()) {
                        self.turn(Some(now + SECOND * 2_u32.pow(self.failed_probes.min(5)).min(30)));
                    }
                }
            }
            BreakerOutcome::Cooldown(time) => self.rests.push(now + time),
            BreakerOutcome::Demoted(time) => self.demotions.push(now + time),
            BreakerOutcome::Ignored => closes = false,
        }
        if closes {
            self.turn(None);
        }
    }

    fn outcome(&mut self, good: bool, now: Instant) {
        let step = self.step(now);
        self.outcomes.push((step, good));
    }

    fn step(&mut self, now: Instant) -> u64 {
        (now - *self.epoch.get_or_insert(now)).as_secs() / 3
    }

    fn turn(&mut self, open: Option<Instant>) {
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

fn verdict() -> impl Strategy<Value = BreakerOutcome> {
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
        4 => (any::<prop::sample::Index>(), verdict()).prop_map(|(which, verdict)| Op::Settle(which, verdict)),
    ];
    prop::collection::vec(operation, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_reference_does(operations in operations()) {
        let mut bench = Bench::new();
        let mut reference = Reference::default();
        let mut out = Vec::new();
        for operation in operations {
            match operation {
                Op::Pass(ms) => bench.pass(Duration::from_millis(ms)),
                Op::Admit => match bench.breaker.admit(bench.now) {
                    Ok(ticket) => {
                        prop_assert_eq!(reference.ready_in(bench.now), Some(Duration::ZERO));
                        out.push((ticket, reference.admit()));
                    }
                    Err(wait) => prop_assert!(!wait.is_zero()),
                },
                Op::Settle(which, verdict) if !out.is_empty() => {
                    let (ticket, sent) = out.swap_remove(which.index(out.len()));
                    ticket.settle(verdict, bench.now);
                    reference.settle(sent, verdict, bench.now);
                }
                Op::Settle(..) => {}
            }
            match reference.ready_in(bench.now) {
                Some(wait) => prop_assert_eq!(bench.ready_in(), wait),
                None => prop_assert!(!bench.ready_in().is_zero()),
            }
            let demoted = reference.demotions.iter().any(|until| *until > bench.now);
            prop_assert_eq!(bench.breaker.is_demoted(bench.now), demoted);
        }
    }

    /// Threads read their clocks before they meet: times arrive out of order.
    #[test]
    fn an_older_time_breaks_no_promise(operations in operations(), ages in prop::collection::vec(0_u64..5_000, 300)) {
        let mut bench = Bench::new();
        bench.pass(Duration::from_secs(10));
        let mut out = Vec::new();
        let mut rest = bench.now - Duration::from_secs(10);
        for (operation, age) in operations.into_iter().zip(ages) {
            let seen = bench.now - Duration::from_millis(age);
            match operation {
                Op::Pass(ms) => bench.pass(Duration::from_millis(ms)),
                Op::Admit => {
                    if let Ok(ticket) = bench.breaker.admit(seen) {
                        prop_assert!(seen >= rest);
                        out.push(ticket);
                    }
                }
                Op::Settle(which, verdict) if !out.is_empty() => {
                    if let BreakerOutcome::Cooldown(time) = verdict {
                        rest = rest.max(seen + time);
                    }
                    out.swap_remove(which.index(out.len())).settle(verdict, seen);
                }
                Op::Settle(..) => {}
            }
            prop_assert!(bench.ready_in() >= rest.saturating_duration_since(bench.now));
        }
    }
}
