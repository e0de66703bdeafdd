//! Python code that the core calls: custom routers, stage gates and progress callbacks.
//!
//! It runs on the caller's event loop, never on a thread of this package.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::sync::oneshot;

use super::error;
use super::loop_queue::{EventLoop, running_loop};
use super::runtime::Process;
use crate::coordinator::{Decision, Gate, ProviderGate, ProviderRequest, Review};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::progress::ProgressSink;
use crate::router::{CallHooks, Generate, Response};
use crate::sync::lock;

/// A Python coroutine function that the core awaits.
///
/// Each call is a task on the event loop that was running at construction, in a copy of the context that was current
/// then, so that a context variable set by one call is not visible to another.
pub(super) struct AsyncCallback {
    shared: Arc<Shared>,
}

struct Shared {
    event_loop: EventLoop,
    create_task: Py<PyAny>,
    context: Py<PyAny>,
    function: Py<PyAny>,
}

impl AsyncCallback {
    /// Binds `function` to the running event loop and the current context.
    pub(super) fn new(py: Python<'_>, process: &Process, function: Py<PyAny>) -> PyResult<Self> {
        let running = running_loop(py)?;
        let event_loop = EventLoop::new(process, &running)?;
        let create_task = running.getattr(name!(py, "create_task"))?.unbind();
        let context = py.import("contextvars")?.call_method0("copy_context")?.unbind();
        Ok(Self { shared: Arc::new(Shared { event_loop, create_task, context, function }) })
    }

    /// Calls the function with `arguments` and returns its result. Dropping the future cancels the task.
    pub(super) async fn call<A, T>(&self, arguments: A) -> Result<T>
    where
        A: FnOnce(Python<'_>) -> PyResult<Py<PyTuple>> + Send + 'static,
        T: for<'py> FromPyObject<'py, 'py> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let complete: Complete = Box::new(move |result| {
            let result = result.and_then(|value| value.extract().map_err(Into::into));
            // The receiver is gone if the call was cancelled.
            drop(sender.send(result.map_err(error::external)));
        });
        let call = PendingCall { shared: Arc::clone(&self.shared), task: Arc::default() };
        let (shared, task) = (Arc::clone(&self.shared), Arc::clone(&call.task));
        self.shared.event_loop.post(move |py| begin(py, &shared, &task, arguments, complete));
        // The sender is dropped unused only if the loop closes first.
        let closed = |_| Err(Error::new(ErrorKind::Internal, "the event loop closed while a callback was awaited"));
        let result = receiver.await.unwrap_or_else(closed);
        drop(call);
        result
    }
}

/// Receives the result of a finished task on the loop's thread.
type Complete = Box<dyn FnOnce(PyResult<Bound<'_, PyAny>>) + Send>;

/// One call of the function. Dropping it before the end cancels the task.
struct PendingCall {
    shared: Arc<Shared>,
    task: Arc<Mutex<Task>>,
}

#[derive(Default)]
enum Task {
    #[default]
    NotStarted,
    Running(Py<PyAny>),
    Done,
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        let task = std::mem::replace(&mut *lock(&self.task), Task::Done);
        if let Task::Running(task) = task {
            // A finished task ignores it.
            self.shared.event_loop.post(move |py| task.call_method0(py, name!(py, "cancel")).map(drop));
        }
    }
}

/// Starts the task on the loop's thread; a failure to start is the result of the call.
fn begin(
    py: Python<'_>,
    shared: &Shared,
    task: &Mutex<Task>,
    arguments: impl FnOnce(Python<'_>) -> PyResult<Py<PyTuple>>,
    complete: Complete,
) -> PyResult<()> {
    if matches!(*lock(task), Task::Done) {
        return Ok(());
    }
    let done = Py::new(py, DoneCallback { complete: Mutex::new(Some(complete)) })?;
    let running = match arguments(py).and_then(|arguments| start(py, shared, arguments, done.clone_ref(py))) {
        Ok(running) => running,
        Err(failure) => {
            done.get().complete(Err(failure));
            return Ok(());
        }
    };
    let mut state = lock(task);
    if !matches!(*state, Task::Done) {
        *state = Task::Running(running);
        return Ok(());
    }
    drop(state);
    // The call was dropped while the task was created.
    running.call_method0(py, name!(py, "cancel")).map(drop)
}

fn start(py: Python<'_>, shared: &Shared, arguments: Py<PyTuple>, done: Py<DoneCallback>) -> PyResult<Py<PyAny>> {
    let coroutine = shared.function.call1(py, arguments.into_bound(py))?;
    let options = PyDict::new(py);
    options.set_item(name!(py, "context"), shared.context.call_method0(py, name!(py, "copy"))?)?;
    let task = shared.create_task.call(py, (coroutine,), Some(&options))?;
    task.call_method1(py, name!(py, "add_done_callback"), (done,))?;
    Ok(task)
}

/// The done callback of a task.
#[pyclass(frozen, module = "madspark._core")]
struct DoneCallback {
    complete: Mutex<Option<Complete>>,
}

#[pymethods]
impl DoneCallback {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        self.complete(result_of(task));
    }
}

