//! What the decoders share: envelopes, the reply's text, and errors.

use bytes::Bytes;
use http::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;

use super::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Reply, Request, Usage};
use crate::schema::{self, Dialect};
use crate::transport;

/// Upper bound of a server's own words in an error, in characters.
const MAX_MESSAGE: usize = 500;

/// What servers call a prompt that is larger than the model's context window. llama.cpp, Ollama, `OpenAI`, vLLM, Anthropic
/// and Gemini, in this order.
const TOO_LONG: [&str; 7] = [
    "exceed_context_size",
    "context size",
    "context_length",
    "context length",
    "prompt is too long",
    "context window",
    "input token count",
];

/// What servers name where they do not take a schema: its place in the request, or what they make of it. Gemini, `OpenAI`,
/// Anthropic, llama.cpp, Ollama, and those that copy them.
const SCHEMA: [&str; 18] = [
    "schema",
    "response_format",
    "response format",
    "response_mime_type",
    "response mime type",
    "responsemimetype",
    "json mode",
    "json_object",
    "json_validate_failed",
    "output_config",
    "output_format",
    "output format",
    "structured output",
    "guided",
    "grammar",
    "invalid format",
    "for format",
    "chatrequest.format",
];

/// What servers call a quota that is filled again the next day.
const DAILY: [&str; 3] = ["per day", "perday", "daily"];

/// A count of tokens. What is no number counts as zero: a server's book-keeping must not cost the reply.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)?.as_u64().unwrap_or_default()))
    }
}

/// What a reply's envelope said, before it is judged.
#[derive(Debug)]
pub(super) struct Draft {
    /// The text, thoughts left out; may be empty.
    pub(super) text: String,
    /// The model the provider says it used.
    pub(super) model: Option<String>,
    /// Why the model stopped.
    pub(super) finish: FinishReason,
    /// What the provider calls that reason.
    pub(super) reason: Option<String>,
    /// What the provider counted.
    pub(super) usage: Usage,
}

impl Draft {
    /// The reply to `request`; of a structured one the JSON text in the form of the caller's own schema, brought back from
    /// the `dialect` that it was sent in.
    ///
    /// Fails with `EmptyReply` where there is no text. A text cut at a limit is a reply only where the caller set that
    /// limit and asked for free text; otherwise it is `Truncated`.
    pub(super) fn settle(self, target: &Target, request: &Request, dialect: Option<Dialect>) -> Result<Reply> {
        self.check(target, request)?;
        let Self { text, model, finish, usage, .. } = self;
        let schema = request.schema.as_ref().zip(dialect);
        let json = schema.and_then(|schema| Some((schema, schema::json_text(&text)?)));
        let is_json = json.is_some();
        let (text, around) = match json {
            None => (text, None),
            Some(((schema, dialect), json)) => {
                let is_part = json.len() < text.trim().len();
                (schema.lower(dialect).restore(json.to_owned()), is_part.then_some(text))
            }
        };
        Ok(Reply { text, is_json, around, model, finish, usage, pages: Vec::new() })
    }

    /// Whether it is a reply to `request`; see [`Draft::settle`].
    pub(super) fn check(&self, target: &Target, request: &Request) -> Result<()> {
        if let Some(codec) = super::codec(target.provider) {
            codec.check_usage(target, request, self.usage)?;
        }
        let empty = self.text.trim().is_empty();
        if self.finish == FinishReason::Length && (empty || request.schema.is_some() || request.max_tokens.is_none()) {
            return Err(self.truncated(target));
        }
        if empty {
            let reason = self.reason.as_deref().unwrap_or("no reason given");
            let message = format!("the reply holds no text ({reason})");
            return Err(failure(target, ErrorKind::EmptyReply, &message).with_usage(self.usage));
        }
        Ok(())
    }

    fn truncated(&self, target: &Target) -> Error {
        let what = "the reply was cut at the limit of tokens";
        let (kind, message) = match (self.usage.reasoning, self.usage.output) {
            (0, _) => (ErrorKind::Truncated, what.to_owned()),
            (thoughts, answer) => {
                let kind = if thoughts > answer { ErrorKind::ThinkingTruncated } else { ErrorKind::Truncated };
                (kind, format!("{what}: {thoughts} went into thoughts, {answer} into the answer"))
            }
        };
        failure(target, kind, &message).with_usage(self.usage)
    }
}

/// The JSON envelope in the body of a successful reply.
pub(super) fn envelope<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            _ if is_web_page(body) => "a web page instead of JSON; is the base URL right?".to_owned(),
            Category::Data => format!("JSON that the protocol does not know: {error}"),
            Category::Eof => "JSON that ends too early".to_owned(),
            Category::Io | Category::Syntax => "no JSON; is the base URL right?".to_owned(),
        };
        Error::new(ErrorKind::MalformedReply, trimmed(&format!("the reply is {what}")))
    })
}

