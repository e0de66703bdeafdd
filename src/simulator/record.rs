//! The log of received requests.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use crate::config::Provider;

/// A received request. `Debug` does not print keys; the fields contain them.
#[derive(Clone)]
pub struct RecordedRequest {
    /// The provider whose API the request uses.
    pub provider: Option<Provider>,
    /// The HTTP method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The headers in order, with names in lower case. Invalid UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
    /// The body, or the part that arrived before the client disconnected.
    pub body: Bytes,
    /// The requested model, from the body or the path.
    pub model: Option<String>,
    /// The text of the last user message, or an empty text.
    pub prompt: Arc<str>,
    /// The system instruction, or an empty text.
    pub system: Arc<str>,
    /// The schema of the requested reply.
    pub schema: Option<Arc<Value>>,
    /// When the headers had arrived, relative to the start of the simulator.
    pub started: Duration,
    /// When the whole reply was sent or the connection ended, relative to the start of the simulator.
    pub finished: Option<Duration>,
    /// The status of the reply; `None` until it is sent.
    pub status: Option<u16>,
    /// Whether the client closed the connection before the whole reply was sent.
    pub hung_up: bool,
    /// The number of its connection, from zero.
    pub connection: u64,
}

impl RecordedRequest {
    /// The body as JSON; `None` if it is no JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The first header with this name, in any case.
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

/// The requests of a simulator.
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
    /// The number of the first request in `requests`.
    first: u64,
    in_flight: usize,
    max_in_flight: usize,
    /// Blocked callers of [`Log::wait`].
    waiters: usize,
    /// Whether the server is stopping: then no disconnect is the client's.
    closing: bool,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), state: Mutex::default(), changed: Condvar::new(), changed_async: Notify::new() }
    }

    /// The time since the start of the simulator.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Adds a complete request.
    pub(super) fn begin(self: &Arc<Self>, request: RecordedRequest) -> PendingRequest {
        let mut state = self.state();
        let number = state.first + state.requests.len() as u64;
        state.requests.push(request);
        state.in_flight += 1;
        state.max_in_flight = state.max_in_flight.max(state.in_flight);
        self.notify(state);
        PendingRequest { log: Arc::clone(self), number, is_open: true }
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
        self.notify(state);
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
        self.notify(state);
    }

    fn notify(&self, state: MutexGuard<'_, State>) {
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

/// Guards a request until its reply is sent. Dropping it before [`PendingRequest::finish`] records a disconnect.
#[derive(Debug)]
pub(super) struct PendingRequest {
    log: Arc<Log>,
    number: u64,
    is_open: bool,
}

impl PendingRequest {
    pub(super) fn status(&self, status: u16) {
        let mut state = self.log.state();
        if let Some(request) = state.get(self.number) {
            request.status = Some(status);
        }
        self.log.notify(state);
    }

    pub(super) fn finish(mut self) {
        self.is_open = false;
        self.log.end(self.number, false);
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if self.is_open {
            self.log.end(self.number, true);
        }
    }
}
