//! The Python thread: the only thread of this crate that attaches to Python.
//!
//! Tokio's workers never attach: waiting for the interpreter would stall the I/O of every request, and a thread that
//! attaches while the interpreter ends crashes the process. They send messages to this thread instead: log records that
//! no caller awaits, Python objects to drop, and callbacks for event loops without a [`loop_queue`](super::loop_queue).
//! The callbacks run on the thread of their own loop, which is woken once for all callbacks that have gathered. So no
//! user code runs on the Python thread, except for log handlers.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;

use super::log;
use crate::sync::lock;

/// Work for the thread of an event loop.
pub(super) type Callback = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

enum Message {
    CallSoon(Arc<Py<PyAny>>, Callback),
    Log(log::Record),
    Run(Callback),
    Release(Box<dyn Send>),
    Close,
}

/// A handle to the Python thread; cheap to clone. A message to a closed thread is dropped.
#[derive(Clone)]
pub(super) struct PythonThread {
    messages: Sender<Message>,
}

impl PythonThread {
    /// Starts the thread. It has to be [closed](Self::close) and joined before the interpreter ends.
    pub(super) fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (messages, mut received) = mpsc::channel();
        let thread = std::thread::Builder::new().name("madspark-python".to_owned()).spawn(move || {
            // Attaching fails only if the interpreter is already ending.
            let _ = Python::try_attach(|py| serve(py, &mut received));
        })?;
        Ok((Self { messages }, thread))
    }

    /// Runs `callback` on the thread of `event_loop`, after the callbacks that were sent before.
    pub(super) fn call_soon(&self, event_loop: Arc<Py<PyAny>>, callback: Callback) {
        self.send(Message::CallSoon(event_loop, callback));
    }

    /// Delivers a record to Python's `logging`.
    pub(super) fn log(&self, record: log::Record) {
        self.send(Message::Log(record));
    }

    /// Runs `callback` on the Python thread.
    pub(super) fn run(&self, callback: Callback) {
        self.send(Message::Run(callback));
    }

    /// Drops objects that hold Python objects.
    pub(super) fn release(&self, objects: impl Send + 'static) {
        self.send(Message::Release(Box::new(objects)));
    }

    /// Ends the thread after the messages that were sent before.
    pub(super) fn close(&self) {
        self.send(Message::Close);
    }

    fn send(&self, message: Message) {
        drop(self.messages.send(message));
    }
}

/// Runs every callback. An error is reported as unraisable and the next callback runs; other exceptions, such as
/// `KeyboardInterrupt`, are returned at the end, so that the loop raises them like those of its own callbacks.
pub(super) fn run_all(py: Python<'_>, callbacks: Vec<Callback>) -> PyResult<()> {
    let mut outcome = Ok(());
    for callback in callbacks {
        match callback(py) {
            Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
            Err(error) => outcome = Err(error),
            Ok(()) => {}
        }
    }
    outcome
}

/// Returns `None` in place of the error of an operation that failed because `event_loop` is closed.
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

/// The callbacks of one event loop, as one callable for `call_soon_threadsafe`.
#[pyclass(frozen, module = "madspark._core")]
struct Batch(Mutex<Vec<Callback>>);

#[pymethods]
impl Batch {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        run_all(py, std::mem::take(&mut *lock(&self.0)))
    }
}

/// The body of the thread: attached once, detached while it waits.
fn serve(py: Python<'_>, messages: &mut Receiver<Message>) {
    loop {
        // A receiver is Send but not Sync: the detached closure takes the reference whole.
        let receiver = &mut *messages;
        let Ok(first) = py.detach(move || receiver.recv()) else { return };
        let mut loops: Vec<(Arc<Py<PyAny>>, Vec<Callback>)> = Vec::new();
        let mut is_open = true;
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::CallSoon(event_loop, callback) => {
                    match loops.iter_mut().find(|(known, _)| known.is(&*event_loop)) {
                        Some((_, callbacks)) => callbacks.push(callback),
                        None => loops.push((event_loop, vec![callback])),
                    }
                }
                Message::Log(record) => {
                    if let Err(error) = record.deliver(py, None) {
                        error.write_unraisable(py, None);
                    }
                }
                Message::Run(callback) => {
                    if let Err(error) = callback(py) {
                        error.write_unraisable(py, None);
                    }
                }
                Message::Release(objects) => drop(objects),
                Message::Close => is_open = false,
            }
        }
        for (event_loop, callbacks) in loops {
            let event_loop = event_loop.bind(py);
            if let Err(error) = call_soon(event_loop, callbacks) {
                error.write_unraisable(py, Some(event_loop));
            }
        }
        if !is_open {
            return;
        }
    }
}

fn call_soon(event_loop: &Bound<'_, PyAny>, callbacks: Vec<Callback>) -> PyResult<()> {
    let py = event_loop.py();
    let batch = Py::new(py, Batch(Mutex::new(callbacks)))?;
    let woken = event_loop.call_method1(name!(py, "call_soon_threadsafe"), (batch,));
    unless_closed(event_loop, woken).map(drop)
}
