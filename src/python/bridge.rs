//! The door between Python and the core: `submit` for coroutines, `block` for synchronous calls.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::loop_queue::{EventLoop, running_loop};
use super::python_thread;
use super::runtime::{self, Process};
use super::{error, log};
use crate::error::{Error, ErrorKind};

/// How often a blocked call looks for Ctrl-C.
const SIGNAL_TICK: Duration = Duration::from_millis(100);

/// Work in flight for a coroutine. The coroutine awaits `future` and calls `close()` whatever happens.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Pending {
    /// The `asyncio.Future` of the result, bound to the loop that was running.
    #[pyo3(get)]
    future: Py<PyAny>,
    /// None where the work was done before anybody could wait for it.
    abort: Option<AbortHandle>,
}

#[pymethods]
impl Pending {
    /// Drops the work if it is not done; its sockets close. Safe to call again.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        // First, and whatever becomes of the future: a closed loop refuses to cancel it.
        if let Some(abort) = &self.abort {
            abort.abort();
        }
        let future = self.future.bind(py);
        let event_loop = future.call_method0(name!(py, "get_loop"))?;
        let cancelled = python_thread::unless_closed(&event_loop, future.call_method0(name!(py, "cancel")))?;
        let Some(cancelled) = cancelled else { return Ok(()) };
        if !cancelled.is_truthy()? && !future.call_method0(name!(py, "cancelled"))?.is_truthy()? {
            // Done: marks an error as seen, in case the coroutine was cancelled in the same turn of the loop.
            future.call_method0(name!(py, "exception"))?;
        }
        Ok(())
    }

    /// A task that waits holds `self`, whose future holds the task: a cycle, where its loop was given up.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}

/// Starts `work` and returns at once. When it is done, `convert` makes its output a Python object on the loop's thread.
pub(super) fn submit<W, T, C>(py: Python<'_>, process: &Process, work: W, convert: C) -> PyResult<Pending>
where
    W: Future<Output = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
{
    start(&running_loop(py)?, process, guarded(work), convert)
}

/// What [`submit_eager`] gives.
#[derive(IntoPyObject)]
pub(super) enum Step<'py> {
    /// The output: there is nothing to wait for.
    Done(Bound<'py, PyAny>),
    /// Where to wait for it.
    Pending(Pending),
}

/// [`submit`] for work whose first step is short: it is taken here, and where it is the last one too, nothing changes
/// threads and its output is returned. An error comes through the future all the same.
pub(super) fn submit_eager<'py, W, T, C>(py: Python<'py>, process: &Process, work: W, convert: C) -> PyResult<Step<'py>>
where
    W: Future<Output = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
{
    let event_loop = running_loop(py)?;
    let mut work = Box::pin(guarded(work));
    let first = {
        let _runtime = process.handle.enter();
        let _events = log::Keep::begin();
        let first = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        log::hand_over(py)?;
        first
    };
    match first {
        Poll::Ready(Ok(output)) => Ok(Step::Done(convert(py, output)?.into_bound(py))),
        Poll::Ready(Err(error)) => {
            let future = event_loop.call_method0(name!(py, "create_future"))?;
            future.call_method1(name!(py, "set_exception"), (error::to_python(py, &error),))?;
            Ok(Step::Pending(Pending { future: future.unbind(), abort: None }))
        }
        Poll::Pending => start(&event_loop, process, work, convert).map(Step::Pending),
    }
}

/// Runs `work` to its end on the calling thread, with the interpreter released. Raises `KeyboardInterrupt` within
/// 0.1 s of Ctrl-C, and `CancelledError` where it was called inside a task that is cancelled meanwhile (which is what
/// Ctrl-C does under `asyncio.run`); the work is dropped then.
pub(super) fn block<W, T>(py: Python<'_>, process: &Process, work: W) -> PyResult<T>
where
    W: Future<Output = Result<T, Error>> + Send,
    T: Send,
{
    if Handle::try_current().is_ok() {
        return Err(PyRuntimeError::new_err("a synchronous madspark call was made from inside its own runtime"));
    }
    let cancellation = Cancellation::watch(py)?;
    let _presence = process.enter(py)?;
    let _events = log::Keep::begin();
    let outcome = py.detach(|| -> PyResult<Option<Result<T, Error>>> {
        process.handle.block_on(async {
            let mut tick = tokio::time::interval(SIGNAL_TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let work = guarded(work);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut work => return Ok(Some(outcome)),
                    () = process.ended() => return Ok(None),
                    // The caller's own thread: it may attach.
                    _ = tick.tick() => Python::attach(|py| {
                        log::hand_over(py)?;
                        py.check_signals()?;
                        cancellation.as_ref().map_or(Ok(()), |cancellation| cancellation.check(py))
                    })?,
                }
            }
        })
    });
    let told = log::hand_over(py);
    let outcome = outcome?;
    told?;
    outcome.ok_or_else(|| runtime::ending(py))?.map_err(|error| error::to_python(py, &error))
}

