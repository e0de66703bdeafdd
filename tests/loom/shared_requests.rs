//! Single flight over every order in which its waiters can meet.
//!
//! The file is the library's own, compiled a second time over loom's lock: what is checked is what runs.

#[path = "../../src/cache/single_flight.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is the library's, of which a part is checked")]
mod single_flight;

/// Stands in for `src/cache/key.rs`.
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

/// Runs `scenario` in every order of its threads' steps; more than `preemptions` switches away from a thread that could
/// go on are not tried.
fn every_order(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(scenario);
}

/// Work that has to be polled twice, and wakes whoever polls it.
fn two_steps(begun: &Arc<AtomicUsize>) -> BoxFuture<'static, usize> {
    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
    let mut is_first = true;
    Box::pin(poll_fn(move |context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(number)
    }))
}

/// Whatever the order, everybody is answered, by work that had not ended when they asked.
#[test]
fn all_who_wait_are_answered() {
    every_order(3, || {
        let (flights, begun) = (Arc::new(SingleFlight::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (flights, begun) = (Arc::clone(&flights), Arc::clone(&begun));
            thread::spawn(move || block_on(flights.join(Key(1), || two_steps(&begun))))
        };
        let own = block_on(flights.join(Key(1), || two_steps(&begun)));
        let other = other.join().unwrap();
        let begun = begun.load(Ordering::SeqCst);
        assert!((1..=2).contains(&begun) && own <= begun && other <= begun);
        assert_eq!(flights.len(), 0);
    });
}

/// One polls once and leaves, wherever the other stands at that moment.
#[test]
fn one_who_leaves_never_leaves_the_other_asleep() {
    every_order(3, || {
        let (flights, begun) = (Arc::new(SingleFlight::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let stays = flights.join(Key(1), || two_steps(&begun));
        let leaves = flights.join(Key(1), || two_steps(&begun));
        let other = thread::spawn(move || {
            let mut seat = pin!(leaves);
            let _ = seat.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        assert_eq!(block_on(stays), 1);
        other.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}

/// The last one leaves while a new one asks: either it joins the old work or begins anew, and nothing is left behind.
#[test]
fn who_comes_while_the_last_one_leaves_is_answered() {
    every_order(3, || {
        let (flights, begun) = (Arc::new(SingleFlight::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let leaves = flights.join(Key(1), || two_steps(&begun));
        let other = thread::spawn(move || drop(leaves));
        let answer = block_on(flights.join(Key(1), || two_steps(&begun)));
        other.join().unwrap();
        assert_eq!(answer, begun.load(Ordering::SeqCst));
        assert_eq!(flights.len(), 0);
    });
}
