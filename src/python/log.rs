//! Delivers the core's `tracing` events and spans to Python's `logging`, under the logger `madspark.core`.
//!
//! Records of a call are delivered in the caller's context, before the caller sees the result:
//!
//! * an awaited call posts them to its event loop, ahead of its completion (see [`bridge`](super::bridge));
//! * a blocking call collects them on its own thread and delivers them whenever that thread attaches to Python.
//!
//! The outermost span around a record knows its [`Caller`], to whom the record goes also if another call polls the work, as
//! for a shared request, or the runtime drops it. The [`python_thread`](super::python_thread) delivers the records of work
//! that has no caller, and those of callers whose thread does something else by then.
//!
//! A field `x` of an event, and of each span around it, becomes the attribute `madspark_x` of the `LogRecord`, and the id
//! of the innermost span becomes `madspark_span_id`:
//!
//! * of a call: `madspark_router_id`, `madspark_call_id`;
//! * of an attempt: `madspark_attempt`, `madspark_provider`, `madspark_model`;
//! * of a stage of a run: `madspark_run_id`, `madspark_stage`, `madspark_ideas`.
//!
//! When a span ends, a record with level DEBUG reports `madspark_span` (its name), `madspark_parent_id`,
//! `madspark_start` and `madspark_end` (Unix time in seconds). An exporter, such as one for OpenTelemetry, is a handler of
//! these records.
//!
//! The level of the logger is read when a call begins, so a disabled event costs one atomic load.

mod caller;
mod fields;
mod spans;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Once, OnceLock};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::{Event, Level, Metadata, Subscriber, span, subscriber::Interest};

use super::once;
use super::python_thread::PythonThread;
use super::runtime::Process;
use fields::{Fields, Value};
use spans::Span;

pub(super) use caller::Caller;
pub(super) use spans::{lock_for_fork, unlock_after_fork};

/// The level of `madspark.core`, as a number of Python's `logging`.
static LEVEL: AtomicU8 = AtomicU8::new(number(Level::WARN));

thread_local! {
    static SINK: RefCell<Sink> = const { RefCell::new(Sink::Discard) };
}

/// Where the records of one thread go. Thread-local, so that a fork never finds it locked.
enum Sink {
    Discard,
    PythonThread(PythonThread),
    Collect {
        records: Vec<Record>,
        /// Whose work the thread does; `None` if no other work is in reach.
        caller: Option<Arc<Caller>>,
    },
}

/// One event or one ended span, on its way to Python.
pub(super) struct Record {
    level: u8,
    message: String,
    fields: Fields,
}

impl Record {
    fn new(level: Level, fields: &mut Fields) -> Self {
        let message = fields.take_message();
        Self { level: number(level), message, fields: std::mem::take(fields) }
    }

    /// Logs the record, inside `context` if there is one. An error of a handler is reported as unraisable; other
    /// exceptions, such as `KeyboardInterrupt`, are returned.
    pub(super) fn deliver(self, py: Python<'_>, context: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match self.log(py, context) {
            Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
            logged => logged?,
        }
        Ok(())
    }

    fn log(self, py: Python<'_>, context: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let extra = PyDict::new(py);
        for (name, value) in self.fields.0 {
            extra.set_item(format!("madspark_{name}"), value)?;
        }
        let options = PyDict::new(py);
        options.set_item(name!(py, "extra"), extra)?;
        let log = logger(py)?.getattr(name!(py, "log"))?;
        match context {
            None => log.call((self.level, "%s", self.message), Some(&options)),
            Some(context) => {
                context.call_method(name!(py, "run"), (log, self.level, "%s", self.message), Some(&options))
            }
        }
        .map(drop)
    }
}

/// Collects the records of this thread for as long as it lives.
pub(super) struct Collector {
    outer: Sink,
}

impl Collector {
    /// Begins to do the work of `caller`.
    pub(super) fn begin(caller: Option<Arc<Caller>>) -> Self {
        Self { outer: SINK.replace(Sink::Collect { records: Vec::new(), caller }) }
    }

    /// Begins to do the work of the caller of this function. Its records are delivered here, by [`deliver_collected`].
    pub(super) fn begin_here(py: Python<'_>, process: &Process) -> PyResult<Self> {
        let caller = has_spans().then(|| Caller::on_this_thread(py, process)).transpose()?;
        Ok(Self::begin(caller))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let own = SINK.replace(std::mem::replace(&mut self.outer, Sink::Discard));
        if let Sink::Collect { caller: Some(caller), .. } = own {
            caller.end();
        }
    }
}

