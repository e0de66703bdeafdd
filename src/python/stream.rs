//! Streamed calls, as the Python package drives them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::Notify;

use super::attachments::Attachments;
use super::bridge::{self, Submission, Work};
use super::number::Real;
use super::runtime::Process;
use super::{convert, error};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{self, Rejection, StreamEvent, StreamOptions};
use crate::sync::lock;

/// A streamed call under way: pull until None, or until the whole of a structured reply, then finish or reject that.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Stream {
    process: Arc<Process>,
    state: Arc<Mutex<State>>,
    closed: Arc<Notify>,
}

#[expect(clippy::large_enum_variant, reason = "nearly every stream is ready from its start")]
enum State {
    Prepared(Prepared),
    Ready(router::Stream),
    /// A pull has the stream; it comes back when that is done.
    Out,
    Closed,
}

/// A streamed call whose attachments are not read yet.
pub(super) struct Prepared {
    pub(super) router: Arc<router::Router>,
    pub(super) request: Box<Request>,
    pub(super) attachments: Attachments,
    pub(super) force: Option<Provider>,
    pub(super) options: StreamOptions,
}

#[pymethods]
impl Stream {
    /// All the text that has arrived since the last pull, waiting for the first piece of it; of a structured reply what
    /// is closed, as JSON text, and whether that is the whole; a `Restarted`; or None at the end. Blocks.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event = bridge::block(py, &self.process, self.pull()?)?;
        convert::stream_event(py, event.as_ref())
    }

    /// Does as `next`, without blocking.
    fn anext<'py>(&self, py: Python<'py>) -> PyResult<Submission<'py>> {
        let event =
            |py: Python<'_>, event: Option<StreamEvent>| Ok(convert::stream_event(py, event.as_ref())?.unbind());
        // Files are written into a request's body in its first step, which takes too long for the loop's own thread.
        let is_light = matches!(&*lock(&self.state), State::Ready(stream) if !stream.has_attachments());
        let work = self.pull()?;
        if is_light {
            bridge::submit_eager(py, &self.process, work, event)
        } else {
            bridge::submit(py, &self.process, work, event).map(Submission::Pending)
        }
    }

    /// Does not take the whole that the last pull gave, because of `faults`; the next pull tells what follows.
    fn reject(&self, faults: Vec<String>) {
        if let State::Ready(stream) = &mut *lock(&self.state) {
            stream.reject(Rejection { faults });
        }
    }

    /// The `LLMResponse` of a stream that has ended.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let State::Ready(stream) = std::mem::replace(&mut *lock(&self.state), State::Closed) else {
            return Err(PyRuntimeError::new_err("finish() of a stream in use or closed"));
        };
        let response = stream.finish().map_err(|failure| error::to_python(py, &failure))?;
        convert::response(py, response)
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
    /// Without attachments the caller's errors come out at once, before anything is awaited.
    pub(super) fn new(process: Arc<Process>, prepared: Prepared) -> Result<Self> {
        let state = if prepared.attachments.is_empty() {
            let Prepared { router, request, force, options, .. } = prepared;
            State::Ready(router.stream(&process.engine, *request, force, options)?)
        } else {
            State::Prepared(prepared)
        };
        Ok(Self { process, state: Arc::new(Mutex::new(state)), closed: Arc::default() })
    }

    /// The stream travels with the future, so that dropping that closes the socket.
    fn pull(&self) -> PyResult<Work<Option<StreamEvent>>> {
        let state = Arc::clone(&self.state);
        let taken = {
            let mut slot = lock(&state);
            match std::mem::replace(&mut *slot, State::Out) {
                taken @ (State::Prepared(_) | State::Ready(_)) => taken,
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
        let (closed, engine) = (Arc::clone(&self.closed), Arc::clone(&self.process.engine));
        Ok(Box::pin(async move {
            let pulled = async {
                let mut stream = taken.begin(&engine).await?;
                let event = stream.next().await?;
                Ok((stream, event))
            };
            let outcome = tokio::select! {
                biased;
                () = closed.notified() => return Ok(None),
                outcome = pulled => outcome,
            };
            let (next, event) = match outcome {
                Ok((stream, event)) => (State::Ready(stream), Ok(event)),
                Err(failure) => (State::Closed, Err(failure)),
            };
            let mut slot = lock(&state);
            if matches!(*slot, State::Out) {
                *slot = next;
            }
            event
        }))
    }
}

impl State {
    async fn begin(self, engine: &Arc<router::Engine>) -> Result<router::Stream> {
        match self {
            Self::Ready(stream) => Ok(stream),
            Self::Prepared(Prepared { router, mut request, attachments, force, options }) => {
                request.parts = attachments.load(&router, engine, force).await?;
                router.stream(engine, *request, force, options)
            }
            Self::Out | Self::Closed => Err(Error::new(ErrorKind::Internal, "the stream is closed")),
        }
    }
}

/// The time limit `name`, from seconds.
pub(super) fn limit(name: &str, seconds: Option<Real>) -> Result<Option<Duration>> {
    let Some(Real(seconds)) = seconds else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if !limit.is_zero() => Ok(Some(limit)),
        _ => Err(Error::invalid_input(format!("{name} must be a positive number of seconds, not {seconds}"))),
    }
}
