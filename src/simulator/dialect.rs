//! What the protocols have in common for a server.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderMap;
use serde_json::Value;

use super::{anthropic, gemini, ollama, openai};
use crate::config::Provider;

/// How a client tells a schema in words; the model reads it as one.
const TOLD: &str = "JSON Schema:\n";

/// What a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// A completion; where the path names the model it is here.
    Complete {
        model: Option<String>,
        streaming: Streaming,
    },
    /// Ollama's older form, with a prompt in place of messages.
    Generate,
    ListModels,
    /// One model, by name in the path or in the body.
    ShowModel(Option<String>),
    Running,
    Version,
    Unknown,
}

/// How a streamed reply is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streaming {
    /// The body says.
    InBody,
    Never,
    /// Server-sent events.
    Events,
    /// One JSON list, element by element.
    List,
}

/// A request for a completion, in no dialect's terms.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) model: Option<String>,
    /// The last user message.
    pub(super) prompt: String,
    /// User messages before it, the latest first.
    pub(super) earlier: Vec<String>,
    pub(super) system: String,
    pub(super) schema: Option<Arc<Value>>,
    /// JSON is wanted, of no particular schema.
    pub(super) wants_json: bool,
    pub(super) max_tokens: Option<u64>,
    /// Upper bound of the tokens the model may think.
    pub(super) max_thinking: Option<u64>,
    /// Web pages that the model is to read.
    pub(super) pages: Vec<String>,
    pub(super) stream: bool,
    /// OpenAI sends usage of a stream only when asked.
    pub(super) wants_usage: bool,
    /// What the dialect's own server would refuse.
    pub(super) mistake: Option<String>,
}

impl Question {
    /// A schema that the system instruction tells is as good as one that the protocol carries.
    pub(super) fn heed_told_schema(&mut self) {
        if self.schema.is_none()
            && let Some((_, rest)) = self.system.rsplit_once(TOLD)
        {
            let document = serde_json::Deserializer::from_str(rest).into_iter().next();
            self.schema = document.and_then(Result::ok).map(Arc::new);
        }
    }
}

/// The model's answer and what it cost.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) prompt_tokens: u64,
    pub(super) output_tokens: u64,
    /// Not among the tokens of the output.
    pub(super) thinking_tokens: u64,
    /// Cut at the limit of output tokens.
    pub(super) is_cut: bool,
    /// Counts answers, for their ids.
    pub(super) number: u64,
    pub(super) elapsed: Duration,
}

/// An error before it has a dialect.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) cause: Cause,
}

/// Failures that a dialect has a name of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Status,
    MissingKey,
    WrongKey,
    UnknownModel,
}

/// The server's half of a protocol: pure functions of data.
pub(super) trait Dialect: Sync {
    fn default_models(&self) -> &'static [&'static str];
    fn read(&self, operation: &Operation, body: Value) -> Question;
    fn whole(&self, operation: &Operation, question: &Question, answer: Answer) -> Value;
    /// The pieces of a streamed reply and their content type.
    fn stream(&self, operation: &Operation, question: &Question, answer: &Answer) -> (Vec<Bytes>, &'static str);
    /// What a request that is no completion gets.
    fn list(&self, operation: &Operation, models: &[String]) -> Value;
    /// The key a request carries.
    fn key<'h>(&self, headers: &'h HeaderMap, query: Option<&'h str>) -> Option<&'h str>;
    /// Whether a request without any key is turned away.
    fn wants_key(&self) -> bool;
    fn refuse(&self, cause: Cause, model: &str) -> Failure;
    fn error(&self, failure: &Failure) -> Value;
}

/// The dialect of a provider; `None` for the mock, which has no wire.
pub(super) fn of(provider: Provider) -> Option<&'static dyn Dialect> {
    match provider {
        Provider::Ollama => Some(&ollama::Ollama),
        Provider::Gemini => Some(&gemini::Gemini),
        Provider::OpenAi => Some(&openai::OpenAi),
        Provider::Anthropic => Some(&anthropic::Anthropic),
        Provider::Mock => None,
    }
}

/// Whose request this is, and what it wants.
pub(super) fn route(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> (Option<Provider>, Operation) {
    let is_post = *method == Method::POST;
    let is_get = *method == Method::GET || *method == Method::HEAD;
    let unknown = Operation::Unknown;
    if path == "/api" || path.starts_with("/api/") {
        let operation = match &path[4..] {
            "/chat" if is_post => Operation::Complete { model: None, streaming: Streaming::InBody },
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
    // Google's client library uses `/v1/models/{model}:generateContent` too: the method after the colon decides.
    if let Some((model, action)) = rest.strip_prefix("models/").and_then(|rest| rest.rsplit_once(':'))
        && is_post
    {
        let is_events = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
        let streaming = match action {
            "generateContent" => Some(Streaming::Never),
            "streamGenerateContent" if is_events => Some(Streaming::Events),
            "streamGenerateContent" => Some(Streaming::List),
            _ => None,
        };
        let model = Some(model.to_owned());
        let operation = streaming.map_or(unknown, |streaming| Operation::Complete { model, streaming });
        return (Some(Provider::Gemini), operation);
    }
    let provider = match version {
        // The two share their path of models.
        "v1" if rest == "messages" || headers.contains_key("anthropic-version") => Provider::Anthropic,
        "v1" => Provider::OpenAi,
        version if version.starts_with('v') => Provider::Gemini,
        _ => return (None, unknown),
    };
    let operation = match rest {
        "chat/completions" if is_post && provider == Provider::OpenAi => {
            Operation::Complete { model: None, streaming: Streaming::InBody }
        }
        "messages" if is_post && provider == Provider::Anthropic => {
            Operation::Complete { model: None, streaming: Streaming::InBody }
        }
        "models" if is_get => Operation::ListModels,
        _ => match rest.strip_prefix("models/") {
            Some(model) if is_get => Operation::ShowModel(Some(model.to_owned())),
            _ => unknown,
        },
    };
    (Some(provider), operation)
}

/// About as many tokens as a real tokeniser would count in English text.
pub(super) fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

/// The text token by token.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(4).map_or(rest.len(), |(at, _)| at);
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Takes a string out of an object.
pub(super) fn take_text(object: &mut Value, key: &str) -> Option<String> {
    match object.get_mut(key).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Adds `text` to `whole` on a line of its own.
pub(super) fn append(whole: &mut String, text: &str) {
    if !whole.is_empty() && !text.is_empty() {
        whole.push('\n');
    }
    whole.push_str(text);
}

/// Sorts a user's message in: the last one is the prompt.
pub(super) fn add_user(question: &mut Question, text: String) {
    let before = std::mem::replace(&mut question.prompt, text);
    if !before.is_empty() {
        question.earlier.insert(0, before);
    }
}

/// A positive limit of output tokens; other numbers stand for "none".
pub(super) fn token_limit(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_u64).filter(|limit| *limit > 0)
}

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The present in RFC 3339.
pub(super) fn timestamp() -> String {
    let seconds = unix_seconds();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that leap days end a year.
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
