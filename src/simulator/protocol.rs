//! The server side of the protocols.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use super::{anthropic, gemini, ollama, openai};
use crate::config::Provider;

/// What precedes a schema in a prompt.
const SCHEMA_MARKER: &str = "JSON Schema:\n";

/// The operation of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// A completion, with the model if the path names it.
    Complete {
        model: Option<String>,
        streaming: StreamFormat,
    },
    /// Ollama's older API, with a prompt instead of messages.
    Generate,
    /// OpenAI's responses.
    Respond,
    ListModels,
    /// One model; `None` if its name is in the body.
    ShowModel(Option<String>),
    Running,
    Version,
    Unknown,
}

impl Operation {
    /// Whether it generates text.
    pub(super) const fn is_completion(&self) -> bool {
        matches!(self, Self::Complete { .. } | Self::Generate | Self::Respond)
    }
}

/// How a request selects streaming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFormat {
    /// By a field of the body.
    InBody,
    Never,
    /// Server-sent events.
    Events,
    /// A JSON list, element by element.
    List,
}

/// A request for a completion, independent of the protocol.
#[derive(Debug, Default)]
pub(super) struct CompletionRequest {
    pub(super) model: Option<String>,
    /// The last user message.
    pub(super) prompt: String,
    /// Earlier user messages, the latest first.
    pub(super) earlier: Vec<String>,
    pub(super) system: String,
    pub(super) schema: Option<Arc<Value>>,
    /// Whether the reply has to be JSON of any schema.
    pub(super) is_json: bool,
    pub(super) max_tokens: Option<u64>,
    /// The limit of thinking tokens.
    pub(super) max_thinking: Option<u64>,
    /// The web pages that the model has to read.
    pub(super) pages: Vec<String>,
    pub(super) stream: bool,
    /// Whether a stream includes usage. OpenAI only.
    pub(super) includes_usage: bool,
    /// Why the real server would reject the request.
    pub(super) problem: Option<String>,
}

impl CompletionRequest {
    /// Adds the user messages of a chat; the last one is the prompt. Messages of `system_roles` are system instructions.
    pub(super) fn add_messages(&mut self, messages: Option<&mut Value>, system_roles: &[&str]) {
        for message in messages.and_then(Value::as_array_mut).into_iter().flatten() {
            let text = take_content(message.get_mut("content"));
            match message.get("role").and_then(Value::as_str) {
                Some("user") => self.add_user_message(text),
                Some(role) if system_roles.contains(&role) => append(&mut self.system, &text),
                _ => {}
            }
        }
    }

    /// Adds a user message. The last one is the prompt.
    pub(super) fn add_user_message(&mut self, text: String) {
        let before = std::mem::replace(&mut self.prompt, text);
        if !before.is_empty() {
            self.earlier.insert(0, before);
        }
    }

    /// Uses a schema in the system instruction if the request has no other.
    pub(super) fn use_prompted_schema(&mut self) {
        if self.schema.is_none()
            && let Some((_, rest)) = self.system.rsplit_once(SCHEMA_MARKER)
        {
            let document = serde_json::Deserializer::from_str(rest).into_iter().next();
            self.schema = document.and_then(Result::ok).map(Arc::new);
        }
    }
}

/// A completion and its token counts.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) text: String,
    pub(super) prompt_tokens: u64,
    pub(super) output_tokens: u64,
    /// Not included in `output_tokens`.
    pub(super) thinking_tokens: u64,
    /// Whether the limit of output tokens truncated it.
    pub(super) is_truncated: bool,
    /// A sequence number for its id.
    pub(super) number: u64,
    pub(super) elapsed: Duration,
}

/// An error, independent of the protocol.
#[derive(Debug)]
pub(super) struct ErrorReply {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) cause: ErrorCause,
}

/// Errors that some protocols report in their own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCause {
    Status,
    MissingKey,
    WrongKey,
    UnknownModel,
}

/// The pieces of a streamed reply, and its content type.
pub(super) type Pieces = (Vec<Bytes>, &'static str);

/// The server side of a protocol, as pure functions of data.
pub(super) trait ServerProtocol: Sync {
    fn default_models(&self) -> &'static [&'static str];
    fn parse_request(&self, operation: &Operation, body: Value) -> CompletionRequest;
    fn reply(&self, operation: &Operation, request: &CompletionRequest, completion: Completion) -> Value;
    fn streamed_reply(&self, operation: &Operation, request: &CompletionRequest, completion: &Completion) -> Pieces;
    /// The reply to a request for models or the version.
    fn metadata(&self, operation: &Operation, models: &[String]) -> Value;
    /// The key of a request; by default the one after `Bearer`.
    fn key<'h>(&self, headers: &'h HeaderMap, _query: Option<&'h str>) -> Option<&'h str> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").map(str::trim).filter(|key| !key.is_empty())
    }
    /// Whether a request without a key is rejected.
    fn requires_key(&self) -> bool {
        false
    }
    fn rejection(&self, cause: ErrorCause, model: &str) -> ErrorReply;
    fn error_body(&self, error: &ErrorReply) -> Value;
}

