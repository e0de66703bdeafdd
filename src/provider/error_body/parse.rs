//! Reads the words and the codes of an error, whatever the shape of the document that holds them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::ErrorBody;
use crate::steps;

/// The bytes of a body that are read; error pages can be long.
const MAX_BODY: usize = 64 * 1024;

/// How deep errors are nested in errors, JSON in strings included.
const MAX_DEPTH: usize = 8;

/// The errors of one list whose words are shown.
const MAX_ERRORS: usize = 4;

/// The words and the codes of one error that are read.
const MAX_WORDS: usize = 64;

/// The fields with the words of an error, without separators and in lower case.
const WORDS: [&str; 13] = [
    "message",
    "msg",
    "errormessage",
    "errormsg",
    "statusmsg",
    "statusmessage",
    "errordescription",
    "faultstring",
    "title",
    "detail",
    "details",
    "description",
    "finishmessage",
];

/// The fields with its code, or the name of its class.
const CODES: [&str; 11] = [
    "code",
    "type",
    "status",
    "reason",
    "errorcode",
    "errortype",
    "statuscode",
    "httpstatus",
    "httpcode",
    "subtype",
    "quotaid",
];

/// The fields with the error itself, or with the error that caused it: gateways forward the one of their upstream.
const NESTED: [&str; 15] = [
    "error",
    "errors",
    "innererror",
    "cause",
    "upstreamerror",
    "providererror",
    "originalerror",
    "raw",
    "metadata",
    "body",
    "fault",
    "baseresp",
    "violations",
    "response",
    "exception",
];

/// The fields of a reply that holds text, or of an event of a stream.
const CONTENT: [&str; 12] = [
    "choices",
    "candidates",
    "content",
    "content_block",
    "delta",
    "done",
    "output",
    "promptFeedback",
    "response",
    "usage",
    "usageMetadata",
    "stop_reason",
];

impl ErrorBody {
    /// Reads the body of a reply with an error status. Any JSON is read by the names of its fields, JSON within strings
    /// included; of a web page the title, and anything else is taken as the message.
    pub(in crate::provider) fn parse(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]);
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut this = match json(text).or_else(|| json(event_data(text)?)) {
            Some(document) => Self::read(&document),
            None => Self::of_text(text),
        };
        if this.message.is_empty() {
            default_message(status).clone_into(&mut this.message);
        }
        this
    }

    /// Returns the error in the `document` of a reply of status 200, or in an event of a stream; `None` if it is none. An
    /// `error` without content, such as `{}`, `""` or `false`, is none. Without such a field a document is an error if it
    /// says so, or if it has words and a code but no field of a reply.
    pub(in crate::provider) fn in_reply(document: &Value) -> Option<Self> {
        let fields = match document {
            Value::Object(fields) => fields,
            Value::Array(list) => return Self::in_reply(list.first().filter(|_| list.len() == 1)?),
            Value::String(text) => return Self::in_text(text.as_bytes()),
            _ => return None,
        };
        let choice = || fields.get("choices")?.get(0)?.get("error").filter(|error| says_something(error));
        let is_error = ["error", "errors"].iter().any(|name| fields.get(*name).is_some_and(says_something))
            || ["object", "type"].iter().any(|name| fields.get(*name).and_then(Value::as_str) == Some("error"))
            || is_bare_error(fields);
        let error = if is_error { document } else { choice()? };
        let mut this = Self::read(error);
        if this.message.is_empty() {
            default_message(200).clone_into(&mut this.message);
        }
        Some(this)
    }

    /// Returns the error in an event of a stream that is no JSON, such as `error: out of memory`; `None` unless its words
    /// are those of a failure.
    pub(in crate::provider) fn in_text(data: &[u8]) -> Option<Self> {
        const FAILURE: [&str; 12] = [
            "error",
            "exception",
            "fail",
            "out of memory",
            "unavailable",
            "overloaded",
            "traceback",
            "timed out",
            "timeout",
            "rate limit",
            "too many requests",
            "aborted",
        ];
        let text = String::from_utf8_lossy(&data[..data.len().min(MAX_BODY)]);
        let text = text.trim().trim_matches('"');
        let lower = text.to_ascii_lowercase();
        let is_error = !text.starts_with(['{', '<']) && FAILURE.iter().any(|words| lower.contains(words));
        is_error.then(|| Self::of_text(text))
    }

    fn read(document: &Value) -> Self {
        let mut reader = Reader::default();
        reader.read(document, 0);
        reader.finish(document)
    }

    fn of_text(text: &str) -> Self {
        let mut reader = Reader::default();
        reader.prose(text);
        reader.finish(&Value::Null)
    }
}

/// Collects the words and codes of nested errors, the outer ones first.
#[derive(Default)]
struct Reader {
    messages: Vec<String>,
    codes: Vec<String>,
    statuses: Vec<u16>,
}

