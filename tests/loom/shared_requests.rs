//! Model checks of single flight over every interleaving of its waiters.
//!
//! The library's own file is compiled a second time with loom's mutex.

#[path = "../../src/cache/single_flight.rs"]
#[expect(dead_code, unreachable_pub, reason = "the library uses more of it")]
mod single_flight;

/// Replaces `src/cache/key.rs`.
mod key {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) struct Key(pub(super) u8);
}

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::future::BoxFuture;
use loom::future::block_on;
use loom::thread;

use key::Key;
use single_flight::SingleFlight;

/// Runs `scenario` in every interleaving of its threads with at most `preemptions` preemptions.
fn every_interleaving(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(scenario);
}

/// Returns work that has to be polled twice and wakes its waker.
fn two_steps(created: &Arc<AtomicUsize>) -> BoxFuture<'static, usize> {
    let number = created.fetch_add(1, Ordering::SeqCst) + 1;
    let mut is_first = true;
    Box::pin(poll_fn(move |context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(number)
    }))
}

/// Every waiter gets the outcome of work that was not complete when it joined.
#[test]
fn every_waiter_gets_an_outcome() {
    every_interleaving(3, || {
        let (single_flight, created) = (Arc::new(SingleFlight::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (single_flight, created) = (Arc::clone(&single_flight), Arc::clone(&created));
            thread::spawn(move || block_on(single_flight.join(Key(1), || two_steps(&created))))
        };
        let own = block_on(single_flight.join(Key(1), || two_steps(&created)));
        let other = other.join().unwrap();
        let created = created.load(Ordering::SeqCst);
        assert!((1..=2).contains(&created) && own <= created && other <= created);
        assert_eq!(single_flight.len(), 0);
    });
}

/// One waiter polls once and is dropped, at any point of the other one.
#[test]
fn a_dropped_waiter_never_dropped_the_other_one_asleep() {
    every_interleaving(3, || {
        let (single_flight, created) = (Arc::new(SingleFlight::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let kept = single_flight.join(Key(1), || two_steps(&created));
        let dropped = single_flight.join(Key(1), || two_steps(&created));
        let other = thread::spawn(move || {
            let mut waiter = pin!(dropped);
            let _ = waiter.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        assert_eq!(block_on(kept), 1);
        other.join().unwrap();
        assert_eq!(single_flight.len(), 0);
    });
}

/// The last waiter is dropped while another one joins, which joins the old work or creates new work.
#[test]
fn joining_while_the_last_waiter_is_dropped_succeeds() {
    every_interleaving(3, || {
        let (single_flight, created) = (Arc::new(SingleFlight::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let dropped = single_flight.join(Key(1), || two_steps(&created));
        let other = thread::spawn(move || drop(dropped));
        let answer = block_on(single_flight.join(Key(1), || two_steps(&created)));
        other.join().unwrap();
        assert_eq!(answer, created.load(Ordering::SeqCst));
        assert_eq!(single_flight.len(), 0);
    });
}
