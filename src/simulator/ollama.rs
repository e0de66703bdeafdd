//! Ollama's native API, as a server.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::dialect::{
    Answer, Cause, Dialect, Failure, Operation, Question, add_user, append, line, pieces, take_text, timestamp,
    token_limit,
};
use super::openai::bearer;

pub(super) struct Ollama;

impl Dialect for Ollama {
    fn default_models(&self) -> &'static [&'static str] {
        &["gemma3:4b", "gemma3:12b"]
    }

    fn read(&self, operation: &Operation, mut body: Value) -> Question {
        let mut question = Question { model: take_text(&mut body, "model"), ..Question::default() };
        if *operation == Operation::Generate {
            question.prompt = take_text(&mut body, "prompt").unwrap_or_default();
            question.system = take_text(&mut body, "system").unwrap_or_default();
        } else if let Some(messages) = body.get_mut("messages").and_then(Value::as_array_mut) {
            for message in messages {
                let text = take_text(message, "content").unwrap_or_default();
                match message.get("role").and_then(Value::as_str) {
                    Some("system") => append(&mut question.system, &text),
                    Some("user") => add_user(&mut question, text),
                    _ => {}
                }
            }
        }
        match body.get_mut("format").map(Value::take) {
            Some(schema @ Value::Object(_)) => question.schema = Some(Arc::new(schema)),
            Some(Value::String(format)) if format == "json" => question.wants_json = true,
            _ => {}
        }
        // Streaming is the default here.
        question.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(true);
        question.max_tokens = token_limit(body.pointer("/options/num_predict"));
        if question.model.as_deref().is_none_or(str::is_empty) {
            question.mistake = Some("model is required".to_owned());
        }
        question
    }

    fn whole(&self, operation: &Operation, question: &Question, answer: Answer) -> Value {
        let mut reply = last(operation, question, &answer);
        set_text(operation, &mut reply, answer.text);
        reply
    }

    fn stream(&self, operation: &Operation, question: &Question, answer: &Answer) -> (Vec<Bytes>, &'static str) {
        let created_at = timestamp();
        let mut lines: Vec<Bytes> = pieces(&answer.text)
            .map(|piece| {
                let mut part = json!({"model": question.model, "created_at": created_at, "done": false});
                set_text(operation, &mut part, piece.to_owned());
                line(&part)
            })
            .collect();
        let mut end = last(operation, question, answer);
        set_text(operation, &mut end, String::new());
        lines.push(line(&end));
        (lines, "application/x-ndjson")
    }

    fn list(&self, operation: &Operation, models: &[String]) -> Value {
        match operation {
            Operation::Version => json!({"version": "0.12.0"}),
            // Every model is in memory: the simulator never loads one.
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

    fn key<'h>(&self, headers: &'h HeaderMap, _query: Option<&'h str>) -> Option<&'h str> {
        bearer(headers)
    }

    fn wants_key(&self) -> bool {
        false
    }

    fn refuse(&self, cause: Cause, model: &str) -> Failure {
        let (status, message) = match cause {
            Cause::UnknownModel => (404, format!("model '{model}' not found")),
            _ => (401, "unauthorized".to_owned()),
        };
        Failure { status, message, cause }
    }

    fn error(&self, failure: &Failure) -> Value {
        json!({"error": failure.message})
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
fn last(operation: &Operation, question: &Question, answer: &Answer) -> Value {
    let nanoseconds = u64::try_from(answer.elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
    // An empty prompt loads the model and says nothing.
    let is_load = *operation == Operation::Generate && question.prompt.is_empty();
    let reason = match (is_load, answer.is_cut) {
        (true, _) => "load",
        (false, true) => "length",
        (false, false) => "stop",
    };
    let mut reply = json!({
        "model": question.model,
        "created_at": timestamp(),
        "done": true,
        "done_reason": reason,
        "total_duration": nanoseconds,
        "load_duration": nanoseconds.div_ceil(10),
    });
    if answer.prompt_tokens > 0 {
        reply["prompt_eval_count"] = answer.prompt_tokens.into();
        reply["prompt_eval_duration"] = nanoseconds.div_ceil(10).into();
    }
    let output = answer.output_tokens + answer.thinking_tokens;
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