/// Takes what the innermost [`Collector`] of this thread has collected.
pub(super) fn collected() -> Vec<Record> {
    SINK.with_borrow_mut(|sink| match sink {
        Sink::Collect { records, caller } => {
            let mut records = std::mem::take(records);
            records.extend(caller.iter().flat_map(|caller| caller.take_waiting()));
            records
        }
        Sink::Discard | Sink::PythonThread(_) => Vec::new(),
    })
}

/// Returns whose work this thread does.
fn current_caller() -> Option<Arc<Caller>> {
    SINK.with_borrow(|sink| match sink {
        Sink::Collect { caller, .. } => caller.clone(),
        Sink::Discard | Sink::PythonThread(_) => None,
    })
}

/// Delivers what the innermost [`Collector`] of this thread has collected. Runs Python code, so Ctrl-C may be raised here.
pub(super) fn deliver_collected(py: Python<'_>) -> PyResult<()> {
    collected().into_iter().try_for_each(|record| record.deliver(py, None))
}

/// Sends the records of this thread, which belongs to the core, to `python_thread`.
pub(super) fn connect(python_thread: PythonThread) {
    SINK.set(Sink::PythonThread(python_thread));
}

/// Starts to receive the core's events and spans. A host program that has installed a subscriber keeps it.
pub(super) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| drop(tracing::subscriber::set_global_default(ToPython)));
}

/// Reads the level of the logger.
pub(super) fn refresh_level(py: Python<'_>) -> PyResult<()> {
    let level: u32 = logger(py)?.call_method0(name!(py, "getEffectiveLevel"))?.extract()?;
    LEVEL.store(u8::try_from(level).unwrap_or(u8::MAX), Ordering::Relaxed);
    Ok(())
}

fn logger(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOGGER: OnceLock<Py<PyAny>> = OnceLock::new();
    once::get_or_make(&LOGGER, py, || {
        let logging = py.import("logging")?;
        let logger = logging.call_method1("getLogger", ("madspark.core",))?;
        // Without a handler, `logging` would print warnings of programs that configure no logging.
        logger.call_method1("addHandler", (logging.call_method0("NullHandler")?,))?;
        Ok(logger.unbind())
    })
}

/// Sends `record` to the caller of the work that `span` belongs to, or where the records of this thread go.
fn send(record: Record, span: Option<&Span>) {
    let caller = span.and_then(Span::caller);
    let foreign = SINK.with_borrow_mut(|sink| match (sink, caller) {
        (Sink::Collect { records, caller: own }, caller) if is_own(own.as_ref(), caller.as_ref()) => {
            records.push(record);
            None
        }
        (_, Some(caller)) => Some((caller, record)),
        (Sink::PythonThread(python_thread), None) => {
            python_thread.log(record);
            None
        }
        (Sink::Discard | Sink::Collect { .. }, None) => None,
    });
    if let Some((caller, record)) = foreign {
        caller.send(vec![record]);
    }
}

/// Whether a record of `caller` is one of the work that a thread does for `own`.
fn is_own(own: Option<&Arc<Caller>>, caller: Option<&Arc<Caller>>) -> bool {
    own.zip(caller).is_none_or(|(own, caller)| Arc::ptr_eq(own, caller))
}

/// Whether calls have spans. Without them, a thread only reports what it does for its own caller.
pub(super) fn has_spans() -> bool {
    is_enabled(Level::INFO)
}

fn is_enabled(level: Level) -> bool {
    number(level) >= LEVEL.load(Ordering::Relaxed)
}

/// The number of a level in Python's `logging`.
const fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// The subscriber of the core's events and spans.
struct ToPython;

impl Subscriber for ToPython {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The level changes while the program runs, so `enabled` decides each time.
        if metadata.target().starts_with("madspark") { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_enabled(*metadata.level())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        let span = if event.is_contextual() { spans::current() } else { event.parent().and_then(spans::get) };
        if let Some(span) = &span {
            span.record(&mut fields);
        }
        event.record(&mut fields);
        send(Record::new(*event.metadata().level(), &mut fields), span.as_deref());
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        spans::open(attributes)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        spans::update(id, |span| values.record(&mut span.fields));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, id: &span::Id) {
        spans::enter(id);
    }

    fn exit(&self, id: &span::Id) {
        spans::exit(id);
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        spans::retain(id);
        id.clone()
    }

    fn try_close(&self, id: span::Id) -> bool {
        let Some(span) = spans::release(&id) else { return false };
        if is_enabled(Level::DEBUG) {
            send(Record::new(Level::DEBUG, &mut span.ended()), Some(&span));
        }
        true
    }
}
