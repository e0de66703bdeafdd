//! Test helpers for the providers, and tests of all providers.

mod endings;
mod envelopes;
mod parameters;
mod reasoning;
mod schema_forms;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use serde_json::{Value, json};

use super::{Codec, ModelOptions, Target, codec};
use crate::config::{Provider, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Part, Repair, Reply, Request};
use crate::schema::Schema;
use crate::transport::WireRequest;

/// The key of every target under test.
pub(super) const KEY: &str = "key-0123456789-abcdef";

/// The model `the-model` at `base`.
pub(super) fn target(provider: Provider, base: &str, key: Option<&str>) -> Target {
    Target {
        provider,
        model: Arc::from("the-model"),
        base_url: base.into(),
        key: key.map(Secret::new),
        timeout: Duration::from_secs(1),
        options: ModelOptions::default(),
        facts: None,
    }
}

/// A request with a system instruction and a schema.
pub(super) fn structured() -> Request {
    let document = json!({
        "type": "object",
        "properties": {"title": {"type": "string"}, "score": {"type": "number"}},
        "required": ["title", "score"],
        "additionalProperties": false,
    });
    let schema = Schema::new("Idea", document).unwrap();
    Request { system: Arc::from("Be brief."), schema: Some(Arc::new(schema)), ..Request::new("Name an idea.") }
}

/// A request for text with a limit of output tokens.
pub(super) fn bounded() -> Request {
    Request { max_tokens: Some(64), temperature: Some(0.9), ..Request::new("Tell me more.") }
}

/// One of each kind of part.
pub(super) fn parts() -> Vec<Part> {
    vec![
        Part::Text { name: Arc::from("notes.md"), text: Arc::from("# Notes") },
        Part::Image { mime: "image/png", data: Bytes::from_static(b"\x89PNG") },
        Part::Pdf { name: Arc::from("paper.pdf"), data: Bytes::from_static(b"%PDF-") },
        Part::Url(Arc::from("https://example.org/page")),
    ]
}

/// The body of `wire` as JSON.
pub(super) fn body(wire: &WireRequest) -> Value {
    serde_json::from_slice(&wire.body).unwrap()
}

/// The body of `request` for `target`.
pub(super) fn encoded(target: &Target, request: &Request) -> Value {
    body(&target.codec().unwrap().encode(target, request).unwrap())
}

/// Decodes `reply` as the reply of `target`.
pub(super) fn decode(target: &Target, request: &Request, reply: &str) -> Result<Reply> {
    target.codec().unwrap().decode(target, request, &Bytes::copy_from_slice(reply.as_bytes()))
}

/// Decodes the error in `reply`.
pub(super) fn error(target: &Target, status: u16, reply: &str) -> Error {
    let body = Bytes::copy_from_slice(reply.as_bytes());
    let error = target.codec().unwrap().decode_error(target, status, &HeaderMap::new(), &body);
    assert_eq!((error.provider(), error.model()), (Some(target.provider), Some("the-model")));
    assert_eq!(error.status(), Some(status));
    error
}

/// Asserts that `outcome` is an error of `kind` whose message contains `hint`.
pub(super) fn assert_fails(outcome: Result<Reply>, kind: ErrorKind, hint: &str) -> Error {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(hint), "{hint:?} in {error}");
    assert!(error.provider().is_some(), "{error}");
    error
}

/// Asserts that the key is in one header, marked sensitive, and nowhere else.
pub(super) fn assert_key_is_hidden(wire: &WireRequest) {
    let holders: Vec<_> = wire.headers.iter().filter(|(_, value)| value.as_bytes().ends_with(KEY.as_bytes())).collect();
    assert!(matches!(holders[..], [(_, value)] if value.is_sensitive()), "{holders:?}");
    assert!(!format!("{wire:?}").contains(KEY));
    assert!(!wire.url.as_str().contains(KEY));
    assert!(!String::from_utf8_lossy(&wire.body).contains(KEY));
}

/// A complete reply of `provider` with `text`.
fn envelope(provider: Provider, text: &str) -> Value {
    match provider {
        Provider::Ollama => json!({"message": {"content": text}, "done": true, "done_reason": "stop"}),
        Provider::Gemini => json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}),
        Provider::OpenAi => json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}),
        _ => json!({"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}),
    }
}

