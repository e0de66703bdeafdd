//! Shared access to the state of a run, and the waiting for its events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::candidate::Candidate;
use super::event::Event;
use super::mode::ResolvedMode;
use super::options::{self, Options};
use super::result::WorkflowResult;
use super::run_state::{End, RunState};
use super::stage::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Part;
use crate::router::Generate;
use crate::sync::lock;

/// A run, shared by the future that executes it and everyone who reads its events or its result.
///
/// It outlives the future, so the state can still be read after the future was dropped. All state is behind one lock, which
/// is held for short synchronous sections and never across an await.
#[derive(Debug)]
pub struct RunHandle {
    id: String,
    started: Instant,
    /// Seconds the run had taken before `started`; not 0 for a restored run.
    elapsed_before: f64,
    shared: Mutex<Shared>,
    changed: Notify,
}

#[derive(Debug)]
struct Shared {
    state: RunState,
    waiters: Waiters,
}

/// Who is waiting for the run.
#[derive(Debug)]
struct Waiters {
    count: usize,
    /// Those of `count` that wait for the result.
    for_result: usize,
    /// When the last waiter left.
    last_left: Instant,
}

impl RunHandle {
    /// Creates a run of `options` over `router`; its clock starts now. `events` is the number of events kept for readers; 0
    /// keeps none, and the events cannot be read.
    pub fn new(router: &dyn Generate, options: &Options, events: usize) -> Arc<Self> {
        let mode = ResolvedMode::new(options.mode, router);
        Self::restore(RunState::new(options.clone(), mode, events))
    }

    /// Creates a handle for a saved state; its clock continues where it was saved.
    pub fn restore(state: RunState) -> Arc<Self> {
        let started = Instant::now();
        Arc::new(Self {
            id: state.id().to_owned(),
            started,
            elapsed_before: state.elapsed,
            shared: Mutex::new(Shared { state, waiters: Waiters { count: 0, for_result: 0, last_left: started } }),
            changed: Notify::new(),
        })
    }

    /// The unique id of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A copy of the state as it is now.
    pub fn state(&self) -> RunState {
        self.update(|state| state.clone())
    }

    /// The options of the run.
    pub fn options(&self) -> Options {
        lock(&self.shared).state.options.clone()
    }

    /// Sets the attachments, which are loaded after the run has been created.
    pub fn set_parts(&self, parts: Vec<Part>) {
        self.update(|state| state.options.parts = parts);
    }

    /// Awaits `work` before the first stage, until the deadline of the run. `doing` names the work in the error.
    ///
    /// # Errors
    ///
    /// Returns the error of `work`, `InvalidInput` for an invalid timeout, and `DeadlineExceeded` at the deadline.
    pub async fn before_deadline<T>(&self, doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let timeout = options::seconds("timeout", self.read(|state| state.options.timeout))?;
        let deadline = self.deadline(timeout);
        timeout_at(deadline.at, work).await.unwrap_or_else(|_| {
            let message = format!("the run's deadline of {} s was reached while {doing}", deadline.seconds());
            Err(Error::new(ErrorKind::DeadlineExceeded, message))
        })
    }

    /// The deadline of the run, which has `timeout` from the creation of the handle on.
    pub(super) fn deadline(&self, timeout: Duration) -> Deadline {
        Deadline::new(self.started, timeout)
    }

    /// The selected ideas as they are now, in the order of the options.
    pub fn candidates(&self) -> Vec<Candidate> {
        lock(&self.shared).state.candidates()
    }

    /// The result as it is now; partial before the end of the run.
    pub fn result(&self) -> WorkflowResult {
        self.update(|state| state.result())
    }

    /// Ends a run whose future was dropped or failed with `failure`. Does nothing if the run has ended.
    pub fn close(&self, failure: Option<&str>) {
        let end = failure.map_or(End::Cancelled, |failure| End::Failed(failure.to_owned()));
        self.update(|state| state.finish(end));
    }

