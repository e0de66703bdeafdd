//! Recovers the JSON that a model's reply means.
//!
//! Damaged JSON is repaired if it has one interpretation, and values are coerced to the schema's types if that is
//! lossless. Ambiguous replies are left to another request: it costs more than a repair, but less than a wrong answer.

use tokio::time::Instant;

use super::Schema;
use super::change::{Change, Changes};
use super::coerce::coerce;
use super::graph::Graph;
use super::lenient::{Json, JsonCandidate, Outcome, find_candidates};
use super::matcher::Matcher;
use super::nesting::is_unambiguous;
use super::unwrap::wrapped_value;
use crate::reasoning::{self, Purpose};

/// The most wrappers around a value: a list of calls of a function whose arguments have a wrapper.
const MAX_WRAPPERS: usize = 5;

/// The JSON of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// JSON as the model wrote it, without the surrounding prose. It matches the schema, or no lossless change makes it
    /// match.
    Strict(String),
    /// JSON with the same meaning as the reply's. It matches the schema, or only its syntax was repaired.
    Repaired {
        /// The text, with number literals as the model wrote them.
        json: String,
        /// The kinds of changes, each once, in the order of first use.
        changes: Vec<Change>,
    },
    /// The reply ends inside its value.
    Truncated,
    /// The reply has no JSON, ambiguous damaged JSON, or several possible answers.
    NoJson,
}

/// Recovers the JSON of `reply`, coerced to the types of `schema`. Runs in linear time.
///
/// If no coercion makes the value match, only its syntax is repaired, and the caller's validation reports the mismatch.
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
    recover_until(reply, schema, None)
}

/// Recovers the JSON of `reply` like [`recover`], but ends at `deadline` without JSON; `None` means no deadline.
pub(crate) fn recover_until(reply: &str, schema: &Schema, deadline: Option<Instant>) -> Recovery {
    if let Some((answer, _)) = reasoning::split(reply, Purpose::Json) {
        return recover_answer(&answer, schema, deadline);
    }
    recover_answer(reply, schema, deadline)
}

fn recover_answer(reply: &str, schema: &Schema, deadline: Option<Instant>) -> Recovery {
    let Some(text) = unescaped(reply) else { return recover_value(reply, &schema.graph, deadline) };
    match recover_value(&text, &schema.graph, deadline) {
        Recovery::Strict(json) => Recovery::Repaired { json, changes: vec![Change::EscapedText] },
        Recovery::Repaired { json, mut changes } => {
            changes.insert(0, Change::EscapedText);
            Recovery::Repaired { json, changes }
        }
        other => other,
    }
}

