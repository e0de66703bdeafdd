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
pub struct EventBuffer {
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

impl EventBuffer {
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
    journal: &'a EventBuffer,
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::event::EventKind;
    use super::*;

    fn tell(journal: &EventBuffer, count: usize) {
        for _ in 0..count {
            let event = |sequence| Event {
                run_id: "r".to_owned(),
                sequence,
                seconds: 0.0,
                fraction: 0.0,
                seconds_left: None,
                message: None,
                kind: EventKind::Progress,
            };
            journal.tell(event, false);
        }
    }

    fn read(journal: &EventBuffer, after: u64) -> Option<Result<Vec<u64>>> {
        let page = journal.read(after).now_or_never()?;
        Some(page.map(|page| page.iter().map(|event| event.sequence).collect()))
    }

    #[tokio::test]
    async fn any_number_can_be_read_from_again() {
        let journal = EventBuffer::new(10);
        assert!(read(&journal, 0).is_none(), "there is nothing yet");
        tell(&journal, 5);
        for after in [0, 3, 0, 4, 2] {
            assert_eq!(read(&journal, after).unwrap().unwrap(), (after + 1..=5).collect::<Vec<_>>());
        }
        assert!(read(&journal, 5).is_none());
        assert!(read(&journal, 6).unwrap().is_err(), "there is no such event yet");
    }

    #[tokio::test]
    async fn what_has_not_arrived_is_kept_and_what_has_makes_room() {
        let journal = EventBuffer::new(3);
        tell(&journal, 8);
        assert_eq!(journal.len(), 8);
        assert!(journal.room().now_or_never().is_none());
        assert_eq!(read(&journal, 0).unwrap().unwrap().len(), 8, "reading takes nothing away");
        assert!(journal.room().now_or_never().is_none());
        // 6 have arrived: 2 are unread, and the last 3 are kept.
        assert_eq!(read(&journal, 6).unwrap().unwrap(), [7, 8]);
        assert_eq!(journal.len(), 3);
        assert!(journal.room().now_or_never().is_some());
        assert_eq!(read(&journal, 5).unwrap().unwrap(), [6, 7, 8], "back to what is still kept");
        let lost = read(&journal, 4).unwrap().unwrap_err();
        assert!(lost.message().contains("5 to 5 are no longer kept: read from 5"), "{lost}");
    }

    #[tokio::test]
    async fn long_rows_come_in_pages() {
        let journal = EventBuffer::new(1000);
        tell(&journal, PAGE * 2 + 1);
        let mut all = Vec::new();
        for _ in 0..3 {
            all.extend(read(&journal, all.len() as u64).unwrap().unwrap());
        }
        assert_eq!(all, (1..=(PAGE as u64) * 2 + 1).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn readers_and_runs_wake_each_other() {
        let journal = EventBuffer::new(1);
        let (page, ()) = tokio::join!(journal.read(0), async { tell(&journal, 1) });
        assert_eq!(page.unwrap().len(), 1);
        let ((), later) = tokio::join!(journal.room(), async {
            tokio::select! {
                biased;
                page = journal.read(1) => page.unwrap().len(),
                () = std::future::ready(()) => 0,
            }
        });
        assert_eq!(later, 0, "a reader that left had said what it has");
    }

    #[tokio::test]
    async fn after_the_last_event_nothing_is_told_and_nobody_waits() {
        let journal = EventBuffer::new(10);
        tell(&journal, 2);
        let last = |sequence| Event {
            run_id: String::new(),
            sequence,
            seconds: 0.0,
            fraction: 1.0,
            seconds_left: None,
            message: None,
            kind: EventKind::Progress,
        };
        journal.tell(last, true);
        tell(&journal, 1);
        assert_eq!(read(&journal, 2).unwrap().unwrap(), [3]);
        assert_eq!(read(&journal, 3).unwrap().unwrap(), [0; 0]);
    }

    #[tokio::test]
    async fn without_readers_nothing_is_kept_and_nothing_waits() {
        let journal = EventBuffer::new(0);
        tell(&journal, 100);
        assert!(journal.is_empty());
        assert!(journal.room().now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_waits_for_the_end_lets_the_run_go_on() {
        let journal = EventBuffer::new(2);
        tell(&journal, 5);
        let mut waiting = Box::pin(journal.until(std::future::pending::<()>()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(journal.room().now_or_never().is_some());
        tell(&journal, 20);
        assert_eq!(journal.len(), 2, "the oldest are let go of");
        drop(waiting);
        assert!(journal.room().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_run_that_nobody_waits_for_is_abandoned() {
        let journal = EventBuffer::new(10);
        let patience = Duration::from_secs(60);
        let began = Instant::now();
        journal.abandoned(patience).await;
        assert_eq!(began.elapsed().as_secs(), 60);

        let journal = EventBuffer::new(10);
        let began = Instant::now();
        tokio::select! {
            () = journal.abandoned(patience) => panic!("somebody reads"),
            _ = tokio::time::timeout(Duration::from_secs(500), journal.read(0)) => {}
        }
        journal.abandoned(patience).await;
        assert_eq!(began.elapsed().as_secs(), 560, "patience begins when the reader goes");
        assert!(EventBuffer::new(10).abandoned(Duration::MAX).now_or_never().is_none());
    }
}
