//! Runs the core's work for Python: [`submit`] for coroutines, [`block`] for synchronous calls.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::log::Caller;
use super::loop_queue::{EventLoop, running_loop};
use super::runtime::{self, Process};
use super::{error, log, python_thread};
use crate::error::{Error, ErrorKind, Result};

/// How often a blocked call checks for Ctrl-C.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// Work of the core. Boxed, because it moves several times before it runs.
pub(super) type Work<T> = BoxFuture<'static, Result<T>>;

/// Work in progress for a coroutine, which awaits `future` and calls `close()` if anything ends the wait early.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Pending {
    /// The `asyncio.Future` of the result, bound to the running loop.
    #[pyo3(get)]
    future: Py<PyAny>,
    /// `None` if the work has already ended.
    task: Option<AbortHandle>,
}

#[pymethods]
impl Pending {
    /// Drops the work if it has not ended, which closes its sockets. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        // First, because cancelling the future fails if its loop is closed.
        if let Some(task) = &self.task {
            task.abort();
        }
        let future = self.future.bind(py);
        let event_loop = future.call_method0(name!(py, "get_loop"))?;
        let cancelled = python_thread::unless_closed(&event_loop, future.call_method0(name!(py, "cancel")))?;
        let Some(cancelled) = cancelled else { return Ok(()) };
        if !cancelled.is_truthy()? && !future.call_method0(name!(py, "cancelled"))?.is_truthy()? {
            // The work ended in the turn of the loop that cancelled the coroutine: marks its error as retrieved.
            future.call_method0(name!(py, "exception"))?;
        }
        Ok(())
    }

    /// A waiting task holds `self`, whose future holds the task: a cycle if the loop is abandoned.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}

/// Starts `work` and returns at once. When it has ended, `convert` turns its output into a Python object on the loop's
/// thread.
pub(super) fn submit<T, C>(py: Python<'_>, process: &Process, work: Work<T>, convert: C) -> PyResult<Pending>
where
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
{
    start(process, &running_loop(py)?, None, guarded(work), convert)
}

/// Like [`submit`], for work whose output is text, or `None`.
pub(super) fn submit_text<T>(
    py: Python<'_>,
    process: &Process,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Pending>
where
    T: for<'py> IntoPyObject<'py, Error: Into<PyErr>> + Send + 'static,
{
    submit(py, process, Box::pin(work), |py, output| output.into_py_any(py))
}

/// The result of [`submit_eager`].
#[derive(IntoPyObject)]
pub(super) enum Submission<'py> {
    Ready(Bound<'py, PyAny>),
    Pending(Pending),
}

/// Like [`submit`]. If the first poll is short (`is_light`), it runs on this thread, and the output is returned if it is
/// ready. An error is always returned through the future.
pub(super) fn submit_eager<'py, T, C>(
    py: Python<'py>,
    process: &Process,
    work: Work<T>,
    is_light: bool,
    convert: C,
) -> PyResult<Submission<'py>>
where
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
{
    let event_loop = running_loop(py)?;
    let mut work = guarded(work);
    if !is_light {
        return start(process, &event_loop, None, work, convert).map(Submission::Pending);
    }
    // Only spans need it: a call that completes at once has none of its cost.
    let caller = log::has_spans().then(|| caller(py, process, &event_loop)).transpose()?;
    let first = {
        let _runtime = process.handle.enter();
        let _collector = log::Collector::begin(caller.clone());
        let first = work.poll_unpin(&mut Context::from_waker(Waker::noop()));
        log::deliver_collected(py)?;
        first
    };
    match first {
        Poll::Ready(Ok(output)) => Ok(Submission::Ready(convert(py, output)?.into_bound(py))),
        Poll::Ready(Err(error)) => {
            let future = event_loop.call_method0(name!(py, "create_future"))?;
            future.call_method1(name!(py, "set_exception"), (error::to_python(py, &error),))?;
            Ok(Submission::Pending(Pending { future: future.unbind(), task: None }))
        }
        Poll::Pending => start(process, &event_loop, caller, work, convert).map(Submission::Pending),
    }
}

/// Starts work whose outcome Python does not await. Its log records are delivered like those of [`submit`].
pub(super) fn spawn(py: Python<'_>, process: &Process, mut work: BoxFuture<'static, ()>) -> PyResult<AbortHandle> {
    let completion = Completion::new(caller(py, process, &running_loop(py)?)?, None);
    let task = process.handle.spawn(async move { completion.observe(&mut work).await });
    Ok(task.abort_handle())
}

/// Runs `work` to its end on the calling thread, with the interpreter released. Raises `KeyboardInterrupt` within 0.1 s of
/// Ctrl-C, and `CancelledError` if the asyncio task that makes the call is cancelled meanwhile, which is how `asyncio.run`
/// handles Ctrl-C. The work is dropped then.
pub(super) fn block<T: Send>(
    py: Python<'_>,
    process: &Process,
    work: impl Future<Output = Result<T>> + Send,
) -> PyResult<T> {
    if Handle::try_current().is_ok() {
        return Err(PyRuntimeError::new_err("a synchronous madspark call was made from inside its own runtime"));
    }
    let cancellation = Cancellation::watch(py)?;
    let _call = process.enter(py)?;
    let _collector = log::Collector::begin_here(py, process)?;
    let outcome = py.detach(|| -> PyResult<Option<Result<T>>> {
        process.handle.block_on(async {
            let mut interval = tokio::time::interval(SIGNAL_INTERVAL);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let work = guarded(work);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut work => return Ok(Some(outcome)),
                    () = process.ended() => return Ok(None),
                    // This is the caller's own thread, so it may attach.
                    _ = interval.tick() => Python::attach(|py| {
                        log::deliver_collected(py)?;
                        py.check_signals()?;
                        cancellation.as_ref().map_or(Ok(()), |cancellation| cancellation.check(py))
                    })?,
                }
            }
        })
    });
    let delivered = log::deliver_collected(py);
    let outcome = outcome?;
    delivered?;
    outcome.ok_or_else(|| runtime::ending(py))?.map_err(|error| error::to_python(py, &error))
}

