//! Finds the JSON text inside a model's reply.
//!
//! One pass collects the spans that start like JSON. The largest one is the answer; a span that opens a code fence
//! takes precedence over one in the prose. Truncated and invalid spans compete as well: if one wins, the reply has no
//! JSON, because a smaller value next to or inside it is not the answer.

use std::cell::LazyCell;

use serde_json::Value;

use super::scan::{self, ScanError};
use crate::reasoning::{self, Purpose};
use crate::steps;

/// Returns the JSON text of a reply: the whole reply, the content of its code fence, or the largest value in its prose.
/// Returns `None` if there is no complete JSON value. Runs in linear time.
///
/// # Example
///
/// ```
/// use madspark::schema::json_text;
///
/// assert_eq!(json_text("Here it is:\n```json\n{\"a\": 1}\n```\nEnjoy!"), Some("{\"a\": 1}"));
/// assert_eq!(json_text("{\"a\": [1, 2"), None);
/// ```
pub fn json_text(reply: &str) -> Option<&str> {
    let reply = trim(reply);
    if is_value(reply) {
        return Some(reply);
    }
    let Some((answer, _)) = reasoning::split(reply, Purpose::Json) else { return largest_or_fenced(reply) };
    let json = largest_or_fenced(&answer)?;
    // Unless reasoning was inside it, the value is a part of the reply.
    reply.rfind(json).map(|start| &reply[start..start + json.len()])
}

fn largest_or_fenced(answer: &str) -> Option<&str> {
    let answer = trim(answer);
    let fenced = inside_fence(answer);
    [answer, fenced]
        .into_iter()
        .find(|text| is_value(text))
        .or_else(|| largest(&spans(answer)).map(|span| span.text(answer)))
}

/// Returns the JSON text in `reply`, which contains no reasoning, that answers a request whose values satisfy `fits`.
///
/// If the reply contains several values, it is the one that fits. Different values that fit are ambiguous, unless only one of
/// them opens a code fence. A value that does not fit makes the reply ambiguous as well if it looks like another version of the
/// answer. If no value fits, the result is that of [`json_text`].
pub(super) fn answer_text(reply: &str, fits: impl Fn(&str) -> bool) -> Option<&str> {
    let reply = trim(reply);
    let fenced = inside_fence(reply);
    if let Some(value) = [reply, fenced].into_iter().find(|text| is_value(text)) {
        return Some(value);
    }
    let spans = spans(reply);
    let (complete, damaged): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.is_complete);
    if complete.len() < 2 {
        return largest(&spans).map(|span| span.text(reply));
    }
    let (fitting, others): (Vec<&Span>, Vec<&Span>) = complete.into_iter().partition(|span| fits(span.text(reply)));
    if fitting.is_empty() {
        return largest(&spans).map(|span| span.text(reply));
    }
    let fenced: Vec<&Span> = fitting.iter().copied().filter(|span| span.is_fenced).collect();
    let answer = only_value(reply, if fenced.is_empty() { &fitting } else { &fenced })?;
    let size = |span: &Span| (span.is_fenced, span.end - span.start);
    let is_damaged_answer = damaged.into_iter().any(|span| size(span) > size(answer));
    let is_ambiguous = is_damaged_answer || has_version(reply, others.into_iter(), answer);
    (!is_ambiguous).then(|| answer.text(reply))
}

/// Returns the JSON text at the end of a model's `reasoning` that answers a request whose values satisfy `fits`; `None` if
/// another value in it fits as well.
pub(super) fn answer_at_end(reasoning: &str, fits: impl Fn(&str) -> bool) -> Option<&str> {
    let text = trim(reasoning);
    let fenced = inside_fence(text);
    if let Some(value) = [text, fenced].into_iter().find(|text| is_value(text)) {
        return fits(value).then_some(value);
    }
    let spans = spans(text);
    let last = spans.last()?;
    let rest = text[last.end..].trim();
    if !matches!(rest, "" | "```") {
        return None;
    }
    let (fitting, others): (Vec<&Span>, Vec<&Span>) =
        spans.iter().partition(|span| span.is_complete && fits(span.text(text)));
    let answer = only_value(text, &fitting)?;
    let is_last = fitting.last().is_some_and(|span| span.end == last.end);
    let is_ambiguous = has_version(text, others.into_iter(), answer);
    (is_last && !is_ambiguous).then(|| answer.text(text))
}

