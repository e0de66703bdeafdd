//! The numbered events of a run, kept for readers.
//!
//! A reader states up to which event it has received everything and gets the events after it, so a client that reconnects
//! resumes where it was and the run stores nothing per reader. Two bounds apply:
//!
//! * The last `capacity` events are kept for reading again, and unread events are kept until they have been read.
//! * A run with `capacity` unread events waits before its next call, so slow readers slow it down. While somebody waits for
//!   the result, the run does not wait, and the oldest unread events are dropped.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::error::{Error, Result};

/// The maximum number of events in one page.
pub(super) const PAGE: usize = 64;

/// The events of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EventBuffer {
    /// 0 keeps no events.
    capacity: usize,
    events: VecDeque<Event>,
    /// The number of the last event.
    last: u64,
    /// The number of the last event that a reader acknowledged.
    acknowledged: u64,
    is_closed: bool,
}

impl EventBuffer {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, events: VecDeque::new(), last: 0, acknowledged: 0, is_closed: false }
    }

    /// Adds the event that `event` returns for its number. Does nothing after the last event.
    pub(super) fn push(&mut self, is_last: bool, event: impl FnOnce(u64) -> Event) {
        if self.is_closed {
            return;
        }
        self.last += 1;
        self.is_closed = is_last;
        if self.capacity > 0 {
            self.events.push_back(event(self.last));
        }
    }

    /// Records that a reader has received the events up to number `after`, and returns whether that is new.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if some events after `after` are no longer kept, or if event `after` does not exist yet.
    pub(super) fn acknowledge(&mut self, after: u64) -> Result<bool> {
        let last = self.last;
        if after > last {
            return Err(Error::invalid_input(format!("the run has no event {after} yet: its last one is {last}")));
        }
        let first = last + 1 - self.events.len() as u64;
        if after + 1 < first {
            let message = format!("events {} to {} are no longer kept: read from {}", after + 1, first - 1, first - 1);
            return Err(Error::invalid_input(message));
        }
        let is_new = after > self.acknowledged;
        self.acknowledged = self.acknowledged.max(after);
        Ok(is_new)
    }

    /// The events after number `after`; `None` if there are none yet.
    pub(super) fn page(&self, after: u64) -> Option<Vec<Event>> {
        let page: Vec<_> = self.events.iter().filter(|event| event.sequence > after).take(PAGE).cloned().collect();
        (!page.is_empty() || self.is_closed).then_some(page)
    }

    /// Drops acknowledged events, and unread ones too if `drops_unread`, except for the last `capacity` events.
    pub(super) fn trim(&mut self, drops_unread: bool) {
        let acknowledged = self.acknowledged;
        let can_drop = |event: &Event| drops_unread || event.sequence <= acknowledged;
        while self.events.len() > self.capacity && self.events.front().is_some_and(can_drop) {
            self.events.pop_front();
        }
    }

    /// Whether fewer than `capacity` events are unread.
    pub(super) const fn has_room(&self) -> bool {
        self.capacity == 0 || self.last - self.acknowledged < self.capacity as u64
    }

    /// The number of the last event.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}
