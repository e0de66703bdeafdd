//! The breaker and the limiter over every order in which threads can meet in them.
//!
//! The files are the library's own, compiled a second time over loom's lock and loom's shared pointer: what is checked
//! is what runs.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../../src/router/breaker.rs"]
#[expect(dead_code, reason = "what is only read needs no order of threads")]
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

/// Runs `scenario` in every order of its threads' steps; more than `preemptions` switches away from a thread that could
/// go on are not tried, which is what most known faults need at most, and what makes three threads finish.
fn every_order(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(scenario);
}

/// A breaker that opened, and the time at which it takes a probe.
fn half_open() -> (Breaker, Instant) {
    let (breaker, now) = (Breaker::default(), Instant::now());
    for _ in 0..5 {
        breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
    }
    (breaker, now + SECOND)
}

/// How many are inside, never more than allowed. Not loom's atomic: it is the witness, not the accused.
#[derive(Clone)]
struct Inside {
    count: Arc<AtomicUsize>,
    most: usize,
}

impl Inside {
    fn new(most: usize) -> Self {
        Self { count: Arc::default(), most }
    }

    fn enter(&self) {
        assert!(self.count.fetch_add(1, Ordering::SeqCst) < self.most, "more than {} at a time", self.most);
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn one_probe_at_a_time() {
    every_order(4, || {
        let (breaker, now) = half_open();
        let inside = Inside::new(1);
        let probe = |verdict: Option<BreakerOutcome>| {
            let (breaker, inside) = (breaker.clone(), inside.clone());
            move || {
                let Ok(ticket) = breaker.admit(now) else { return 0 };
                inside.enter();
                // The others have their chance to come in meanwhile.
                thread::yield_now();
                inside.leave();
                match verdict {
                    Some(verdict) => ticket.settle(verdict, now),
                    None => drop(ticket),
                }
                1
            }
        };
        let threads = [thread::spawn(probe(None)), thread::spawn(probe(Some(BreakerOutcome::Failure)))];
        let mut sent = probe(Some(BreakerOutcome::Ignored))();
        for thread in threads {
            sent += thread.join().unwrap();
        }
        assert!(sent >= 1, "nobody probed");
        // Whoever came, the place of the probe is free again.
        assert!(breaker.is_idle());
        assert!(breaker.admit(now + 2 * SECOND).is_ok());
    });
}

#[test]
fn a_probe_and_a_late_answer_leave_the_breaker_as_the_probe_found_the_target() {
    every_order(3, || {
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
    every_order(4, || {
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
fn the_longest_rest_holds() {
    every_order(3, || {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let rests = [3, 7, 5].map(|seconds| (breaker.admit(now).unwrap(), seconds * SECOND));
        let threads =
            rests.map(|(ticket, rest)| thread::spawn(move || ticket.settle(BreakerOutcome::Cooldown(rest), now)));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(breaker.ready_in(now), 7 * SECOND);
    });
}

#[test]
fn no_more_than_the_limit_are_inside_and_everybody_gets_in() {
    for most in [1, 2] {
        every_order(2, move || {
            let limiter = Limiter::default();
            let inside = Inside::new(most);
            let limits = concurrent(u32::try_from(most).unwrap());
            let call = || {
                let (limiter, inside) = (limiter.clone(), inside.clone());
                move || {
                    let reservation = block_on(limiter.reserve(limits, 1));
                    inside.enter();
                    thread::yield_now();
                    inside.leave();
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
fn a_cancelled_wait_keeps_no_place_and_swallows_no_turn() {
    every_order(4, || {
        let limiter = Limiter::default();
        let held = limiter.try_reserve(concurrent(1), 0, Instant::now()).unwrap();
        let quitter = {
            let limiter = limiter.clone();
            thread::spawn(move || block_on(polled_once(limiter.reserve(concurrent(1), 0))))
        };
        let patient = {
            let limiter = limiter.clone();
            thread::spawn(move || drop(block_on(limiter.reserve(concurrent(1), 0))))
        };
        drop(held);
        quitter.join().unwrap();
        patient.join().unwrap();
        assert_nothing_left(&limiter);
    });
}

#[test]
fn a_line_moves_on_while_another_has_to_stand() {
    every_order(3, || {
        let limiter = Limiter::default();
        let [first, second] = [(); 2].map(|()| limiter.try_reserve(Limits::default(), 0, Instant::now()).unwrap());
        let [narrow, wide] = [1, 2].map(|limit| {
            let limiter = limiter.clone();
            thread::spawn(move || drop(block_on(limiter.reserve(concurrent(limit), 0))))
        });
        first.settle(0, Instant::now());
        wide.join().unwrap();
        drop(second);
        narrow.join().unwrap();
        assert_nothing_left(&limiter);
    });
}

/// Starts to wait, and gives up whatever came of it.
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