/// Returns the text of a reply that is escaped as if it were inside a string: `{\"a\": 1}`.
fn unescaped(reply: &str) -> Option<String> {
    let text = reply.trim_start().trim_start_matches("```json").trim_start();
    let content = text.strip_prefix(['{', '['])?.trim_start();
    if !["\\\"", "\\n"].iter().any(|escape| content.starts_with(escape)) {
        return None;
    }
    let text = text.trim_end().trim_end_matches("```").replace('\r', "\\r").replace('\n', "\\n");
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

fn recover_value(reply: &str, graph: &Graph, deadline: Option<Instant>) -> Recovery {
    let Some(mut found) = find_candidates(reply, deadline) else { return Recovery::NoJson };
    if found.iter().any(|candidate| candidate.is_fenced) {
        found.retain(|candidate| candidate.is_fenced);
    }
    let source = |candidate: &JsonCandidate<'_>| &reply[candidate.start..candidate.end];
    // The first of the largest candidates.
    let Some(best) = found.iter().rev().max_by_key(|candidate| candidate.end - candidate.start) else {
        return Recovery::NoJson;
    };
    let best_parse = match &best.outcome {
        Outcome::Complete(json, changes) => (json, changes),
        Outcome::Truncated => return Recovery::Truncated,
        Outcome::Fragment(..) | Outcome::Invalid => return Recovery::NoJson,
    };
    let mut interpretation: Option<(&JsonCandidate<'_>, Interpretation)> = None;
    let mut fragments = Vec::new();
    for candidate in &found {
        let (Outcome::Complete(json, changes) | Outcome::Fragment(json, changes)) = &candidate.outcome else {
            continue;
        };
        let Some(matching) = interpret(json, changes, source(candidate), graph) else { continue };
        match &interpretation {
            _ if matches!(candidate.outcome, Outcome::Fragment(..)) => fragments.push(matching),
            // The model repeated its answer.
            Some((_, other)) if *other == matching => {}
            Some(_) => return Recovery::NoJson,
            None => interpretation = Some((candidate, matching)),
        }
    }
    // A comma of the prose behind another answer makes it look like a fragment.
    if let Some((_, chosen)) = &interpretation
        && fragments.iter().any(|fragment| fragment != chosen)
    {
        return Recovery::NoJson;
    }
    // A smaller value that matches, next to a larger one that does not, is an example or a word of the prose.
    let Some((_, interpretation)) = interpretation.filter(|(chosen, _)| source(chosen) == source(best)) else {
        return without_coercion(best_parse.0, best_parse.1, source(best));
    };
    // One of several lines is not the list that they form.
    let bracket = |candidate: &JsonCandidate<'_>| reply.as_bytes().get(candidate.start).copied();
    let is_sibling = |other: &JsonCandidate<'_>| source(other) != source(best) && bracket(other) == bracket(best);
    if interpretation.is_coerced && found.iter().any(is_sibling) {
        return Recovery::NoJson;
    }
    interpretation.recovery
}

/// Returns the value of `json` that a wrapper holds, coerced; `None` if none of them can match. The outermost one is returned.
fn unwrap<'t>(json: &Json<'t>, graph: &Graph, length: usize) -> Option<(Json<'t>, Changes)> {
    let mut inner = json;
    for _ in 0..MAX_WRAPPERS {
        inner = wrapped_value(inner)?;
        if Matcher::new(graph).matches(inner, &graph.root) {
            return Some((inner.clone(), Changes::default()));
        }
        if let Some(coerced) = coerce(inner, graph, length) {
            return Some(coerced);
        }
    }
    None
}

/// A candidate that matches the schema, possibly after coercion.
#[derive(PartialEq)]
struct Interpretation {
    recovery: Recovery,
    is_coerced: bool,
}

/// Returns `json` as it is or coerced; `None` if it cannot match.
fn interpret(json: &Json<'_>, changes: &Changes, source: &str, graph: &Graph) -> Option<Interpretation> {
    // With a bracket missing, the nesting is known only if the schema determines it.
    if changes.has(Change::MissingCloser) && !is_unambiguous(json, graph) {
        return Some(Interpretation { recovery: Recovery::Truncated, is_coerced: false });
    }
    if Matcher::new(graph).matches(json, &graph.root) {
        return Some(Interpretation { recovery: without_coercion(json, changes, source), is_coerced: false });
    }
    let mut changes = changes.clone();
    let (json, coercions) = if let Some(coerced) = coerce(json, graph, source.len()) {
        coerced
    } else {
        changes.note(Change::WrapperRemoved);
        unwrap(json, graph, source.len())?
    };
    coercions.kinds().for_each(|change| changes.note(change));
    Some(Interpretation {
        recovery: Recovery::Repaired { json: json.to_text()?, changes: changes.into_vec() },
        is_coerced: true,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{Dialect, json_text};
    use crate::steps::testing::{assert_linear, counted};

    fn review() -> Schema {
        let properties = json!({"score": {"type": "integer"}, "comment": {"type": "string"}});
        let document = json!({"type": "object", "properties": properties, "required": ["score", "comment"]});
        Schema::new("Review", document).unwrap()
    }

    #[test]
    fn wrappers_are_removed() {
        const ANSWER: &str = r#"{"score": 7, "comment": "fine"}"#;
        for reply in [
            format!("{{\"output\": {ANSWER}}}"),
            format!("{{\"Review\": {ANSWER}}}"),
            format!("<tool_call>{{\"name\": \"Review\", \"arguments\": {ANSWER}}}</tool_call>"),
            format!("[TOOL_CALLS][{{\"name\": \"Review\", \"arguments\": {ANSWER}}}]"),
            format!(
                "{{\"tool_calls\": [{{\"type\": \"function\", \"function\": {{\"name\": \"f\", \"arguments\": {ANSWER:?}}}}}]}}"
            ),
            format!("{{\"type\": \"object\", \"properties\": {ANSWER}, \"required\": [\"score\"]}}"),
            format!("```json\n{{\"result\": {{\"review\": {ANSWER}}}}}\n```"),
        ] {
            let Recovery::Repaired { json, changes } = recover(&reply, &review()) else { panic!("{reply}") };
            assert_eq!(json, ANSWER, "{reply}");
            assert!(changes.contains(&Change::WrapperRemoved), "{reply}");
        }
    }

    #[test]
    fn a_wrapper_that_fits_stays() {
        let anything = Schema::new("S", json!({"type": "object"})).unwrap();
        let reply = r#"{"output": {"score": 7}}"#;
        assert_eq!(recover(reply, &anything), Recovery::Strict(reply.to_owned()));
    }

    #[test]
    fn a_backslash_before_punctuation_is_markdown() {
        for (comment, meant) in [
            (r"the field\_name of my\_\_class", "the field_name of my__class"),
            (r"odd \_ escape", "odd _ escape"),
            (r"\*\*bold\*\* \[1\]\(a\) \# \- \> \! 1\. \`x\` \| \~", "**bold** [1](a) # - > ! 1. `x` | ~"),
            (r"5 \* 3, a\nb, \\ and \/", r"5 * 3, a\nb, \\ and \/"),
        ] {
            let reply = format!("{{\"score\": 7, \"comment\": \"{comment}\"}}");
            let Recovery::Repaired { json, changes } = recover(&reply, &review()) else { panic!("{reply}") };
            assert_eq!(json, format!("{{\"score\": 7, \"comment\": \"{meant}\"}}"));
            assert_eq!(changes, [Change::Escape]);
        }
        // The backslashes are content: of a path, of an expression.
        for comment in [r"C:\Dir\my\_file", r"\d+\.\d", r#"say(\"hi\)"#] {
            let reply = format!("{{\"score\": 7, \"comment\": \"{comment}\"}}");
            assert_eq!(recover(&reply, &review()), Recovery::NoJson, "{reply}");
        }
    }

    /// Schemas with the forms that a reply is compared with: unions of objects that contain themselves, lists, texts.
    fn schemas() -> [Schema; 4] {
        let node = json!({"anyOf": [
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/N"}, "b": {"$ref": "#/$defs/N"}}},
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/N"}, "c": {}}, "required": ["a"]},
            {"type": "array", "items": {"$ref": "#/$defs/N"}},
            {"type": "integer"},
        ]});
        [
            json!({}),
            json!({"$ref": "#/$defs/N", "$defs": {"N": node}}),
            json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
        ]
        .map(|document| Schema::new("S", document).unwrap())
    }

    #[test]
    fn lenient_reading_takes_linear_time() {
        for schema in schemas() {
            assert_linear(|text| drop(recover(text, &schema)));
        }
    }

    #[test]
    fn the_search_for_the_answer_takes_linear_time() {
        for schema in schemas() {
            let lowered = schema.lower(Dialect::OpenAi);
            assert_linear(|text| {
                let _ = (lowered.answer(text), lowered.answer_in_reasoning(text), json_text(text));
                lowered.restore(text.to_owned());
            });
        }
    }

    #[test]
    fn incremental_reading_takes_linear_time() {
        for schema in schemas() {
            let lowered = schema.lower(Dialect::OpenAi);
            assert_linear(|text| {
                let mut partial = lowered.partial();
                for character in text.chars() {
                    partial.push(character.encode_utf8(&mut [0; 4]));
                    partial.snapshot();
                }
            });
        }
    }

    #[test]
    fn lenient_reading_ends_at_the_deadline() {
        let reply = format!("{{\"score\": 7, \"comment\": 'fine'}} {}", "[‘".repeat(100_000) + "’x");
        let anything = Schema::new("S", json!({})).unwrap();
        let steps = |deadline| counted(|| recover_until(&reply, &anything, deadline));
        assert!(steps(Some(Instant::now())) < steps(None) / 4);
    }
}
