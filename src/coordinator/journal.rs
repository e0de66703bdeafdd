//! The events of a run, kept for those who watch it: bounded, with a number each, to be read again from any number.
//!
//! A reader says up to which event it has everything, and gets what follows. So a reader whose connection broke goes on
//! where it was, and nobody else has to remember where that is. Two bounds hold:
//!
//! * The last `capacity` events are kept for reading again, longer where they have not been read yet.
//! * A run with `capacity` unread events waits before its next call. Those who read slowly slow it down, and it never
//!   keeps more than that and what the calls under way still tell. Where somebody waits for the run's end instead, it does
//!   not wait, and lets go of the oldest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::event::Event;
use crate::error::{Error, Result};

/// How many events one read gives at most.
const PAGE: usize = 64;

/// The events of one run.
#[derive(Debug)]
pub struct Journal {
    /// 0 where nobody reads and nothing is kept.
    capacity: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Arc<Event>>,
    /// The number of the last event.
    last: u64,
    /// The number of the last event that somebody has everything up to.
    read: u64,
    /// Who waits for an event or for the end now.
    waiting: usize,
    /// Of those, who waits for the end.
    for_end: usize,
    /// When one of them last came or went.
    seen: Instant,
    is_closed: bool,
}

impl Journal {
    /// Keeps `capacity` events; none for 0.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            events: VecDeque::new(),
            last: 0,
            read: 0,
            waiting: 0,
            for_end: 0,
            seen: Instant::now(),
            is_closed: false,
        };
        Self { capacity, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The events after number `after`, a page of them at most, waited for; none at the end of the run.
    ///
    /// Fails with `InvalidInput` where some of them are no longer kept, or none can have that number yet. Cancel safety: a
    /// dropped future has taken nothing.
    pub async fn read(&self, after: u64) -> Result<Vec<Arc<Event>>> {
        let _presence = self.attend(false);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(page) = self.page(after)? {
                return Ok(page);
            }
            changed.await;
        }
    }

    /// Waits beside `end`, the end of the run, as somebody who does not read.
    pub async fn until<T>(&self, end: impl Future<Output = T>) -> T {
        let _presence = self.attend(true);
        end.await
    }

    /// Waits until there is room for what the next call tells.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if self.capacity == 0 || state.for_end > 0 || state.last - state.read < self.capacity as u64 {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Returns when nobody has been waiting for as long as `patience`.
    pub async fn abandoned(&self, patience: Duration) {
        loop {
            let until = {
                let state = self.state();
                let now = Instant::now();
                let since = if state.waiting > 0 { now } else { state.seen };
                if now.duration_since(since) >= patience {
                    return;
                }
                since.checked_add(patience)
            };
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }

    /// How many events are kept now.
    pub fn len(&self) -> usize {
        self.state().events.len()
    }

    /// Whether no event is kept now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the event that `make` makes of its number; nothing after the end.
    pub(super) fn tell(&self, make: impl FnOnce(u64) -> Event, is_last: bool) {
        {
            let mut state = self.state();
            if state.is_closed {
                return;
            }
            state.last += 1;
            state.is_closed = is_last;
            if self.capacity > 0 {
                let event = Arc::new(make(state.last));
                state.events.push_back(event);
                state.forget(self.capacity);
            }
        }
        self.changed.notify_waiters();
    }

    fn page(&self, after: u64) -> Result<Option<Vec<Arc<Event>>>> {
        let mut state = self.state();
        if after > state.last {
            let last = state.last;
            return Err(Error::invalid_input(format!("the run has no event {after} yet: its last one is {last}")));
        }
        let first = state.last + 1 - state.events.len() as u64;
        if after + 1 < first {
            let message = format!("events {} to {} are no longer kept: read from {}", after + 1, first - 1, first - 1);
            return Err(Error::invalid_input(message));
        }
        if after > state.read {
            state.read = after;
            state.forget(self.capacity);
            self.changed.notify_waiters();
        }
        let page: Vec<_> = state.events.iter().filter(|event| event.sequence > after).take(PAGE).cloned().collect();
        Ok((!page.is_empty() || state.is_closed).then_some(page))
    }

    fn attend(&self, for_end: bool) -> Presence<'_> {
        {
            let mut state = self.state();
            state.waiting += 1;
            state.for_end += usize::from(for_end);
        }
        self.changed.notify_waiters();
        Presence { journal: self, for_end }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets go of what is read, but for the last `capacity` events.
    fn forget(&mut self, capacity: usize) {
        let is_free = |first: &Arc<Event>| self.for_end > 0 || first.sequence <= self.read;
        while self.events.len() > capacity && self.events.front().is_some_and(is_free) {
            self.events.pop_front();
        }
    }
}

/// Somebody who waits.
struct Presence<'a> {
    journal: &'a Journal,
    for_end: bool,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let mut state = self.journal.state();
        state.waiting -= 1;
        state.for_end -= usize::from(self.for_end);
        state.seen = Instant::now();
    }
}
