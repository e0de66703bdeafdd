//! Streamed calls, as the Python package drives them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::Notify;

use super::bridge::{self, Pending};
use super::runtime::Process;
use super::{convert, error};
use crate::error::{Error, Result};
use crate::router::{self, StreamEvent};

/// A streamed call under way: pull text until None, then finish.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Stream {
    process: Arc<Process>,
    state: Arc<Mutex<State>>,
    closed: Arc<Notify>,
}

#[expect(clippy::large_enum_variant, reason = "nearly every stream is ready from its start")]
enum State {
    Ready(router::Stream),
    /// A pull has the stream; it comes back when that is done.
    Out,
    Closed,
}

#[pymethods]
impl Stream {
    /// All the text that has arrived since the last pull, waiting for the first piece of it; a `Restarted`; or None at
    /// the end. Blocks.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event = bridge::block(py, &self.process, self.pull()?)?;
        convert::stream_event(py, event.as_ref())
    }

    /// Does as `next`, without blocking.
    fn anext(&self, py: Python<'_>) -> PyResult<Pending> {
        bridge::submit_eager(py, &self.process, self.pull()?, |py, event: Option<StreamEvent>| {
            Ok(convert::stream_event(py, event.as_ref())?.unbind())
        })
    }

    /// The `LLMResponse` of a stream that has ended.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let State::Ready(stream) = std::mem::replace(&mut *lock(&self.state), State::Closed) else {
            return Err(PyRuntimeError::new_err("finish() of a stream in use or closed"));
        };
        let response = stream.finish().map_err(|failure| error::to_python(py, &failure))?;
        convert::response(py, &response)
    }

    /// End the stream and close its socket; a pull under way gives None. Safe to call again.
    fn close(&self) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Closed);
        if matches!(state, State::Out) {
            self.closed.notify_one();
        }
    }
}

impl Stream {
    pub(super) fn new(process: Arc<Process>, stream: router::Stream) -> Self {
        Self { process, state: Arc::new(Mutex::new(State::Ready(stream))), closed: Arc::default() }
    }

    /// The stream travels with the future, so that dropping that closes the socket.
    fn pull(&self) -> PyResult<impl Future<Output = Result<Option<StreamEvent>>> + Send + use<>> {
        let state = Arc::clone(&self.state);
        let mut stream = {
            let mut slot = lock(&state);
            match std::mem::replace(&mut *slot, State::Out) {
                State::Ready(stream) => stream,
                other => {
                    let message = match other {
                        State::Closed => "the stream is closed",
                        _ => "the stream is being read already: one reader at a time",
                    };
                    *slot = other;
                    return Err(PyRuntimeError::new_err(message));
                }
            }
        };
        let closed = Arc::clone(&self.closed);
        Ok(async move {
            let outcome = tokio::select! {
                biased;
                () = closed.notified() => return Ok(None),
                outcome = stream.next() => outcome,
            };
            let mut slot = lock(&state);
            if matches!(*slot, State::Out) {
                *slot = if outcome.is_ok() { State::Ready(stream) } else { State::Closed };
            }
            outcome
        })
    }
}

/// The time limit `name`, from seconds.
pub(super) fn limit(name: &str, seconds: Option<f64>) -> Result<Option<Duration>> {
    let Some(seconds) = seconds else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if !limit.is_zero() => Ok(Some(limit)),
        _ => Err(Error::invalid_input(format!("{name} must be a positive number of seconds, not {seconds}"))),
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
