//! The python_thread: the one thread of ours that attaches to Python.
//!
//! Tokio's workers never attach: waiting for the interpreter would stall every request's I/O, and a thread that attaches
//! while the interpreter ends takes the process down. They send here what only an attached thread may do: log records,
//! objects to be let go of, and jobs for loops that have no [`loop_queue`](super::loop_queue). The python_thread takes all that have
//! gathered, sorts the jobs by event loop, and wakes each loop once with `call_soon_threadsafe`; the jobs themselves run on
//! their loop's own thread. So no user code ever runs on the python_thread, and one request's slow callback holds up nobody else.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;

use super::log;
use super::sync::lock;

/// Work for the thread of one event loop.
pub(super) type Run = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

enum Job {
    OnLoop { event_loop: Arc<Py<PyAny>>, run: Run },
    Log(log::Record),
    Release(Box<dyn Send>),
    Close,
}

/// A handle to the python_thread; cheap to clone. Sending to a closed python_thread drops the job.
#[derive(Clone)]
pub(super) struct PythonThread {
    jobs: Sender<Job>,
}

/// The python_thread's thread, to be closed and joined before the interpreter ends.
pub(super) struct ThreadHandle {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl PythonThread {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<(Self, ThreadHandle)> {
        let (jobs, mut received) = mpsc::channel();
        let thread = std::thread::Builder::new().name("madspark-python_thread".to_owned()).spawn(move || {
            // `None` only where the interpreter is already ending: nobody is left to hand anything to.
            let _ = Python::try_attach(|py| serve(py, &mut received));
        })?;
        Ok((Self { jobs: jobs.clone() }, ThreadHandle { jobs, thread }))
    }

    /// Runs `run` on the thread of `event_loop`, after all that was sent there before.
    pub(super) fn on_loop(&self, event_loop: Arc<Py<PyAny>>, run: Run) {
        self.send(Job::OnLoop { event_loop, run });
    }

    /// Hands a log record to Python's `logging`.
    pub(super) fn log(&self, record: log::Record) {
        self.send(Job::Log(record));
    }

    /// Drops Python objects where that is cheap and safe.
    pub(super) fn release(&self, objects: impl Send + 'static) {
        self.send(Job::Release(Box::new(objects)));
    }

    fn send(&self, job: Job) {
        // A closed python_thread means that the interpreter is ending: there is nobody to tell.
        drop(self.jobs.send(job));
    }
}

impl ThreadHandle {
    /// Lets the python_thread finish what was sent before, then joins it. Call detached from Python.
    pub(super) fn close(self) {
        drop(self.jobs.send(Job::Close));
        // A panic of the python_thread has been reported by its own thread.
        drop(self.thread.join());
    }
}

/// The jobs of one event loop, run by the loop itself.
#[pyclass(frozen, module = "madspark._core")]
struct Batch(Mutex<Vec<Run>>);

#[pymethods]
impl Batch {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        run_all(py, std::mem::take(&mut *lock(&self.0)))
    }
}

/// Runs every job. One that fails is reported and the next one runs; Ctrl-C comes out, as it would of the loop's own
/// callbacks.
pub(super) fn run_all(py: Python<'_>, jobs: Vec<Run>) -> PyResult<()> {
    let mut outcome = Ok(());
    for run in jobs {
        match run(py) {
            Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
            Err(error) => outcome = Err(error),
            Ok(()) => {}
        }
    }
    outcome
}

/// The thread's loop: attached once, detached while it waits.
fn serve(py: Python<'_>, jobs: &mut Receiver<Job>) {
    loop {
        // A receiver may move between threads but not be shared: the detached closure takes it whole.
        let waiting = &mut *jobs;
        let Ok(first) = py.detach(move || waiting.recv()) else { return };
        let mut loops: Vec<(Arc<Py<PyAny>>, Vec<Run>)> = Vec::new();
        let mut open = true;
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            match job {
                Job::OnLoop { event_loop, run } => match loops.iter_mut().find(|(known, _)| known.is(&*event_loop)) {
                    Some((_, runs)) => runs.push(run),
                    None => loops.push((event_loop, vec![run])),
                },
                Job::Log(record) => {
                    if let Err(error) = record.hand_over(py) {
                        error.write_unraisable(py, None);
                    }
                }
                Job::Release(objects) => drop(objects),
                Job::Close => open = false,
            }
        }
        for (event_loop, runs) in loops {
            if let Err(error) = wake(py, event_loop.bind(py), runs) {
                error.write_unraisable(py, Some(event_loop.bind(py)));
            }
        }
        if !open {
            return;
        }
    }
}

/// Hands the jobs to their loop.
fn wake(py: Python<'_>, event_loop: &Bound<'_, PyAny>, runs: Vec<Run>) -> PyResult<()> {
    let batch = Py::new(py, Batch(Mutex::new(runs)))?;
    let woken = event_loop.call_method1(name!(py, "call_soon_threadsafe"), (batch,));
    unless_closed(event_loop, woken).map(drop)
}

/// A loop that closed in the meantime has nobody waiting: `None` in place of its complaint.
pub(super) fn unless_closed<'py>(
    event_loop: &Bound<'py, PyAny>,
    outcome: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    match outcome {
        Err(error)
            if error.is_instance_of::<PyRuntimeError>(py)
                && event_loop.call_method0(name!(py, "is_closed"))?.is_truthy()? =>
        {
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}
