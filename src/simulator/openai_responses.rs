//! OpenAI's responses, as a server.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::protocol::{Completion, CompletionRequest, Pieces, pieces, take_text, token_limit, unix_seconds};

pub(super) fn parse_request(mut body: Value) -> CompletionRequest {
    let mut request = CompletionRequest { model: take_text(&mut body, "model"), ..CompletionRequest::default() };
    let is_empty = match body.get("input") {
        Some(Value::String(_)) => false,
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    request.system = take_text(&mut body, "instructions").unwrap_or_default();
    match body.get_mut("input").map(Value::take) {
        Some(Value::String(text)) => request.add_user_message(text),
        Some(mut items) => request.add_messages(Some(&mut items), &["system", "developer"]),
        None => {}
    }
    if let Some(format) = body.pointer_mut("/text/format") {
        match format.get("type").and_then(Value::as_str) {
            Some("json_schema") => request.schema = format.get_mut("schema").map(|schema| Arc::new(schema.take())),
            Some("json_object") => request.is_json = true,
            _ => {}
        }
    }
    request.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    request.max_tokens = token_limit(body.get("max_output_tokens"));
    request.problem = if request.model.as_deref().is_none_or(str::is_empty) {
        Some("Missing required parameter: 'model'.".to_owned())
    } else if is_empty {
        Some("Missing required parameter: 'input'.".to_owned())
    } else {
        None
    };
    request
}

pub(super) fn reply(request: &CompletionRequest, completion: &Completion) -> Value {
    let status = status(completion);
    let message = message(completion, status, &json!([text_part(&completion.text)]));
    let mut output = reasoning(completion);
    output.push(message);
    response(request, completion, status, &json!(output))
}

pub(super) fn streamed_reply(request: &CompletionRequest, completion: &Completion) -> Pieces {
    let mut number = 0_u64;
    let mut events = Vec::new();
    let mut send = |kind: &str, mut fields: Value| {
        fields["type"] = Value::from(kind);
        fields["sequence_number"] = Value::from(number);
        number += 1;
        events.push(Bytes::from(format!("event: {kind}\ndata: {fields}\n\n")));
    };
    let started = response(request, completion, "in_progress", &json!([]));
    send("response.created", json!({"response": started}));
    send("response.in_progress", json!({"response": started}));
    let mut output = reasoning(completion);
    for (index, item) in output.iter().enumerate() {
        send("response.output_item.added", json!({"output_index": index, "item": item}));
        send("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let (index, id) = (output.len(), message_id(completion));
    let place = |mut fields: Value| {
        for (name, value) in [("item_id", json!(id)), ("output_index", json!(index)), ("content_index", json!(0))] {
            fields[name] = value;
        }
        fields
    };
    let empty = message(completion, "in_progress", &json!([]));
    send("response.output_item.added", json!({"output_index": index, "item": empty}));
    send("response.content_part.added", place(json!({"part": text_part("")})));
    for piece in pieces(&completion.text) {
        send("response.output_text.delta", place(json!({"delta": piece, "logprobs": []})));
    }
    send("response.output_text.done", place(json!({"text": completion.text, "logprobs": []})));
    send("response.content_part.done", place(json!({"part": text_part(&completion.text)})));
    let status = status(completion);
    let whole = message(completion, status, &json!([text_part(&completion.text)]));
    send("response.output_item.done", json!({"output_index": index, "item": whole}));
    output.push(whole);
    let response = response(request, completion, status, &json!(output));
    send(&format!("response.{status}"), json!({"response": response}));
    (events, "text/event-stream")
}

fn response(request: &CompletionRequest, completion: &Completion, status: &str, output: &Value) -> Value {
    let details = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    let is_complete = status != "in_progress";
    json!({
        "id": format!("resp_{:012}", completion.number),
        "object": "response",
        "created_at": unix_seconds(),
        "status": status,
        "error": null,
        "incomplete_details": details,
        "model": request.model,
        "output": output,
        "usage": is_complete.then(|| usage(completion)),
    })
}

fn message(completion: &Completion, status: &str, content: &Value) -> Value {
    let id = message_id(completion);
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

/// The item of the reasoning, which has no text unless a request asks for a summary.
fn reasoning(completion: &Completion) -> Vec<Value> {
    let item = || json!({"type": "reasoning", "id": format!("rs_{:012}", completion.number), "summary": []});
    (completion.thinking_tokens > 0).then(item).into_iter().collect()
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message_id(completion: &Completion) -> String {
    format!("msg_{:012}", completion.number)
}

fn status(completion: &Completion) -> &'static str {
    if completion.is_truncated { "incomplete" } else { "completed" }
}

fn usage(completion: &Completion) -> Value {
    json!({
        "input_tokens": completion.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion.output_tokens + completion.thinking_tokens,
        "output_tokens_details": {"reasoning_tokens": completion.thinking_tokens},
        "total_tokens": completion.prompt_tokens + completion.output_tokens + completion.thinking_tokens,
    })
}
