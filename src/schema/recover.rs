//! From a model's reply to the JSON it means: as it is, mended, or not at all.
//!
//! A reply is mended where its damage has one interpretation, and its values are brought into the schema's types where that
//! loses nothing. What has two readings is left to a further call: a second answer is dearer than a repair, a wrong one
//! is dearer still.

use super::Schema;
use super::change::{Change, Changes};
use super::coerce::coerce;
use super::graph::Graph;
use super::lenient::{Json, JsonCandidate, Outcome, find_candidates};
use super::matcher::Matcher;
use super::nesting::is_unambiguous;

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
    /// The reply holds no JSON, or damaged JSON with more than one interpretation, or several values that may be meant.
    NoJson,
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
    let Some(mut found) = find_candidates(reply) else { return Recovery::NoJson };
    if found.iter().any(|candidate| candidate.fenced) {
        found.retain(|candidate| candidate.fenced);
    }
    let source = |candidate: &JsonCandidate<'_>| &reply[candidate.start..candidate.end];
    // The first of the largest.
    let Some(best) = found.iter().rev().max_by_key(|candidate| candidate.end - candidate.start) else {
        return Recovery::NoJson;
    };
    let best_parse = match &best.outcome {
        Outcome::Complete(json, changes) => (json, changes),
        Outcome::Truncated => return Recovery::Truncated,
        Outcome::Invalid => return Recovery::NoJson,
    };
    let mut interpretation: Option<(&JsonCandidate<'_>, Interpretation)> = None;
    for candidate in &found {
        let Outcome::Complete(json, changes) = &candidate.outcome else { continue };
        let Some(fitting) = interpret(json, changes, source(candidate), graph) else { continue };
        match &interpretation {
            // The model says the same twice.
            Some((_, other)) if *other == fitting => {}
            Some(_) => return Recovery::NoJson,
            None => interpretation = Some((candidate, fitting)),
        }
    }
    // What fits beside a larger value that does not is an example, or a word of the prose.
    let Some((_, interpretation)) = interpretation.filter(|(chosen, _)| source(chosen) == source(best)) else {
        return without_coercion(best_parse.0, best_parse.1, source(best));
    };
    // One line of several is not the list they make up.
    let bracket = |candidate: &JsonCandidate<'_>| reply.as_bytes().get(candidate.start).copied();
    let is_sibling = |other: &JsonCandidate<'_>| source(other) != source(best) && bracket(other) == bracket(best);
    if interpretation.coerced && found.iter().any(is_sibling) {
        return Recovery::NoJson;
    }
    interpretation.recovery
}

/// A value that fits.
#[derive(PartialEq)]
struct Interpretation {
    recovery: Recovery,
    coerced: bool,
}

/// `json` as it is or made to fit; `None` where it does not.
fn interpret(json: &Json<'_>, changes: &Changes, source: &str, graph: &Graph) -> Option<Interpretation> {
    // Where a bracket was left out, the shape of the value is the model's only by the schema's word.
    if changes.has(Change::MissingCloser) && !is_unambiguous(json, graph) {
        return Some(Interpretation { recovery: Recovery::Truncated, coerced: false });
    }
    if Matcher::new(graph).matches(json, &graph.root) {
        return Some(Interpretation { recovery: without_coercion(json, changes, source), coerced: false });
    }
    let (json, coercions) = coerce(json, graph, source.len())?;
    let mut changes = changes.clone();
    coercions.kinds().for_each(|change| changes.note(change));
    Some(Interpretation {
        recovery: Recovery::Repaired { json: json.to_text()?, changes: changes.into_vec() },
        coerced: true,
    })
}

fn without_coercion(json: &Json<'_>, changes: &Changes, source: &str) -> Recovery {
    if changes.is_empty() && json.is_finite() {
        return Recovery::Strict(source.to_owned());
    }
    match json.to_text() {
        Some(json) => Recovery::Repaired { json, changes: changes.clone().into_vec() },
        None => Recovery::NoJson,
    }
}
