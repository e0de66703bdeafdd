//! The open spans of the process, and the spans that each thread has entered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::span;

use super::{Caller, Fields, Value, current_caller};
use crate::sync::lock;

static OPEN: Mutex<OpenSpans> = Mutex::new(OpenSpans { last_id: 0, spans: BTreeMap::new() });

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    /// Held by a thread that forks, so that the child never finds [`OPEN`] locked by a thread that it does not have.
    static FORKING: RefCell<Option<MutexGuard<'static, OpenSpans>>> = const { RefCell::new(None) };
}

struct OpenSpans {
    last_id: u64,
    /// Each with its number of handles.
    spans: BTreeMap<u64, (Arc<Span>, usize)>,
}

/// A span that has begun. It keeps the spans around it.
#[derive(Clone)]
pub(super) struct Span {
    id: u64,
    name: &'static str,
    parent: Option<Arc<Self>>,
    start: SystemTime,
    pub(super) fields: Fields,
    /// Who has the work done; the same for all spans inside of one.
    caller: Arc<Mutex<Option<Arc<Caller>>>>,
}

impl Span {
    /// Returns who has the work done, if that is known.
    pub(super) fn caller(&self) -> Option<Arc<Caller>> {
        lock(&self.caller).clone()
    }

    /// Adds its fields and its id to `fields`, after those of the spans around it.
    pub(super) fn record(&self, fields: &mut Fields) {
        if let Some(parent) = &self.parent {
            parent.record(fields);
        }
        fields.extend(&self.fields);
        fields.set("span_id", Value::Unsigned(self.id));
    }

    /// The fields of the record that reports its end.
    pub(super) fn ended(&self) -> Fields {
        let mut fields = Fields::default();
        self.record(&mut fields);
        fields.set("message", Value::Text(format!("{} ended", self.name)));
        fields.set("span", Value::Text(self.name.to_owned()));
        if let Some(parent) = &self.parent {
            fields.set("parent_id", Value::Unsigned(parent.id));
        }
        fields.set("start", Value::Float(unix_seconds(self.start)));
        fields.set("end", Value::Float(unix_seconds(SystemTime::now())));
        fields
    }
}

/// Opens a span with one handle.
pub(super) fn open(attributes: &span::Attributes<'_>) -> span::Id {
    let mut fields = Fields::default();
    attributes.record(&mut fields);
    let parent = if attributes.is_contextual() { current() } else { attributes.parent().and_then(get) };
    let caller = match &parent {
        Some(parent) => Arc::clone(&parent.caller),
        None => Arc::new(Mutex::new(current_caller())),
    };
    with_open(|open| {
        open.last_id += 1;
        let id = open.last_id;
        let span = Span { id, name: attributes.metadata().name(), parent, start: SystemTime::now(), fields, caller };
        open.spans.insert(id, (Arc::new(span), 1));
        span::Id::from_u64(id)
    })
}

pub(super) fn get(id: &span::Id) -> Option<Arc<Span>> {
    with_open(|open| open.spans.get(&id.into_u64()).map(|(span, _)| Arc::clone(span)))
}

/// The innermost span that this thread has entered.
pub(super) fn current() -> Option<Arc<Span>> {
    let id = ENTERED.with_borrow(|entered| entered.last().copied())?;
    get(&span::Id::from_u64(id))
}

pub(super) fn update(id: &span::Id, change: impl FnOnce(&mut Span)) {
    with_open(|open| {
        if let Some((span, _)) = open.spans.get_mut(&id.into_u64()) {
            change(Arc::make_mut(span));
        }
    });
}

/// Enters a span. The outermost span of the thread belongs to the caller whose work the thread does.
pub(super) fn enter(id: &span::Id) {
    let is_outermost = ENTERED.with_borrow_mut(|entered| {
        entered.push(id.into_u64());
        entered.len() == 1
    });
    if is_outermost
        && let Some(caller) = current_caller()
        && let Some(span) = get(id).filter(|span| span.parent.is_none())
    {
        let former = lock(&span.caller).replace(caller);
        // Outside the lock: it may be the last handle, and its drop sends a message.
        drop(former);
    }
}

pub(super) fn exit(id: &span::Id) {
    ENTERED.with_borrow_mut(|entered| {
        if let Some(position) = entered.iter().rposition(|known| *known == id.into_u64()) {
            entered.remove(position);
        }
    });
}

/// Counts a further handle.
pub(super) fn retain(id: &span::Id) {
    with_open(|open| {
        if let Some((_, handles)) = open.spans.get_mut(&id.into_u64()) {
            *handles += 1;
        }
    });
}

/// Counts a handle less; returns the span when that was the last one.
pub(super) fn release(id: &span::Id) -> Option<Arc<Span>> {
    with_open(|open| {
        let (_, handles) = open.spans.get_mut(&id.into_u64())?;
        *handles -= 1;
        if *handles > 0 {
            return None;
        }
        open.spans.remove(&id.into_u64()).map(|(span, _)| span)
    })
}

/// Keeps the open spans locked by this thread, which may still use them, until [`unlock_after_fork`].
pub(in crate::python) fn lock_for_fork() {
    FORKING.set(Some(lock(&OPEN)));
}

pub(in crate::python) fn unlock_after_fork() {
    drop(FORKING.take());
}

fn with_open<T>(work: impl FnOnce(&mut OpenSpans) -> T) -> T {
    FORKING.with_borrow_mut(|forking| match forking {
        Some(open) => work(open),
        None => work(&mut lock(&OPEN)),
    })
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
