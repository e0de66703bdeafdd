//! Model checks of the breaker and the limiter.
//!
//! The source files of the library are compiled a second time with the locks of loom.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../../src/router/breaker.rs"]
#[expect(dead_code, reason = "read-only methods are not checked")]
mod breaker;
#[path = "../../src/router/limit.rs"]
mod limit;
#[path = "../../src/router/window.rs"]
mod window;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use loom::future::block_on;
use loom::thread;
// The limiter names it as `crate::config`.
use tokio::time::Instant;

use crate::config::Limits;
use breaker::{Breaker, BreakerOutcome};
use limit::{Limiter, Reservation};

const SECOND: Duration = Duration::from_secs(1);

const fn concurrent(limit: u32) -> Limits {
    Limits { concurrent: Some(limit), requests_per_minute: None, tokens_per_minute: None }
}

/// Runs `scenario` in every interleaving of its threads with at most `preemptions` preemptions, which is enough for most known
/// faults and keeps models of three threads feasible.
fn every_interleaving(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(scenario);
}

/// Returns an open breaker, and the time at which it admits a probe.
fn half_open() -> (Breaker, Instant) {
    let (breaker, now) = (Breaker::default(), Instant::now());
    for _ in 0..5 {
        breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
    }
    (breaker, now + SECOND)
}

/// Counts the threads inside, and fails above a maximum. Its atomic is not part of the model.
#[derive(Clone)]
struct Occupancy {
    count: Arc<AtomicUsize>,
    max: usize,
}

impl Occupancy {
    fn new(max: usize) -> Self {
        Self { count: Arc::default(), max }
    }

    fn enter(&self) {
        assert!(self.count.fetch_add(1, Ordering::SeqCst) < self.max, "more than {} at a time", self.max);
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn one_probe_at_a_time() {
    every_interleaving(4, || {
        let (breaker, now) = half_open();
        let occupancy = Occupancy::new(1);
        let probe = |outcome: Option<BreakerOutcome>| {
            let (breaker, occupancy) = (breaker.clone(), occupancy.clone());
            move || {
                let Ok(permit) = breaker.admit(now) else { return 0 };
                occupancy.enter();
                // The other threads may enter meanwhile.
                thread::yield_now();
                occupancy.leave();
                match outcome {
                    Some(outcome) => permit.settle(outcome, now),
                    None => drop(permit),
                }
                1
            }
        };
        let threads = [thread::spawn(probe(None)), thread::spawn(probe(Some(BreakerOutcome::Failure)))];
        let mut sent = probe(Some(BreakerOutcome::Ignored))();
        for thread in threads {
            sent += thread.join().unwrap();
        }
        assert!(sent >= 1, "no probe was admitted");
        // Whatever the order, the next probe is admitted.
        assert!(breaker.is_idle());
        assert!(breaker.admit(now + 2 * SECOND).is_ok());
    });
}

#[test]
fn a_late_success_does_not_override_a_failed_probe() {
    every_interleaving(3, || {
        let breaker = Breaker::default();
        let now = Instant::now();
        let late = breaker.admit(now).unwrap();
        for _ in 0..5 {
            breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
        }
        let probe = breaker.admit(now + SECOND).unwrap();
        let answer = thread::spawn(move || late.settle(BreakerOutcome::Success, now + SECOND));
        probe.settle(BreakerOutcome::Failure, now + SECOND);
        answer.join().unwrap();
        assert_eq!(breaker.ready_in(now + SECOND), 2 * SECOND);
    });
}

#[test]
fn only_a_later_success_ends_a_demotion() {
    every_interleaving(4, || {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let [early, wrong] = [(); 2].map(|()| breaker.admit(now).unwrap());
        let answer = thread::spawn(move || early.settle(BreakerOutcome::Success, now));
        wrong.settle(BreakerOutcome::Demoted(SECOND), now);
        answer.join().unwrap();
        assert!(breaker.is_demoted(now));
        breaker.admit(now).unwrap().settle(BreakerOutcome::Success, now);
        assert!(!breaker.is_demoted(now));
    });
}

#[test]
fn the_longest_cooldown_holds() {
    every_interleaving(3, || {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let cooldowns = [3, 7, 5].map(|seconds| (breaker.admit(now).unwrap(), seconds * SECOND));
        let threads = cooldowns
            .map(|(permit, cooldown)| thread::spawn(move || permit.settle(BreakerOutcome::Cooldown(cooldown), now)));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(breaker.ready_in(now), 7 * SECOND);
    });
}

#[test]
fn the_limit_is_never_exceeded_and_every_call_is_admitted() {
    for max in [1, 2] {
        every_interleaving(2, move || {
            let limiter = Limiter::default();
            let occupancy = Occupancy::new(max);
            let limits = concurrent(u32::try_from(max).unwrap());
            let call = || {
                let (limiter, occupancy) = (limiter.clone(), occupancy.clone());
                move || {
                    let reservation = block_on(limiter.reserve(limits, 1));
                    occupancy.enter();
                    thread::yield_now();
                    occupancy.leave();
                    reservation.settle(1, Instant::now());
                }
            };
            let threads = [thread::spawn(call()), thread::spawn(call())];
            call()();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_nothing_left(&limiter);
        });
    }
}

#[test]
fn a_cancelled_wait_leaves_no_reservation_and_wakes_the_next() {
    every_interleaving(4, || {
        let limiter = Limiter::default();
        let held = limiter.try_reserve(concurrent(1), 0, Instant::now()).unwrap();
        let cancelled = {
            let limiter = limiter.clone();
            thread::spawn(move || block_on(polled_once(limiter.reserve(concurrent(1), 0))))
        };
        let waiting = {
            let limiter = limiter.clone();
            thread::spawn(move || drop(block_on(limiter.reserve(concurrent(1), 0))))
        };
        drop(held);
        cancelled.join().unwrap();
        waiting.join().unwrap();
        assert_nothing_left(&limiter);
    });
}

#[test]
fn a_queue_proceeds_while_another_waits() {
    every_interleaving(3, || {
        let limiter = Limiter::default();
        let [first, second] = [(); 2].map(|()| limiter.try_reserve(Limits::default(), 0, Instant::now()).unwrap());
        let [low, high] = [1, 2].map(|limit| {
            let limiter = limiter.clone();
            thread::spawn(move || drop(block_on(limiter.reserve(concurrent(limit), 0))))
        });
        first.settle(0, Instant::now());
        high.join().unwrap();
        drop(second);
        low.join().unwrap();
        assert_nothing_left(&limiter);
    });
}

/// Polls `wait` once and drops it with its outcome.
async fn polled_once(wait: impl Future<Output = Reservation>) {
    let mut wait = Box::pin(wait);
    poll_fn(|cx| {
        drop(wait.as_mut().poll(cx));
        Poll::Ready(())
    })
    .await;
}

fn assert_nothing_left(limiter: &Limiter) {
    assert_eq!((limiter.in_flight(), limiter.waiting()), (0, 0));
    assert!(limiter.is_idle());
}