/// The protocol of `provider`; `None` for the mock, which has none.
pub(super) fn protocol(provider: Provider) -> Option<&'static dyn ServerProtocol> {
    match provider {
        Provider::Ollama => Some(&ollama::Ollama),
        Provider::Gemini => Some(&gemini::Gemini),
        Provider::OpenAi => Some(&openai::OpenAi),
        Provider::Anthropic => Some(&anthropic::Anthropic),
        Provider::Mock => None,
    }
}

/// The provider whose API a request uses, and its operation.
pub(super) fn route(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> (Option<Provider>, Operation) {
    let is_post = *method == Method::POST;
    let is_get = *method == Method::GET || *method == Method::HEAD;
    let unknown = Operation::Unknown;
    let in_body = Operation::Complete { model: None, streaming: StreamFormat::InBody };
    if path == "/api" || path.starts_with("/api/") {
        let operation = match &path[4..] {
            "/chat" if is_post => in_body,
            "/generate" if is_post => Operation::Generate,
            "/show" if is_post => Operation::ShowModel(None),
            "/tags" if is_get => Operation::ListModels,
            "/ps" if is_get => Operation::Running,
            "/version" if is_get => Operation::Version,
            _ => unknown,
        };
        return (Some(Provider::Ollama), operation);
    }
    let Some((version, rest)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return (None, unknown);
    };
    // Google's client library also uses `/v1/models/{model}:generateContent`: the method after the colon decides.
    if let Some((model, action)) = rest.strip_prefix("models/").and_then(|rest| rest.rsplit_once(':'))
        && is_post
    {
        let is_events = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
        let streaming = match action {
            "generateContent" => Some(StreamFormat::Never),
            "streamGenerateContent" if is_events => Some(StreamFormat::Events),
            "streamGenerateContent" => Some(StreamFormat::List),
            _ => None,
        };
        let model = Some(model.to_owned());
        let operation = streaming.map_or(unknown, |streaming| Operation::Complete { model, streaming });
        return (Some(Provider::Gemini), operation);
    }
    let provider = match version {
        // Both list their models at the same path.
        "v1" if rest == "messages" || headers.contains_key("anthropic-version") => Provider::Anthropic,
        "v1" => Provider::OpenAi,
        version if version.starts_with('v') => Provider::Gemini,
        _ => return (None, unknown),
    };
    let operation = match rest {
        "chat/completions" if is_post && provider == Provider::OpenAi => in_body,
        "responses" if is_post && provider == Provider::OpenAi => Operation::Respond,
        "messages" if is_post && provider == Provider::Anthropic => in_body,
        "models" if is_get => Operation::ListModels,
        _ => match rest.strip_prefix("models/") {
            Some(model) if is_get => Operation::ShowModel(Some(model.to_owned())),
            _ => unknown,
        },
    };
    (Some(provider), operation)
}

/// An estimate of the tokens of English text.
pub(super) fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

/// Splits `text` into tokens.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(4).map_or(rest.len(), |(at, _)| at);
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Takes the string `key` out of `object`.
pub(super) fn take_text(object: &mut Value, key: &str) -> Option<String> {
    match object.get_mut(key).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes the text of a string, or of the text parts of a list.
pub(super) fn take_content(value: Option<&mut Value>) -> String {
    let mut whole = String::new();
    match value.map(Value::take) {
        Some(Value::String(text)) => whole = text,
        Some(Value::Array(mut parts)) => {
            parts.iter_mut().filter_map(|part| take_text(part, "text")).for_each(|text| append(&mut whole, &text));
        }
        _ => {}
    }
    whole
}

/// Appends `text` on a new line.
fn append(whole: &mut String, text: &str) {
    if !whole.is_empty() && !text.is_empty() {
        whole.push('\n');
    }
    whole.push_str(text);
}

/// A limit of output tokens; other numbers than positive ones mean no limit.
pub(super) fn token_limit(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_u64).filter(|limit| *limit > 0)
}

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The current time in RFC 3339.
pub(super) fn timestamp() -> String {
    let seconds = unix_seconds();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that the leap day is the last day of a year.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// One line of JSON.
pub(super) fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

/// One server-sent event.
pub(super) fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}