/// A target and the codec of every provider that has one.
fn targets() -> impl Iterator<Item = (Target, &'static dyn Codec)> {
    Provider::ALL
        .into_iter()
        .filter_map(|provider| Some((target(provider, "http://h:1/base", Some(KEY)), codec(provider)?)))
}

#[test]
fn a_repair_adds_two_turns() {
    let repair =
        Repair { reply: Arc::from("{\"title\":1}"), instruction: Arc::from("title: not a string"), form: None };
    let repairing = Request { repair: Some(repair), ..structured() };
    for (target, _) in targets() {
        let [first, whole] = [&structured(), &repairing].map(|request| encoded(&target, request));
        let [list, role, content] = match target.provider {
            Provider::Gemini => ["contents", "model", "parts"],
            _ => ["messages", "assistant", "content"],
        };
        let text = |text: &str| if content == "parts" { json!([{"text": text}]) } else { json!(text) };
        let mut turns = first[list].as_array().unwrap().clone();
        turns.push(json!({"role": role, content: text("{\"title\":1}")}));
        turns.push(json!({"role": "user", content: text("title: not a string")}));
        assert_eq!(whole[list], json!(turns), "{}", target.provider);
    }
}

#[test]
fn supported_parts_are_encoded_and_others_rejected() {
    for (mut target, codec) in targets() {
        target.base_url = "https://api.openai.com/v1".into();
        for part in parts() {
            let request = Request { parts: vec![part.clone()], ..Request::new("Look.") };
            match codec.encode(&target, &request) {
                Ok(_) => assert!(codec.supports(&part), "{} {part:?}", target.provider),
                Err(error) => {
                    assert!(!codec.supports(&part), "{} {part:?}", target.provider);
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                }
            }
        }
    }
}

#[test]
fn a_structured_reply_is_restored_from_the_json_within_it() {
    use crate::schema::{Dialect, json_text};
    let request = structured();
    let text = "\n{\"title\": \"Moss\", \"score\": 7}\n";
    for (provider, dialect) in [
        (Provider::Ollama, Dialect::Ollama),
        (Provider::Gemini, Dialect::Gemini),
        (Provider::OpenAi, Dialect::OpenAiStrict),
        (Provider::Anthropic, Dialect::Anthropic),
    ] {
        let target = target(provider, "http://h", Some(KEY));
        let envelope = envelope(provider, text).to_string();
        let reply = decode(&target, &request, &envelope).unwrap();
        let schema = request.schema.as_ref().unwrap();
        assert_eq!(reply.text, schema.lower(dialect).restore(json_text(text).unwrap().to_owned()), "{provider}");
        assert_eq!((reply.finish, reply.is_json), (FinishReason::Stop, true), "{provider}");
        let prose = envelope.replace(&json!(text).to_string(), "\"I cannot.\"");
        assert!(!decode(&target, &request, &prose).unwrap().is_json, "{provider}: prose is no JSON");
        let free = decode(&target, &Request::new("?"), &envelope).unwrap();
        assert_eq!((free.text.as_str(), free.is_json), (text, false), "{provider}: free text stays as it is");
    }
}

#[test]
fn retry_after_reaches_the_error() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "12".parse().unwrap());
    for (target, codec) in targets() {
        let error = codec.decode_error(&target, 429, &headers, &Bytes::from_static(b"{\"error\":\"slow down\"}"));
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{}", target.provider);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(12)), "{}", target.provider);
    }
}

#[test]
fn an_error_that_repeats_the_key_does_not_leak_it() {
    let body = json!({"error": {"message": format!("the key {KEY} is wrong"), "type": KEY, "code": KEY}}).to_string();
    for (target, _) in targets() {
        for status in [400, 401, 403, 404, 429, 500, 503] {
            assert!(!format!("{0} {0:?}", error(&target, status, &body)).contains(KEY), "{} {status}", target.provider);
        }
    }
}

#[test]
fn web_pages_and_the_json_of_other_servers_are_malformed() {
    for (target, codec) in targets() {
        for reply in ["<!doctype html><title>Sign in</title>", "{\"ok\":true}", "[]", "", "null"] {
            let error = decode(&target, &Request::new("?"), reply).unwrap_err();
            let expected = [ErrorKind::MalformedReply, ErrorKind::EmptyReply];
            assert!(expected.contains(&error.kind()), "{} {reply}: {error}", target.provider);
            assert!(codec.decode_models(&Bytes::from_static(b"{\"ok\":true}")).is_err(), "{}", target.provider);
        }
    }
}