    /// Returns the events after number `after`, at most one page, waiting for the first; empty at the end of the run.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if some of these events are no longer kept, or if event `after` does not exist yet.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn read_events(&self, after: u64) -> Result<Vec<Event>> {
        let _waiter = self.register(false);
        self.wait_for(|| self.page(after).transpose()).await
    }

    /// Awaits `end`, the end of the run, on behalf of a caller who wants the result and does not read events.
    pub async fn await_result<T>(&self, end: impl Future<Output = T>) -> T {
        let _waiter = self.register(true);
        end.await
    }

    /// Completes when nobody has been waiting for `idle_timeout`.
    pub async fn abandoned(&self, idle_timeout: Duration) {
        loop {
            let deadline = {
                let shared = lock(&self.shared);
                let now = Instant::now();
                let idle_since = if shared.waiters.count > 0 { now } else { shared.waiters.last_left };
                if now.duration_since(idle_since) >= idle_timeout {
                    return;
                }
                idle_since.checked_add(idle_timeout)
            };
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until fewer events are unread than the buffer holds. Returns at once while somebody waits for the result.
    pub(super) async fn wait_for_readers(&self) {
        let can_continue = |shared: &Shared| shared.waiters.for_result > 0 || shared.state.events.has_room();
        self.wait_for(|| can_continue(&lock(&self.shared)).then_some(())).await;
    }

    /// The number of events kept for readers.
    pub fn kept_events(&self) -> usize {
        lock(&self.shared).state.events.len()
    }

    /// Runs `change` on the state, with its clock set to now.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut RunState) -> T) -> T {
        let (result, has_new_events) = {
            let mut shared = lock(&self.shared);
            let Shared { state, waiters } = &mut *shared;
            let last = state.events.last();
            state.elapsed = self.elapsed_before + self.started.elapsed().as_secs_f64();
            let result = change(state);
            state.events.trim(waiters.for_result > 0);
            (result, state.events.last() != last)
        };
        if has_new_events {
            self.changed.notify_waiters();
        }
        result
    }

    /// Runs `read` on the state.
    pub(super) fn read<T>(&self, read: impl FnOnce(&RunState) -> T) -> T {
        read(&lock(&self.shared).state)
    }

    /// Returns the value of `check` as soon as it has one; checks after every change.
    async fn wait_for<T>(&self, check: impl Fn() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registers for changes before the check, so that none is missed between the two.
            changed.as_mut().enable();
            if let Some(value) = check() {
                return value;
            }
            changed.await;
        }
    }

    fn page(&self, after: u64) -> Result<Option<Vec<Event>>> {
        let mut shared = lock(&self.shared);
        let Shared { state, waiters } = &mut *shared;
        if state.events.acknowledge(after)? {
            state.events.trim(waiters.for_result > 0);
            self.changed.notify_waiters();
        }
        Ok(state.events.page(after))
    }

    fn register(&self, for_result: bool) -> Waiter<'_> {
        {
            let waiters = &mut lock(&self.shared).waiters;
            waiters.count += 1;
            waiters.for_result += usize::from(for_result);
        }
        self.changed.notify_waiters();
        Waiter { handle: self, for_result }
    }
}

