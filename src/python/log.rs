//! The core's events in Python's `logging`, under the logger `madspark.core`.
//!
//! A worker's events go to the python_thread, so no worker waits for the interpreter. Those of a blocked call are kept until its
//! own thread attaches the next time, at its end at the latest: whoever called finds them logged when the call returns.
//! The logger's level is looked up when a call begins: events below it cost one atomic load.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Once, OnceLock};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::once;
use super::python_thread::PythonThread;

/// Python's number of the logger's effective level.
static LEVEL: AtomicU8 = AtomicU8::new(30);

thread_local! {
    /// A thread's own, so that no fork can find it locked.
    static SINK: RefCell<Sink> = const { RefCell::new(Sink::Nowhere) };
}

static LOGGER: OnceLock<Py<PyAny>> = OnceLock::new();

/// Where the events of one thread go.
enum Sink {
    Nowhere,
    PythonThread(PythonThread),
    Kept(Vec<Record>),
}

/// One event on its way to Python.
pub(super) struct Record {
    level: u8,
    message: String,
}

impl Record {
    /// Gives the event to Python's `logging`. A handler that fails is reported and does no harm; Ctrl-C comes out.
    pub(super) fn hand_over(self, py: Python<'_>) -> PyResult<()> {
        match logger(py).and_then(|logger| logger.call_method1("log", (self.level, "%s", self.message))) {
            Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
            handed => drop(handed?),
        }
        Ok(())
    }
}

/// Has events collected from now on.
pub(super) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // A host program in Rust may have a subscriber of its own; then it gets the events.
        drop(tracing::subscriber::set_global_default(ToPython));
    });
}

/// Sends the events of this thread, a worker, to `python_thread`.
pub(super) fn connect(python_thread: PythonThread) {
    SINK.set(Sink::PythonThread(python_thread));
}

/// Keeps the events of this thread, a caller's, until they are handed over.
pub(super) struct Keep(());

impl Keep {
    pub(super) fn begin() -> Self {
        SINK.set(Sink::Kept(Vec::new()));
        Self(())
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        SINK.set(Sink::Nowhere);
    }
}

/// Gives what this thread has kept to Python's `logging`. Python code runs here, so this is where a waiting Ctrl-C may
/// come out.
pub(super) fn hand_over(py: Python<'_>) -> PyResult<()> {
    // A handler may take its time: nothing stays borrowed.
    let kept = SINK.with_borrow_mut(|sink| match sink {
        Sink::Kept(records) => std::mem::take(records),
        Sink::Nowhere | Sink::PythonThread(_) => Vec::new(),
    });
    kept.into_iter().try_for_each(|record| record.hand_over(py))
}

/// Looks up which events Python wants.
pub(super) fn refresh_level(py: Python<'_>) -> PyResult<()> {
    let level: u32 = logger(py)?.call_method0(name!(py, "getEffectiveLevel"))?.extract()?;
    LEVEL.store(u8::try_from(level).unwrap_or(u8::MAX), Ordering::Relaxed);
    Ok(())
}

fn logger(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    once::kept(&LOGGER, py, || {
        let logging = py.import("logging")?;
        let logger = logging.call_method1("getLogger", ("madspark.core",))?;
        // Without it a program that configures no logging would find our warnings on its standard error.
        logger.call_method1("addHandler", (logging.call_method0("NullHandler")?,))?;
        Ok(logger.unbind())
    })
}

struct ToPython;

impl Subscriber for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("madspark")
            && number(*metadata.level()) >= LEVEL.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let record = Record { level: number(*event.metadata().level()), message: text.message };
        SINK.with_borrow_mut(|sink| match sink {
            Sink::Nowhere => {}
            Sink::PythonThread(python_thread) => python_thread.log(record),
            Sink::Kept(records) => records.push(record),
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // The level changes while the program runs: ask every time.
        if metadata.target().starts_with("madspark") {
            tracing::subscriber::Interest::sometimes()
        } else {
            tracing::subscriber::Interest::never()
        }
    }
}

#[derive(Default)]
struct Text {
    message: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            let _ = write!(self.message, "{value:?}");
        }
    }
}

/// Python's number of a level.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}
