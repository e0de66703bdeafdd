//! One call of a router, as the Python package runs it: request a reply, validate it, request another one or finish.

use std::sync::{Arc, Mutex};

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::time::Instant;

use super::attachments::Attachments;
use super::bridge::{self, Pending, Submission, Work};
use super::runtime::Process;
use super::{convert, error, log};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{self, CacheWrite, Engine, Rejection, Router};
use crate::sync::lock;

/// A request whose attachments are not loaded yet.
pub(super) struct NewCall {
    pub(super) router: Arc<Router>,
    pub(super) request: Box<Request>,
    pub(super) attachments: Attachments,
    /// The only provider that may answer; `None` lets the router choose.
    pub(super) force: Option<Provider>,
}

impl NewCall {
    /// Loads the attachments of a call that began at `began`.
    pub(super) async fn load(&mut self, engine: &Engine, began: Instant) -> Result<()> {
        let attachments = std::mem::take(&mut self.attachments);
        self.request.parts = attachments.load_for_call(&self.router, engine, self.force, began).await?;
        Ok(())
    }

    fn start(self, engine: &Arc<Engine>) -> Result<Box<router::Call>> {
        self.router.call(engine, *self.request, self.force).map(Box::new)
    }
}

/// A call: request replies until one is valid, then finish.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Call {
    process: Arc<Process>,
    state: Arc<Mutex<State>>,
    cache_write: Mutex<Option<CacheWrite>>,
}

enum State {
    New(NewCall),
    /// Boxed, because each request moves it into a future and back.
    Ready(Box<router::Call>),
    /// A request holds the call. It stays in this state if the request fails.
    InUse,
}

#[pymethods]
impl Call {
    /// Returns the text of the next reply; blocks. `errors` describes why the last reply is invalid.
    #[pyo3(signature = (errors = None))]
    fn next(&self, py: Python<'_>, errors: Option<Vec<String>>) -> PyResult<String> {
        bridge::block(py, &self.process, self.request(errors)?)
    }

    /// Returns the text of the next reply, as `next` does.
    #[pyo3(signature = (errors = None))]
    fn anext<'py>(&self, py: Python<'py>, errors: Option<Vec<String>>) -> PyResult<Submission<'py>> {
        let convert = |py: Python<'_>, text: String| text.into_py_any(py);
        // The first poll writes files into the request's body, which takes too long for the thread of the loop.
        let is_light = matches!(&*lock(&self.state), State::Ready(call) if !call.has_attachments());
        bridge::submit_eager(py, &self.process, self.request(errors)?, is_light, convert)
    }

    /// Ends the call with its last reply, and returns the `LLMResponse`.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let State::Ready(call) = std::mem::replace(&mut *lock(&self.state), State::InUse) else {
            return Err(PyRuntimeError::new_err("finish() needs a reply: call next() or anext() first"));
        };
        let _collector = log::Collector::begin_here(py, &self.process)?;
        let (response, cache_write) = error::raise(py, call.finish())?;
        log::deliver_collected(py)?;
        *lock(&self.cache_write) = cache_write;
        convert::response(py, response)
    }

    /// Waits until the reply is in the cache, if it is written there, so that no fork or exit loses it. Blocks.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        self.take_cache_write().map_or(Ok(()), |write| bridge::block(py, &self.process, settled(write)))
    }

    /// Waits as `settle` does; `None` if there is nothing to wait for.
    fn asettle(&self, py: Python<'_>) -> PyResult<Option<Pending>> {
        let submit = |write| bridge::submit(py, &self.process, Box::pin(settled(write)), |py, ()| Ok(py.None()));
        self.take_cache_write().map(submit).transpose()
    }
}

impl Call {
    /// Reports invalid arguments at once if there are no attachments to load.
    pub(super) fn new(process: Arc<Process>, call: NewCall) -> Result<Self> {
        let state =
            if call.attachments.is_empty() { State::Ready(call.start(&process.engine)?) } else { State::New(call) };
        Ok(Self { process, state: Arc::new(Mutex::new(state)), cache_write: Mutex::default() })
    }

    /// Takes the call out of the state until the reply is there. Dropping the work drops the call.
    fn request(&self, errors: Option<Vec<String>>) -> PyResult<Work<String>> {
        let (engine, state) = (Arc::clone(&self.process.engine), Arc::clone(&self.state));
        let taken = std::mem::replace(&mut *lock(&state), State::InUse);
        if matches!(taken, State::InUse) {
            return Err(PyRuntimeError::new_err("the call is in use or has ended"));
        }
        Ok(Box::pin(async move {
            let mut call = match taken {
                State::Ready(call) => call,
                State::New(mut call) => {
                    let began = Instant::now();
                    call.load(&engine, began).await?;
                    let mut call = call.start(&engine)?;
                    call.begin_at(began);
                    call
                }
                State::InUse => return Err(Error::new(ErrorKind::Internal, "the call has ended")),
            };
            let text = call.next(errors.map(|faults| Rejection { faults })).await?.to_owned();
            *lock(&state) = State::Ready(call);
            Ok(text)
        }))
    }

    fn take_cache_write(&self) -> Option<CacheWrite> {
        lock(&self.cache_write).take()
    }
}

async fn settled(write: CacheWrite) -> Result<()> {
    write.settled().await;
    Ok(())
}
