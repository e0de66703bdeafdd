//! The way of finished work to an event loop: jobs that the loop's own thread runs, and what wakes it.
//!
//! A loop that watches file descriptors gets a loop_queue at the first call made on it: workers put jobs in, and a pipe that
//! the loop watches tells it so, once for all that have gathered. No thread of ours attaches to Python for that, and the
//! loop makes no handle. Any other loop (Windows has one) is woken by the [`python_thread`](super::python_thread).

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyNotImplementedError, PyOSError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::once;
use super::python_thread::{PythonThread, Run, run_all};
use super::runtime::Process;
use super::sync::lock;

/// One event loop, as the place where jobs run; cheap to clone.
#[derive(Clone)]
pub(super) struct EventLoop {
    python_thread: PythonThread,
    way: Way,
}

#[derive(Clone)]
enum Way {
    LoopQueue(Arc<LoopQueue>),
    PythonThread(Arc<Py<PyAny>>),
}

impl EventLoop {
    /// `event_loop` is running on this thread.
    pub(super) fn new(process: &Process, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let way = match process.loop_queues.of(event_loop)? {
            Some(loop_queue) => Way::LoopQueue(loop_queue),
            None => Way::PythonThread(Arc::new(event_loop.clone().unbind())),
        };
        Ok(Self { python_thread: process.python_thread.clone(), way })
    }

    /// Runs `run` on the loop's thread, after all that was posted before. A loop that is closed drops it.
    pub(super) fn post(&self, run: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
        match &self.way {
            Way::LoopQueue(loop_queue) => {
                if let Err(refused) = loop_queue.put(Box::new(run)) {
                    self.python_thread.release(refused);
                }
            }
            Way::PythonThread(event_loop) => self.python_thread.on_loop(Arc::clone(event_loop), Box::new(run)),
        }
    }

    /// Drops Python objects where that is cheap and safe.
    pub(super) fn release(self, objects: impl Send + 'static) {
        let Self { python_thread, way } = self;
        python_thread.release((objects, way));
    }
}

/// The running loop. Raises `RuntimeError` outside asyncio.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: OnceLock<Py<PyAny>> = OnceLock::new();
    once::import(&GET, py, "asyncio", "get_running_loop")?.call0().map_err(|error| {
        let friendly = PyRuntimeError::new_err(
            "no running asyncio event loop: await madspark's coroutines inside asyncio (trio is not supported), \
             or use the synchronous methods",
        );
        friendly.set_cause(py, Some(error));
        friendly
    })
}

/// The jobs of one loop.
struct LoopQueue {
    state: Mutex<State>,
    /// Written once for each time that `is_told` becomes true.
    bell: PipeWriter,
    /// Open as long as the other end: who rings for a loop that is just closing gets no signal for it.
    bell_end: PipeReader,
}

#[derive(Default)]
struct State {
    jobs: Vec<Run>,
    /// Whether a byte is in the pipe, or on its way there.
    is_told: bool,
    is_closed: bool,
}

impl LoopQueue {
    /// Gives the job back where the loop will not run again.
    fn put(&self, run: Run) -> Result<(), Run> {
        let was_told = {
            let mut state = lock(&self.state);
            if state.is_closed {
                return Err(run);
            }
            state.jobs.push(run);
            std::mem::replace(&mut state.is_told, true)
        };
        if !was_told {
            // Cannot fail: the other end is open, and never more than one byte is in the pipe.
            drop((&self.bell).write_all(&[0]));
        }
        Ok(())
    }
}

/// The loop_queues of the loops of this process, by the loops' identities. Touched only while attached to Python and never
/// held across Python code, so no fork can find it locked.
#[derive(Clone, Default)]
pub(super) struct LoopQueues(Arc<Mutex<HashMap<usize, Arc<LoopQueue>>>>);

impl LoopQueues {
    /// The loop_queue of the loop that is running on this thread; `None` where it watches no descriptors.
    fn of(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Arc<LoopQueue>>> {
        let identity = event_loop.as_ptr().addr();
        if let Some(loop_queue) = lock(&self.0).get(&identity) {
            return Ok(Some(Arc::clone(loop_queue)));
        }
        self.open(event_loop)
    }

    #[cfg(unix)]
    fn open(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Arc<LoopQueue>>> {
        use std::os::fd::AsRawFd as _;

        static CONTEXT: OnceLock<Py<PyAny>> = OnceLock::new();
        let py = event_loop.py();
        // Without a descriptor left the python_thread serves as well.
        let Ok((bell_end, bell)) = std::io::pipe() else { return Ok(None) };
        let descriptor = bell_end.as_raw_fd();
        let loop_queue = Arc::new(LoopQueue { state: Mutex::default(), bell, bell_end });
        let reader = Reader {
            loop_queues: self.clone(),
            loop_queue: Arc::clone(&loop_queue),
            event_loop: event_loop.clone().unbind(),
            pid: std::process::id(),
        };
        // The loop runs a callback in the context in which it was registered: not in that of whoever calls first.
        let context = once::import(&CONTEXT, py, "contextvars", "Context")?.call0()?;
        let add_reader = event_loop.getattr(name!(py, "add_reader"))?;
        match context.call_method1(name!(py, "run"), (add_reader, descriptor, Py::new(py, reader)?)) {
            // It watches none, or the system lets it watch no more: the python_thread serves as well.
            Err(error)
                if error.is_instance_of::<PyNotImplementedError>(py) || error.is_instance_of::<PyOSError>(py) =>
            {
                return Ok(None);
            }
            registered => drop(registered?),
        }
        lock(&self.0).insert(event_loop.as_ptr().addr(), Arc::clone(&loop_queue));
        Ok(Some(loop_queue))
    }

    #[cfg(not(unix))]
    fn open(&self, _event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Arc<LoopQueue>>> {
        Ok(None)
    }
}

/// What a loop calls when its loop_queue has jobs. The loop owns it, and lets go of it when it closes.
#[pyclass(frozen, module = "madspark._core")]
struct Reader {
    loop_queues: LoopQueues,
    loop_queue: Arc<LoopQueue>,
    /// Keeps another loop from having the same identity while the loop_queue is known by it.
    event_loop: Py<PyAny>,
    pid: u32,
}

#[pymethods]
impl Reader {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // A fork's child may run a loop of its parent's: the jobs, and the byte that tells of them, are the parent's.
        if self.pid != std::process::id() {
            return Ok(());
        }
        let (jobs, was_told) = {
            let mut state = lock(&self.loop_queue.state);
            (std::mem::take(&mut state.jobs), std::mem::take(&mut state.is_told))
        };
        if was_told {
            (&self.loop_queue.bell_end).read_exact(&mut [0])?;
        }
        run_all(py, jobs)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The workers that might hold these locks do not exist in a fork's child.
        if self.pid != std::process::id() {
            return;
        }
        let identity = self.event_loop.as_ptr().addr();
        let mut loop_queues = lock(&self.loop_queues.0);
        if loop_queues.get(&identity).is_some_and(|known| Arc::ptr_eq(known, &self.loop_queue)) {
            loop_queues.remove(&identity);
        }
        drop(loop_queues);
        let left = {
            let mut state = lock(&self.loop_queue.state);
            state.is_closed = true;
            std::mem::take(&mut state.jobs)
        };
        drop(left);
    }
}
