//! How much is asked of one target at a time and per minute.
//!
//! The limits are the caller's choice and come with each call; the counts are the process's, of all calls to the
//! target. So two routers over one key share what the provider counts together, and neither waits for a limit that only
//! the other has set.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::window::Window;
use crate::config::Limits;
use crate::sync::{Arc, Mutex, lock};

/// What a call is told that has to wait for another one to end: nobody knows how long that takes.
const BUSY: Duration = Duration::from_millis(100);

/// The limiter of one target. A clone is the same limiter.
#[derive(Debug, Clone, Default)]
pub(super) struct Limiter {
    shared: Arc<Mutex<State>>,
}

impl Limiter {
    /// Reserves a place for one request of about `tokens` tokens, or tells when to ask again. Never overtakes a call
    /// that waits under the same limits.
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

    /// Waits for a place; calls under the same limits get theirs in the order in which they came.
    ///
    /// Waits as long as it takes: the caller bounds it. Cancel-safe: a dropped wait leaves nothing behind, and the next
    /// in line goes on.
    pub(super) async fn reserve(&self, limits: Limits, tokens: u64) -> Reservation {
        let mut waiter = Waiter { limiter: self, limits, tokens, id: None };
        let mut timer = None;
        poll_fn(move |cx| {
            loop {
                let until = match waiter.poll(Instant::now(), cx) {
                    Step::Reserved(reservation) => return Poll::Ready(reservation),
                    Step::Wait => return Poll::Pending,
                    Step::WaitUntil(until) => until,
                };
                // A timer is made only by who waits for the time, and only when that is known to be the first in line.
                let timer = timer.insert(Box::pin(sleep_until(until)));
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// How many requests are under way.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        lock(&self.shared).in_flight
    }

    /// How many calls wait in [`Limiter::reserve`].
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.shared).lines.iter().map(|line| line.waiters.len()).sum()
    }

    /// Whether nothing is reserved and nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        let state = lock(&self.shared);
        state.in_flight == 0 && state.lines.is_empty()
    }
}

/// A place for one request. Dropped unsettled, it counts as the tokens it was reserved for.
#[derive(Debug)]
#[must_use = "a reservation that is dropped at once reserves nothing"]
pub(super) struct Reservation {
    shared: Arc<Mutex<State>>,
    slot: u64,
    tokens: u64,
    settled: Option<(u64, Instant)>,
}

impl Reservation {
    /// Gives the place back, and tells how many tokens the request really took.
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
        let next = state.first_of_each_line();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

/// One call in [`Limiter::reserve`].
struct Waiter<'a> {
    limiter: &'a Limiter,
    limits: Limits,
    tokens: u64,
    /// Its place in line; none before the first poll that found no room, and after the one that did.
    id: Option<u64>,
}

enum Step {
    Reserved(Reservation),
    /// Somebody else wakes it.
    Wait,
    /// It is the first in line and waits for the time.
    WaitUntil(Instant),
}

impl Waiter<'_> {
    fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Step {
        let shared = &self.limiter.shared;
        let mut state = lock(shared);
        if !state.is_first(self.limits, self.id) {
            state.stand(self, cx);
            return Step::Wait;
        }
        let wait = state.window.ready_in(self.limits, self.tokens, now);
        if wait.is_zero() && state.has_place(self.limits) {
            let next = state.leave(self);
            let slot = state.take(self.tokens, now);
            drop(state);
            next.into_iter().for_each(Waker::wake);
            return Step::Reserved(Reservation {
                shared: Arc::clone(shared),
                slot,
                tokens: self.tokens,
                settled: None,
            });
        }
        state.stand(self, cx);
        if wait.is_zero() { Step::Wait } else { Step::WaitUntil(now + wait) }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.id.is_some() {
            let next = lock(&self.limiter.shared).leave(self);
            next.into_iter().for_each(Waker::wake);
        }
    }
}

/// The limiter without its lock.
#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    window: Window,
    /// A line for each set of limits that somebody waits under; never an empty one.
    lines: Vec<Line>,
    last_id: u64,
}

#[derive(Debug)]
struct Line {
    limits: Limits,
    /// In the order of their numbers.
    waiters: VecDeque<Standing>,
}

#[derive(Debug)]
struct Standing {
    id: u64,
    /// Taken when it is woken; set again when it finds that there is still no room.
    waker: Option<Waker>,
}

impl State {
    fn ready_in(&mut self, limits: Limits, tokens: u64, now: Instant) -> Duration {
        let wait = self.window.ready_in(limits, tokens, now);
        let is_free = self.has_place(limits) && self.is_first(limits, None);
        if is_free { wait } else { wait.max(BUSY) }
    }

    fn has_place(&self, limits: Limits) -> bool {
        limits.concurrent.is_none_or(|limit| self.in_flight < limit.max(1) as usize)
    }

    fn take(&mut self, tokens: u64, now: Instant) -> u64 {
        self.in_flight += 1;
        self.window.add(1, tokens, now)
    }

    /// Whether nobody under the same limits stands before `id`; before somebody who does not stand in line yet,
    /// everybody does.
    fn is_first(&self, limits: Limits, id: Option<u64>) -> bool {
        let line = self.lines.iter().find(|line| line.limits == limits);
        line.and_then(|line| line.waiters.front()).is_none_or(|first| Some(first.id) == id)
    }

    /// Has `waiter` stand in its line, at the end if it is new.
    fn stand(&mut self, waiter: &mut Waiter<'_>, cx: &Context<'_>) {
        let index = self.lines.iter().position(|line| line.limits == waiter.limits).unwrap_or_else(|| {
            self.lines.push(Line { limits: waiter.limits, waiters: VecDeque::new() });
            self.lines.len() - 1
        });
        let waiters = &mut self.lines[index].waiters;
        let known = waiter.id.and_then(|id| waiters.binary_search_by_key(&id, |standing| standing.id).ok());
        if let Some(place) = known {
            waiters[place].waker = Some(cx.waker().clone());
        } else {
            self.last_id += 1;
            waiter.id = Some(self.last_id);
            waiters.push_back(Standing { id: self.last_id, waker: Some(cx.waker().clone()) });
        }
    }

    /// Takes `waiter` out of its line. Whoever is the first then has to be woken: it may be its turn, and it has to
    /// look at the time.
    fn leave(&mut self, waiter: &mut Waiter<'_>) -> Option<Waker> {
        let id = mem::take(&mut waiter.id)?;
        let index = self.lines.iter().position(|line| line.limits == waiter.limits)?;
        let waiters = &mut self.lines[index].waiters;
        let place = waiters.binary_search_by_key(&id, |standing| standing.id).ok()?;
        waiters.remove(place);
        if place > 0 {
            return None;
        }
        let Some(first) = waiters.front_mut() else {
            self.lines.swap_remove(index);
            return None;
        };
        first.waker.take()
    }

    /// Those who may have room now. Each finds out for itself, and wakes the one behind it if it does.
    fn first_of_each_line(&mut self) -> Vec<Waker> {
        self.lines.iter_mut().filter_map(|line| line.waiters.front_mut()?.waker.take()).collect()
    }
}