/// The class of an HTTP status, where the body tells nothing finer.
pub(super) const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::RateLimited,
        // The server gave up waiting, or wants the request later: both pass.
        408 | 425 | 503 | 529 => ErrorKind::Overloaded,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Rejected,
    }
}

/// An error of `target`. The key is taken out of `message`, for servers that repeat it, and the rest cut to a size.
pub(super) fn failure(target: &Target, kind: ErrorKind, message: &str) -> Error {
    let message = match target.key.as_ref().map(crate::config::Secret::expose) {
        Some(key) if !key.is_empty() => trimmed(&message.replace(key, "***")),
        _ => trimmed(message),
    };
    target.locate(Error::new(kind, message))
}

/// What a server says about its failure.
#[derive(Debug)]
pub(super) struct Complaint {
    /// Its words; never empty.
    pub(super) message: String,
    /// The `error` object, or null.
    pub(super) detail: Value,
}

impl Complaint {
    /// Reads the shapes in use: `{"error": {"message": …}}`, `{"error": "…"}`, `{"message": …}`, `{"detail": …}`, each
    /// also as the only element of a list, the list of faults that FastAPI makes of a wrong field, and text that is no
    /// JSON.
    pub(super) fn read(status: u16, body: &Bytes) -> Self {
        let document = match serde_json::from_slice(body) {
            Ok(Value::Array(list)) => list.into_iter().next().unwrap_or_default(),
            Ok(document) => document,
            Err(_) => Value::Null,
        };
        let words = words(&document).or_else(|| plain(body)).unwrap_or_else(|| without_words(status).to_owned());
        let detail = match document {
            Value::Object(mut fields) => fields.remove("error").unwrap_or_default(),
            _ => Value::Null,
        };
        Self { message: words, detail }
    }

    /// Whether the words or the codes beside them contain `needle`, whatever the case.
    pub(super) fn mentions(&self, needle: &str) -> bool {
        let told = |text: &str| text.to_ascii_lowercase().contains(needle);
        let codes = ["code", "type", "status"].into_iter().filter_map(|name| self.detail.get(name)?.as_str());
        told(&self.message) || codes.into_iter().any(told)
    }

    /// Whether the words, or anything beside them, name a schema or where it stands in a request.
    fn is_about_schema(&self) -> bool {
        let told = format!("{} {}", self.message, self.detail).to_ascii_lowercase();
        SCHEMA.iter().any(|words| told.contains(words))
    }

    /// The class of a failure with `status`, as far as words and codes tell it that all providers have in common.
    pub(super) fn kind(&self, status: u16) -> ErrorKind {
        match kind_of_status(status) {
            _ if self.mentions("insufficient_quota") => ErrorKind::InsufficientQuota,
            ErrorKind::RateLimited if DAILY.iter().any(|words| self.mentions(words)) => ErrorKind::DailyQuota,
            ErrorKind::Rejected | ErrorKind::Server if TOO_LONG.iter().any(|words| self.mentions(words)) => {
                ErrorKind::ContextTooLong
            }
            ErrorKind::Rejected if status == 404 && self.mentions("model") => ErrorKind::ModelMissing,
            ErrorKind::Rejected if self.is_about_schema() => ErrorKind::SchemaRejected,
            // llama.cpp and what is built on it fail on a schema they cannot make a grammar of.
            ErrorKind::Server if matches!(status, 500 | 501) && self.is_about_schema() => ErrorKind::SchemaRejected,
            kind => kind,
        }
    }

    /// The HTTP status that the failure would have had, had it come before the headers of a stream: a number from 400 on
    /// that stands as the code, else what the codes' names say, else 500.
    pub(super) fn status(&self) -> u16 {
        let code = self.detail.get("code");
        let number = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        match number.and_then(|code| u16::try_from(code).ok()) {
            Some(status) if (400..600).contains(&status) => status,
            _ if self.mentions("rate_limit") || self.mentions("resource_exhausted") => 429,
            _ if self.mentions("overloaded") || self.mentions("unavailable") => 503,
            _ if self.mentions("authentication") || self.mentions("unauthenticated") => 401,
            _ if self.mentions("permission") => 403,
            _ if self.mentions("invalid_request") || self.mentions("invalid_argument") => 400,
            _ => 500,
        }
    }

    /// The error of `target` with these words.
    pub(super) fn into_error(self, target: &Target, kind: ErrorKind, status: u16, headers: &HeaderMap) -> Error {
        failure(target, kind, &self.message).with_status(status).with_retry_after(transport::retry_after(headers))
    }
}

