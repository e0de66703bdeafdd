//! The server side of the Gemini Developer API.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::protocol::{
    Completion, CompletionRequest, ErrorCause, ErrorReply, Operation, Pieces, ServerProtocol, StreamFormat, event,
    pieces, take_content, token_limit,
};

pub(super) struct Gemini;

impl ServerProtocol for Gemini {
    fn default_models(&self) -> &'static [&'static str] {
        &["gemini-3-flash-preview"]
    }

    fn parse_request(&self, operation: &Operation, mut body: Value) -> CompletionRequest {
        let mut request = CompletionRequest::default();
        if let Operation::Complete { model, streaming } = operation {
            request.model.clone_from(model);
            request.stream = *streaming != StreamFormat::Never;
        }
        // Protocol buffers accept both cases in JSON.
        let system = ["systemInstruction", "system_instruction"].iter().find(|key| body.get(**key).is_some());
        if let Some(system) = system.and_then(|key| body.get_mut(*key)) {
            request.system = take_content(system.get_mut("parts"));
        }
        match body.get_mut("contents").map(Value::take) {
            Some(Value::Array(mut turns)) if !turns.is_empty() => {
                for turn in &mut turns {
                    if turn.get("role").and_then(Value::as_str).is_none_or(|role| role == "user") {
                        request.add_user_message(take_content(turn.get_mut("parts")));
                    }
                }
            }
            _ => request.problem = Some("* GenerateContentRequest.contents: contents is not specified\n".to_owned()),
        }
        if let Some(config) = body.get_mut("generationConfig") {
            let schema = ["responseJsonSchema", "responseSchema"].iter().find(|key| config.get(**key).is_some());
            request.schema = schema.and_then(|key| config.get_mut(*key)).map(|schema| Arc::new(schema.take()));
            request.is_json = config.get("responseMimeType").is_some_and(|mime| mime == "application/json");
            request.max_tokens = token_limit(config.get("maxOutputTokens"));
            request.max_thinking = config.get("thinkingConfig").and_then(max_thinking);
        }
        let tools = body.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if tools.iter().any(|tool| tool.get("urlContext").or_else(|| tool.get("url_context")).is_some()) {
            let turns = request.earlier.iter().rev().chain([&request.prompt]);
            request.pages = turns.flat_map(|turn| addresses(turn)).collect();
        }
        request.problem = request.problem.take().or_else(|| problem(&request, &body));
        request
    }

    fn reply(&self, _operation: &Operation, request: &CompletionRequest, completion: Completion) -> Value {
        let reason = finish_reason(&completion);
        reply(request, &completion.text, Some(reason), &completion)
    }

    fn streamed_reply(&self, operation: &Operation, request: &CompletionRequest, completion: &Completion) -> Pieces {
        let mut pieces: Vec<&str> = pieces(&completion.text).collect();
        // An empty text still needs a finish reason.
        if pieces.is_empty() {
            pieces.push("");
        }
        let last = pieces.len().saturating_sub(1);
        let chunks = pieces.iter().enumerate().map(|(at, piece)| {
            let reason = (at == last).then(|| finish_reason(completion));
            reply(request, piece, reason, completion)
        });
        if matches!(operation, Operation::Complete { streaming: StreamFormat::Events, .. }) {
            return (chunks.map(|chunk| event(&chunk)).collect(), "text/event-stream");
        }
        let element = |(at, chunk): (usize, Value)| {
            let before = if at == 0 { "[" } else { ",\r\n" };
            let after = if at == last { "]" } else { "" };
            Bytes::from(format!("{before}{chunk}{after}"))
        };
        (chunks.enumerate().map(element).collect(), "application/json")
    }

    fn metadata(&self, operation: &Operation, models: &[String]) -> Value {
        let model = |name: &str| {
            json!({
                "name": format!("models/{name}"), "version": "001", "displayName": name,
                "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            })
        };
        match operation {
            Operation::ShowModel(Some(name)) => model(name),
            _ => json!({"models": models.iter().map(|name| model(name)).collect::<Vec<_>>()}),
        }
    }

    fn key<'h>(&self, headers: &'h HeaderMap, query: Option<&'h str>) -> Option<&'h str> {
        let header = headers.get("x-goog-api-key").and_then(|value| value.to_str().ok());
        let pair = || query?.split('&').find_map(|pair| pair.strip_prefix("key="));
        header.or_else(pair).filter(|key| !key.is_empty())
    }

    fn requires_key(&self) -> bool {
        true
    }

    fn rejection(&self, cause: ErrorCause, model: &str) -> ErrorReply {
        let (status, message) = match cause {
            ErrorCause::UnknownModel => (
                404,
                format!("models/{model} is not found for API version v1beta, or is not supported for generateContent."),
            ),
            ErrorCause::WrongKey => (400, "API key not valid. Please pass a valid API key.".to_owned()),
            ErrorCause::MissingKey | ErrorCause::Status => (
                403,
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key \
                 or other form of API consumer identity to call this API."
                    .to_owned(),
            ),
        };
        ErrorReply { status, message, cause }
    }

    fn error_body(&self, error: &ErrorReply) -> Value {
        let status = match error.status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            500 => "INTERNAL",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "UNKNOWN",
        };
        let mut body = json!({"code": error.status, "message": error.message, "status": status});
        if error.cause == ErrorCause::WrongKey {
            body["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }]);
        }
        json!({"error": body})
    }
}

fn reply(request: &CompletionRequest, text: &str, finish: Option<&str>, completion: &Completion) -> Value {
    let mut candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
        if !request.pages.is_empty() {
            candidate["urlContextMetadata"] =
                json!({"urlMetadata": request.pages.iter().map(page).collect::<Vec<_>>()});
        }
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": usage(completion),
        "modelVersion": request.model,
        "responseId": format!("sim{:012}", completion.number),
    })
}

