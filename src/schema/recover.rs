//! From a model's reply to the JSON it means: as it is, mended, or not at all.
//!
//! A reply is mended where its damage has one reading, and its values are brought into the schema's types where that
//! loses nothing. What has two readings is left to a further call: a second answer is dearer than a repair, a wrong one
//! is dearer still.

use super::Schema;
use super::coerce::coerce;
use super::fit::Judge;
use super::graph::Graph;
use super::lenient::{Candidate, Json, State, find};
use super::placed::is_placed;

/// Coercions that move a value in or out of brackets.
const RESHAPING: [Change; 5] =
    [Change::ItemToList, Change::ListToItem, Change::PropertyName, Change::WrapperAdded, Change::WrapperRemoved];

/// What a reply holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// JSON as the model wrote it, without the prose around it. It fits the schema, or no lossless change makes it fit.
    Strict(String),
    /// JSON that is not quite what the model wrote, but says the same. It fits the schema, or only its syntax was mended.
    Repaired {
        /// The text, with number literals as the model wrote them.
        json: String,
        /// What was changed, each kind once, in the order of its first use.
        changes: Vec<Change>,
    },
    /// The reply ends inside its value.
    Truncated,
    /// The reply holds no JSON, or damaged JSON with more than one reading, or several values that may be meant.
    NoJson,
}

/// A kind of change that keeps the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// A comma before a closing bracket was dropped.
    TrailingComma,
    /// A comma between two values was added.
    MissingComma,
    /// All but one of several commas between properties were dropped.
    RepeatedComma,
    /// Brackets were closed: before another one, or at the end of the reply. There the model may have meant to go on.
    MissingCloser,
    /// Single, typographic or back quotes became double ones.
    Quotes,
    /// Quotes inside a string were escaped.
    InnerQuotes,
    /// Quotes were put around a property's name.
    UnquotedKey,
    /// A comment was dropped.
    Comment,
    /// Full-width colons or commas became ASCII.
    WidePunctuation,
    /// White space that JSON does not know was replaced.
    WhiteSpace,
    /// A line break or another control character in a string was escaped.
    ControlCharacter,
    /// A backslash that starts no escape of JSON was dropped before `'`, doubled elsewhere.
    Escape,
    /// `True`, `None` and their like became JSON's words.
    Literal,
    /// `+1`, `.5` or `5.` was completed.
    NumberForm,
    /// The whole value stood in the reply with its quotes escaped.
    EscapedText,
    /// `NaN` or an infinity became null.
    NotFiniteToNull,
    /// A number in quotes became a number.
    TextToNumber,
    /// `8.0` became `8`.
    FloatToInteger,
    /// A number became a string of its digits.
    NumberToText,
    /// `"true"`, `"yes"`, `"false"` or `"no"` became a boolean.
    TextToBoolean,
    /// `"null"`, `"none"` or an empty string became null.
    TextToNull,
    /// A value was put into a list of its own.
    ItemToList,
    /// A value was taken out of a list of its own.
    ListToItem,
    /// JSON inside a string was taken out of it.
    TextToValue,
    /// An enumerated value was spelt as the schema does.
    EnumSpelling,
    /// A property's name was spelt as the schema does.
    PropertyName,
    /// A list was put into the object whose only required property it is.
    WrapperAdded,
    /// A list was taken out of an object that held nothing else.
    WrapperRemoved,
}

impl Change {
    /// The name in `snake_case`, for logs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TrailingComma => "trailing_comma",
            Self::MissingComma => "missing_comma",
            Self::RepeatedComma => "repeated_comma",
            Self::MissingCloser => "missing_closer",
            Self::Quotes => "quotes",
            Self::InnerQuotes => "inner_quotes",
            Self::UnquotedKey => "unquoted_key",
            Self::Comment => "comment",
            Self::WidePunctuation => "wide_punctuation",
            Self::WhiteSpace => "white_space",
            Self::ControlCharacter => "control_character",
            Self::Escape => "escape",
            Self::Literal => "literal",
            Self::NumberForm => "number_form",
            Self::EscapedText => "escaped_text",
            Self::NotFiniteToNull => "not_finite_to_null",
            Self::TextToNumber => "text_to_number",
            Self::FloatToInteger => "float_to_integer",
            Self::NumberToText => "number_to_text",
            Self::TextToBoolean => "text_to_boolean",
            Self::TextToNull => "text_to_null",
            Self::ItemToList => "item_to_list",
            Self::ListToItem => "list_to_item",
            Self::TextToValue => "text_to_value",
            Self::EnumSpelling => "enum_spelling",
            Self::PropertyName => "property_name",
            Self::WrapperAdded => "wrapper_added",
            Self::WrapperRemoved => "wrapper_removed",
        }
    }
}

/// Kinds of change, each once, in the order of their first use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn note(&mut self, change: Change) {
        if !self.has(change) {
            self.0.push(change);
        }
    }

    pub(super) fn has(&self, change: Change) -> bool {
        self.0.contains(&change)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = Change> {
        self.0.iter().copied()
    }
}