/// Returns the first of `spans` if all have the same value.
fn only_value<'s>(reply: &str, spans: &[&'s Span]) -> Option<&'s Span> {
    let (first, others) = spans.split_first()?;
    let value = LazyCell::new(|| first.value(reply));
    let is_same = |other: &&Span| {
        first.text(reply) == other.text(reply) || other.value(reply).is_some_and(|other| value.as_ref() == Some(&other))
    };
    others.iter().all(is_same).then_some(*first)
}

/// Whether one of `others`, which do not fit, may be the answer that is meant, rather than `answer`: it has the same kind and
/// all members of it, or is larger and has some of them.
fn has_version<'s>(reply: &str, mut others: impl Iterator<Item = &'s Span>, answer: &Span) -> bool {
    let value = LazyCell::new(|| answer.value(reply));
    others.any(|other| {
        let is_larger = other.end - other.start > answer.end - answer.start;
        match (other.value(reply), &*value) {
            (Some(Value::Array(_)), Some(Value::Array(_))) => is_larger,
            (Some(Value::Object(other)), Some(Value::Object(answer))) => {
                let has = |(name, _): &(&String, &Value)| answer.contains_key(*name);
                let shared = other.iter().filter(has).count();
                shared > 0 && (is_larger || shared == answer.len())
            }
            _ => false,
        }
    })
}

/// Whether `reply` is one JSON value.
pub(crate) fn is_json(reply: &str) -> bool {
    is_value(trim(reply))
}

/// A part of the reply that starts like JSON.
struct Span {
    start: usize,
    end: usize,
    is_complete: bool,
    is_fenced: bool,
}

impl Span {
    fn text<'t>(&self, reply: &'t str) -> &'t str {
        &reply[self.start..self.end]
    }

    fn value(&self, reply: &str) -> Option<Value> {
        steps::count(self.end - self.start);
        serde_json::from_str(self.text(reply)).ok()
    }
}

/// Returns the content of the code fence if `text` is one, and `text` otherwise.
fn inside_fence(text: &str) -> &str {
    let fenced = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    fenced.and_then(|text| text.split_once('\n')).map_or(text, |(_, content)| trim(content))
}

/// Returns `text` without the white space and the byte order mark around it.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// Returns whether all of `text` is one JSON value.
fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'{' | b'[') => matches!(scan_value(bytes, 0), Scan::Value(end) if end == bytes.len()),
        _ => scan::scalar(bytes, 0) == Ok(bytes.len()),
    }
}

/// Returns the best of `spans`, if it is complete: the largest one that opens a code fence, or the largest one.
fn largest(spans: &[Span]) -> Option<&Span> {
    let rank = |span: &Span| (span.is_fenced, span.end - span.start);
    // The first one of the largest.
    spans.iter().rev().max_by_key(|span| rank(span)).filter(|best| best.is_complete)
}

/// Returns the parts of `text` that start like JSON, in order.
fn spans(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| matches!(byte, b'{' | b'[')) {
        let start = at + offset;
        steps::count(offset);
        let (end, is_complete) = match scan_value(bytes, start) {
            Scan::Value(end) => (end, true),
            Scan::Invalid(end) => (end, false),
            Scan::Prose(next) => {
                at = next;
                continue;
            }
        };
        found.push(Span { start, end, is_complete, is_fenced: opens_fence(&text[..start]) });
        at = end;
    }
    found
}

