//! The core's events in Python's `logging`, under the logger `madspark.core`.
//!
//! An event is sent to the lane, so no worker waits for the interpreter. The logger's level is looked up when a call
//! begins: events below it cost one atomic load.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::lane::Lane;

/// Python's number of the logger's effective level.
static LEVEL: AtomicU8 = AtomicU8::new(30);

static LANE: Mutex<Option<Lane>> = Mutex::new(None);

static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// One event on its way to Python.
pub(super) struct Record {
    level: u8,
    message: String,
}

impl Record {
    /// Gives the event to Python's `logging`. Attached, on the lane.
    pub(super) fn hand_over(self, py: Python<'_>) {
        let handed = logger(py).and_then(|logger| logger.call_method1("log", (self.level, "%s", self.message)));
        if let Err(error) = handed {
            error.write_unraisable(py, None);
        }
    }
}

/// Sends events to `lane` from now on.
pub(super) fn connect(lane: &Lane) {
    static INSTALL: Once = Once::new();
    *LANE.lock().unwrap_or_else(PoisonError::into_inner) = Some(lane.clone());
    INSTALL.call_once(|| {
        // A host program in Rust may have a subscriber of its own; then it gets the events.
        drop(tracing::subscriber::set_global_default(ToPython));
    });
}

/// Looks up which events Python wants.
pub(super) fn refresh_level(py: Python<'_>) {
    let level = logger(py)
        .and_then(|logger| logger.call_method0(pyo3::intern!(py, "getEffectiveLevel")))
        .and_then(|level| level.extract::<u32>());
    LEVEL.store(level.map_or(30, |level| u8::try_from(level).unwrap_or(u8::MAX)), Ordering::Relaxed);
}

fn logger(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    LOGGER
        .get_or_try_init(py, || Ok(py.import("logging")?.call_method1("getLogger", ("madspark",))?.unbind()))
        .map(|logger| logger.bind(py))
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
        if let Some(lane) = LANE.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            lane.log(record);
        }
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
