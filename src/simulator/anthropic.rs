//! Anthropic's messages API, as a server.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::dialect::{
    Answer, Cause, Dialect, Failure, Operation, Question, add_user, append, pieces, take_text, token_limit,
};

pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn default_models(&self) -> &'static [&'static str] {
        &["sim-model"]
    }

    fn read(&self, _operation: &Operation, mut body: Value) -> Question {
        let mut question = Question { model: take_text(&mut body, "model"), ..Question::default() };
        let has_messages = body.get("messages").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        question.system = content(body.get_mut("system"));
        if let Some(messages) = body.get_mut("messages").and_then(Value::as_array_mut) {
            for message in messages {
                let text = content(message.get_mut("content"));
                if message.get("role").and_then(Value::as_str) == Some("user") {
                    add_user(&mut question, text);
                }
            }
        }
        question.schema = body.pointer_mut("/output_config/format/schema").map(|schema| Arc::new(schema.take()));
        question.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        question.max_tokens = token_limit(body.get("max_tokens"));
        question.mistake = if question.model.as_deref().is_none_or(str::is_empty) {
            Some("model: Field required".to_owned())
        } else if question.max_tokens.is_none() {
            Some("max_tokens: Field required".to_owned())
        } else if has_messages {
            None
        } else {
            Some("messages: at least one message is required".to_owned())
        };
        question
    }

    fn whole(&self, _operation: &Operation, question: &Question, answer: Answer) -> Value {
        let mut message = message(question, &answer);
        message["stop_reason"] = json!(finish(answer.is_cut));
        message["usage"]["output_tokens"] = json!(answer.output_tokens + answer.thinking_tokens);
        message["content"] = json!([{"type": "text", "text": answer.text}]);
        message
    }

    fn stream(&self, _operation: &Operation, question: &Question, answer: &Answer) -> (Vec<Bytes>, &'static str) {
        let mut events = vec![
            event(&json!({"type": "message_start", "message": message(question, answer)})),
            event(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        ];
        events.extend(pieces(&answer.text).map(|piece| {
            let delta = json!({"type": "text_delta", "text": piece});
            event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
        }));
        events.push(event(&json!({"type": "content_block_stop", "index": 0})));
        events.push(event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": finish(answer.is_cut), "stop_sequence": null},
            "usage": {"output_tokens": answer.output_tokens + answer.thinking_tokens},
        })));
        events.push(event(&json!({"type": "message_stop"})));
        (events, "text/event-stream")
    }

    fn list(&self, operation: &Operation, models: &[String]) -> Value {
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

    fn wants_key(&self) -> bool {
        true
    }

    fn refuse(&self, cause: Cause, model: &str) -> Failure {
        let (status, message) = match cause {
            Cause::UnknownModel => (404, format!("model: {model}")),
            Cause::WrongKey => (401, "invalid x-api-key".to_owned()),
            Cause::MissingKey | Cause::Status => (401, "x-api-key header is required".to_owned()),
        };
        Failure { status, message, cause }
    }

    fn error(&self, failure: &Failure) -> Value {
        let kind = match failure.status {
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
        json!({"type": "error", "error": {"type": kind, "message": failure.message}, "request_id": "req_simulated"})
    }
}

/// The message before its text.
fn message(question: &Question, answer: &Answer) -> Value {
    json!({
        "id": format!("msg_{:012}", answer.number),
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    })
}

/// A string, or the text blocks of a list.
fn content(value: Option<&mut Value>) -> String {
    match value.map(Value::take) {
        Some(Value::String(text)) => text,
        Some(Value::Array(mut blocks)) => {
            let mut whole = String::new();
            for text in blocks.iter_mut().filter_map(|block| take_text(block, "text")) {
                append(&mut whole, &text);
            }
            whole
        }
        _ => String::new(),
    }
}

fn finish(is_cut: bool) -> &'static str {
    if is_cut { "max_tokens" } else { "end_turn" }
}

/// One server-sent event, named after its type.
fn event(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}