/// Counts as waiting until it is dropped.
struct Waiter<'a> {
    handle: &'a RunHandle,
    for_result: bool,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let waiters = &mut lock(&self.handle.shared).waiters;
        waiters.count -= 1;
        waiters.for_result -= usize::from(self.for_result);
        waiters.last_left = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::event::EventKind;
    use super::super::event_buffer::PAGE;
    use super::*;

    fn run_with_buffer(capacity: usize) -> Arc<RunHandle> {
        RunHandle::restore(RunState::new(Options::new("topic", ""), ResolvedMode::Batch, capacity))
    }

    fn report(run: &RunHandle, count: usize) {
        for _ in 0..count {
            run.update(|state| state.report(EventKind::Progress, None));
        }
    }

    fn read(run: &RunHandle, after: u64) -> Option<Result<Vec<u64>>> {
        let page = run.read_events(after).now_or_never()?;
        Some(page.map(|page| page.iter().map(|event| event.sequence).collect()))
    }

    #[tokio::test]
    async fn events_can_be_read_again_from_any_number() {
        let run = run_with_buffer(10);
        assert!(read(&run, 0).is_none(), "there is no event yet");
        report(&run, 5);
        for after in [0, 3, 0, 4, 2] {
            assert_eq!(read(&run, after).unwrap().unwrap(), (after + 1..=5).collect::<Vec<_>>());
        }
        assert!(read(&run, 5).is_none());
        assert!(read(&run, 6).unwrap().is_err(), "there is no such event yet");
    }

    #[tokio::test]
    async fn unread_events_are_kept_and_acknowledged_events_make_room() {
        let run = run_with_buffer(3);
        report(&run, 8);
        assert_eq!(run.kept_events(), 8);
        assert!(run.wait_for_readers().now_or_never().is_none());
        assert_eq!(read(&run, 0).unwrap().unwrap().len(), 8, "reading removes nothing");
        assert!(run.wait_for_readers().now_or_never().is_none());
        // Up to 6 is acknowledged: 2 are unread, and the last 3 are kept.
        assert_eq!(read(&run, 6).unwrap().unwrap(), [7, 8]);
        assert_eq!(run.kept_events(), 3);
        assert!(run.wait_for_readers().now_or_never().is_some());
        assert_eq!(read(&run, 5).unwrap().unwrap(), [6, 7, 8], "back to what is still kept");
        let lost = read(&run, 4).unwrap().unwrap_err();
        assert!(lost.message().contains("5 to 5 are no longer kept: read from 5"), "{lost}");
    }

    #[tokio::test]
    async fn many_events_are_returned_in_pages() {
        let run = run_with_buffer(1000);
        report(&run, PAGE * 2 + 1);
        let mut all = Vec::new();
        for _ in 0..3 {
            all.extend(read(&run, all.len() as u64).unwrap().unwrap());
        }
        assert_eq!(all, (1..=(PAGE as u64) * 2 + 1).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn readers_and_runs_wake_each_other() {
        let run = run_with_buffer(1);
        let (page, ()) = tokio::join!(run.read_events(0), async { report(&run, 1) });
        assert_eq!(page.unwrap().len(), 1);
        let ((), later) = tokio::join!(run.wait_for_readers(), async {
            tokio::select! {
                biased;
                page = run.read_events(1) => page.unwrap().len(),
                () = std::future::ready(()) => 0,
            }
        });
        assert_eq!(later, 0, "a reader acknowledges events even if it leaves");
    }

    #[tokio::test]
    async fn nothing_follows_the_last_event_and_nobody_waits_for_more() {
        let run = run_with_buffer(10);
        report(&run, 2);
        run.update(|state| state.finish(End::Completed("Done")));
        report(&run, 1);
        assert_eq!(read(&run, 2).unwrap().unwrap(), [3]);
        assert_eq!(read(&run, 3).unwrap().unwrap(), [0; 0]);
    }

    #[tokio::test]
    async fn without_a_buffer_nothing_is_kept_and_nothing_waits() {
        let run = run_with_buffer(0);
        report(&run, 100);
        assert_eq!(run.kept_events(), 0);
        assert!(run.wait_for_readers().now_or_never().is_some());
    }

    #[tokio::test]
    async fn waiting_for_the_result_lets_the_run_continue() {
        let run = run_with_buffer(2);
        report(&run, 5);
        let mut waiting = Box::pin(run.await_result(std::future::pending::<()>()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(run.wait_for_readers().now_or_never().is_some());
        report(&run, 20);
        assert_eq!(run.kept_events(), 2, "the oldest are dropped");
        drop(waiting);
        assert!(run.wait_for_readers().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_run_without_waiters_is_abandoned() {
        let run = run_with_buffer(10);
        let idle_timeout = Duration::from_secs(60);
        let started = Instant::now();
        run.abandoned(idle_timeout).await;
        assert_eq!(started.elapsed().as_secs(), 60);

        let run = run_with_buffer(10);
        let started = Instant::now();
        tokio::select! {
            () = run.abandoned(idle_timeout) => panic!("somebody reads"),
            _ = tokio::time::timeout(Duration::from_secs(500), run.read_events(0)) => {}
        }
        run.abandoned(idle_timeout).await;
        assert_eq!(started.elapsed().as_secs(), 560, "the idle time starts when the reader leaves");
        assert!(run_with_buffer(10).abandoned(Duration::MAX).now_or_never().is_none());
    }
}
