use std::sync::Arc;

use serde_json::{Value, json};

use super::super::tests::{
    KEY, assert_fails, assert_key_is_hidden, body, bounded, decode, encoded, error, parts, structured, target,
};
use super::*;
use crate::error::ErrorKind;
use crate::message::{FinishReason, Part, Usage};
use crate::schema::Schema;

const MESSAGE: &str = include_str!("../../../tests/core/fixtures/wire/anthropic/message.json");
const REFUSAL: &str = include_str!("../../../tests/core/fixtures/wire/anthropic/refusal.json");
const OVERLOADED: &str = include_str!("../../../tests/core/fixtures/wire/anthropic/overloaded.json");
const MODELS: &str = include_str!("../../../tests/core/fixtures/wire/anthropic/models.json");

fn at(base: &str) -> Target {
    target(Provider::Anthropic, base, Some(KEY))
}

fn anthropic() -> Target {
    at("https://api.anthropic.com/v1")
}

#[test]
fn a_structured_request_has_the_lowered_schema_and_a_sensitive_key() {
    let request = structured();
    let wire = Anthropic.encode(&anthropic(), &request).unwrap();
    assert_eq!(wire.url.as_str(), "https://api.anthropic.com/v1/messages");
    let headers: Vec<_> =
        wire.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap().to_owned())).collect();
    assert_eq!(headers, [("anthropic-version", "2023-06-01".to_owned()), ("x-api-key", KEY.to_owned())]);
    assert_key_is_hidden(&wire);
    assert_eq!(
        body(&wire),
        json!({
            "model": "the-model",
            "max_tokens": 16000,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Name an idea."}],
            "temperature": 0.0,
            "output_config": {"format": {"type": "json_schema", "schema": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "score": {"type": "number"}},
                "required": ["title", "score"],
                "additionalProperties": false,
            }}},
        })
    );
}

#[test]
fn the_callers_limit_replaces_the_default() {
    let body = encoded(&anthropic(), &bounded());
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(64), &json!(0.9)));
    assert_eq!((body.get("output_config"), body.get("system")), (None, None));
}

#[test]
fn a_schema_that_the_api_cannot_enforce_is_stated_in_the_prompt() {
    let schema = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let mut request = structured();
    request.schema = Some(Arc::new(Schema::new("Counts", schema.clone()).unwrap()));
    let body = encoded(&anthropic(), &request);
    assert_eq!(body.get("output_config"), None);
    let stated = body["system"].as_str().unwrap().strip_prefix("Be brief.\n\n").unwrap();
    let document: Value = serde_json::from_str(stated.split_once("JSON Schema:\n").unwrap().1).unwrap();
    assert_eq!(document["additionalProperties"], schema["additionalProperties"]);
    let reply =
        MESSAGE.replace(r#"{\"title\":\"Moss walls\","#, r#"Here: {\"moss\": 3"#).replace(r#"\"score\":7.5}"#, "}");
    assert_eq!(decode(&anthropic(), &request, &reply).unwrap().text, r#"{"moss": 3}"#);
}

#[test]
fn files_are_blocks_and_text_documents_part_of_the_text() {
    let request = Request { parts: parts().into_iter().take(3).collect(), ..Request::new("What is it?") };
    assert_eq!(
        encoded(&anthropic(), &request)["messages"],
        json!([{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "paper.pdf",
            },
            {"type": "text", "text": "Document \"notes.md\":\n~~~~~\n# Notes\n~~~~~\n\nWhat is it?"},
        ]}])
    );
    let bmp = Part::Image { mime: "image/bmp", data: Bytes::from_static(b"BM") };
    let error = Anthropic.encode(&anthropic(), &Request { parts: vec![bmp], ..Request::new("?") }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("image/bmp"), "{error}");
}

