//! Incremental reading of a structured reply: at any time, the part of its JSON that is closed.
//!
//! A value is closed by the comma or bracket after it. The closing quote of a string is not sufficient, because it may
//! be an inner quote that the model did not escape. Values that are not closed are omitted, never completed; a
//! container appears with its first closed value. Each snapshot therefore includes all earlier ones.
//!
//! The start of the JSON has to be decided at its first bracket, while [`json_text`](super::json_text) sees the whole
//! reply. In prose this reader is therefore stricter: it accepts only what looks like an answer to the schema. If it
//! finds none, or the JSON needs repair, it makes no further snapshots; the whole reply is validated at its end in any
//! case.

mod expected;
mod parser;
mod search;

use std::sync::Arc;

use super::graph::Graph;
use crate::reasoning::{Purpose, ReasoningSplitter};
use expected::Expected;
use parser::{IncrementalParser, Progress};
use search::StartSearch;

/// The text has to grow by this fraction of a snapshot before the next one is made. A snapshot costs its own size, so
/// the total cost is linear, and only snapshots of large replies are delayed.
const GROWTH: usize = 256;

/// An incremental reader of one reply. Runs in linear time, independent of the number of pieces.
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
    splitter: ReasoningSplitter,
    /// The text pushed, without reasoning.
    answer: String,
    /// The reasoning in it.
    reasoning: String,
    /// The number of bytes of answers pushed.
    pushed: usize,
    /// The number of bytes pushed, and of values emitted, at the last snapshot.
    last: (usize, usize),
}

#[derive(Debug)]
enum State {
    /// Before the JSON.
    Searching(StartSearch),
    Parsing(IncrementalParser),
    /// After the JSON, or if there is none. Keeps the output.
    Done(Option<IncrementalParser>),
    /// After JSON that proved to be reasoning. A snapshot of it may have been made, and no other may follow.
    Retracted,
}

impl Partial {
    pub(super) fn new(graph: Arc<Graph>, wrapped: bool, nullable: bool, positional: bool) -> Self {
        let expected = Expected { graph, wrapped, nullable, positional };
        Self {
            expected,
            state: State::Searching(StartSearch::default()),
            splitter: ReasoningSplitter::new(Purpose::Json),
            answer: String::new(),
            reasoning: String::new(),
            pushed: 0,
            last: (0, 0),
        }
    }

    /// Reads the next piece of the reply.
    pub fn push(&mut self, text: &str) {
        // White space before the first word may precede reasoning.
        let mut known = if self.splitter.has_content() { self.answer.len() } else { 0 };
        self.splitter.push(text, &mut self.answer, &mut self.reasoning);
        for text in self.splitter.take_retracted() {
            self.push_answer(&text[known..]);
            self.retract();
            known = 0;
        }
        if self.splitter.has_content() {
            let answer = std::mem::take(&mut self.answer);
            self.push_answer(&answer[known..]);
            self.answer = answer;
        }
    }

    /// Starts over: what was read is reasoning. If it has a snapshot, none follows, whether it was made or not.
    pub(crate) fn retract(&mut self) {
        self.state = match &self.state {
            State::Parsing(parser) | State::Done(Some(parser)) if parser.values() > 0 => State::Retracted,
            State::Retracted => State::Retracted,
            _ => State::Searching(StartSearch::default()),
        };
    }

    /// Reads the next piece of a reply without reasoning.
    pub(crate) fn push_answer(&mut self, text: &str) {
        self.pushed += text.len();
        let mut rest = text;
        while !rest.is_empty() {
            let (state, at) = match std::mem::replace(&mut self.state, State::Done(None)) {
                State::Searching(search) => self.search(search, rest),
                State::Parsing(parser) => self.parse(parser, rest),
                state @ (State::Done(_) | State::Retracted) => (state, rest.len()),
            };
            self.state = state;
            rest = &rest[at..];
        }
    }

    /// Returns the JSON text of the closed part, if it grew since the last snapshot.
    ///
    /// It has the form of the original schema: the wrapper of the root and nulls that may stand for absent properties
    /// are omitted, and objects that stand for tuples are lists. Values are as the model wrote them, without coercion.
    pub fn snapshot(&mut self) -> Option<String> {
        let (State::Parsing(parser) | State::Done(Some(parser))) = &self.state else { return None };
        let (read, values) = self.last;
        let is_due = matches!(self.state, State::Done(_)) || self.pushed - read >= parser.size() / GROWTH;
        if parser.values() == values || !is_due {
            return None;
        }
        self.last = (self.pushed, parser.values());
        Some(parser.snapshot())
    }

    /// Searches `text` for the start of the JSON. Returns the number of bytes read.
    fn search(&self, mut search: StartSearch, text: &str) -> (State, usize) {
        let Some((at, certainty)) = search.push(text) else { return (State::Searching(search), text.len()) };
        if self.expected.may_start_with(text.as_bytes()[at]) {
            return (State::Parsing(IncrementalParser::new(certainty)), at);
        }
        // A value of another type than requested. Nothing inside it is the answer.
        (State::Done(None), text.len())
    }

    /// Continues to parse the JSON. Returns the number of bytes read.
    fn parse(&self, mut parser: IncrementalParser, text: &str) -> (State, usize) {
        match parser.push(text, &self.expected) {
            Progress::Incomplete => (State::Parsing(parser), text.len()),
            Progress::Invalid(at) if parser.may_be_prose() => (State::Searching(StartSearch::in_prose()), at),
            Progress::Invalid(_) | Progress::Complete => (State::Done(Some(parser)), text.len()),
        }
    }
}