fn words(document: &Value) -> Option<String> {
    let found = match document {
        Value::String(text) => text,
        Value::Object(fields) => {
            return ["error", "message", "detail"].into_iter().find_map(|name| words(fields.get(name)?));
        }
        Value::Array(faults) => {
            let fault = faults.first()?;
            let place = fault.get("loc")?.as_array()?.iter().map(|step| step.as_str().unwrap_or("…"));
            return Some(format!("{}: {}", place.collect::<Vec<_>>().join("."), fault.get("msg")?.as_str()?));
        }
        _ => return None,
    };
    // Ollama passes on its runner's error as JSON inside a string.
    let inner = serde_json::from_str::<Value>(found).ok().filter(Value::is_object);
    inner.as_ref().and_then(words).or_else(|| Some(found.trim().to_owned())).filter(|text| !text.is_empty())
}

fn plain(body: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let is_prose = !text.is_empty() && !text.starts_with(['<', '{', '[']);
    is_prose.then(|| text.to_owned())
}

const fn without_words(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects elsewhere; set the base URL to the final address",
        404 => "there is nothing at this address; is the base URL right?",
        _ => "failed without saying why",
    }
}

fn is_web_page(body: &Bytes) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// One line of at most [`MAX_MESSAGE`] characters.
fn trimmed(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::config::Provider;

    fn told(status: u16, body: &'static str) -> String {
        Complaint::read(status, &Bytes::from_static(body.as_bytes())).message
    }

    #[test]
    fn every_shape_of_complaint_is_read() {
        assert_eq!(told(500, r#"{"error":"no"}"#), "no");
        assert_eq!(told(500, r#"{"error":{"message":" no "}}"#), "no");
        assert_eq!(told(500, r#"[{"error":{"message":"no"}}]"#), "no");
        assert_eq!(told(500, r#"{"message":"no"}"#), "no");
        assert_eq!(told(500, r#"{"detail":"no"}"#), "no");
        let faults = r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"}]}"#;
        assert_eq!(told(422, faults), "body.messages.….role: Field required");
        assert_eq!(told(500, r#"{"error":"{\"error\":{\"code\":400,\"message\":\"inner\"}}"}"#), "inner");
        assert_eq!(told(500, "upstream connect error"), "upstream connect error");
        for silent in ["", "<html>502</html>", "{}", "[]", r#"{"error":{}}"#, r#"{"error":""}"#, "{\"err"] {
            assert_eq!(told(502, silent), "failed without saying why", "{silent}");
        }
        assert!(told(404, "<html>").contains("base URL"));
        assert!(told(301, "").contains("redirects"));
    }

    #[test]
    fn statuses_have_classes() {
        for (status, kind) in [
            (301, ErrorKind::Rejected),
            (400, ErrorKind::Rejected),
            (401, ErrorKind::Unauthorized),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::Rejected),
            (422, ErrorKind::Rejected),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (502, ErrorKind::Server),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Server),
            (529, ErrorKind::Overloaded),
        ] {
            assert_eq!(kind_of_status(status), kind, "{status}");
        }
    }

    #[test]
    fn a_repeated_key_is_taken_out_before_the_message_is_cut() {
        let target = target(Provider::OpenAi, "http://h", Some("sk-0123456789"));
        let long = format!("{}sk-0123456789{}", "é".repeat(495), "x".repeat(500));
        let error = failure(&target, ErrorKind::Unauthorized, &long);
        assert!(error.message().ends_with("é***xx…"), "{error}");
        assert_eq!(error.message().chars().count(), MAX_MESSAGE + 1);
    }

    #[test]
    fn what_is_no_envelope_is_malformed() {
        #[derive(Debug, Deserialize)]
        struct Wanted {
            #[expect(dead_code, reason = "only its presence is asked for")]
            field: String,
        }
        for (body, hint) in [
            ("<html>", "web page"),
            ("  <html>", "web page"),
            ("hello", "no JSON"),
            ("", "ends too early"),
            ("{\"field\":\"a", "ends too early"),
            ("{}", "does not know"),
        ] {
            let error = envelope::<Wanted>(&Bytes::from_static(body.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedReply, "{body}");
            assert!(error.message().contains(hint), "{body}: {error}");
        }
    }

    #[test]
    fn a_count_that_is_no_number_is_zero() {
        for (json, count) in [("7", 7), ("null", 0), ("\"7\"", 0), ("-1", 0), ("[1]", 0)] {
            assert_eq!(serde_json::from_str::<Count>(json).unwrap().0, count, "{json}");
        }
    }
}
