//! The rate limits of one target: concurrent requests, and requests and tokens per minute.
//!
//! Each call brings the limits of its router; the counts are those of all calls of the process to the target. So two routers
//! with one key share the counts that the provider keeps together, and neither waits for a limit that only the other has.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::window::Window;
use crate::config::Limits;
use crate::sync::{Arc, Mutex, lock};

/// When to check again while other requests are in flight, whose duration is unknown.
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// The limiter of one target. A clone is the same limiter.
#[derive(Debug, Clone, Default)]
pub(super) struct Limiter {
    shared: Arc<Mutex<State>>,
}

impl Limiter {
    /// Reserves one request of about `tokens` tokens, or returns when to try again. Never overtakes a call that waits under the
    /// same limits.
    pub(super) fn try_reserve(&self, limits: Limits, tokens: u64, now: Instant) -> Result<Reservation, Duration> {
        let mut state = lock(&self.shared);
        let wait = state.ready_in(limits, tokens, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let slot = state.take(tokens, now);
        drop(state);
        Ok(Reservation { shared: Arc::clone(&self.shared), slot, tokens, settled: None })
    }

    /// Waits for a reservation, without a time limit. Calls under the same limits are served in order.
    ///
    /// Cancel safety: a dropped future leaves nothing behind, and the next call in line proceeds.
    pub(super) async fn reserve(&self, limits: Limits, tokens: u64) -> Reservation {
        let mut waiter = WaitingCall { limiter: self, limits, tokens, id: None };
        let mut timer = None;
        poll_fn(move |cx| {
            loop {
                let until = match waiter.poll(Instant::now(), cx) {
                    Ok(reservation) => return Poll::Ready(reservation),
                    Err(None) => return Poll::Pending,
                    Err(Some(until)) => until,
                };
                // Only the first call in line needs a timer.
                let timer = timer.insert(Box::pin(sleep_until(until)));
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Returns the number of requests in flight.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        lock(&self.shared).in_flight
    }

    /// Returns the number of calls that wait in [`Limiter::reserve`].
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.shared).queues.iter().map(|queue| queue.waiters.len()).sum()
    }

    /// Whether nothing is reserved and no call waits.
    pub(super) fn is_idle(&self) -> bool {
        let state = lock(&self.shared);
        state.in_flight == 0 && state.queues.is_empty()
    }
}

/// A reservation for one request. Dropped unsettled, it counts with its estimated tokens.
#[derive(Debug)]
#[must_use = "a reservation that is dropped at once reserves nothing"]
pub(super) struct Reservation {
    shared: Arc<Mutex<State>>,
    slot: u64,
    tokens: u64,
    settled: Option<(u64, Instant)>,
}

impl Reservation {
    /// Releases the reservation and reports the actual tokens of the request.
    pub(super) fn settle(mut self, tokens: u64, now: Instant) {
        self.settled = Some((tokens, now));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        state.in_flight -= 1;
        if let Some((tokens, now)) = self.settled {
            state.window.settle(self.slot, self.tokens, tokens, now);
        }
        let next = state.take_first_wakers();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

/// One call in [`Limiter::reserve`].
struct WaitingCall<'a> {
    limiter: &'a Limiter,
    limits: Limits,
    tokens: u64,
    /// Its number in its queue, while it waits.
    id: Option<u64>,
}

impl WaitingCall<'_> {
    /// Returns a reservation, or the time until which it waits as the first in its queue. `Err(None)` means that another call
    /// wakes it.
    fn poll(&mut self, now: Instant, cx: &Context<'_>) -> Result<Reservation, Option<Instant>> {
        let shared = &self.limiter.shared;
        let mut state = lock(shared);
        if !state.is_first(self.limits, self.id) {
            state.enqueue(self, cx);
            return Err(None);
        }
        let wait = state.window.ready_in(self.limits, self.tokens, now);
        if !wait.is_zero() || !state.has_capacity(self.limits) {
            state.enqueue(self, cx);
            return Err((!wait.is_zero()).then(|| now + wait));
        }
        let next = state.dequeue(self);
        let slot = state.take(self.tokens, now);
        drop(state);
        next.into_iter().for_each(Waker::wake);
        Ok(Reservation { shared: Arc::clone(shared), slot, tokens: self.tokens, settled: None })
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        if self.id.is_some() {
            let next = lock(&self.limiter.shared).dequeue(self);
            next.into_iter().for_each(Waker::wake);
        }
    }
}

/// The limiter without its lock.
#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    window: Window,
    /// One queue for each set of limits that a call waits under; never an empty one.
    queues: Vec<Queue>,
    last_id: u64,
}

#[derive(Debug)]
struct Queue {
    limits: Limits,
    /// In the order of their ids.
    waiters: VecDeque<QueuedCall>,
}

#[derive(Debug)]
struct QueuedCall {
    id: u64,
    /// Taken to wake it; set again if there is still no capacity.
    waker: Option<Waker>,
}

impl State {
    fn ready_in(&mut self, limits: Limits, tokens: u64, now: Instant) -> Duration {
        let wait = self.window.ready_in(limits, tokens, now);
        let is_free = self.has_capacity(limits) && self.is_first(limits, None);
        if is_free { wait } else { wait.max(BUSY_WAIT) }
    }