impl Reader {
    fn read(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::String(text) => match json(text).filter(|inner| inner.is_object() || inner.is_array()) {
                // Ollama forwards the error of its runner as JSON inside a string, OpenRouter that of the provider.
                Some(inner) => self.read(&inner, depth + 1),
                None => self.prose(text),
            },
            Value::Array(errors) => errors.iter().take(MAX_ERRORS).for_each(|error| self.read(error, depth + 1)),
            Value::Object(fields) => self.fields(fields, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, depth: usize) {
        for (name, value) in fields {
            if CODES.contains(&&*squashed(name)) {
                self.code(value);
            }
        }
        if let Some(message) = invalid_field(fields) {
            return self.message(message);
        }
        // In the order of the names, so that the message of an error precedes its details.
        for wanted in WORDS.iter().chain(&NESTED) {
            for (_, value) in fields.iter().filter(|(name, _)| squashed(name) == *wanted) {
                self.read(value, depth + 1);
            }
        }
    }

    fn code(&mut self, value: &Value) {
        if self.codes.len() + self.statuses.len() >= MAX_WORDS {
            return;
        }
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        match number.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code)) {
            Some(status) => self.statuses.push(status),
            None => match value {
                Value::String(text) if text != "error" && !text.trim().is_empty() => self.codes.push(text.clone()),
                Value::Number(number) => self.codes.push(number.to_string()),
                _ => {}
            },
        }
    }

    /// Takes words that are no JSON: prose, or a web page, of which only the title counts.
    fn prose(&mut self, text: &str) {
        let text = text.trim();
        if text.starts_with('<') {
            return self.message(title(text).unwrap_or_default());
        }
        let is_cut_json = text.starts_with(['{', '[']) && !text.contains(char::is_whitespace);
        if !is_cut_json {
            self.message(text.to_owned());
        }
    }

    /// Adds `text` unless the message has it already.
    fn message(&mut self, text: String) {
        steps::count(self.messages.iter().map(String::len).sum());
        let is_new = || !self.messages.iter().any(|other| other.contains(&text));
        if !text.is_empty() && self.messages.len() < MAX_WORDS && is_new() {
            self.messages.push(text);
        }
    }

    fn finish(self, document: &Value) -> ErrorBody {
        let Self { messages, codes, statuses } = self;
        let message = match (&*messages, &*codes) {
            ([], []) => String::new(),
            ([], codes) => format!("failed without saying why ({})", codes.join(", ")),
            (messages, _) => {
                let ends = |message: &String| message.trim_end_matches([':', '.', ' ']).to_owned();
                let (last, before) = messages.split_last().map_or((String::new(), &[][..]), |(a, b)| (a.clone(), b));
                before.iter().map(ends).chain([last]).collect::<Vec<_>>().join(": ")
            }
        };
        let words = messages.iter().chain(&codes).map(|text| text.to_lowercase()).collect::<Vec<_>>().join("\n");
        let codes = codes.iter().map(|code| squashed(code).into_owned()).collect();
        ErrorBody { message, words, codes, statuses, document: document.clone() }
    }
}

/// `name` in lower case without separators, so that `retry_after`, `retry-after` and `retryAfter` are one name.
pub(super) fn squashed(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
}

/// Whether the value of an `error` field reports anything.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(code) => code.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(fields) => fields.values().any(says_something),
    }
}

/// Whether a document without an `error` field is an error: it has words, nothing of a reply, and a code or a class that
/// does not mean success.
fn is_bare_error(fields: &Map<String, Value>) -> bool {
    let has_content = CONTENT.iter().any(|name| fields.get(*name).is_some_and(|value| !value.is_null()));
    let words = fields.iter().filter(|(name, _)| WORDS.contains(&&*squashed(name)));
    let has_words = words.into_iter().any(|(_, value)| match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    });
    let nested = fields.get("base_resp").and_then(Value::as_object);
    if let Some(nested) = nested.filter(|_| !has_content) {
        return is_bare_error(nested);
    }
    if has_content || !has_words {
        return false;
    }
    let outcomes = ["success", "ok", "code", "status", "status_code", "error_code", "statusCode"];
    let mut outcomes = outcomes.iter().filter_map(|name| fields.get(*name)).filter(|value| !value.is_null()).peekable();
    let class = ["type", "object"].iter().find_map(|name| fields.get(*name)?.as_str());
    if outcomes.peek().is_none() {
        return class
            .is_none_or(|class| ["error", "exception", "fail"].iter().any(|it| class.to_lowercase().contains(it)));
    }
    !outcomes.all(is_success)
}

fn is_success(outcome: &Value) -> bool {
    match outcome {
        Value::Bool(is_success) => *is_success,
        Value::Number(code) => code.as_u64().is_some_and(|code| code == 0 || (200..300).contains(&code)),
        Value::String(text) => {
            matches!(&*text.to_ascii_lowercase(), "ok" | "success" | "succeeded" | "completed" | "0" | "200")
        }
        _ => false,
    }
}

/// One entry of FastAPI's list of validation errors: the path of the field and what is wrong with it.
fn invalid_field(fields: &Map<String, Value>) -> Option<String> {
    let path = fields.get("loc")?.as_array()?.iter().map(|step| step.as_str().unwrap_or("…"));
    Some(format!("{}: {}", path.collect::<Vec<_>>().join("."), fields.get("msg")?.as_str()?))
}

/// The first JSON value of `text`; of several, separated by line breaks or by nothing, the others repeat the error.
fn json(text: &str) -> Option<Value> {
    let text = text.trim_start();
    if !text.starts_with(['{', '[', '"']) {
        return None;
    }
    serde_json::Deserializer::from_str(text).into_iter().next()?.ok()
}

/// The data of a body that is framed as an event of a stream.
fn event_data(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim().strip_prefix("data:")).map(str::trim)
}

/// The title of a web page.
fn title(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower.get(start..)?.find("</title>")?;
    page.get(start..end).map(|title| title.trim().to_owned())
}

const fn default_message(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects elsewhere; set the base URL to the final address",
        404 => "there is nothing at this address; is the base URL right?",
        _ => "failed without saying why",
    }
}
