//! Finds the JSON text inside a model's reply.
//!
//! One pass collects the spans that start like JSON. The largest one is the answer; a span that opens a code fence
//! takes precedence over one in the prose. Truncated and invalid spans compete as well: if one wins, the reply has no
//! JSON, because a smaller value next to or inside it is not the answer.

use super::scan::{self, ScanError};

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
    let Some(answer) = after_reasoning(reply) else { return largest(reply) };
    let answer = trim(answer);
    let fenced = inside_fence(answer);
    [answer, fenced].into_iter().find(|text| is_value(text)).or_else(|| largest(answer))
}

/// Whether `reply` is one JSON value.
pub(crate) fn is_json(reply: &str) -> bool {
    is_value(trim(reply))
}

/// The tags around a model's reasoning.
pub(super) const REASONING_START: &str = "<think>";
pub(super) const REASONING_END: &str = "</think>";

/// A part of the reply that starts like JSON.
struct Span {
    start: usize,
    end: usize,
    is_complete: bool,
    is_fenced: bool,
}

/// Returns the text after the model's reasoning: the whole reply if there is none, nothing if the reasoning does not
/// end. Returns `None` if `</think>` may be part of the text itself and no JSON follows it.
fn after_reasoning(reply: &str) -> Option<&str> {
    if reply.starts_with(REASONING_START) {
        let mut answer = reply;
        while let Some(reasoning) = answer.strip_prefix(REASONING_START) {
            answer = trim(reasoning.split_once(REASONING_END).map_or("", |(_, answer)| answer));
        }
        return Some(answer);
    }
    // Some chat templates put the opening tag into the prompt, so that the reply has only the closing one.
    match reply.split_once(REASONING_END) {
        Some((reasoning, answer)) if !reasoning.contains(REASONING_START) => {
            let answer = trim(answer);
            (is_value(answer) || is_value(inside_fence(answer)) || largest(answer).is_some()).then_some(answer)
        }
        _ => Some(reply),
    }
}

/// Returns the content of the code fence if `text` is one, and `text` otherwise.
fn inside_fence(text: &str) -> &str {
    let fenced = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    fenced.and_then(|text| text.split_once('\n')).map_or(text, |(_, content)| trim(content))
}

fn trim(text: &str) -> &str {
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

/// Returns the best span of `text`, if it is complete.
fn largest(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut best: Option<Span> = None;
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| matches!(byte, b'{' | b'[')) {
        let start = at + offset;
        let (end, is_complete) = match scan_value(bytes, start) {
            Scan::Value(end) => (end, true),
            Scan::Invalid(end) => (end, false),
            Scan::Prose(next) => {
                at = next;
                continue;
            }
        };
        let found = Span { start, end, is_complete, is_fenced: opens_fence(&text[..start]) };
        let rank = |span: &Span| (span.is_fenced, span.end - span.start);
        if best.as_ref().is_none_or(|best| rank(&found) > rank(best)) {
            best = Some(found);
        }
        at = end;
    }
    best.filter(|best| best.is_complete).map(|best| &text[best.start..best.end])
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
                return Scan::Value(at);
            }
            is_json = true;
            expect = Expect::CommaOrClose;
        }
    };
    match error {
        ScanError::UnexpectedEnd if is_json => Scan::Invalid(text.len()),
        ScanError::UnexpectedByte(at) if is_json => Scan::Invalid(end_of_brackets(text, at, open.len())),
        ScanError::UnexpectedEnd => Scan::Prose(quote.map_or(text.len(), |quote| quote + 1)),
        ScanError::UnexpectedByte(at) => Scan::Prose(quote.map_or(at, |quote| quote + 1).max(start + 1)),
    }
}

/// Returns the position where `depth` open brackets are closed, in text that is almost JSON.
pub(super) fn end_of_brackets(text: &[u8], mut at: usize, mut depth: usize) -> usize {
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