#[test]
fn a_temperature_is_sent_only_to_models_that_accept_it() {
    for (model, accepted) in [
        ("claude-3-5-haiku-20241022", true),
        ("claude-3-haiku-20240307", true),
        ("claude-opus-4-20250514", true),
        ("claude-opus-4-1@20250805", true),
        ("claude-sonnet-4-5-20250929", true),
        ("anthropic/claude-sonnet-4.6", true),
        ("gemma3:12b", true),
        ("claude-opus-4-7", false),
        ("claude-opus-4-8", false),
        ("claude-opus-4-10", false),
        ("claude-sonnet-5", false),
        ("claude-opus-5-20260701", false),
        ("claude-haiku-5-5", false),
        ("claude-next", false),
    ] {
        let target = Target { model: Arc::from(model), ..anthropic() };
        let request = Request { temperature: Some(1.4), ..Request::new("?") };
        let sent = encoded(&target, &request);
        let expected = accepted.then(|| json!(1.0));
        assert_eq!(sent.get("temperature"), expected.as_ref(), "{model}");
    }
}

#[test]
fn the_version_is_added_to_a_base_url_without_one() {
    for (base, url) in [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
        ("http://h:1/gateway", "http://h:1/gateway/v1/messages"),
        ("http://h:1/gateway/v1", "http://h:1/gateway/v1/messages"),
    ] {
        assert_eq!(Anthropic.encode(&at(base), &Request::new("?")).unwrap().url.as_str(), url, "{base}");
    }
}

#[test]
fn anthropic_needs_a_model_and_a_key() {
    let nameless = Target { model: Arc::from(" "), ..anthropic() };
    let error = Anthropic.encode(&nameless, &Request::new("?")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured);
    assert!(error.message().contains("anthropic_model or ANTHROPIC_MODEL"), "{error}");
    for key in [None, Some("")] {
        let keyless = target(Provider::Anthropic, "https://api.anthropic.com/v1", key);
        for outcome in [Anthropic.encode(&keyless, &Request::new("?")), Anthropic.models_request(&keyless)] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MissingKey);
            assert!(error.message().contains("ANTHROPIC_API_KEY"), "{error}");
        }
        let local = target(Provider::Anthropic, "http://localhost:11434", key);
        let headers = Anthropic.encode(&local, &Request::new("?")).unwrap().headers;
        assert_eq!(headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["anthropic-version"]);
    }
}

#[test]
fn a_reply_is_decoded_with_disjoint_counts() {
    let reply = decode(&anthropic(), &structured(), MESSAGE).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), json!({"title": "Moss walls", "score": 7.5}));
    assert_eq!(reply.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    assert_eq!(reply.finish, FinishReason::Stop);
    assert_eq!(reply.usage, Usage { input: 150, cached_input: 1152, output: 21, reasoning: 320, tool: 0 });
    assert_eq!(reply.usage.total(), 138 + 12 + 1152 + 341, "the sum of the provider's counts");
}

