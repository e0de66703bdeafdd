//! Reasoning as models and servers send it: within the text or apart from it, whole and streamed, with every protocol.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::provider::Transcript;

const PROVIDERS: [Provider; 4] = [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Anthropic];

const ANSWER: &str = r#"{"title": "Moss roofs", "score": 7}"#;
const DRAFT: &str = r#"{"title": "A draft that is longer", "score": 3}"#;

/// A whole reply with `text` and, apart from it, `reasoning`.
fn whole(provider: Provider, text: &str, reasoning: Option<&str>, finish: &str) -> Value {
    match provider {
        Provider::Ollama => json!({"model": "m", "message": {"content": text, "thinking": reasoning}, "done": true,
            "done_reason": finish}),
        Provider::Gemini => {
            let thought = reasoning.map(|reasoning| json!({"text": reasoning, "thought": true}));
            let parts: Vec<_> = thought.into_iter().chain([json!({"text": text})]).collect();
            let finish = if finish == "length" { "MAX_TOKENS" } else { "STOP" };
            json!({"candidates": [{"content": {"parts": parts}, "finishReason": finish}]})
        }
        Provider::OpenAi => json!({"model": "m", "choices": [{"index": 0, "message": {"content": text,
            "reasoning_content": reasoning}, "finish_reason": finish}]}),
        _ => {
            let thought = reasoning.map(|reasoning| json!({"type": "thinking", "thinking": reasoning}));
            let content: Vec<_> = thought.into_iter().chain([json!({"type": "text", "text": text})]).collect();
            let finish = if finish == "length" { "max_tokens" } else { "end_turn" };
            json!({"type": "message", "content": content, "stop_reason": finish})
        }
    }
}

/// An event with a piece of text or of reasoning.
fn event(provider: Provider, text: &str, is_reasoning: bool) -> Value {
    match provider {
        Provider::Ollama => {
            json!({"message": {(if is_reasoning { "thinking" } else { "content" }): text}, "done": false})
        }
        Provider::Gemini => json!({"candidates": [{"content": {"parts": [{"text": text, "thought": is_reasoning}]}}]}),
        Provider::OpenAi => {
            json!({"choices": [{"index": 0, "delta": {(if is_reasoning { "reasoning" } else { "content" }): text}}]})
        }
        _ if is_reasoning => {
            json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": text}})
        }
        _ => json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}),
    }
}

/// The last event.
fn last(provider: Provider) -> Value {
    match provider {
        Provider::Ollama => json!({"message": {"content": ""}, "done": true, "done_reason": "stop"}),
        Provider::Gemini => json!({"candidates": [{"finishReason": "STOP"}]}),
        Provider::OpenAi => json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        _ => json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    }
}

fn target_of(provider: Provider) -> Target {
    target(provider, "http://127.0.0.1:1", Some(KEY))
}

/// The reply of a stream that sends `pieces`.
fn streamed(provider: Provider, request: &Request, pieces: &[(&str, bool)]) -> Result<Reply> {
    let (codec, target) = (codec(provider).unwrap(), target_of(provider));
    let mut transcript = Transcript::new(request);
    let events = pieces.iter().map(|(text, is_reasoning)| event(provider, text, *is_reasoning));
    for event in events.chain([last(provider)]) {
        transcript.add(codec.decode_event(&target, &Bytes::from(event.to_string())).unwrap());
    }
    transcript.finish();
    transcript.check(&target, request, None)?;
    transcript.into_reply(&target, request, codec.reply_dialect(&target, request))
}

/// The replies with `text`, whole and streamed in pieces.
fn replies(provider: Provider, request: &Request, text: &str) -> Vec<Reply> {
    let envelope = whole(provider, text, None, "stop").to_string();
    let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
    let halves = [(&text[..middle], false), (&text[middle..], false)];
    vec![decode(&target_of(provider), request, &envelope).unwrap(), streamed(provider, request, &halves).unwrap()]
}