    fn has_capacity(&self, limits: Limits) -> bool {
        limits.concurrent.is_none_or(|limit| self.in_flight < limit.max(1) as usize)
    }

    fn take(&mut self, tokens: u64, now: Instant) -> u64 {
        self.in_flight += 1;
        self.window.add(1, tokens, now)
    }

    /// Whether no call under the same limits waits before `id`. Without an id, every waiting call is before it.
    fn is_first(&self, limits: Limits, id: Option<u64>) -> bool {
        let queue = self.queues.iter().find(|queue| queue.limits == limits);
        queue.and_then(|queue| queue.waiters.front()).is_none_or(|first| Some(first.id) == id)
    }

    /// Adds `waiter` to the end of its queue, or updates its waker.
    fn enqueue(&mut self, waiter: &mut WaitingCall<'_>, cx: &Context<'_>) {
        let index = self.queues.iter().position(|queue| queue.limits == waiter.limits).unwrap_or_else(|| {
            self.queues.push(Queue { limits: waiter.limits, waiters: VecDeque::new() });
            self.queues.len() - 1
        });
        let waiters = &mut self.queues[index].waiters;
        let known = waiter.id.and_then(|id| waiters.binary_search_by_key(&id, |queued| queued.id).ok());
        if let Some(position) = known {
            waiters[position].waker = Some(cx.waker().clone());
        } else {
            self.last_id += 1;
            waiter.id = Some(self.last_id);
            waiters.push_back(QueuedCall { id: self.last_id, waker: Some(cx.waker().clone()) });
        }
    }

    /// Removes `waiter` from its queue. Returns the waker of the new first waiter, which has to check whether it can proceed.
    fn dequeue(&mut self, waiter: &mut WaitingCall<'_>) -> Option<Waker> {
        let id = mem::take(&mut waiter.id)?;
        let index = self.queues.iter().position(|queue| queue.limits == waiter.limits)?;
        let waiters = &mut self.queues[index].waiters;
        let position = waiters.binary_search_by_key(&id, |queued| queued.id).ok()?;
        waiters.remove(position);
        if position > 0 {
            return None;
        }
        let Some(first) = waiters.front_mut() else {
            self.queues.swap_remove(index);
            return None;
        };
        first.waker.take()
    }

    /// Returns the wakers of the first waiter of each queue. A waiter that proceeds wakes the one behind it.
    fn take_first_wakers(&mut self) -> Vec<Waker> {
        self.queues.iter_mut().filter_map(|queue| queue.waiters.front_mut()?.waker.take()).collect()
    }
}
