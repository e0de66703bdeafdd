//! Delivers callbacks from the core's threads to the thread of an event loop.
//!
//! A loop that watches file descriptors gets a queue at the first call on it: the core's threads put callbacks into the
//! queue, and a byte in a pipe wakes the loop, once for all callbacks that have gathered. No thread of the core attaches
//! to Python for that. Any other loop, such as the default one of Windows, is woken by the
//! [`python_thread`](super::python_thread).

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyNotImplementedError, PyOSError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::once;
use super::python_thread::{Callback, PythonThread, run_all};
use super::runtime::Process;
use crate::sync::lock;

/// An event loop, as a place where callbacks run; cheap to clone.
#[derive(Clone)]
pub(super) enum EventLoop {
    Queue(Arc<LoopQueue>),
    CallSoon { event_loop: Arc<Py<PyAny>>, python_thread: PythonThread },
}

impl EventLoop {
    /// `event_loop` has to be running on this thread.
    pub(super) fn new(process: &Process, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match process.loop_queues.get_or_open(event_loop, &process.python_thread)? {
            Some(queue) => Self::Queue(queue),
            None => Self::CallSoon {
                event_loop: Arc::new(event_loop.clone().unbind()),
                python_thread: process.python_thread.clone(),
            },
        })
    }

    /// Runs `callback` on the loop's thread, after those posted before. A closed loop drops it.
    pub(super) fn post(&self, callback: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
        match self {
            Self::Queue(queue) => {
                if let Err(refused) = queue.push(Box::new(callback)) {
                    queue.python_thread.release(refused);
                }
            }
            Self::CallSoon { event_loop, python_thread } => {
                python_thread.call_soon(Arc::clone(event_loop), Box::new(callback));
            }
        }
    }

    /// Like [`EventLoop::post`], but if the loop is closed, `callback` runs on the Python thread.
    pub(super) fn post_or_run(&self, callback: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
        match self {
            Self::Queue(queue) => {
                if let Err(refused) = queue.push(Box::new(callback)) {
                    queue.python_thread.run(refused);
                }
            }
            Self::CallSoon { .. } => self.post(callback),
        }
    }

    /// Drops objects that hold Python objects, and this handle, on the Python thread.
    pub(super) fn release(self, objects: impl Send + 'static) {
        match self {
            Self::Queue(queue) => queue.python_thread.release(objects),
            Self::CallSoon { event_loop, python_thread } => python_thread.release((objects, event_loop)),
        }
    }
}

/// Returns the running loop. Raises `RuntimeError` outside asyncio.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: OnceLock<Py<PyAny>> = OnceLock::new();
    once::import(&GET, py, "asyncio", "get_running_loop")?.call0().map_err(|error| {
        let explained = PyRuntimeError::new_err(
            "no running asyncio event loop: await madspark's coroutines inside asyncio (trio is not supported), \
             or use the synchronous methods",
        );
        explained.set_cause(py, Some(error));
        explained
    })
}

/// The callbacks of one loop.
pub(super) struct LoopQueue {
    state: Mutex<State>,
    /// Written once each time `is_notified` becomes true.
    waker: PipeWriter,
    /// Open as long as the other end: a write while the loop closes raises no signal.
    pipe: PipeReader,
    python_thread: PythonThread,
}

#[derive(Default)]
struct State {
    callbacks: Vec<Callback>,
    /// Whether a byte is in the pipe or about to be written.
    is_notified: bool,
    is_closed: bool,
}

impl LoopQueue {
    /// Returns the callback if the loop is closed.
    fn push(&self, callback: Callback) -> Result<(), Callback> {
        let was_notified = {
            let mut state = lock(&self.state);
            if state.is_closed {
                return Err(callback);
            }
            state.callbacks.push(callback);
            std::mem::replace(&mut state.is_notified, true)
        };
        if !was_notified {
            // Cannot fail: the other end is open, and the pipe never holds more than one byte.
            drop((&self.waker).write_all(&[0]));
        }
        Ok(())
    }
}