/// Returns whether `before` ends with the opening line of a code fence.
pub(super) fn opens_fence(before: &str) -> bool {
    const LONGEST_TAG: usize = 16;
    let before = before.trim_end().as_bytes();
    let tag = before.iter().rev().take(LONGEST_TAG).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    before[..before.len() - tag].ends_with(b"```")
}

/// The result of scanning from an opening bracket.
enum Scan {
    /// A JSON value that ends at this position.
    Value(usize),
    /// Invalid or truncated JSON whose brackets end at this position.
    Invalid(usize),
    /// Prose. The search continues at this position.
    Prose(usize),
}

/// The tokens that are valid next.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    CommaOrClose,
}

/// Scans the value whose opening bracket is at `start`.
///
/// A failure counts as prose ("see [1, page 4]") if only flat numbers or one string preceded it. The search then
/// resumes at the failure, or inside the string, whose quote may belong to the prose. Each byte is scanned at most a
/// fixed number of times.
fn scan_value(text: &[u8], start: usize) -> Scan {
    let mut open: Vec<u8> = Vec::new();
    let mut expect = Expect::Value;
    let mut at = start;
    let mut quote = None;
    let mut is_json = false;
    let error = loop {
        at = scan::skip_space(text, at);
        let Some(&byte) = text.get(at) else { break ScanError::UnexpectedEnd };
        let in_object = open.last() == Some(&b'{');
        match (byte, expect) {
            (b'{' | b'[', Expect::Value | Expect::ValueOrClose) => {
                open.push(byte);
                expect = if byte == b'{' { Expect::KeyOrClose } else { Expect::ValueOrClose };
                at += 1;
            }
            (b'}', Expect::KeyOrClose | Expect::CommaOrClose) if in_object => at += 1,
            (b']', Expect::ValueOrClose | Expect::CommaOrClose) if !in_object => at += 1,
            (b',', Expect::CommaOrClose) => {
                expect = if in_object { Expect::Key } else { Expect::Value };
                is_json |= quote.is_some();
                at += 1;
            }
            (b'"', Expect::Key | Expect::KeyOrClose) => {
                quote.get_or_insert(at);
                match scan::string(text, at) {
                    Ok(end) => at = scan::skip_space(text, end),
                    Err(error) => break error,
                }
                match text.get(at) {
                    Some(b':') => at += 1,
                    Some(_) => break ScanError::UnexpectedByte(at),
                    None => break ScanError::UnexpectedEnd,
                }
                is_json = true;
                expect = Expect::Value;
            }
            (_, Expect::Value | Expect::ValueOrClose) => {
                if byte == b'"' {
                    quote.get_or_insert(at);
                }
                match scan::scalar(text, at) {
                    Ok(end) => at = end,
                    Err(error) => break error,
                }
                expect = Expect::CommaOrClose;
            }
            _ => break ScanError::UnexpectedByte(at),
        }
        if matches!(byte, b'}' | b']') {
            open.pop();
            if open.is_empty() {
                steps::count(at - start);
                return Scan::Value(at);
            }
            is_json = true;
            expect = Expect::CommaOrClose;
        }
    };
    steps::count(at - start);
    match error {
        ScanError::UnexpectedEnd if is_json => Scan::Invalid(text.len()),
        ScanError::UnexpectedByte(at) if is_json => Scan::Invalid(end_of_brackets(text, at, open.len())),
        ScanError::UnexpectedEnd => Scan::Prose(quote.map_or(text.len(), |quote| quote + 1)),
        ScanError::UnexpectedByte(at) => Scan::Prose(quote.map_or(at, |quote| quote + 1).max(start + 1)),
    }
}

/// Returns the position where `depth` open brackets are closed, in text that is almost JSON.
pub(super) fn end_of_brackets(text: &[u8], at: usize, depth: usize) -> usize {
    let end = closing_position(text, at, depth);
    steps::count(end - at);
    end
}

