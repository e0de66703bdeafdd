//! Plans the reply to a request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::protocol::{self, Completion, CompletionRequest, ErrorCause, ErrorReply, Operation, ServerProtocol, tokens};
use super::sample::sample;
use super::script::{Rule, Settings};
use crate::config::Provider;

/// A reply before faults are applied.
#[derive(Debug)]
pub(super) struct PlannedReply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) content: Content,
    /// For the rate; zero if nothing was generated.
    pub(super) output_tokens: u64,
}

#[derive(Debug)]
pub(super) enum Content {
    Whole(Bytes),
    Stream(Vec<Bytes>),
}

/// A received request.
#[derive(Debug)]
pub(super) struct RequestContext<'r> {
    pub(super) provider: Option<Provider>,
    pub(super) operation: &'r Operation,
    pub(super) headers: &'r HeaderMap,
    pub(super) path: &'r str,
    pub(super) query: Option<&'r str>,
    pub(super) request: Option<CompletionRequest>,
    pub(super) elapsed: Duration,
}

static COMPLETIONS: AtomicU64 = AtomicU64::new(0);

/// Plans the reply to a request under `rule` and the settings.
pub(super) fn plan(context: RequestContext<'_>, rule: Option<&Rule>, access: &AccessRules) -> PlannedReply {
    let protocol = context.provider.and_then(protocol::protocol);
    let status = rule.and_then(|rule| rule.status);
    let scripted = rule.and_then(|rule| match (&rule.body, &rule.pieces) {
        (Some(body), _) => Some(("application/json", Content::Whole(body.clone()))),
        (None, Some(pieces)) => {
            let is_ollama = context.provider == Some(Provider::Ollama);
            let content_type = if is_ollama { "application/x-ndjson" } else { "text/event-stream" };
            Some((content_type, Content::Stream(pieces.clone())))
        }
        (None, None) => None,
    });
    if let Some((content_type, content)) = scripted {
        return PlannedReply { status: status.unwrap_or(200), content_type, content, output_tokens: 0 };
    }
    if let Some(status) = status.filter(|status| *status >= 400) {
        let message = status_message(status).to_owned();
        return error_reply(protocol, &ErrorReply { status, message, cause: ErrorCause::Status });
    }
    let Some(protocol) = protocol.filter(|_| context.operation != &Operation::Unknown) else {
        let message = format!("no such path: {}", context.path);
        return error_reply(protocol, &ErrorReply { status: 404, message, cause: ErrorCause::Status });
    };
    if let Some(rejection) = rejection(protocol, &context, access) {
        return error_reply(Some(protocol), &rejection);
    }
    let mut reply = match context.request {
        Some(request) => completion(protocol, context.operation, request, rule, context.elapsed),
        None => json_reply(200, &protocol.metadata(context.operation, &access.models)),
    };
    reply.status = status.unwrap_or(200);
    reply
}

/// The settings for one request, copied so that no lock is held while the reply is sent.
#[derive(Debug)]
pub(super) struct AccessRules {
    key: Option<String>,
    models: Vec<String>,
    restricted: bool,
}

impl AccessRules {
    pub(super) fn of(settings: &Settings, provider: Option<Provider>, operation: &Operation) -> Self {
        let key = settings.keys.iter().find(|(known, _)| Some(*known) == provider).map(|(_, key)| key.clone());
        let needs_models = settings.restricted || !operation.is_completion();
        let models = match &settings.models {
            _ if !needs_models => Vec::new(),
            Some(models) => models.clone(),
            None => provider
                .and_then(protocol::protocol)
                .map(|protocol| protocol.default_models().iter().map(|name| (*name).to_owned()).collect())
                .unwrap_or_default(),
        };
        Self { key, models, restricted: settings.restricted }
    }

    fn has_model(&self, model: &str) -> bool {
        self.models.iter().any(|known| known == model || known.strip_suffix(":latest") == Some(model))
    }
}

