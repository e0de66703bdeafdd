//! The caller of some work of the core, whose log records are delivered in its context.

use std::sync::{Arc, Mutex, OnceLock};

use pyo3::prelude::*;

use super::Record;
use crate::python::loop_queue::EventLoop;
use crate::python::once;
use crate::python::python_thread::PythonThread;
use crate::python::runtime::Process;
use crate::sync::lock;

/// A caller, and where its records are delivered.
///
/// The records of its work may come from other threads, and after the work was dropped: another call may poll a request that
/// both share, and the runtime drops what was cancelled.
pub(in crate::python) struct Caller {
    /// A copy of the caller's `contextvars` context; `None` while it is dropped.
    context: Option<Arc<Py<PyAny>>>,
    place: Place,
}

enum Place {
    /// On the thread of the loop on which a coroutine waits.
    Loop(EventLoop),
    /// On the thread of a blocking call while that lasts, and on the Python thread after it.
    Thread {
        /// `None` after the call.
        waiting: Mutex<Option<Vec<Record>>>,
        python_thread: PythonThread,
    },
}

impl Caller {
    /// The coroutine that runs on `event_loop`.
    pub(in crate::python) fn on_loop(py: Python<'_>, event_loop: EventLoop) -> PyResult<Arc<Self>> {
        Ok(Arc::new(Self { context: Some(current_context(py)?), place: Place::Loop(event_loop) }))
    }

    /// The blocking call on this thread, until [`Caller::end`].
    pub(in crate::python) fn on_this_thread(py: Python<'_>, process: &Process) -> PyResult<Arc<Self>> {
        let waiting = Mutex::new(Some(Vec::new()));
        let place = Place::Thread { waiting, python_thread: process.python_thread.clone() };
        Ok(Arc::new(Self { context: Some(current_context(py)?), place }))
    }

    /// Returns the loop of a coroutine.
    pub(in crate::python) fn event_loop(&self) -> Option<&EventLoop> {
        match &self.place {
            Place::Loop(event_loop) => Some(event_loop),
            Place::Thread { .. } => None,
        }
    }

    /// Delivers `records` in the caller's context.
    pub(in crate::python) fn send(&self, mut records: Vec<Record>) {
        let Some(context) = self.context.as_ref().filter(|_| !records.is_empty()).map(Arc::clone) else { return };
        if let Place::Thread { waiting, .. } = &self.place
            && let Some(waiting) = &mut *lock(waiting)
        {
            waiting.append(&mut records);
            return;
        }
        let deliver =
            move |py: Python<'_>| records.into_iter().try_for_each(|record| record.deliver(py, Some(context.bind(py))));
        match &self.place {
            Place::Loop(event_loop) => event_loop.post_or_run(deliver),
            Place::Thread { python_thread, .. } => python_thread.run(Box::new(deliver)),
        }
    }

    /// Takes the records that other threads have sent to a blocking call.
    pub(super) fn take_waiting(&self) -> Vec<Record> {
        match &self.place {
            Place::Loop(_) => Vec::new(),
            Place::Thread { waiting, .. } => lock(waiting).as_mut().map(std::mem::take).unwrap_or_default(),
        }
    }

    /// Ends a blocking call: later records go to the Python thread.
    pub(super) fn end(&self) {
        if let Place::Thread { waiting, .. } = &self.place {
            let late = lock(waiting).take();
            self.send(late.unwrap_or_default());
        }
    }

    /// Drops the caller on a thread that is attached to Python.
    pub(in crate::python) fn release(self: Arc<Self>, _: Python<'_>) {
        if let Some(mut caller) = Arc::into_inner(self) {
            drop(caller.context.take());
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        match &self.place {
            Place::Loop(event_loop) => event_loop.clone().release(context),
            Place::Thread { python_thread, .. } => python_thread.release(context),
        }
    }
}

fn current_context(py: Python<'_>) -> PyResult<Arc<Py<PyAny>>> {
    static COPY_CONTEXT: OnceLock<Py<PyAny>> = OnceLock::new();
    Ok(Arc::new(once::import(&COPY_CONTEXT, py, "contextvars", "copy_context")?.call0()?.unbind()))
}