/// Returns an error if `work` panics, so that no coroutine waits forever. Not an async function, which would store
/// `work` twice.
pub(super) fn guarded<T, W: Future<Output = Result<T>>>(work: W) -> impl Future<Output = Result<T>> + use<T, W> {
    AssertUnwindSafe(work).catch_unwind().map(|ended| {
        ended.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                "a defect in madspark stopped this call; please report it with the traceback",
            ))
        })
    })
}

/// The asyncio task that makes a blocking call, and how often it had been cancelled when the call began: code that handles
/// a cancellation may block.
struct Cancellation {
    task: Py<PyAny>,
    initial: u32,
}

impl Cancellation {
    /// Returns `None` if no task runs on this thread.
    fn watch(py: Python<'_>) -> PyResult<Option<Self>> {
        let modules = py.import("sys")?.getattr(name!(py, "modules"))?;
        let Ok(asyncio) = modules.get_item(name!(py, "asyncio")) else { return Ok(None) };
        let task = match asyncio.call_method0(name!(py, "current_task")) {
            // No loop runs on this thread.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => return Ok(None),
            task => task?,
        };
        if task.is_none() {
            return Ok(None);
        }
        let initial = Self::count(&task)?;
        Ok(Some(Self { task: task.unbind(), initial }))
    }

    /// Raises `CancelledError` if the task has been cancelled since the call began.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        if Self::count(self.task.bind(py))? > self.initial {
            return Err(error::cancelled(py, "the task was cancelled during a blocking call"));
        }
        Ok(())
    }

    fn count(task: &Bound<'_, PyAny>) -> PyResult<u32> {
        task.call_method0(name!(task.py(), "cancelling"))?.extract()
    }
}

/// Returns the coroutine that runs on `event_loop` now.
fn caller(py: Python<'_>, process: &Process, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Caller>> {
    Caller::on_loop(py, EventLoop::new(process, event_loop)?)
}

fn start<T, C, W>(
    process: &Process,
    event_loop: &Bound<'_, PyAny>,
    known: Option<Arc<Caller>>,
    mut work: W,
    convert: C,
) -> PyResult<Pending>
where
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    W: Future<Output = Result<T>> + Send + Unpin + 'static,
{
    let py = event_loop.py();
    let future = event_loop.call_method0(name!(py, "create_future"))?;
    let caller = known.map_or_else(|| caller(py, process, event_loop), Ok)?;
    let completion = Completion::new(caller, Some(&future));
    let task = process.handle.spawn(async move {
        let outcome = completion.observe(&mut work).await;
        completion.resolve(outcome, convert);
    });
    Ok(Pending { future: future.unbind(), task: Some(task.abort_handle()) })
}

/// Delivers the log records and the outcome of awaited work to the caller's loop, in this order. Dropped on a thread of
/// the core, because the work was aborted, it releases its Python objects on the Python thread.
struct Completion {
    target: Option<Target>,
}

struct Target {
    caller: Arc<Caller>,
    /// `None` if the outcome is not awaited.
    future: Option<Py<PyAny>>,
}

impl Completion {
    fn new(caller: Arc<Caller>, future: Option<&Bound<'_, PyAny>>) -> Self {
        Self { target: Some(Target { caller, future: future.map(|future| future.clone().unbind()) }) }
    }

    /// Runs `work` and posts its log records to the loop as they appear.
    async fn observe<W: Future + Unpin>(&self, work: &mut W) -> W::Output {
        poll_fn(|context| {
            let caller = self.target.as_ref().map(|target| Arc::clone(&target.caller));
            let _collector = log::Collector::begin(caller);
            let polled = work.poll_unpin(context);
            if let Some(target) = &self.target {
                target.caller.send(log::collected());
            }
            polled
        })
        .await
    }

    /// Posts the outcome to the loop.
    fn resolve<T, C>(mut self, outcome: Result<T>, convert: C)
    where
        T: Send + 'static,
        C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let Some(Target { caller, future: Some(future) }) = self.target.take() else { return };
        let Some(event_loop) = caller.event_loop().cloned() else { return };
        event_loop.post(move |py| {
            caller.release(py);
            set_outcome(future.bind(py), outcome, convert)
        });
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let Some(Target { caller, future }) = self.target.take() else { return };
        if let (Some(event_loop), Some(future)) = (caller.event_loop(), future) {
            event_loop.clone().release(future);
        }
    }
}

fn set_outcome<T, C>(future: &Bound<'_, PyAny>, outcome: Result<T>, convert: C) -> PyResult<()>
where
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>>,
{
    let py = future.py();
    if future.call_method0(name!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match outcome.map_err(|error| error::to_python(py, &error)).and_then(|output| convert(py, output)) {
        Ok(value) => future.call_method1(name!(py, "set_result"), (value,)),
        Err(error) => future.call_method1(name!(py, "set_exception"), (error,)),
    }
    .map(drop)
}
