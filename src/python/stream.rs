//! A streamed call of a router, as the Python package reads it.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bridge::{self, Submission, Work};
use super::call::NewCall;
use super::runtime::Process;
use super::{convert, error, log};
use crate::error::{Error, ErrorKind, Result};
use crate::router::{self, Engine, Rejection, StreamEvent, StreamOptions};
use crate::sync::lock;

/// A streamed call: read it until None, or until a structured reply is complete, then finish it or reject the reply.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Stream {
    process: Arc<Process>,
    options: StreamOptions,
    state: Arc<Mutex<State>>,
    closed: Arc<Notify>,
}

#[expect(clippy::large_enum_variant, reason = "nearly every stream is ready from its start")]
enum State {
    New(NewCall),
    Ready(router::Stream),
    /// A read holds the stream.
    InUse,
    Closed,
}

#[pymethods]
impl Stream {
    /// Returns the text that has arrived since the last read, and waits for it if there is none; blocks. For a structured
    /// reply, returns its complete parts as JSON text, and whether that is the whole reply. Returns a `Restarted` if
    /// another request replaces the reply so far, and None at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event = bridge::block(py, &self.process, self.read()?)?;
        convert::stream_event(py, event.as_ref())
    }

    /// Returns what has arrived, as `next` does.
    fn anext<'py>(&self, py: Python<'py>) -> PyResult<Submission<'py>> {
        let convert =
            |py: Python<'_>, event: Option<StreamEvent>| Ok(convert::stream_event(py, event.as_ref())?.unbind());
        // The first poll writes files into the request's body, which takes too long for the thread of the loop.
        let is_light = matches!(&*lock(&self.state), State::Ready(stream) if !stream.has_attachments());
        bridge::submit_eager(py, &self.process, self.read()?, is_light, convert)
    }

    /// Rejects the complete reply that the last read returned, because of `errors`. The next read continues.
    fn reject(&self, errors: Vec<String>) {
        if let State::Ready(stream) = &mut *lock(&self.state) {
            stream.reject(Rejection { faults: errors });
        }
    }

    /// Returns the `LLMResponse` of a stream that has ended.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let State::Ready(stream) = std::mem::replace(&mut *lock(&self.state), State::Closed) else {
            return Err(PyRuntimeError::new_err("finish() of a stream in use or closed"));
        };
        let _collector = log::Collector::begin_here(py, &self.process)?;
        let response = error::raise(py, stream.finish())?;
        log::deliver_collected(py)?;
        convert::response(py, response)
    }

    /// Ends the stream and closes its socket; a read in progress returns None. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let state = std::mem::replace(&mut *lock(&self.state), State::Closed);
        match state {
            State::InUse => self.closed.notify_one(),
            State::Ready(stream) => {
                let _collector = log::Collector::begin_here(py, &self.process)?;
                stream.close();
                log::deliver_collected(py)?;
            }
            State::New(_) | State::Closed => {}
        }
        Ok(())
    }
}

impl Stream {
    /// Reports invalid arguments at once if there are no attachments to load.
    pub(super) fn new(process: Arc<Process>, call: NewCall, options: StreamOptions) -> Result<Self> {
        let state = if call.attachments.is_empty() {
            State::Ready(start(call, &process.engine, options)?)
        } else {
            State::New(call)
        };
        Ok(Self { process, options, state: Arc::new(Mutex::new(state)), closed: Arc::default() })
    }

    /// Takes the stream out of the state until the read has ended. Dropping the work closes the socket.
    fn read(&self) -> PyResult<Work<Option<StreamEvent>>> {
        let state = Arc::clone(&self.state);
        let taken = {
            let mut state = lock(&state);
            match std::mem::replace(&mut *state, State::InUse) {
                taken @ (State::New(_) | State::Ready(_)) => taken,
                other => {
                    let message = match other {
                        State::Closed => "the stream is closed",
                        _ => "the stream is being read already: one reader at a time",
                    };
                    *state = other;
                    return Err(PyRuntimeError::new_err(message));
                }
            }
        };
        let (closed, engine, options) = (Arc::clone(&self.closed), Arc::clone(&self.process.engine), self.options);
        Ok(Box::pin(async move {
            let read = async {
                let mut stream = match taken {
                    State::Ready(stream) => stream,
                    State::New(mut call) => {
                        let began = Instant::now();
                        call.load(&engine, began).await?;
                        let mut stream = start(call, &engine, options)?;
                        stream.begin_at(began);
                        stream
                    }
                    State::InUse | State::Closed => {
                        return Err(Error::new(ErrorKind::Internal, "the stream is closed"));
                    }
                };
                let event = stream.next().await?;
                Ok((stream, event))
            };
            let outcome = tokio::select! {
                biased;
                () = closed.notified() => return Ok(None),
                outcome = read => outcome,
            };
            let (next, event) = match outcome {
                Ok((stream, event)) => (State::Ready(stream), Ok(event)),
                Err(failure) => (State::Closed, Err(failure)),
            };
            let mut state = lock(&state);
            if matches!(*state, State::InUse) {
                *state = next;
            }
            event
        }))
    }
}

fn start(call: NewCall, engine: &Arc<Engine>, options: StreamOptions) -> Result<router::Stream> {
    call.router.stream(engine, *call.request, call.force, options)
}