/// The error for a wrong key, an invalid request or an unknown model.
fn rejection(protocol: &dyn ServerProtocol, context: &RequestContext<'_>, access: &AccessRules) -> Option<ErrorReply> {
    let key = protocol.key(context.headers, context.query);
    match (key, &access.key) {
        (Some(key), Some(required)) if key != required => return Some(protocol.rejection(ErrorCause::WrongKey, "")),
        (None, required) if required.is_some() || protocol.requires_key() => {
            return Some(protocol.rejection(ErrorCause::MissingKey, ""));
        }
        _ => {}
    }
    if let Some(message) = context.request.as_ref().and_then(|request| request.problem.clone()) {
        return Some(ErrorReply { status: 400, message, cause: ErrorCause::Status });
    }
    let model = match (&context.request, context.operation) {
        (Some(request), _) => request.model.as_deref(),
        (None, Operation::ShowModel(model)) => model.as_deref(),
        _ => None,
    };
    model
        .filter(|model| access.restricted && !access.has_model(model))
        .map(|model| protocol.rejection(ErrorCause::UnknownModel, model))
}

fn completion(
    protocol: &dyn ServerProtocol,
    operation: &Operation,
    mut request: CompletionRequest,
    rule: Option<&Rule>,
    elapsed: Duration,
) -> PlannedReply {
    let scripted = rule.and_then(|rule| rule.text.clone().or_else(|| rule.json.as_ref().map(Value::to_string)));
    let mut text = scripted.unwrap_or_else(|| generate(operation, &mut request));
    let mut output_tokens = tokens(&text);
    let scripted = rule.and_then(|rule| rule.thinking_tokens).unwrap_or_default();
    let max_tokens = request.max_tokens.unwrap_or(u64::MAX);
    let thinking_tokens = scripted.min(request.max_thinking.unwrap_or(u64::MAX)).min(max_tokens);
    let limit = Some(max_tokens - thinking_tokens).filter(|limit| *limit < output_tokens);
    if let Some(limit) = limit {
        let characters = usize::try_from(limit * 4).unwrap_or(usize::MAX);
        let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
        text.truncate(end);
        output_tokens = limit;
    }
    let earlier: u64 = request.earlier.iter().map(|text| tokens(text)).sum();
    let completion = Completion {
        text,
        prompt_tokens: rule
            .and_then(|rule| rule.prompt_tokens)
            .unwrap_or_else(|| tokens(&request.prompt) + tokens(&request.system) + earlier),
        output_tokens,
        thinking_tokens,
        is_truncated: limit.is_some(),
        number: COMPLETIONS.fetch_add(1, Ordering::Relaxed),
        elapsed,
    };
    if request.stream {
        let (pieces, content_type) = protocol.streamed_reply(operation, &request, &completion);
        PlannedReply { status: 200, content_type, content: Content::Stream(pieces), output_tokens }
    } else {
        PlannedReply { output_tokens, ..json_reply(200, &protocol.reply(operation, &request, completion)) }
    }
}

/// Generates the text. Earlier messages are part of the prompt: a repair request names neither topic nor labels.
fn generate(operation: &Operation, request: &mut CompletionRequest) -> String {
    if *operation == Operation::Generate && request.prompt.is_empty() {
        return String::new();
    }
    let joined;
    let prompt = if request.earlier.is_empty() {
        &request.prompt
    } else {
        joined = format!("{}\n\n{}", request.prompt, request.earlier.join("\n\n"));
        &joined
    };
    if let Some(schema) = &request.schema {
        return sample(schema, prompt).to_string();
    }
    if request.is_json {
        let schema = json!({"type": "object", "properties": {
            "title": {"type": "string"},
            "answer": {"type": "string"},
            "points": {"type": "array", "items": {"type": "string"}},
        }});
        return sample(&schema, prompt).to_string();
    }
    let sentences = json!({"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3});
    let sentences = sample(&sentences, prompt);
    let sentences: Vec<_> = sentences.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    sentences.join(" ")
}

fn json_reply(status: u16, body: &Value) -> PlannedReply {
    let content = Content::Whole(Bytes::from(body.to_string()));
    PlannedReply { status, content_type: "application/json", content, output_tokens: 0 }
}

fn error_reply(protocol: Option<&dyn ServerProtocol>, error: &ErrorReply) -> PlannedReply {
    let body = protocol.map_or_else(|| json!({"error": error.message}), |protocol| protocol.error_body(error));
    json_reply(error.status, &body)
}

fn status_message(status: u16) -> &'static str {
    match status {
        401 => "Request had invalid authentication credentials.",
        403 => "The caller does not have permission.",
        404 => "Requested entity was not found.",
        408 => "The request timed out.",
        429 => "Resource has been exhausted (e.g. check quota).",
        400..=499 => "Request contains an invalid argument.",
        503 => "server busy, please try again.  maximum pending requests exceeded",
        529 => "Overloaded",
        _ => "An internal error has occurred.",
    }
}