#[test]
fn a_draft_within_the_reasoning_is_not_the_answer() {
    for provider in PROVIDERS {
        for text in [
            format!("<thinking>A draft: {DRAFT}.</thinking>\n{ANSWER}"),
            format!("[THINK]{DRAFT}[/THINK]{ANSWER}"),
            format!(
                "<|channel|>analysis<|message|>{DRAFT}?<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>"
            ),
            format!("analysisMaybe {DRAFT}.assistantfinal{ANSWER}"),
            format!("Maybe {DRAFT}.\n</think>\n\n{ANSWER}"),
        ] {
            for reply in replies(provider, &structured(), &text) {
                assert_eq!((reply.text.as_str(), reply.is_json), (ANSWER, true), "{provider}: {text}");
                assert!(reply.reasoning.unwrap().contains(DRAFT), "{provider}: {text}");
                assert!(!reply.is_from_reasoning);
            }
        }
        for reply in replies(provider, &structured(), &format!("First try {DRAFT} Final answer {ANSWER}")) {
            assert!(!reply.is_json, "{provider}: {}", reply.text);
        }
    }
}

#[test]
fn text_is_without_reasoning() {
    let request = Request::new("?");
    for provider in PROVIDERS {
        for reply in replies(provider, &request, "<think>\nlong thoughts\n</think>\n\nhello") {
            assert_eq!(
                (reply.text.as_str(), reply.reasoning.as_deref()),
                ("hello", Some("long thoughts")),
                "{provider}"
            );
        }
    }
}

#[test]
fn an_answer_in_the_reasoning_is_the_answer() {
    for provider in PROVIDERS {
        for (text, reasoning) in [("", ANSWER.to_owned()), ("Here you are.", format!("I think it is good.\n{ANSWER}"))]
        {
            let envelope = whole(provider, text, Some(&reasoning), "stop").to_string();
            let at_once = decode(&target_of(provider), &structured(), &envelope).unwrap();
            let in_pieces = streamed(provider, &structured(), &[(&reasoning, true), (text, false)]).unwrap();
            for reply in [at_once, in_pieces] {
                assert_eq!((reply.text.as_str(), reply.is_from_reasoning), (ANSWER, true), "{provider}: {reasoning}");
            }
        }
        // An opening tag that is never closed.
        for reply in replies(provider, &structured(), &format!("<think>It is good.\n{ANSWER}")) {
            assert_eq!((reply.text.as_str(), reply.is_from_reasoning), (ANSWER, true), "{provider}");
        }
    }
}

#[test]
fn a_reply_with_reasoning_alone_names_its_field() {
    for provider in PROVIDERS {
        let field = match provider {
            Provider::OpenAi => "reasoning_content",
            Provider::Gemini => "thought",
            _ => "thinking",
        };
        for request in [Request::new("?"), structured()] {
            for reasoning in ["I should describe a person.".to_owned(), format!("Either {DRAFT} or {ANSWER}")] {
                let envelope = whole(provider, "", Some(&reasoning), "stop").to_string();
                let failure = decode(&target_of(provider), &request, &envelope).unwrap_err();
                assert_eq!(failure.kind(), ErrorKind::ThinkingOnly, "{provider}: {failure}");
                assert!(failure.message().contains(field), "{provider}: {failure}");
                let failure = streamed(provider, &request, &[(&reasoning, true)]).unwrap_err();
                assert_eq!(failure.kind(), ErrorKind::ThinkingOnly, "{provider}: {failure}");
            }
            let marked = whole(provider, "<think>Hm.", None, "stop").to_string();
            let failure = decode(&target_of(provider), &request, &marked).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::ThinkingOnly, "{provider}: {failure}");
            let cut = whole(provider, "<think>\nThe user greets me, so I should", None, "length").to_string();
            for request in [&request, &bounded()] {
                let failure = decode(&target_of(provider), request, &cut).unwrap_err();
                assert_eq!(failure.kind(), ErrorKind::ThinkingTruncated, "{provider}: {failure}");
            }
        }
    }
}
