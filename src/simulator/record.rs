//! What arrived, and what became of it.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use crate::config::Provider;

/// One request as it arrived. `Debug` hides keys; the fields do not.
#[derive(Clone)]
pub struct RecordedRequest {
    /// The dialect its path belongs to.
    pub provider: Option<Provider>,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, in the order they arrived; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body; as much as arrived where the client hung up while sending it.
    pub body: Bytes,
    /// The model asked for, from the body or the path.
    pub model: Option<String>,
    /// The text of the last user message; empty where there is none.
    pub prompt: Arc<str>,
    /// The system instruction; empty where there is none.
    pub system: Arc<str>,
    /// The schema of the reply asked for.
    pub schema: Option<Arc<Value>>,
    /// When its headers had arrived, since the simulator's start.
    pub started: Duration,
    /// When the whole reply had been handed to the connection, or the connection had ended; since the simulator's start.
    pub finished: Option<Duration>,
    /// The status sent; `None` before it is sent.
    pub status: Option<u16>,
    /// Whether the client closed the connection before the whole reply had been sent.
    pub hung_up: bool,
    /// The connection it came on, counted from zero.
    pub connection: u64,
}

impl RecordedRequest {
    /// The body as JSON; `None` where it is none.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [&str; 4] = ["authorization", "x-goog-api-key", "x-api-key", "cookie"];
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), if SECRET.contains(&name.as_str()) { "***" } else { value.as_str() }))
            .collect();
        f.debug_struct("RecordedRequest")
            .field("provider", &self.provider)
            .field("method", &self.method)
            .field("path", &self.path.split('?').next().unwrap_or_default())
            .field("headers", &headers)
            .field("body", &self.body)
            .field("started", &self.started)
            .field("finished", &self.finished)
            .field("status", &self.status)
            .field("hung_up", &self.hung_up)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// All requests of one simulator.
#[derive(Debug)]
pub(super) struct Log {
    epoch: Instant,
    state: Mutex<State>,
    changed: Condvar,
    changed_async: Notify,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<RecordedRequest>,
    /// The number of the first request kept.
    first: u64,
    in_flight: usize,
    max_in_flight: usize,
    /// Blocked callers of [`Log::wait`]: without one there is nobody to wake.
    waiters: usize,
    /// The server is going down: connections end by its will, not by the clients'.
    closing: bool,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), state: Mutex::default(), changed: Condvar::new(), changed_async: Notify::new() }
    }

    /// The time since the simulator's start.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Keeps a request that is complete and about to be answered.
    pub(super) fn begin(self: &Arc<Self>, request: RecordedRequest) -> Ticket {
        let mut state = self.state();
        let number = state.first + state.requests.len() as u64;
        state.requests.push(request);
        state.in_flight += 1;
        state.max_in_flight = state.max_in_flight.max(state.in_flight);
        self.announce(state);
        Ticket { log: Arc::clone(self), number, is_open: true }
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    pub(super) fn max_in_flight(&self) -> usize {
        self.state().max_in_flight
    }

    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.first += state.requests.len() as u64;
        state.requests.clear();
        state.max_in_flight = state.in_flight;
        self.announce(state);
    }

    pub(super) fn wait(&self, timeout: Duration, predicate: impl Fn(&[RecordedRequest]) -> bool) -> bool {
        let mut state = self.state();
        state.waiters += 1;
        let (mut state, result) = self
            .changed
            .wait_timeout_while(state, timeout, |state| !predicate(&state.requests))
            .unwrap_or_else(PoisonError::into_inner);
        state.waiters -= 1;
        !result.timed_out()
    }

    pub(super) async fn wait_async(
        &self,
        timeout: Duration,
        predicate: impl Fn(&[RecordedRequest]) -> bool + Send,
    ) -> bool {
        let fulfilled = async move {
            loop {
                let mut changed = pin!(self.changed_async.notified());
                changed.as_mut().enable();
                if predicate(&self.state().requests) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, fulfilled).await.is_ok()
    }

    fn end(&self, number: u64, hung_up: bool) {
        let now = self.now();
        let mut state = self.state();
        state.in_flight -= 1;
        let hung_up = hung_up && !state.closing;
        if let Some(request) = state.get(number) {
            request.finished = Some(now);
            request.hung_up = hung_up;
        }
        self.announce(state);
    }

    fn announce(&self, state: MutexGuard<'_, State>) {
        let is_awaited = state.waiters > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
        self.changed_async.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn get(&mut self, number: u64) -> Option<&mut RecordedRequest> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.requests.get_mut(at)
    }
}

/// A request that is being answered. Dropped before [`Ticket::finish`], it was the client who left.
#[derive(Debug)]
pub(super) struct Ticket {
    log: Arc<Log>,
    number: u64,
    is_open: bool,
}

impl Ticket {
    pub(super) fn status(&self, status: u16) {
        let mut state = self.log.state();
        if let Some(request) = state.get(self.number) {
            request.status = Some(status);
        }
        self.log.announce(state);
    }

    pub(super) fn finish(mut self) {
        self.is_open = false;
        self.log.end(self.number, false);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_open {
            self.log.end(self.number, true);
        }
    }
}
