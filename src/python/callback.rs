//! Python code that the core calls: routers of the caller's own, and progress callbacks.
//!
//! It runs on the caller's event loop, never on a thread of ours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;

use super::error;
use super::loop_queue::{EventLoop, running_loop};
use super::runtime::Process;
use super::sync::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::progress::ProgressSink;
use crate::router::{CallHooks, Generate, Response};

/// What the caller's router returned: JSON text, provider, model, tokens, cost, latency in milliseconds.
type Told = (String, String, String, u64, Option<f64>, f64);

/// Any Python object with `generate_structured`, as a router.
pub(super) struct PythonRouter {
    host: Arc<Host>,
}

struct Host {
    event_loop: EventLoop,
    create_task: Py<PyAny>,
    context: Py<PyAny>,
    ask: Py<PyAny>,
}

impl PythonRouter {
    /// `ask(prompt, schema_name, system, temperature, with_attachments)` makes the coroutine that asks the router. It is
    /// run on the loop that runs now, each in a copy of its own of the context that is current now.
    pub(super) fn new(py: Python<'_>, process: &Process, ask: Py<PyAny>) -> PyResult<Self> {
        let running = running_loop(py)?;
        let event_loop = EventLoop::new(process, &running)?;
        let create_task = running.getattr(name!(py, "create_task"))?.unbind();
        let context = py.import("contextvars")?.call_method0("copy_context")?.unbind();
        Ok(Self { host: Arc::new(Host { event_loop, create_task, context, ask }) })
    }
}

impl Generate for PythonRouter {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let flight = Flight { host: Arc::clone(&self.host), task: Arc::default() };
            let (host, task) = (Arc::clone(&self.host), Arc::clone(&flight.task));
            self.host.event_loop.post(move |py| begin(py, &host, &task, &request, sender));
            // The sender is dropped unused only where the loop closed under the call.
            let outcome = receiver.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Internal, "the event loop closed while the router's answer was awaited"))
            });
            drop(flight);
            let (text, provider, model, tokens, cost, latency_ms) = outcome?;
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
                attempts: Vec::new(),
            })
        })
    }
}

/// A call of the caller's router. Dropped early, it cancels the task.
struct Flight {
    host: Arc<Host>,
    task: Arc<Mutex<Task>>,
}

#[derive(Default)]
enum Task {
    #[default]
    NotStarted,
    Running(Py<PyAny>),
    Done,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let task = std::mem::replace(&mut *lock(&self.task), Task::Done);
        if let Task::Running(task) = task {
            self.host.event_loop.post(move |py| {
                // A task that is done already ignores it.
                task.call_method0(py, name!(py, "cancel")).map(drop)
            });
        }
    }
}

/// Starts the task on its loop's thread. What keeps it from starting is the router's answer.
fn begin(
    py: Python<'_>,
    host: &Host,
    task: &Mutex<Task>,
    request: &Request,
    sender: oneshot::Sender<Result<Told>>,
) -> PyResult<()> {
    if matches!(*lock(task), Task::Done) {
        return Ok(());
    }
    let answer = Py::new(py, Answer { sender: Mutex::new(Some(sender)) })?;
    let running = match start(py, host, request, answer.clone_ref(py)) {
        Ok(running) => running,
        Err(failure) => {
            answer.get().tell(Err(error::external(failure)));
            return Ok(());
        }
    };
    let mut state = lock(task);
    if !matches!(*state, Task::Done) {
        *state = Task::Running(running);
        return Ok(());
    }
    drop(state);
    // The run was dropped while the task was being made.
    running.call_method0(py, name!(py, "cancel")).map(drop)
}

fn start(py: Python<'_>, host: &Host, request: &Request, answer: Py<Answer>) -> PyResult<Py<PyAny>> {
    let schema = request.schema.as_ref().map(|schema| schema.name());
    let asking = (&*request.prompt, schema, &*request.system, request.temperature, !request.parts.is_empty());
    let coroutine = host.ask.call1(py, asking)?;
    let options = PyDict::new(py);
    // What one question sets there must not show in another that is under way.
    options.set_item(name!(py, "context"), host.context.call_method0(py, name!(py, "copy"))?)?;
    let task = host.create_task.call(py, (coroutine,), Some(&options))?;
    task.call_method1(py, name!(py, "add_done_callback"), (answer,))?;
    Ok(task)
}

/// Carries a finished task's outcome back to the core.
#[pyclass(frozen, module = "madspark._core")]
struct Answer {
    sender: Mutex<Option<oneshot::Sender<Result<Told>>>>,
}

#[pymethods]
impl Answer {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        self.tell(outcome(task).map_err(error::external));
    }
}

impl Answer {
    fn tell(&self, outcome: Result<Told>) {
        if let Some(sender) = lock(&self.sender).take() {
            // Nobody listens where the run was cancelled.
            drop(sender.send(outcome));
        }
    }
}

fn outcome(task: &Bound<'_, PyAny>) -> PyResult<Told> {
    if task.call_method0("cancelled")?.is_truthy()? {
        return Err(error::cancelled(task.py(), "the router's task was cancelled"));
    }
    let exception = task.call_method0("exception")?;
    if exception.is_none() { task.call_method0("result")?.extract() } else { Err(PyErr::from_value(exception)) }
}

/// Progress to a Python callable `emit(message, fraction)` on its event loop's thread; it returns at once.
pub(super) struct Progress {
    event_loop: EventLoop,
    emit: Arc<Py<PyAny>>,
}

impl Progress {
    /// To the loop that runs now.
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
