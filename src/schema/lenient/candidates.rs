//! Finds everything in a reply that starts like JSON.

use tokio::time::Instant;

use super::{Json, ParseError, Parser, steps};
use crate::schema::change::Changes;
use crate::schema::extract::{end_of_brackets, opens_fence};
use crate::schema::scan;
use crate::steps::Steps;

/// Limits how often the search resumes after a bracket of the prose that consumed the rest of the reply.
const MAX_RESUMES: usize = 8;

/// A part of the reply that starts like JSON.
#[derive(Debug)]
pub(in crate::schema) struct JsonCandidate<'t> {
    pub(in crate::schema) start: usize,
    pub(in crate::schema) end: usize,
    /// Whether it opens a code fence.
    pub(in crate::schema) is_fenced: bool,
    pub(in crate::schema) outcome: Outcome<'t>,
}

#[derive(Debug)]
pub(in crate::schema) enum Outcome<'t> {
    Complete(Json<'t>, Changes),
    /// A complete value that looks like a part of a larger one which has lost its brackets.
    Fragment(Json<'t>, Changes),
    Truncated,
    Invalid,
}

/// Returns the value that all of `reply` is, or the candidates in it, in order; `None` if one nests too deeply, or if brackets of
/// prose have most of the reply read again and again. Runs in linear time.
///
/// At `deadline` it ends with `None`, if that is not `None`.
pub(in crate::schema) fn find_candidates(reply: &str, deadline: Option<Instant>) -> Option<Vec<JsonCandidate<'_>>> {
    let mut steps = steps(reply).until(deadline);
    let start = start_of_text(reply, 0);
    let (inside, is_fenced) = match reply[start..].strip_prefix("```").and_then(|text| text.split_once('\n')) {
        Some((_, content)) => (start_of_text(reply, reply.len() - content.len()), true),
        None => (start, false),
    };
    if !reply[inside..].starts_with(['{', '[']) {
        let mut parser = Parser::new(reply, inside, &mut steps);
        match parser.value(super::StringRole::Item) {
            Ok(value) if is_rest_empty(reply, parser.at) => {
                let outcome = Outcome::Complete(value, parser.changes);
                return Some(vec![JsonCandidate { start: inside, end: parser.at, is_fenced, outcome }]);
            }
            Err(ParseError::TooDeep | ParseError::Exhausted) => return None,
            _ => {}
        }
    }
    search(reply, start, &mut steps)
}

fn search<'t>(reply: &'t str, mut at: usize, steps: &mut Steps) -> Option<Vec<JsonCandidate<'t>>> {
    let bytes = reply.as_bytes();
    let mut found = Vec::new();
    let mut resumes = 0;
    let first = at;
    while let Some(offset) = bytes[at..].iter().position(|byte| matches!(byte, b'{' | b'[')) {
        let start = at + offset;
        let mut parser = Parser::new(reply, start, steps);
        let parsed = parser.value(super::StringRole::Item);
        parser.steps.spend(parser.at - start);
        if parser.steps.is_exhausted() {
            return None;
        }
        let (end, outcome) = match parsed {
            Ok(value) if is_fragment(reply, start, parser.at) => (parser.at, Outcome::Fragment(value, parser.changes)),
            Ok(value) => (parser.at, Outcome::Complete(value, parser.changes)),
            Err(ParseError::TooDeep | ParseError::Exhausted) => return None,
            Err(ParseError::Truncated) if parser.is_json || resumes == MAX_RESUMES => (bytes.len(), Outcome::Truncated),
            Err(ParseError::Invalid(position)) if parser.is_json => {
                (end_of_brackets(bytes, position, parser.open.len()), Outcome::Invalid)
            }
            Err(ParseError::Truncated)
                if start == first || is_rest_empty(reply, start + 1) || opens_fence(&reply[..start]) =>
            {
                (bytes.len(), Outcome::Truncated)
            }
            // Prose, whose quote may not start a string.
            Err(ParseError::Truncated) => {
                resumes += 1;
                at = parser.quote.map_or(bytes.len(), |quote| quote + 1);
                continue;
            }
            Err(ParseError::Invalid(position)) => {
                at = parser.quote.map_or(position, |quote| quote + 1).max(start + 1);
                continue;
            }
        };
        found.push(JsonCandidate { start, end, is_fenced: opens_fence(&reply[..start]), outcome });
        at = end;
    }
    Some(found)
}

/// Returns whether the value is part of a larger one that has lost its brackets.
fn is_fragment(reply: &str, start: usize, end: usize) -> bool {
    let before = reply[..start].trim_end();
    let is_member = before.strip_suffix(':').is_some_and(|name| name.trim_end().ends_with(['"', '\'', '”', '’', '`']));
    is_member || before.ends_with(',') || reply[end..].trim_start().starts_with(',')
}

fn is_rest_empty(reply: &str, at: usize) -> bool {
    let rest = reply[at..].trim_start();
    rest.is_empty() || rest.strip_prefix("```").is_some_and(|rest| rest.trim().is_empty())
}

fn start_of_text(reply: &str, at: usize) -> usize {
    let rest = reply[at..].trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    scan::skip_space(reply.as_bytes(), reply.len() - rest.len())
}
