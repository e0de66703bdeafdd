//! The server side of Anthropic's messages API.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::protocol::{
    Completion, CompletionRequest, ErrorCause, ErrorReply, Operation, Pieces, ServerProtocol, pieces, take_content,
    take_text, token_limit,
};

pub(super) struct Anthropic;

impl ServerProtocol for Anthropic {
    fn default_models(&self) -> &'static [&'static str] {
        &["sim-model"]
    }

    fn parse_request(&self, _operation: &Operation, mut body: Value) -> CompletionRequest {
        let mut request = CompletionRequest { model: take_text(&mut body, "model"), ..CompletionRequest::default() };
        let has_messages = body.get("messages").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        request.system = take_content(body.get_mut("system"));
        request.add_messages(body.get_mut("messages"), &[]);
        request.schema = body.pointer_mut("/output_config/format/schema").map(|schema| Arc::new(schema.take()));
        request.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        request.max_tokens = token_limit(body.get("max_tokens"));
        request.problem = if request.model.as_deref().is_none_or(str::is_empty) {
            Some("model: Field required".to_owned())
        } else if request.max_tokens.is_none() {
            Some("max_tokens: Field required".to_owned())
        } else if has_messages {
            None
        } else {
            Some("messages: at least one message is required".to_owned())
        };
        request
    }

    fn reply(&self, _operation: &Operation, request: &CompletionRequest, completion: Completion) -> Value {
        let mut message = message(request, &completion);
        message["stop_reason"] = json!(finish(completion.is_truncated));
        message["usage"]["output_tokens"] = json!(completion.output_tokens + completion.thinking_tokens);
        message["content"] = json!([{"type": "text", "text": completion.text}]);
        message
    }

    fn streamed_reply(&self, _operation: &Operation, request: &CompletionRequest, completion: &Completion) -> Pieces {
        let mut events = vec![
            event(&json!({"type": "message_start", "message": message(request, completion)})),
            event(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        ];
        events.extend(pieces(&completion.text).map(|piece| {
            let delta = json!({"type": "text_delta", "text": piece});
            event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
        }));
        events.push(event(&json!({"type": "content_block_stop", "index": 0})));
        events.push(event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": finish(completion.is_truncated), "stop_sequence": null},
            "usage": {"output_tokens": completion.output_tokens + completion.thinking_tokens},
        })));
        events.push(event(&json!({"type": "message_stop"})));
        (events, "text/event-stream")
    }

    fn metadata(&self, operation: &Operation, models: &[String]) -> Value {
        let model = |name: &str| json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"});
        match operation {
            Operation::ShowModel(Some(name)) => model(name),
            _ => json!({
                "data": models.iter().map(|name| model(name)).collect::<Vec<_>>(),
                "has_more": false,
                "first_id": models.first(),
                "last_id": models.last(),
            }),
        }
    }

    fn key<'h>(&self, headers: &'h HeaderMap, _query: Option<&'h str>) -> Option<&'h str> {
        headers.get("x-api-key")?.to_str().ok().filter(|key| !key.is_empty())
    }

    fn requires_key(&self) -> bool {
        true
    }

    fn rejection(&self, cause: ErrorCause, model: &str) -> ErrorReply {
        let (status, message) = match cause {
            ErrorCause::UnknownModel => (404, format!("model: {model}")),
            ErrorCause::WrongKey => (401, "invalid x-api-key".to_owned()),
            ErrorCause::MissingKey | ErrorCause::Status => (401, "x-api-key header is required".to_owned()),
        };
        ErrorReply { status, message, cause }
    }

    fn error_body(&self, error: &ErrorReply) -> Value {
        let kind = match error.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": error.message}, "request_id": "req_simulated"})
    }
}

/// The message without its text.
fn message(request: &CompletionRequest, completion: &Completion) -> Value {
    json!({
        "id": format!("msg_{:012}", completion.number),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": completion.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    })
}

fn finish(is_truncated: bool) -> &'static str {
    if is_truncated { "max_tokens" } else { "end_turn" }
}

/// A server-sent event named after its type.
fn event(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}
