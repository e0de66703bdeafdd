//! Single flight: joining, dropped waiters, outcomes and panics.

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

/// Counts how often work was created and dropped.
#[derive(Clone, Default)]
struct Counters {
    created: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counters {
    fn created(&self) -> usize {
        self.created.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Returns work that completes after `gate` is notified.
    fn work(&self, gate: &Arc<Notify>) -> BoxFuture<'static, u32> {
        self.created.fetch_add(1, Ordering::SeqCst);
        let (guard, gate) = (Guard(Arc::clone(&self.dropped)), Arc::clone(gate));
        Box::pin(async move {
            let _guard = guard;
            gate.notified().await;
            // Several steps, each of which wakes the waiters.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            7
        })
    }
}

/// Polls `waiter` once.
fn is_pending(waiter: &mut Waiter<u32>) -> bool {
    waiter.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_requests_share_one_work() {
    let (single_flight, counters, gate) =
        (Arc::new(SingleFlight::default()), Counters::default(), Arc::new(Notify::new()));
    let waiters: Vec<Waiter<u32>> = (0..1000).map(|_| single_flight.join(key("q"), || counters.work(&gate))).collect();
    assert_eq!(waiters.iter().filter(|waiter| waiter.is_leader()).count(), 1);
    assert!(waiters[0].is_leader());
    let mut tasks = tokio::task::JoinSet::new();
    for waiter in waiters {
        tasks.spawn(waiter);
    }
    gate.notify_one();
    assert_eq!(tasks.join_all().await, vec![7; 1000]);
    assert_eq!(counters.created(), 1);
    assert!(single_flight.is_empty());
}

#[tokio::test]
async fn different_keys_have_different_work() {
    let (single_flight, counters, gate) = (SingleFlight::default(), Counters::default(), Arc::new(Notify::new()));
    let one = single_flight.join(key("one"), || counters.work(&gate));
    let two = single_flight.join(key("two"), || counters.work(&gate));
    assert!(one.is_leader() && two.is_leader());
    assert_eq!(single_flight.len(), 2);
}

#[tokio::test]
async fn the_leader_can_be_dropped_first() {
    let (single_flight, counters, gate) = (SingleFlight::default(), Counters::default(), Arc::new(Notify::new()));
    let mut leader = single_flight.join(key("q"), || counters.work(&gate));
    let mut other = single_flight.join(key("q"), || counters.work(&gate));
    assert!(is_pending(&mut leader));
    assert!(is_pending(&mut other));
    drop(leader);
    assert_eq!(counters.dropped(), 0);
    gate.notify_one();
    assert_eq!(other.await, 7);
    assert_eq!(counters.created(), 1);
}

#[tokio::test]
async fn the_last_of_a_thousand_waiters_completes_the_work() {
    let (single_flight, counters, gate) = (SingleFlight::default(), Counters::default(), Arc::new(Notify::new()));
    let mut waiters: Vec<Waiter<u32>> =
        (0..1000).map(|_| single_flight.join(key("q"), || counters.work(&gate))).collect();
    for waiter in &mut waiters {
        assert!(is_pending(waiter));
    }
    let last = waiters.swap_remove(500);
    drop(waiters);
    assert_eq!(counters.dropped(), 0);
    gate.notify_one();
    assert_eq!(last.await, 7);
    assert_eq!(counters.created(), 1);
}

#[tokio::test]
async fn dropping_the_last_waiter_drops_the_work() {
    let (single_flight, counters, gate) = (SingleFlight::default(), Counters::default(), Arc::new(Notify::new()));
    let mut waiters: Vec<Waiter<u32>> = (0..3).map(|_| single_flight.join(key("q"), || counters.work(&gate))).collect();
    for waiter in &mut waiters {
        assert!(is_pending(waiter));
    }
    waiters.pop();
    waiters.pop();
    assert_eq!((counters.dropped(), single_flight.len()), (0, 1));
    waiters.pop();
    assert_eq!((counters.dropped(), single_flight.len()), (1, 0));
    // The next request creates new work.
    let waiter = single_flight.join(key("q"), || counters.work(&gate));
    assert!(waiter.is_leader());
    gate.notify_one();
    assert_eq!(waiter.await, 7);
    assert_eq!(counters.created(), 2);
}

#[tokio::test]
async fn completed_work_can_be_joined_while_a_waiter_exists() {
    let (single_flight, counters, gate) = (SingleFlight::default(), Counters::default(), Arc::new(Notify::new()));
    let mut kept = single_flight.join(key("q"), || counters.work(&gate));
    gate.notify_one();
    assert_eq!(single_flight.join(key("q"), || counters.work(&gate)).await, 7);
    let mut late = single_flight.join(key("q"), || counters.work(&gate));
    assert!(!late.is_leader());
    assert_eq!(late.poll_unpin(&mut Context::from_waker(Waker::noop())), Poll::Ready(7));
    assert_eq!((&mut kept).await, 7);
    drop(late);
    drop(kept);
    assert!(single_flight.is_empty());
    let next = single_flight.join(key("q"), || counters.work(&gate));
    assert!(next.is_leader());
    gate.notify_one();
    assert_eq!(next.await, 7);
    assert_eq!(counters.created(), 2);
}

#[tokio::test]
async fn a_panic_reaches_every_waiter_and_no_later_request() {
    let single_flight: SingleFlight<u32> = SingleFlight::default();
    let (start, started) = oneshot::channel::<()>();
    let panicking = || -> BoxFuture<'static, u32> {
        Box::pin(async move {
            started.await.unwrap();
            std::panic::resume_unwind(Box::new("a defect"))
        })
    };
    let mut waiters = vec![single_flight.join(key("q"), panicking)];
    waiters.push(single_flight.join(key("q"), || Box::pin(pending())));
    for waiter in &mut waiters {
        assert!(is_pending(waiter));
    }
    start.send(()).unwrap();
    let outcomes = join_all(waiters.into_iter().map(|waiter| AssertUnwindSafe(waiter).catch_unwind())).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert!(single_flight.is_empty());
    assert_eq!(single_flight.join(key("q"), || Box::pin(async { 1 })).await, 1);
}

#[tokio::test]
async fn a_panic_wakes_every_waiter() {
    let single_flight: SingleFlight<u32> = SingleFlight::default();
    let mut is_first_poll = true;
    let panicking = std::future::poll_fn(move |_| {
        if std::mem::take(&mut is_first_poll) {
            return Poll::Pending;
        }
        std::panic::resume_unwind(Box::new("a defect"))
    });
    let mut first = single_flight.join(key("q"), || Box::pin(panicking));
    let mut second = single_flight.join(key("q"), || Box::pin(pending()));
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = Waker::from(Arc::new(CountingWaker(Arc::clone(&woken))));
    assert!(second.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    assert!(AssertUnwindSafe(&mut first).catch_unwind().await.is_err());
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}

/// The work is woken while the first waiter polls it, and that waiter is dropped before it polls again. The second one, which
/// registered meanwhile, must be woken instead.
#[tokio::test]
async fn a_woken_waiter_that_is_dropped_wakes_another_one() {
    let single_flight: Arc<SingleFlight<u32>> = Arc::default();
    let (second, polls) = (Arc::new(std::sync::Mutex::new(None::<Waiter<u32>>)), Arc::new(AtomicUsize::new(0)));
    let (other, count) = (Arc::clone(&second), Arc::clone(&polls));
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = Waker::from(Arc::new(CountingWaker(Arc::clone(&woken))));
    let mut first = single_flight.join(key("q"), || {
        Box::pin(std::future::poll_fn(move |context| {
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                return std::task::Poll::Ready(9);
            }
            // The work is ready again at once. Then the second waiter registers while the first one is still polling.
            context.waker().wake_by_ref();
            let mut other = other.lock().unwrap();
            let waiter = other.as_mut().unwrap();
            assert!(waiter.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            std::task::Poll::Pending
        }))
    });
    *second.lock().unwrap() = Some(single_flight.join(key("q"), || Box::pin(pending())));
    assert!(is_pending(&mut first));
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    drop(first);
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    let second = second.lock().unwrap().take().unwrap();
    assert_eq!(second.await, 9);
}

struct CountingWaker(Arc<AtomicUsize>);

impl std::task::Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