/// The asyncio task that makes a blocking call, and how often it had been cancelled before: cleaning up after a
/// cancellation may block.
struct Cancellation {
    task: Py<PyAny>,
    before: u32,
}

impl Cancellation {
    /// `None` where no task runs on this thread.
    fn watch(py: Python<'_>) -> PyResult<Option<Self>> {
        let modules = py.import("sys")?.getattr(name!(py, "modules"))?;
        let Ok(asyncio) = modules.get_item(name!(py, "asyncio")) else { return Ok(None) };
        let task = match asyncio.call_method0(name!(py, "current_task")) {
            // No loop runs on this thread.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => return Ok(None),
            found => found?,
        };
        if task.is_none() {
            return Ok(None);
        }
        let before = cancelled(&task)?;
        Ok(Some(Self { task: task.unbind(), before }))
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        if cancelled(self.task.bind(py))? > self.before {
            return Err(error::cancelled(py, "the task was cancelled during a blocking call"));
        }
        Ok(())
    }
}

fn cancelled(task: &Bound<'_, PyAny>) -> PyResult<u32> {
    task.call_method0(name!(task.py(), "cancelling"))?.extract()
}

/// The right to resolve one future, once. Dropped unused (the work was aborted), it lets go of its objects on the python_thread.
struct Ticket {
    target: Option<(EventLoop, Py<PyAny>)>,
}

impl Ticket {
    fn resolve<T, C>(&mut self, outcome: Result<T, Error>, convert: C)
    where
        T: Send + 'static,
        C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let Some((event_loop, future)) = self.target.take() else { return };
        event_loop.post(move |py| settle(future.bind(py), outcome, convert));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((event_loop, future)) = self.target.take() {
            event_loop.release(future);
        }
    }
}

/// A panic is a defect of ours; it must not leave a coroutine waiting for ever. Not an async function: that would hold
/// `work` twice.
pub(super) fn guarded<W, T>(work: W) -> impl Future<Output = Result<T, Error>> + Send
where
    W: Future<Output = Result<T, Error>> + Send,
    T: Send,
{
    AssertUnwindSafe(work).catch_unwind().map(|ended| {
        ended.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                "a defect in madspark stopped this call; please report it with the traceback",
            ))
        })
    })
}

/// Owned by the coroutine through [`Pending`]: dropped with it.
fn start<W, T, C>(event_loop: &Bound<'_, PyAny>, process: &Process, work: W, convert: C) -> PyResult<Pending>
where
    W: Future<Output = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
{
    let py = event_loop.py();
    let future = event_loop.call_method0(name!(py, "create_future"))?.unbind();
    let mut ticket = Ticket { target: Some((EventLoop::new(process, event_loop)?, future.clone_ref(py))) };
    let task = process.handle.spawn(async move {
        let outcome = work.await;
        ticket.resolve(outcome, convert);
    });
    Ok(Pending { future, abort: Some(task.abort_handle()) })
}

fn settle<T, C>(future: &Bound<'_, PyAny>, outcome: Result<T, Error>, convert: C) -> PyResult<()>
where
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>>,
{
    let py = future.py();
    if future.call_method0(name!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    let made = match outcome {
        Ok(output) => convert(py, output),
        Err(error) => Err(error::to_python(py, &error)),
    };
    match made {
        Ok(value) => future.call_method1(name!(py, "set_result"), (value,)),
        Err(error) => future.call_method1(name!(py, "set_exception"), (error,)),
    }
    .map(drop)
}
