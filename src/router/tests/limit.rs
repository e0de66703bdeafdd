//! The limiter: the order and time of reservations, and cancelled waits.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, advance, timeout};

use super::super::limit::{Limiter, Reservation};
use crate::config::Limits;

const MINUTE: Duration = Duration::from_secs(60);

fn concurrent(limit: u32) -> Limits {
    Limits { concurrent: Some(limit), ..Limits::default() }
}

fn requests(limit: u32) -> Limits {
    Limits { requests_per_minute: Some(limit), ..Limits::default() }
}

fn tokens(limit: u64) -> Limits {
    Limits { tokens_per_minute: Some(limit), ..Limits::default() }
}

fn reserve(limiter: &Limiter, limits: Limits) -> Reservation {
    limiter.try_reserve(limits, 0, Instant::now()).unwrap()
}

fn poll(future: Pin<&mut impl Future<Output = Reservation>>) -> Poll<Reservation> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Fails instead of waiting forever.
async fn within_limit<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(600), future).await.unwrap()
}

fn assert_nothing_left(limiter: &Limiter) {
    assert_eq!((limiter.in_flight(), limiter.waiting()), (0, 0));
    assert!(limiter.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_limits_does_not_wait() {
    let limiter = Limiter::default();
    let held = reserve(&limiter, concurrent(1));
    let mut waiting = pin!(limiter.reserve(concurrent(1), 0));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(limiter.reserve(Limits::default(), u64::MAX).await);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn places_are_given_in_the_order_of_coming() {
    let limiter = Limiter::default();
    let (order, most) = (RefCell::new(Vec::new()), RefCell::new(0));
    let call = async |number: usize| {
        let reservation = limiter.reserve(concurrent(3), 0).await;
        order.borrow_mut().push(number);
        let now_in_flight = limiter.in_flight().max(*most.borrow());
        *most.borrow_mut() = now_in_flight;
        tokio::task::yield_now().await;
        drop(reservation);
    };
    join_all((0..100).map(call)).await;
    assert_eq!(*order.borrow(), (0..100).collect::<Vec<_>>());
    assert_eq!(*most.borrow(), 3);
    assert_nothing_left(&limiter);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_those_who_wait_under_the_same_limits() {
    let limiter = Limiter::default();
    let held = reserve(&limiter, concurrent(1));
    let mut first = pin!(limiter.reserve(concurrent(1), 0));
    assert!(poll(first.as_mut()).is_pending());
    drop(held);
    assert!(limiter.try_reserve(concurrent(1), 0, Instant::now()).is_err());
    let mut second = pin!(limiter.reserve(concurrent(1), 0));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(first.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_call_with_low_limits_does_not_block_one_with_high_limits() {
    let limiter = Limiter::default();
    let held = reserve(&limiter, Limits::default());
    let mut low = pin!(limiter.reserve(concurrent(1), 0));
    assert!(poll(low.as_mut()).is_pending());
    let high = limiter.try_reserve(concurrent(2), 0, Instant::now()).unwrap();
    drop(held);
    assert!(poll(low.as_mut()).is_pending());
    drop(high);
    assert!(poll(low.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_are_admitted_in_order() {
    let limiter = Limiter::default();
    let start = Instant::now();
    let calls: FuturesUnordered<_> = (0..25_u64)
        .map(|number| {
            let limiter = &limiter;
            async move {
                limiter.reserve(requests(10), 0).await.settle(0, Instant::now());
                (number, start.elapsed().as_secs() / 60)
            }
        })
        .collect();
    let done: Vec<_> = within_limit(calls.collect()).await;
    assert_eq!(done, (0..25).map(|number| (number, number / 10)).collect::<Vec<_>>());
    assert_nothing_left(&limiter);
}

#[tokio::test(start_paused = true)]
async fn unused_tokens_admit_the_next_request() {
    let limiter = Limiter::default();
    let first = limiter.try_reserve(tokens(100), 90, Instant::now()).unwrap();
    assert_eq!(limiter.try_reserve(tokens(100), 90, Instant::now()).unwrap_err(), MINUTE);
    let start = Instant::now();
    let next = async {
        drop(limiter.reserve(tokens(100), 90).await);
        start.elapsed()
    };
    let settle = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        first.settle(10, Instant::now());
    };
    assert_eq!(tokio::join!(next, settle).0, Duration::from_secs(5));
    assert_nothing_left(&limiter);
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_limit_is_admitted_after_a_minute() {
    let limiter = Limiter::default();
    drop(limiter.try_reserve(tokens(100), 1, Instant::now()).unwrap());
    let start = Instant::now();
    drop(within_limit(limiter.reserve(tokens(100), 5_000)).await);
    assert_eq!(start.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reservation_counts_with_its_estimate() {
    let limiter = Limiter::default();
    let limits = Limits { concurrent: Some(1), requests_per_minute: None, tokens_per_minute: Some(100) };
    drop(limiter.try_reserve(limits, 60, Instant::now()).unwrap());
    assert_eq!(limiter.in_flight(), 0);
    assert!(limiter.try_reserve(limits, 41, Instant::now()).is_err());
    assert!(limiter.try_reserve(limits, 40, Instant::now()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_wakes_the_next_one() {
    let limiter = Limiter::default();
    let held = reserve(&limiter, concurrent(1));
    let mut first = Box::pin(limiter.reserve(concurrent(1), 0));
    assert!(poll(first.as_mut()).is_pending());
    let second = async { drop(limiter.reserve(concurrent(1), 0).await) };
    let cancel = async {
        tokio::task::yield_now().await;
        drop(held);
        drop(first);
    };
    tokio::join!(second, cancel);
    assert_nothing_left(&limiter);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_for_a_rate_leaves_the_timer_to_the_next_one() {
    let limiter = Limiter::default();
    drop(reserve(&limiter, requests(1)));
    let start = Instant::now();
    let first = async { timeout(Duration::from_secs(7), limiter.reserve(requests(1), 0)).await.is_err() };
    let second = async {
        drop(within_limit(limiter.reserve(requests(1), 0)).await);
        start.elapsed()
    };
    assert_eq!(tokio::join!(first, second), (true, MINUTE));
    assert_nothing_left(&limiter);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_cancelled_waits_leave_nothing_behind() {
    let limiter = Limiter::default();
    let held = reserve(&limiter, concurrent(1));
    let mut waits: Vec<_> = (0..10_000).map(|_| Box::pin(limiter.reserve(concurrent(1), 5))).collect();
    for wait in &mut waits {
        assert!(poll(wait.as_mut()).is_pending());
    }
    assert_eq!(limiter.waiting(), 10_000);
    // From the middle outwards, so that neither end is a special case.
    while !waits.is_empty() {
        drop(waits.swap_remove(waits.len() / 2));
    }
    drop(held);
    assert_nothing_left(&limiter);
    advance(Duration::from_millis(1)).await;
    drop(limiter.reserve(concurrent(1), 0).await);
}
