//! The server side of Ollama's API.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::protocol::{
    Completion, CompletionRequest, ErrorCause, ErrorReply, Operation, Pieces, ServerProtocol, line, pieces, take_text,
    timestamp, token_limit,
};

pub(super) struct Ollama;

impl ServerProtocol for Ollama {
    fn default_models(&self) -> &'static [&'static str] {
        &["gemma3:4b", "gemma3:12b"]
    }

    fn parse_request(&self, operation: &Operation, mut body: Value) -> CompletionRequest {
        let mut request = CompletionRequest { model: take_text(&mut body, "model"), ..CompletionRequest::default() };
        if *operation == Operation::Generate {
            request.prompt = take_text(&mut body, "prompt").unwrap_or_default();
            request.system = take_text(&mut body, "system").unwrap_or_default();
        } else {
            request.add_messages(body.get_mut("messages"), &["system"]);
        }
        match body.get_mut("format").map(Value::take) {
            Some(schema @ Value::Object(_)) => request.schema = Some(Arc::new(schema)),
            Some(Value::String(format)) if format == "json" => request.is_json = true,
            _ => {}
        }
        // Streaming is the default here.
        request.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(true);
        request.max_tokens = token_limit(body.pointer("/options/num_predict"));
        if request.model.as_deref().is_none_or(str::is_empty) {
            request.problem = Some("model is required".to_owned());
        }
        request
    }

    fn reply(&self, operation: &Operation, request: &CompletionRequest, completion: Completion) -> Value {
        let mut reply = last(operation, request, &completion);
        set_text(operation, &mut reply, completion.text);
        reply
    }

    fn streamed_reply(&self, operation: &Operation, request: &CompletionRequest, completion: &Completion) -> Pieces {
        let created_at = timestamp();
        let mut lines: Vec<Bytes> = pieces(&completion.text)
            .map(|piece| {
                let mut part = json!({"model": request.model, "created_at": created_at, "done": false});
                set_text(operation, &mut part, piece.to_owned());
                line(&part)
            })
            .collect();
        let mut end = last(operation, request, completion);
        set_text(operation, &mut end, String::new());
        lines.push(line(&end));
        (lines, "application/x-ndjson")
    }

    fn metadata(&self, operation: &Operation, models: &[String]) -> Value {
        match operation {
            Operation::Version => json!({"version": "0.12.0"}),
            // The simulator never loads a model, so all are in memory.
            Operation::Running => {
                let model = |name: &String| {
                    json!({
                        "name": name, "model": name, "size": 3_338_801_804_u64, "size_vram": 3_338_801_804_u64,
                        "expires_at": "2100-01-01T00:00:00Z", "context_length": 4096, "details": details(),
                    })
                };
                json!({"models": models.iter().map(model).collect::<Vec<_>>()})
            }
            Operation::ShowModel(_) => json!({
                "details": details(),
                "model_info": {"general.architecture": "gemma3", "gemma3.context_length": 131_072},
                "capabilities": ["completion", "vision"],
                "parameters": "",
                "template": "",
            }),
            _ => {
                let model = |name: &String| {
                    json!({
                        "name": name, "model": name, "modified_at": "2026-01-01T00:00:00Z", "size": 3_338_801_804_u64,
                        "digest": format!("{:064x}", name.len()), "details": details(),
                    })
                };
                json!({"models": models.iter().map(model).collect::<Vec<_>>()})
            }
        }
    }

    fn rejection(&self, cause: ErrorCause, model: &str) -> ErrorReply {
        let (status, message) = match cause {
            ErrorCause::UnknownModel => (404, format!("model '{model}' not found")),
            _ => (401, "unauthorized".to_owned()),
        };
        ErrorReply { status, message, cause }
    }

    fn error_body(&self, error: &ErrorReply) -> Value {
        json!({"error": error.message})
    }
}

fn set_text(operation: &Operation, reply: &mut Value, text: String) {
    let (key, value) = match operation {
        Operation::Generate => ("response", Value::String(text)),
        _ => ("message", json!({"role": "assistant", "content": text})),
    };
    reply[key] = value;
}

/// The last object: the only one with counts. Counts of zero are left out, as by the real server.
fn last(operation: &Operation, request: &CompletionRequest, completion: &Completion) -> Value {
    let nanoseconds = u64::try_from(completion.elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
    // An empty prompt loads the model and says nothing.
    let is_load = *operation == Operation::Generate && request.prompt.is_empty();
    let reason = match (is_load, completion.is_truncated) {
        (true, _) => "load",
        (false, true) => "length",
        (false, false) => "stop",
    };
    let mut reply = json!({
        "model": request.model,
        "created_at": timestamp(),
        "done": true,
        "done_reason": reason,
        "total_duration": nanoseconds,
        "load_duration": nanoseconds.div_ceil(10),
    });
    if completion.prompt_tokens > 0 {
        reply["prompt_eval_count"] = completion.prompt_tokens.into();
        reply["prompt_eval_duration"] = nanoseconds.div_ceil(10).into();
    }
    let output = completion.output_tokens + completion.thinking_tokens;
    if output > 0 {
        reply["eval_count"] = output.into();
        reply["eval_duration"] = nanoseconds.div_ceil(2).into();
    }
    reply
}

fn details() -> Value {
    json!({
        "format": "gguf", "family": "gemma3", "families": ["gemma3"], "parameter_size": "4.3B",
        "quantization_level": "Q4_K_M",
    })
}
