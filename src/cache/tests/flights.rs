//! One piece of work for many: who waits, who leaves, and what becomes of the work.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{Notify, oneshot};

use super::super::{SingleFlight, Waiter};
use super::key;

/// Counts how often work was begun, and whether it was dropped before its end.
#[derive(Clone, Default)]
struct Log {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Log {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Work that answers when `gate` says so.
    fn work(&self, gate: &Arc<Notify>) -> BoxFuture<'static, u32> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let (guard, gate) = (Guard(Arc::clone(&self.dropped)), Arc::clone(gate));
        Box::pin(async move {
            let _guard = guard;
            gate.notified().await;
            // Several steps, each of which wakes whoever waits.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            7
        })
    }
}

/// Polls `seat` once.
fn waits(seat: &mut Waiter<u32>) -> bool {
    seat.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_ask_the_same_are_answered_by_one_piece_of_work() {
    let (flights, log, gate) = (Arc::new(SingleFlight::default()), Log::default(), Arc::new(Notify::new()));
    let seats: Vec<Waiter<u32>> = (0..1000).map(|_| flights.join(key("q"), || log.work(&gate))).collect();
    assert_eq!(seats.iter().filter(|seat| seat.is_leader()).count(), 1);
    assert!(seats[0].is_leader());
    let mut tasks = tokio::task::JoinSet::new();
    for seat in seats {
        tasks.spawn(seat);
    }
    gate.notify_one();
    assert_eq!(tasks.join_all().await, vec![7; 1000]);
    assert_eq!(log.begun(), 1);
    assert!(flights.is_empty());
}

#[tokio::test]
async fn different_questions_are_different_work() {
    let (flights, log, gate) = (SingleFlight::default(), Log::default(), Arc::new(Notify::new()));
    let one = flights.join(key("one"), || log.work(&gate));
    let two = flights.join(key("two"), || log.work(&gate));
    assert!(one.is_leader() && two.is_leader());
    assert_eq!(flights.len(), 2);
}

#[tokio::test]
async fn the_leader_may_leave_first() {
    let (flights, log, gate) = (SingleFlight::default(), Log::default(), Arc::new(Notify::new()));
    let mut leader = flights.join(key("q"), || log.work(&gate));
    let mut other = flights.join(key("q"), || log.work(&gate));
    assert!(waits(&mut leader));
    assert!(waits(&mut other));
    drop(leader);
    assert_eq!(log.dropped(), 0);
    gate.notify_one();
    assert_eq!(other.await, 7);
    assert_eq!(log.begun(), 1);
}

#[tokio::test]
async fn nine_hundred_ninety_nine_may_leave() {
    let (flights, log, gate) = (SingleFlight::default(), Log::default(), Arc::new(Notify::new()));
    let mut seats: Vec<Waiter<u32>> = (0..1000).map(|_| flights.join(key("q"), || log.work(&gate))).collect();
    for seat in &mut seats {
        assert!(waits(seat));
    }
    let last = seats.swap_remove(500);
    drop(seats);
    assert_eq!(log.dropped(), 0);
    gate.notify_one();
    assert_eq!(last.await, 7);
    assert_eq!(log.begun(), 1);
}

#[tokio::test]
async fn with_the_last_who_waits_the_work_ends() {
    let (flights, log, gate) = (SingleFlight::default(), Log::default(), Arc::new(Notify::new()));
    let mut seats: Vec<Waiter<u32>> = (0..3).map(|_| flights.join(key("q"), || log.work(&gate))).collect();
    for seat in &mut seats {
        assert!(waits(seat));
    }
    seats.pop();
    seats.pop();
    assert_eq!((log.dropped(), flights.len()), (0, 1));
    seats.pop();
    assert_eq!((log.dropped(), flights.len()), (1, 0));
    // Whoever comes now begins anew.
    let seat = flights.join(key("q"), || log.work(&gate));
    assert!(seat.is_leader());
    gate.notify_one();
    assert_eq!(seat.await, 7);
    assert_eq!(log.begun(), 2);
}

#[tokio::test]
async fn work_that_is_done_is_joined_as_long_as_somebody_keeps_a_seat() {
    let (flights, log, gate) = (SingleFlight::default(), Log::default(), Arc::new(Notify::new()));
    let mut kept = flights.join(key("q"), || log.work(&gate));
    gate.notify_one();
    assert_eq!(flights.join(key("q"), || log.work(&gate)).await, 7);
    let mut late = flights.join(key("q"), || log.work(&gate));
    assert!(!late.is_leader());
    assert_eq!(late.poll_unpin(&mut Context::from_waker(Waker::noop())), Poll::Ready(7));
    assert_eq!((&mut kept).await, 7);
    drop(late);
    drop(kept);
    assert!(flights.is_empty());
    let next = flights.join(key("q"), || log.work(&gate));
    assert!(next.is_leader());
    gate.notify_one();
    assert_eq!(next.await, 7);
    assert_eq!(log.begun(), 2);
}

#[tokio::test]
async fn a_panic_reaches_everybody_who_waits_and_nobody_else() {
    let flights: SingleFlight<u32> = SingleFlight::default();
    let (tell, told) = oneshot::channel::<()>();
    let panicking = || -> BoxFuture<'static, u32> {
        Box::pin(async move {
            told.await.unwrap();
            std::panic::resume_unwind(Box::new("a defect"))
        })
    };
    let mut seats = vec![flights.join(key("q"), panicking)];
    seats.push(flights.join(key("q"), || Box::pin(pending())));
    for seat in &mut seats {
        assert!(waits(seat));
    }
    tell.send(()).unwrap();
    let outcomes = join_all(seats.into_iter().map(|seat| AssertUnwindSafe(seat).catch_unwind())).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert!(flights.is_empty());
    assert_eq!(flights.join(key("q"), || Box::pin(async { 1 })).await, 1);
}

/// The work was woken while the first waiter polled it, and that waiter is dropped before it polls again: the second one,
/// which had come meanwhile, must not sleep for ever.
#[tokio::test]
async fn a_waiter_that_was_woken_and_leaves_passes_the_word_on() {
    let flights: Arc<SingleFlight<u32>> = Arc::default();
    let (second, inside) = (Arc::new(std::sync::Mutex::new(None::<Waiter<u32>>)), Arc::new(AtomicUsize::new(0)));
    let (other, count) = (Arc::clone(&second), Arc::clone(&inside));
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = Waker::from(Arc::new(Counting(Arc::clone(&woken))));
    let mut first = flights.join(key("q"), || {
        Box::pin(std::future::poll_fn(move |context| {
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                return std::task::Poll::Ready(9);
            }
            // It can go on at once; then the second one comes while this one is still being polled.
            context.waker().wake_by_ref();
            let mut other = other.lock().unwrap();
            let seat = other.as_mut().unwrap();
            assert!(seat.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            std::task::Poll::Pending
        }))
    });
    *second.lock().unwrap() = Some(flights.join(key("q"), || Box::pin(pending())));
    assert!(waits(&mut first));
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    drop(first);
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    let second = second.lock().unwrap().take().unwrap();
    assert_eq!(second.await, 9);
}

struct Counting(Arc<AtomicUsize>);

impl std::task::Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
