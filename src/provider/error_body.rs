//! Errors in replies: their class, and the message that the server sends with them.

use bytes::Bytes;
use http::header::HeaderMap;
use serde_json::Value;

use super::Target;
use crate::error::{Error, ErrorKind};
use crate::transport;

/// The longest server message in an error, in characters.
const MAX_MESSAGE: usize = 500;

/// Words in the error for a prompt that exceeds the model's context window: llama.cpp, Ollama, OpenAI, vLLM, Anthropic
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

/// Words in the error for a schema that the server does not accept: its field in the request, or what it is compiled to.
/// Gemini, OpenAI, Anthropic, llama.cpp, Ollama, and compatible servers.
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

/// Words in the error for a daily quota.
const DAILY: [&str; 3] = ["per day", "perday", "daily"];

/// The error in the body of a reply.
#[derive(Debug)]
pub(super) struct ErrorBody {
    /// The message; never empty.
    pub(super) message: String,
    /// The `error` object, or null.
    pub(super) detail: Value,
}

impl ErrorBody {
    /// Parses `{"error": {"message": …}}`, `{"error": "…"}`, `{"message": …}`, `{"detail": …}`, each also as the only
    /// element of a list, FastAPI's list of validation errors, and plain text.
    pub(super) fn parse(status: u16, body: &Bytes) -> Self {
        let document = match serde_json::from_slice(body) {
            Ok(Value::Array(list)) => list.into_iter().next().unwrap_or_default(),
            Ok(document) => document,
            Err(_) => Value::Null,
        };
        let message =
            message_in(&document).or_else(|| plain_text(body)).unwrap_or_else(|| default_message(status).to_owned());
        let detail = match document {
            Value::Object(mut fields) => fields.remove("error").unwrap_or_default(),
            _ => Value::Null,
        };
        Self { message, detail }
    }

    /// Whether the message, or a code next to it, contains `needle` in any case.
    pub(super) fn mentions(&self, needle: &str) -> bool {
        let contains = |text: &str| text.to_ascii_lowercase().contains(needle);
        let codes = ["code", "type", "status"].into_iter().filter_map(|name| self.detail.get(name)?.as_str());
        contains(&self.message) || codes.into_iter().any(contains)
    }

    /// Whether the message or any other field mentions a schema, or its field in a request.
    fn is_about_schema(&self) -> bool {
        let text = format!("{} {}", self.message, self.detail).to_ascii_lowercase();
        SCHEMA.iter().any(|words| text.contains(words))
    }

    /// Classifies an error with `status` by words and codes that all providers have in common.
    pub(super) fn kind(&self, status: u16) -> ErrorKind {
        match kind_of_status(status) {
            _ if self.mentions("insufficient_quota") => ErrorKind::InsufficientQuota,
            ErrorKind::RateLimited if DAILY.iter().any(|words| self.mentions(words)) => ErrorKind::DailyQuota,
            ErrorKind::Rejected | ErrorKind::Server if TOO_LONG.iter().any(|words| self.mentions(words)) => {
                ErrorKind::ContextTooLong
            }
            ErrorKind::Rejected if status == 404 && self.mentions("model") => ErrorKind::ModelMissing,
            ErrorKind::Rejected if self.is_about_schema() => ErrorKind::SchemaRejected,
            // llama.cpp and servers built on it fail if they cannot compile the schema to a grammar.
            ErrorKind::Server if matches!(status, 500 | 501) && self.is_about_schema() => ErrorKind::SchemaRejected,
            kind => kind,
        }
    }

    /// The HTTP status of an error that was sent in a reply of status 200: its code if that is a number from 400 on,
    /// otherwise the status that its code's name implies, otherwise 500.
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

    /// The error of `target` with this message.
    pub(super) fn into_error(self, target: &Target, kind: ErrorKind, status: u16, headers: &HeaderMap) -> Error {
        target_error(target, kind, &self.message).with_status(status).with_retry_after(transport::retry_after(headers))
    }
}

/// An error of `target`. The message is one line of limited length without the target's key, which some servers repeat.
pub(super) fn target_error(target: &Target, kind: ErrorKind, message: &str) -> Error {
    let message = match target.api_key() {
        Some(key) => shorten(&message.replace(key, "***")),
        None => shorten(message),
    };
    target.locate(Error::new(kind, message))
}

/// The class of an HTTP status, for bodies without further information.
pub(super) const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::RateLimited,
        // 408: the server timed out waiting for the request. 425: too early.
        408 | 425 | 503 | 529 => ErrorKind::Overloaded,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Rejected,
    }
}

/// `message` as one line of at most [`MAX_MESSAGE`] characters.
pub(super) fn shorten(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn message_in(document: &Value) -> Option<String> {
    let found = match document {
        Value::String(text) => text,
        Value::Object(fields) => {
            return ["error", "message", "detail"].into_iter().find_map(|name| message_in(fields.get(name)?));
        }
        Value::Array(errors) => {
            let error = errors.first()?;
            let path = error.get("loc")?.as_array()?.iter().map(|step| step.as_str().unwrap_or("…"));
            return Some(format!("{}: {}", path.collect::<Vec<_>>().join("."), error.get("msg")?.as_str()?));
        }
        _ => return None,
    };
    // Ollama forwards the error of its runner as JSON inside a string.
    let inner = serde_json::from_str::<Value>(found).ok().filter(Value::is_object);
    inner.as_ref().and_then(message_in).or_else(|| Some(found.trim().to_owned())).filter(|text| !text.is_empty())
}

fn plain_text(body: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let is_prose = !text.is_empty() && !text.starts_with(['<', '{', '[']);
    is_prose.then(|| text.to_owned())
}

const fn default_message(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects elsewhere; set the base URL to the final address",
        404 => "there is nothing at this address; is the base URL right?",
        _ => "failed without saying why",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::config::Provider;

    fn message(status: u16, body: &'static str) -> String {
        ErrorBody::parse(status, &Bytes::from_static(body.as_bytes())).message
    }

    #[test]
    fn every_shape_of_error_body_is_parsed() {
        assert_eq!(message(500, r#"{"error":"no"}"#), "no");
        assert_eq!(message(500, r#"{"error":{"message":" no "}}"#), "no");
        assert_eq!(message(500, r#"[{"error":{"message":"no"}}]"#), "no");
        assert_eq!(message(500, r#"{"message":"no"}"#), "no");
        assert_eq!(message(500, r#"{"detail":"no"}"#), "no");
        let errors = r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"}]}"#;
        assert_eq!(message(422, errors), "body.messages.….role: Field required");
        assert_eq!(message(500, r#"{"error":"{\"error\":{\"code\":400,\"message\":\"inner\"}}"}"#), "inner");
        assert_eq!(message(500, "upstream connect error"), "upstream connect error");
        for silent in ["", "<html>502</html>", "{}", "[]", r#"{"error":{}}"#, r#"{"error":""}"#, "{\"err"] {
            assert_eq!(message(502, silent), "failed without saying why", "{silent}");
        }
        assert!(message(404, "<html>").contains("base URL"));
        assert!(message(301, "").contains("redirects"));
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
    fn the_key_is_removed_before_the_message_is_shortened() {
        let target = target(Provider::OpenAi, "http://h", Some("sk-0123456789"));
        let long = format!("{}sk-0123456789{}", "é".repeat(495), "x".repeat(500));
        let error = target_error(&target, ErrorKind::Unauthorized, &long);
        assert!(error.message().ends_with("é***xx…"), "{error}");
        assert_eq!(error.message().chars().count(), MAX_MESSAGE + 1);
    }
}
