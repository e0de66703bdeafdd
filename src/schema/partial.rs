//! Reading a structured reply as it comes: at any time, what of its JSON is output.
//!
//! A value is closed when what stands behind it ends it: a comma or a bracket. The quote at the end of a string is not
//! enough, for it may be the first of two that the model forgot to escape. What is not closed is left out, never patched
//! up; a container appears with the first closed value inside it. So a later snapshot holds all that an earlier one does.
//!
//! Which text is the JSON has to be said at its first bracket, while [`json_text`](super::json_text) sees all of the
//! reply. In prose the reader is therefore stricter: it takes only what looks like an answer to this schema. Where it
//! finds nothing, or JSON that needs mending, it gives no further snapshots; the whole reply is judged in any case.

mod expected;
mod parser;
mod search;

use std::sync::Arc;

use super::graph::Graph;
use expected::Expected;
use parser::{IncrementalParser, Progress};
use search::StartSearch;

/// The part of a snapshot by which the text has to grow before the next one is made. A snapshot costs its own size: so
/// all of them together cost a fixed multiple of the text, and one is late only where the reply is large.
const GROWTH: usize = 256;

/// The reader of one reply. Takes time linear in its length, however many pieces that comes in.
///
/// # Example
///
/// ```
/// use madspark::schema::{Dialect, Schema};
///
/// let document = serde_json::json!({"type": "object", "properties": {"title": {"type": "string"}}});
/// let schema = Schema::new("Idea", document)?;
/// let mut partial = schema.lower(Dialect::OpenAiStrict).partial();
/// partial.push("Here it is:\n{\"title\": \"City farm\", \"sco");
/// assert_eq!(partial.snapshot().as_deref(), Some("{\"title\":\"City farm\"}"));
/// partial.push("re\": 7");
/// assert_eq!(partial.snapshot(), None);
/// partial.push("}");
/// assert_eq!(partial.snapshot().as_deref(), Some("{\"title\":\"City farm\",\"score\":7}"));
/// # Ok::<(), madspark::Error>(())
/// ```
#[derive(Debug)]
pub struct Partial {
    expected: Expected,
    state: State,
    /// How much has been pushed.
    read: usize,
    /// How much had been pushed at the last snapshot, and how many values that showed.
    last: (usize, usize),
}

#[derive(Debug)]
enum State {
    /// Before the JSON.
    Searching(StartSearch),
    Reading(IncrementalParser),
    /// After it, or where there is none. It keeps what was output.
    Done(Option<IncrementalParser>),
}

impl Partial {
    pub(super) fn new(graph: Arc<Graph>, wrapped: bool, nullable: bool) -> Self {
        let expected = Expected { graph, wrapped, nullable };
        Self { expected, state: State::Searching(StartSearch::default()), read: 0, last: (0, 0) }
    }

    /// Reads the next piece of the reply.
    pub fn push(&mut self, text: &str) {
        self.read += text.len();
        let mut rest = text;
        while !rest.is_empty() {
            let (state, at) = match std::mem::replace(&mut self.state, State::Done(None)) {
                State::Searching(search) => self.search(search, rest),
                State::Reading(parser) => self.follow(parser, rest),
                done @ State::Done(_) => (done, rest.len()),
            };
            self.state = state;
            rest = &rest[at..];
        }
    }

    /// The JSON text of what is closed so far, where that is more than the last snapshot held.
    ///
    /// It is in the form of the caller's own schema: a wrapped root is unwrapped, and a null that may stand for an absent
    /// property is left out. A value is as the model wrote it, before it is coerced.
    pub fn snapshot(&mut self) -> Option<String> {
        let (State::Reading(parser) | State::Done(Some(parser))) = &self.state else { return None };
        let (read, values) = self.last;
        let is_due = matches!(self.state, State::Done(_)) || self.read - read >= parser.size() / GROWTH;
        if parser.values() == values || !is_due {
            return None;
        }
        self.last = (self.read, parser.values());
        Some(parser.snapshot())
    }

    /// Looks for the JSON in `text`; how much of that was read.
    fn search(&self, mut search: StartSearch, text: &str) -> (State, usize) {
        let Some((at, certainty)) = search.push(text) else { return (State::Searching(search), text.len()) };
        if self.expected.may_open_with(text.as_bytes()[at]) {
            return (State::Reading(IncrementalParser::new(certainty)), at);
        }
        // Something else than was asked for: what stands inside it is not meant either.
        (State::Done(None), text.len())
    }

    /// Reads the JSON on; how much of `text` was read.
    fn follow(&self, mut parser: IncrementalParser, text: &str) -> (State, usize) {
        match parser.push(text, &self.expected) {
            Progress::Incomplete => (State::Reading(parser), text.len()),
            Progress::Invalid(at) if parser.may_be_prose() => (State::Searching(StartSearch::within_a_line()), at),
            Progress::Invalid(_) | Progress::Complete => (State::Done(Some(parser)), text.len()),
        }
    }
}