fn closing_position(text: &[u8], mut at: usize, mut depth: usize) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = match scan::string(text, at) {
                    Ok(end) | Err(ScanError::UnexpectedByte(end)) => end,
                    Err(ScanError::UnexpectedEnd) => return text.len(),
                };
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_is_json_is_returned_whole() {
        for reply in [r#"{"a": 1}"#, "[1, 2]", "42", "-1.50", r#""text""#, "null", "true", "{}", "[]"] {
            assert_eq!(json_text(reply), Some(reply));
            assert_eq!(json_text(&format!("\u{feff}  {reply}\n")), Some(reply));
        }
    }

    #[test]
    fn fences_and_prose_are_removed() {
        let json = r#"{"a": "``` [not a fence] }"}"#;
        for reply in [
            format!("```json\n{json}\n```"),
            format!("```\n{json}```"),
            format!("Sure! Here is [the result], see {{note}} (1):\n\n```JSON\n{json}\n```\n\nShall I [go on]?"),
            format!("The answer: {json}"),
            format!("{json}\n\nHope that helps :}}"),
            format!("As [1] says, a \"{{\" opens. {json} [2]"),
        ] {
            assert_eq!(json_text(&reply), Some(json), "{reply}");
        }
        assert_eq!(json_text("```json\n42\n```"), Some("42"));
    }

    #[test]
    fn reasoning_is_not_the_answer() {
        assert_eq!(json_text("<think>{\"draft\": [1, 2, 3, 4]}</think>\n{\"a\": 1}"), Some("{\"a\": 1}"));
        assert_eq!(json_text("maybe {\"draft\": [1, 2, 3, 4]}</think>\n\n[1]"), Some("[1]"));
        assert_eq!(json_text("<think>so it is</think> 42"), Some("42"));
        assert_eq!(json_text("<think></think>\n<think>[1, 2, 3]</think> [4]"), Some("[4]"));
        assert_eq!(json_text("<think>{\"draft\": 1}</think> I cannot."), None);
        assert_eq!(json_text("<think>{\"draft\": 1} and then"), None);
        assert_eq!(json_text("Here: {\"tag\": \"</think>\"}"), Some("{\"tag\": \"</think>\"}"));
        assert_eq!(json_text("{\"tag\": \"<think></think>\"}"), Some("{\"tag\": \"<think></think>\"}"));
    }

    #[test]
    fn the_largest_of_several_values_is_the_answer() {
        assert_eq!(json_text("{\"a\": 1}\n{\"a\": 1, \"b\": 2}\n[3]"), Some("{\"a\": 1, \"b\": 2}"));
        assert_eq!(json_text("[1] [2]"), Some("[1]"));
        let fenced = "The schema was {\"type\": \"object\", \"properties\": {}}.\n```json\n{\"a\": 1}\n```";
        assert_eq!(json_text(fenced), Some("{\"a\": 1}"));
    }

    /// Whether `json` is an object with a score and a comment.
    fn is_review(json: &str) -> bool {
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        value["score"].is_u64() && value["comment"].is_string()
    }

    const ANSWER: &str = r#"{"score": 7, "comment": "fine"}"#;
    const DRAFT: &str = r#"{"score": 3, "comment": "a longer draft"}"#;

    #[test]
    fn the_value_that_fits_is_the_answer() {
        for reply in [
            ANSWER.to_owned(),
            format!("```json\n{ANSWER}\n```"),
            format!("Sure: {ANSWER} as {{\"a\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}} says."),
            format!("{ANSWER}\n\nAgain: {{\"comment\": \"fine\", \"score\": 7}}"),
            format!("Draft {DRAFT}, so:\n```json\n{ANSWER}\n```"),
            format!(
                "```json\n{{\"type\": \"object\", \"properties\": {{\"score\": {{}}}}}}\n```\n```json\n{ANSWER}\n```"
            ),
            format!("I start with {{\"score\": 7}}. {ANSWER}"),
        ] {
            assert_eq!(answer_text(&reply, is_review), Some(ANSWER), "{reply}");
        }
    }

    #[test]
    fn different_values_that_fit_or_may_be_meant_are_ambiguous() {
        for reply in [
            format!("First try {DRAFT} Final answer {ANSWER}"),
            format!("```json\n{DRAFT}\n```\n```json\n{ANSWER}\n```"),
            format!("For example {ANSWER}. Mine: {{\"score\": \"8\", \"comment\": \"another one\"}}"),
            format!("Draft {DRAFT}.\n```json\n{{\"score\": \"8\", \"comment\": \"x\"}}\n```"),
            format!("{ANSWER} or rather {{\"score\": 8, \"comment\": \"a much longer one, which was"),
        ] {
            assert_eq!(answer_text(&reply, is_review), None, "{reply}");
        }
        // The validation says what is wrong.
        assert_eq!(answer_text("{\"a\": 1} {\"a\": 12}", is_review), Some("{\"a\": 12}"));
    }

    #[test]
    fn an_answer_ends_the_reasoning() {
        for reasoning in [
            ANSWER.to_owned(),
            format!("So it is good.\n{ANSWER}\n"),
            format!("So:\n```json\n{ANSWER}\n```"),
            format!("First {ANSWER}, then {{\"a\": 1}}. So {ANSWER}"),
        ] {
            assert_eq!(answer_at_end(&reasoning, is_review), Some(ANSWER), "{reasoning}");
        }
        for reasoning in [
            String::new(),
            "hm".to_owned(),
            format!("Maybe {ANSWER}, but I am not sure."),
            format!("Maybe {DRAFT}. Or {ANSWER}"),
            format!("{ANSWER} {{\"score\": 8, \"comm"),
            "{\"score\": \"7\"}".to_owned(),
            "7".to_owned(),
        ] {
            assert_eq!(answer_at_end(&reasoning, is_review), None, "{reasoning}");
        }
    }

    #[test]
    fn truncated_or_invalid_values_and_their_parts_are_not_returned() {
        for reply in [
            r#"{"ideas": [{"a": 1}, {"a": 2}, {"a":"#,
            r#"{"ideas": [{"a": 1}, {"a": 2,}, {"a": 3}]}"#,
            r#"[{"a": 1} {"a": 2}]"#,
            r#"["one", "two" three, {"a": 1}]"#,
            r#"{"a": "text that was c"#,
            r#"{"a": 1"#,
            "[[1, 2], [3, x], [4, 5]]",
            "[1, 2",
            "```json\n[{\"a\": 1}, {\"a\"",
            "{\"a\": 'single'}",
            "{a: 1}",
            "{\"a\": \"line\nbreak\"}",
            "No JSON here.",
            "",
            "```json\n```",
        ] {
            assert_eq!(json_text(reply), None, "{reply}");
        }
    }

    /// Quadratic time would take about 10^12 steps.
    #[test]
    fn megabytes_of_brackets_take_linear_time() {
        for piece in [
            "{",
            "[",
            "[{",
            "{\"",
            "[\"",
            "{\"a\":",
            "[\"a\",",
            "[\"a\" x",
            "[1,",
            "{\"a\":1 ",
            "[]x[",
            "```json\n[",
            "[x",
            "\\\"[",
            "[[1]",
            "[\"[[[[\" x",
            "}",
            "]",
            "\"",
            "<think>",
            "</think>",
            "</think>[",
        ] {
            let reply = piece.repeat((1 << 20) / piece.len());
            let found = json_text(&reply);
            assert!(found.is_none_or(is_value), "{piece}");
        }
        assert_eq!(json_text(&"[".repeat(1 << 20)), None);
        let deep = "[".repeat(1 << 19) + &"]".repeat(1 << 19);
        assert_eq!(json_text(&deep), Some(&*deep));
    }
}