fn finish_reason(completion: &Completion) -> &'static str {
    if completion.is_truncated { "MAX_TOKENS" } else { "STOP" }
}

fn usage(completion: &Completion) -> Value {
    let mut usage = json!({
        "promptTokenCount": completion.prompt_tokens,
        "candidatesTokenCount": completion.output_tokens,
        "totalTokenCount": completion.prompt_tokens + completion.output_tokens + completion.thinking_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": completion.prompt_tokens}],
    });
    if completion.thinking_tokens > 0 {
        usage["thoughtsTokenCount"] = completion.thinking_tokens.into();
    }
    usage
}

/// The limit of thinking tokens: the budget, or the one of the lowest two levels.
fn max_thinking(config: &Value) -> Option<u64> {
    match config.get("thinkingLevel").and_then(Value::as_str) {
        Some("MINIMAL") => Some(0),
        Some("LOW") => Some(256),
        _ => config.get("thinkingBudget").and_then(Value::as_u64),
    }
}

/// Why the real server rejects the request for this model.
fn problem(request: &CompletionRequest, body: &Value) -> Option<String> {
    let model = request.model.as_deref().unwrap_or_default();
    let is_old = model.starts_with("gemini-1.") || model.starts_with("gemini-2.");
    let thinking = body.pointer("/generationConfig/thinkingConfig");
    let level = thinking.and_then(|config| config.get("thinkingLevel")?.as_str());
    let budget = thinking.and_then(|config| config.get("thinkingBudget")?.as_i64());
    let message = match (level, budget) {
        (Some(_), Some(_)) => "You can only set only one of thinking budget and thinking level.",
        (Some(_), _) if is_old => "Thinking level is not supported for this model.",
        (Some("MINIMAL"), _) if model.contains("-pro") => "Thinking level MINIMAL is not supported for this model.",
        (_, Some(0)) if model.starts_with("gemini-2.5-pro") => {
            "Budget 0 is invalid. This model only works in thinking mode."
        }
        _ if is_old && request.is_json && !request.pages.is_empty() => {
            "Tool use with a response mime type: 'application/json' is unsupported"
        }
        _ => return None,
    };
    Some(message.to_owned())
}

/// The web addresses in `text`.
fn addresses(text: &str) -> impl Iterator<Item = String> {
    let words = text.split_whitespace().filter(|word| word.starts_with("http://") || word.starts_with("https://"));
    words.map(|word| word.trim_end_matches(['.', ',', ';', ')']).to_owned())
}

fn page(url: &String) -> Value {
    json!({"retrievedUrl": url, "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"})
}