impl DoneCallback {
    fn complete(&self, result: PyResult<Bound<'_, PyAny>>) {
        let complete = lock(&self.complete).take();
        if let Some(complete) = complete {
            complete(result);
        }
    }
}

fn result_of<'py>(task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if task.call_method0("cancelled")?.is_truthy()? {
        return Err(error::cancelled(task.py(), "the task of the callback was cancelled"));
    }
    let exception = task.call_method0("exception")?;
    if exception.is_none() { task.call_method0("result") } else { Err(PyErr::from_value(exception)) }
}

/// A Python object with `generate_structured`, as a router: its function takes
/// `(prompt, schema_name, system, temperature, with_attachments, use_cache)` and returns an [`Answer`].
pub(super) struct PythonRouter(pub(super) AsyncCallback);

/// JSON text, provider, model, tokens, cost, latency in milliseconds.
type Answer = (String, String, String, u64, Option<f64>, f64);

impl Generate for PythonRouter {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let arguments = move |py: Python<'_>| {
                let schema = request.schema.as_ref().map(|schema| schema.name());
                let has_parts = !request.parts.is_empty();
                (&*request.prompt, schema, &*request.system, request.temperature, has_parts, request.use_cache)
                    .into_pyobject(py)
                    .map(Bound::unbind)
            };
            let (text, provider, model, tokens, cost, latency_ms): Answer = self.0.call(arguments).await?;
            hooks.validator.validate(&text).map_err(|rejection| {
                let faults = rejection.faults.join("; ");
                Error::new(ErrorKind::InvalidOutput, format!("the router's answer does not fit the schema: {faults}"))
            })?;
            Ok(Response {
                text,
                provider: Arc::from(provider),
                model: Arc::from(model),
                tokens,
                cost,
                latency: Duration::try_from_secs_f64(latency_ms / 1000.0).unwrap_or_default(),
                is_cached: false,
                finish: None,
                finish_detail: None,
                reasoning: None,
                attempts: Vec::new(),
            })
        })
    }
}

/// A Python coroutine function that takes a review and returns a decision, both as JSON text.
pub(super) struct PythonGate(pub(super) AsyncCallback);

impl Gate for PythonGate {
    fn review(&self, review: Review) -> BoxFuture<'_, Result<Decision>> {
        Box::pin(async move {
            let invalid = |failure: serde_json::Error| Error::new(ErrorKind::Internal, failure.to_string());
            let review = serde_json::to_string(&review).map_err(invalid)?;
            let decision: String = self.0.call(move |py| (review,).into_pyobject(py).map(Bound::unbind)).await?;
            serde_json::from_str(&decision).map_err(invalid)
        })
    }
}

/// A Python coroutine function that takes the request of a provider gate as JSON text and returns whether it is admitted.
pub(super) struct PythonProviderGate(pub(super) AsyncCallback);

impl ProviderGate for PythonProviderGate {
    fn admit(&self, request: ProviderRequest) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let invalid = |failure: serde_json::Error| Error::new(ErrorKind::Internal, failure.to_string());
            let request = serde_json::to_string(&request).map_err(invalid)?;
            self.0.call(move |py| (request,).into_pyobject(py).map(Bound::unbind)).await
        })
    }
}

/// Sends progress to a Python callable `emit(message, fraction)` on its event loop's thread.
pub(super) struct Progress {
    event_loop: EventLoop,
    emit: Arc<Py<PyAny>>,
}

impl Progress {
    /// Binds `emit` to the running event loop.
    pub(super) fn new(py: Python<'_>, process: &Process, emit: Py<PyAny>) -> PyResult<Self> {
        Ok(Self { event_loop: EventLoop::new(process, &running_loop(py)?)?, emit: Arc::new(emit) })
    }
}

impl ProgressSink for Progress {
    fn emit(&self, message: &str, fraction: f64) {
        let (emit, message) = (Arc::clone(&self.emit), message.to_owned());
        self.event_loop.post(move |py| emit.call1(py, (message, fraction)).map(drop));
    }
}
