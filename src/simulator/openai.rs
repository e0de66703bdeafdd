//! OpenAI, as a server: chat completions, and what both of its APIs share.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::openai_responses;
use super::protocol::{
    Completion, CompletionRequest, ErrorCause, ErrorReply, Operation, Pieces, ServerProtocol, event, pieces, take_text,
    token_limit, unix_seconds,
};

pub(super) struct OpenAi;

impl ServerProtocol for OpenAi {
    fn default_models(&self) -> &'static [&'static str] {
        &["sim-model"]
    }

    fn parse_request(&self, operation: &Operation, mut body: Value) -> CompletionRequest {
        if *operation == Operation::Respond {
            return openai_responses::parse_request(body);
        }
        let mut request = CompletionRequest { model: take_text(&mut body, "model"), ..CompletionRequest::default() };
        let has_messages = body.get("messages").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        request.add_messages(body.get_mut("messages"), &["system", "developer"]);
        if let Some(format) = body.get_mut("response_format") {
            match format.get("type").and_then(Value::as_str) {
                Some("json_schema") => {
                    request.schema = format.pointer_mut("/json_schema/schema").map(|schema| Arc::new(schema.take()));
                }
                // Servers built on llama.cpp take a schema here too.
                Some("json_object") => match format.get_mut("schema") {
                    Some(schema) => request.schema = Some(Arc::new(schema.take())),
                    None => request.is_json = true,
                },
                _ => {}
            }
        }
        request.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        request.includes_usage =
            body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false);
        request.max_tokens = token_limit(body.get("max_completion_tokens").or_else(|| body.get("max_tokens")));
        request.problem = if request.model.as_deref().is_none_or(str::is_empty) {
            Some("you must provide a model parameter".to_owned())
        } else if has_messages {
            None
        } else {
            Some("Missing required parameter: 'messages'.".to_owned())
        };
        request
    }

    fn reply(&self, operation: &Operation, request: &CompletionRequest, completion: Completion) -> Value {
        if *operation == Operation::Respond {
            return openai_responses::reply(request, &completion);
        }
        let usage = usage(&completion);
        json!({
            "id": id(&completion),
            "object": "chat.completion",
            "created": unix_seconds(),
            "model": request.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": completion.text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish(completion.is_truncated),
            }],
            "usage": usage,
        })
    }

    fn streamed_reply(&self, operation: &Operation, request: &CompletionRequest, completion: &Completion) -> Pieces {
        if *operation == Operation::Respond {
            return openai_responses::streamed_reply(request, completion);
        }
        let (id, created) = (id(completion), unix_seconds());
        let chunk = |choices: Value| {
            let mut chunk = json!({
                "id": id, "object": "chat.completion.chunk", "created": created, "model": request.model,
                "choices": choices,
            });
            if request.includes_usage {
                chunk["usage"] = Value::Null;
            }
            chunk
        };
        let delta = |delta: Value, finish: Option<&str>| {
            event(&chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}])))
        };
        let mut events = vec![delta(json!({"role": "assistant", "content": ""}), None)];
        events.extend(pieces(&completion.text).map(|piece| delta(json!({"content": piece}), None)));
        events.push(delta(json!({}), Some(finish(completion.is_truncated))));
        if request.includes_usage {
            let mut last = chunk(json!([]));
            last["usage"] = usage(completion);
            events.push(event(&last));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        (events, "text/event-stream")
    }

    fn metadata(&self, operation: &Operation, models: &[String]) -> Value {
        let model =
            |name: &str| json!({"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "simulator"});
        match operation {
            Operation::ShowModel(Some(name)) => model(name),
            _ => json!({"object": "list", "data": models.iter().map(|name| model(name)).collect::<Vec<_>>()}),
        }
    }

    fn rejection(&self, cause: ErrorCause, model: &str) -> ErrorReply {
        let (status, message) = match cause {
            ErrorCause::UnknownModel => {
                (404, format!("The model `{model}` does not exist or you do not have access to it."))
            }
            ErrorCause::WrongKey => (401, "Incorrect API key provided.".to_owned()),
            ErrorCause::MissingKey | ErrorCause::Status => (401, "You didn't provide an API key.".to_owned()),
        };
        ErrorReply { status, message, cause }
    }

    fn error_body(&self, error: &ErrorReply) -> Value {
        let kind = match error.status {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let code = match (error.cause, error.status) {
            (ErrorCause::UnknownModel, _) => Some("model_not_found"),
            (ErrorCause::WrongKey, _) => Some("invalid_api_key"),
            (_, 429) => Some("rate_limit_exceeded"),
            _ => None,
        };
        json!({"error": {"message": error.message, "type": kind, "param": null, "code": code}})
    }
}

fn id(completion: &Completion) -> String {
    format!("chatcmpl-{:012}", completion.number)
}

fn finish(is_truncated: bool) -> &'static str {
    if is_truncated { "length" } else { "stop" }
}

fn usage(completion: &Completion) -> Value {
    json!({
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.output_tokens + completion.thinking_tokens,
        "total_tokens": completion.prompt_tokens + completion.output_tokens + completion.thinking_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": completion.thinking_tokens},
    })
}