/// The JSON that `reply` means, brought into the types of `schema`. Takes time linear in the length of the reply.
///
/// Where nothing makes the value fit, it comes back with its syntax mended alone, for the caller's check to refuse.
///
/// # Example
///
/// ```
/// use madspark::schema::{Change, Recovery, Schema, recover};
///
/// let document = serde_json::json!({"type": "object", "properties": {"score": {"type": "integer"}}});
/// let schema = Schema::new("Score", document)?;
/// let Recovery::Repaired { json, changes } = recover("Sure! {score: '8',}", &schema) else { panic!() };
/// assert_eq!(json, r#"{"score": 8}"#);
/// assert!(changes.contains(&Change::TextToNumber));
/// assert_eq!(recover(r#"{"score": 1"#, &schema), Recovery::Truncated);
/// # Ok::<(), madspark::Error>(())
/// ```
pub fn recover(reply: &str, schema: &Schema) -> Recovery {
    let Some(text) = unescaped(reply) else { return read(reply, &schema.graph) };
    match read(&text, &schema.graph) {
        Recovery::Strict(json) => Recovery::Repaired { json, changes: vec![Change::EscapedText] },
        Recovery::Repaired { json, mut changes } => {
            changes.insert(0, Change::EscapedText);
            Recovery::Repaired { json, changes }
        }
        other => other,
    }
}

/// The text of a reply that is JSON as it stands inside a string: `{\"a\": 1}`.
fn unescaped(reply: &str) -> Option<String> {
    let text = reply.trim_start().trim_start_matches("```json").trim_start();
    let content = text.strip_prefix(['{', '['])?.trim_start();
    if !["\\\"", "\\n"].iter().any(|escape| content.starts_with(escape)) {
        return None;
    }
    let text = text.trim_end().trim_end_matches("```").replace('\r', "\\r").replace('\n', "\\n");
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

fn read(reply: &str, graph: &Graph) -> Recovery {
    let Some(mut found) = find(reply) else { return Recovery::NoJson };
    if found.iter().any(|candidate| candidate.fenced) {
        found.retain(|candidate| candidate.fenced);
    }
    let written = |candidate: &Candidate<'_>| &reply[candidate.start..candidate.end];
    // The first of the largest.
    let Some(best) = found.iter().rev().max_by_key(|candidate| candidate.end - candidate.start) else {
        return Recovery::NoJson;
    };
    let unfit = match &best.state {
        State::Whole(json, changes) => (json, changes),
        State::Cut => return Recovery::Truncated,
        State::Broken => return Recovery::NoJson,
    };
    let mut reading: Option<(&Candidate<'_>, Reading)> = None;
    for candidate in &found {
        let State::Whole(json, changes) = &candidate.state else { continue };
        let Some(fitting) = fitted(json, changes, written(candidate), graph) else { continue };
        match &reading {
            // The model says the same twice.
            Some((_, other)) if *other == fitting => {}
            Some(_) => return Recovery::NoJson,
            None => reading = Some((candidate, fitting)),
        }
    }
    let Some((chosen, reading)) = reading else { return as_written(unfit.0, unfit.1, written(best)) };
    // One line of several is not the list they make up.
    let is_sibling =
        |other: &Candidate<'_>| written(other) != written(chosen) && written(other)[..1] == written(chosen)[..1];
    if reading.coerced && found.iter().any(is_sibling) {
        return Recovery::NoJson;
    }
    reading.recovery
}

/// A value that fits.
#[derive(PartialEq)]
struct Reading {
    recovery: Recovery,
    coerced: bool,
}

/// `json` as it is or made to fit; `None` where it does not.
fn fitted(json: &Json<'_>, changes: &Changes, written: &str, graph: &Graph) -> Option<Reading> {
    // Where a bracket was left out, the shape of the value is the model's only by the schema's word.
    let guessed = changes.has(Change::MissingCloser);
    if guessed && !is_placed(json, graph) {
        return Some(Reading { recovery: Recovery::Truncated, coerced: false });
    }
    if Judge::new(graph).fits(json, &graph.root) {
        return Some(Reading { recovery: as_written(json, changes, written), coerced: false });
    }
    let (json, coercions) = coerce(json, graph, written.len())?;
    if guessed && RESHAPING.iter().any(|change| coercions.has(*change)) {
        return Some(Reading { recovery: Recovery::Truncated, coerced: true });
    }
    let mut changes = changes.clone();
    coercions.kinds().for_each(|change| changes.note(change));
    Some(Reading { recovery: Recovery::Repaired { json: json.to_text()?, changes: changes.0 }, coerced: true })
}

fn as_written(json: &Json<'_>, changes: &Changes, written: &str) -> Recovery {
    match json.to_text() {
        Some(_) if changes.is_empty() => Recovery::Strict(written.to_owned()),
        Some(json) => Recovery::Repaired { json, changes: changes.0.clone() },
        None => Recovery::NoJson,
    }
}