#[test]
fn missing_and_malformed_counts_are_zero() {
    let start = r#""content":[{"type":"text","text":"Yes."}],"stop_reason":"end_turn""#;
    for (usage, total) in [
        ("null", 0),
        ("{}", 0),
        (r#"{"input_tokens":null,"output_tokens":3,"cache_read_input_tokens":null}"#, 3),
        (r#"{"input_tokens":2,"output_tokens":1,"output_tokens_details":{"thinking_tokens":9}}"#, 12),
        (r#"{"input_tokens":2,"output_tokens":1,"output_tokens_details":null}"#, 3),
    ] {
        let reply = decode(&anthropic(), &Request::new("?"), &format!("{{{start},\"usage\":{usage}}}")).unwrap();
        assert_eq!(reply.usage.total(), total, "{usage}");
    }
    assert_eq!(decode(&anthropic(), &Request::new("?"), &format!("{{{start}}}")).unwrap().usage, Usage::default());
}

#[test]
fn a_refusal_after_text_is_a_refusal() {
    let error = assert_fails(decode(&anthropic(), &structured(), REFUSAL), ErrorKind::Refused, "asks for malware");
    assert_eq!(error.usage().total(), 92);
    let partial = MESSAGE.replace("\"end_turn\"", "\"refusal\"");
    assert_fails(decode(&anthropic(), &Request::new("?"), &partial), ErrorKind::Refused, "no reason given");
}

#[test]
fn a_truncated_text_is_accepted_only_under_the_callers_limit() {
    let hint = "320 went into thoughts, 21 into the answer";
    for reason in ["\"max_tokens\"", "\"model_context_window_exceeded\""] {
        let cut = MESSAGE.replace("\"end_turn\"", reason);
        assert_eq!(decode(&anthropic(), &bounded(), &cut).unwrap().finish, FinishReason::Length);
        assert_fails(decode(&anthropic(), &structured(), &cut), ErrorKind::ThinkingTruncated, hint);
        assert_fails(decode(&anthropic(), &Request::new("?"), &cut), ErrorKind::ThinkingTruncated, hint);
    }
    let paused = MESSAGE.replace("\"end_turn\"", "\"pause_turn\"");
    let error = assert_fails(decode(&anthropic(), &bounded(), &paused), ErrorKind::Truncated, "pause_turn");
    assert_eq!(error.usage().total(), 1643);
}

#[test]
fn replies_without_text_are_classified() {
    for (reply, kind, hint) in [
        (r#"{"content":[],"stop_reason":"end_turn"}"#, ErrorKind::EmptyReply, "(end_turn)"),
        (
            r#"{"content":[{"type":"tool_use","id":"t","name":"n","input":{}}],"stop_reason":"tool_use"}"#,
            ErrorKind::EmptyReply,
            "(tool_use)",
        ),
        (r#"{"choices":[]}"#, ErrorKind::MalformedReply, "no content"),
        (OVERLOADED, ErrorKind::Overloaded, "Overloaded"),
        (r#"{"error":{"message":"upstream is gone"}}"#, ErrorKind::Server, "upstream is gone"),
    ] {
        assert_fails(decode(&anthropic(), &Request::new("?"), reply), kind, hint);
    }
}

#[test]
fn errors_are_classified() {
    let of = |kind: &str, message: &str| {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).to_string()
    };
    for (status, reply, kind) in [
        (529, OVERLOADED.to_owned(), ErrorKind::Overloaded),
        (500, OVERLOADED.to_owned(), ErrorKind::Overloaded),
        (429, of("rate_limit_error", "slow down"), ErrorKind::RateLimited),
        (401, of("authentication_error", "invalid x-api-key"), ErrorKind::Unauthorized),
        (403, of("permission_error", "not yours"), ErrorKind::Forbidden),
        (404, of("not_found_error", "model: claude-x"), ErrorKind::ModelMissing),
        (404, of("not_found_error", "Not Found"), ErrorKind::Rejected),
        (404, r#"{"error":"model 'x' not found"}"#.to_owned(), ErrorKind::ModelMissing),
        (400, of("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), ErrorKind::ContextTooLong),
        (402, of("billing_error", "no credit"), ErrorKind::InsufficientQuota),
        (
            400,
            of("invalid_request_error", "Your credit balance is too low to access the API"),
            ErrorKind::InsufficientQuota,
        ),
        (413, of("request_too_large", "too large"), ErrorKind::Rejected),
        (500, of("api_error", "oops"), ErrorKind::Server),
        (504, of("timeout_error", "late"), ErrorKind::Server),
        (529, String::new(), ErrorKind::Overloaded),
        (429, "<html>".to_owned(), ErrorKind::RateLimited),
    ] {
        assert_eq!(error(&anthropic(), status, &reply).kind(), kind, "{status} {reply}");
    }
}

#[test]
fn models_are_listed_by_name() {
    let wire = Anthropic.models_request(&at("https://api.anthropic.com")).unwrap();
    assert_eq!(wire.url.as_str(), "https://api.anthropic.com/v1/models?limit=1000");
    assert_key_is_hidden(&wire);
    let models = Anthropic.decode_models(&Bytes::from_static(MODELS.as_bytes())).unwrap();
    assert_eq!(models, ["claude-opus-5", "claude-sonnet-4-5-20250929"]);
    assert!(Anthropic.decode_models(&Bytes::from_static(b"{\"data\":null}")).unwrap().is_empty());
}
