//! Runs the core's work for Python: [`submit`] for coroutines, [`block`] for synchronous calls.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
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

use super::loop_queue::{EventLoop, running_loop};
use super::runtime::{self, Process};
use super::{error, log, once, python_thread};
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
    start(process, &running_loop(py)?, guarded(work), convert)
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
        return start(process, &event_loop, work, convert).map(Submission::Pending);
    }
    let first = {
        let _runtime = process.handle.enter();
        let _collector = log::Collector::begin();
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
        Poll::Pending => start(process, &event_loop, work, convert).map(Submission::Pending),
    }
}

/// Starts work whose outcome Python does not await. Its log records are delivered like those of [`submit`].
pub(super) fn spawn(py: Python<'_>, process: &Process, mut work: BoxFuture<'static, ()>) -> PyResult<AbortHandle> {
    let completion = Completion::new(process, &running_loop(py)?, None)?;
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
    let _collector = log::Collector::begin();
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

fn start<T, C, W>(process: &Process, event_loop: &Bound<'_, PyAny>, mut work: W, convert: C) -> PyResult<Pending>
where
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    W: Future<Output = Result<T>> + Send + Unpin + 'static,
{
    let future = event_loop.call_method0(name!(event_loop.py(), "create_future"))?;
    let completion = Completion::new(process, event_loop, Some(&future))?;
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
    event_loop: EventLoop,
    /// A copy of the caller's `contextvars` context.
    context: Arc<Py<PyAny>>,
    /// `None` if the outcome is not awaited.
    future: Option<Py<PyAny>>,
}

impl Completion {
    fn new(process: &Process, event_loop: &Bound<'_, PyAny>, future: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        static COPY_CONTEXT: OnceLock<Py<PyAny>> = OnceLock::new();
        let context = once::import(&COPY_CONTEXT, event_loop.py(), "contextvars", "copy_context")?.call0()?;
        let target = Target {
            event_loop: EventLoop::new(process, event_loop)?,
            context: Arc::new(context.unbind()),
            future: future.map(|future| future.clone().unbind()),
        };
        Ok(Self { target: Some(target) })
    }

    /// Runs `work` and posts its log records to the loop as they appear.
    async fn observe<W: Future + Unpin>(&self, work: &mut W) -> W::Output {
        poll_fn(|context| {
            let _collector = log::Collector::begin();
            let polled = work.poll_unpin(context);
            self.log(log::collected());
            polled
        })
        .await
    }

    fn log(&self, records: Vec<log::Record>) {
        let Some(target) = self.target.as_ref().filter(|_| !records.is_empty()) else { return };
        let context = Arc::clone(&target.context);
        target
            .event_loop
            .post(move |py| records.into_iter().try_for_each(|record| record.deliver(py, Some(context.bind(py)))));
    }

    /// Posts the outcome to the loop.
    fn resolve<T, C>(mut self, outcome: Result<T>, convert: C)
    where
        T: Send + 'static,
        C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let Some(Target { event_loop, context, future: Some(future) }) = self.target.take() else { return };
        event_loop.post(move |py| {
            drop(context);
            set_outcome(future.bind(py), outcome, convert)
        });
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(Target { event_loop, context, future }) = self.target.take() {
            event_loop.release((context, future));
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