/// The queues of this process by the identity of their loops. Locked only while attached to Python and never while
/// Python code runs, so that a fork never finds it locked.
#[derive(Clone, Default)]
pub(super) struct LoopQueues(Arc<Mutex<HashMap<usize, Arc<LoopQueue>>>>);

impl LoopQueues {
    /// Returns the queue of the loop that is running on this thread; `None` if the loop watches no file descriptors.
    fn get_or_open(
        &self,
        event_loop: &Bound<'_, PyAny>,
        python_thread: &PythonThread,
    ) -> PyResult<Option<Arc<LoopQueue>>> {
        let identity = event_loop.as_ptr().addr();
        if let Some(queue) = lock(&self.0).get(&identity) {
            return Ok(Some(Arc::clone(queue)));
        }
        self.open(event_loop, python_thread)
    }

    #[cfg(unix)]
    fn open(&self, event_loop: &Bound<'_, PyAny>, python_thread: &PythonThread) -> PyResult<Option<Arc<LoopQueue>>> {
        use std::os::fd::AsRawFd as _;

        static CONTEXT: OnceLock<Py<PyAny>> = OnceLock::new();
        let py = event_loop.py();
        // When no descriptor is left, the Python thread wakes the loop.
        let Ok((pipe, waker)) = std::io::pipe() else { return Ok(None) };
        let descriptor = pipe.as_raw_fd();
        let queue = Arc::new(LoopQueue { state: Mutex::default(), waker, pipe, python_thread: python_thread.clone() });
        let reader = Reader {
            queues: self.clone(),
            queue: Arc::clone(&queue),
            event_loop: event_loop.clone().unbind(),
            pid: std::process::id(),
        };
        // A loop runs a reader in the context in which it was registered: an empty one instead of the first caller's.
        let context = once::import(&CONTEXT, py, "contextvars", "Context")?.call0()?;
        let add_reader = event_loop.getattr(name!(py, "add_reader"))?;
        match context.call_method1(name!(py, "run"), (add_reader, descriptor, Py::new(py, reader)?)) {
            Err(error)
                if error.is_instance_of::<PyNotImplementedError>(py) || error.is_instance_of::<PyOSError>(py) =>
            {
                return Ok(None);
            }
            registered => drop(registered?),
        }
        lock(&self.0).insert(event_loop.as_ptr().addr(), Arc::clone(&queue));
        Ok(Some(queue))
    }

    #[cfg(not(unix))]
    fn open(&self, _: &Bound<'_, PyAny>, _: &PythonThread) -> PyResult<Option<Arc<LoopQueue>>> {
        Ok(None)
    }
}

/// The callable that a loop runs when its queue has callbacks. The loop owns it and drops it when it closes.
#[pyclass(frozen, module = "madspark._core")]
struct Reader {
    queues: LoopQueues,
    queue: Arc<LoopQueue>,
    /// Kept so that no other loop gets the same identity while the queue is registered.
    event_loop: Py<PyAny>,
    pid: u32,
}

#[pymethods]
impl Reader {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // A forked child may run a loop of its parent: the callbacks and the byte in the pipe are the parent's.
        if self.pid != std::process::id() {
            return Ok(());
        }
        let (callbacks, was_notified) = {
            let mut state = lock(&self.queue.state);
            (std::mem::take(&mut state.callbacks), std::mem::take(&mut state.is_notified))
        };
        if was_notified {
            (&self.queue.pipe).read_exact(&mut [0])?;
        }
        run_all(py, callbacks)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // In a forked child, the threads that may have held these locks do not exist.
        if self.pid != std::process::id() {
            return;
        }
        let identity = self.event_loop.as_ptr().addr();
        let mut queues = lock(&self.queues.0);
        if queues.get(&identity).is_some_and(|known| Arc::ptr_eq(known, &self.queue)) {
            queues.remove(&identity);
        }
        drop(queues);
        let callbacks = {
            let mut state = lock(&self.queue.state);
            state.is_closed = true;
            std::mem::take(&mut state.callbacks)
        };
        drop(callbacks);
    }
}
