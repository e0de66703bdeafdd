use std::sync::Arc;

use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::super::tests::{
    KEY, assert_fails, assert_key_is_hidden, body, bounded, decode, encoded, error, parts, structured, target,
};
use super::*;
use crate::error::ErrorKind;
use crate::message::{FinishReason, Usage};

const COMPLETION: &str = include_str!("../../../tests/core/fixtures/wire/openai/completion.json");
const PARTS: &str = include_str!("../../../tests/core/fixtures/wire/openai/parts.json");
const REFUSAL: &str = include_str!("../../../tests/core/fixtures/wire/openai/refusal.json");
const INSUFFICIENT_QUOTA: &str = include_str!("../../../tests/core/fixtures/wire/openai/insufficient_quota.json");
const MODELS: &str = include_str!("../../../tests/core/fixtures/wire/openai/models.json");

fn at(base: &str) -> Target {
    target(Provider::OpenAi, base, Some(KEY))
}

fn openai() -> Target {
    at("https://api.openai.com/v1")
}

#[test]
fn a_structured_request_has_the_lowered_schema_and_a_sensitive_key() {
    let request = structured();
    let wire = OpenAi.encode(&openai(), &request).unwrap();
    assert_eq!(wire.url.as_str(), "https://api.openai.com/v1/chat/completions");
    assert_eq!(wire.headers[0].0, AUTHORIZATION);
    assert_eq!(wire.headers[0].1.to_str().unwrap(), format!("Bearer {KEY}"));
    assert_key_is_hidden(&wire);
    let lowered = request.schema.as_ref().unwrap().lower(Dialect::OpenAiStrict);
    assert_eq!(
        body(&wire),
        json!({
            "model": "the-model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Name an idea."},
            ],
            "temperature": 0.0,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "Idea", "strict": lowered.is_strict(), "schema": lowered.document()},
            },
        })
    );
}

#[test]
fn the_token_limit_has_the_name_that_the_server_supports() {
    let body = encoded(&openai(), &bounded());
    assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(64), None));
    assert_eq!(body["temperature"], json!(0.9));
    assert_eq!(body.get("response_format"), None);
    let other = encoded(&at("http://localhost:8000/v1"), &bounded());
    assert_eq!((&other["max_tokens"], other.get("max_completion_tokens")), (&json!(64), None));
}

#[test]
fn files_are_parts_and_text_documents_part_of_the_text() {
    let request = Request { parts: parts().into_iter().take(3).collect(), ..Request::new("What is it?") };
    assert_eq!(
        encoded(&openai(), &request)["messages"],
        json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            {"type": "file", "file": {"filename": "paper.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            {"type": "text", "text": "Document \"notes.md\":\n~~~~~\n# Notes\n~~~~~\n\nWhat is it?"},
        ]}])
    );
}

#[test]
fn a_pdf_is_not_sent_to_a_server_that_may_drop_it() {
    let pdf = Request { parts: parts().into_iter().skip(2).take(1).collect(), ..Request::new("What is it?") };
    assert!(OpenAi.encode(&at("https://openrouter.ai/api/v1"), &pdf).is_ok());
    let error = OpenAi.encode(&at("http://localhost:8000/v1"), &pdf).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_model_is_required_and_a_key_is_optional() {
    let nameless = Target { model: Arc::from(""), ..openai() };
    let error = OpenAi.encode(&nameless, &Request::new("?")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured);
    assert!(error.message().contains("openai_model or OPENAI_MODEL"), "{error}");
    for key in [None, Some("")] {
        let local = target(Provider::OpenAi, "http://localhost:8000/v1", key);
        assert!(OpenAi.encode(&local, &Request::new("?")).unwrap().headers.is_empty());
    }
}

#[test]
fn a_reply_is_decoded_with_disjoint_counts() {
    let reply = decode(&openai(), &structured(), COMPLETION).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), json!({"title": "Moss walls", "score": 7.5}));
    assert_eq!(reply.model.as_deref(), Some("gpt-5-mini-2025-08-07"));
    assert_eq!(reply.finish, FinishReason::Stop);
    assert_eq!(reply.usage, Usage { input: 138, cached_input: 1152, output: 21, reasoning: 320, tool: 0 });
    assert_eq!(reply.usage.total(), 1631, "the provider's own total");
}

#[test]
fn content_parts_are_joined_without_thoughts() {
    let reply = decode(&openai(), &Request::new("?"), PARTS).unwrap();
    assert_eq!(reply.text, "Moss walls cool a street.");
    assert_eq!(reply.usage.total(), 39);
}

#[test]
fn missing_and_malformed_counts_are_zero() {
    let choices = r#""choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]"#;
    let counts = [
        ("null", 0),
        ("{}", 0),
        (r#"{"prompt_tokens":null,"completion_tokens":3}"#, 3),
        (r#"{"prompt_tokens":2,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":9}}"#, 12),
        (r#"{"prompt_tokens":2,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}"#, 3),
    ];
    for (usage, total) in counts {
        let reply = decode(&openai(), &Request::new("?"), &format!("{{{choices},\"usage\":{usage}}}")).unwrap();
        assert_eq!(reply.usage.total(), total, "{usage}");
    }
    assert_eq!(decode(&openai(), &Request::new("?"), &format!("{{{choices}}}")).unwrap().usage, Usage::default());
}

#[test]
fn refusals_and_filtered_replies_are_errors() {
    let error = assert_fails(decode(&openai(), &structured(), REFUSAL), ErrorKind::Refused, "I cannot assist");
    assert_eq!(error.usage().total(), 92);
    let filtered = COMPLETION.replace("\"stop\"", "\"content_filter\"");
    assert_fails(decode(&openai(), &structured(), &filtered), ErrorKind::Blocked, "content_filter");
}

#[test]
fn a_truncated_text_is_accepted_only_under_the_callers_limit() {
    let cut = COMPLETION.replace("\"stop\"", "\"length\"");
    assert_eq!(decode(&openai(), &bounded(), &cut).unwrap().finish, FinishReason::Length);
    let hint = "320 went into thoughts, 21 into the answer";
    assert_fails(decode(&openai(), &structured(), &cut), ErrorKind::ThinkingTruncated, hint);
    assert_fails(decode(&openai(), &Request::new("?"), &cut), ErrorKind::ThinkingTruncated, hint);
}

#[test]
fn replies_without_text_are_classified() {
    for (reply, kind, hint) in [
        (r#"{"choices":[]}"#, ErrorKind::EmptyReply, "no text"),
        (
            r#"{"choices":[{"message":{"content":null},"finish_reason":"tool_calls"}]}"#,
            ErrorKind::EmptyReply,
            "(tool_calls)",
        ),
        (r#"{"choices":[{"message":{"content":[]},"finish_reason":"stop"}]}"#, ErrorKind::EmptyReply, "(stop)"),
        (r#"{"candidates":[]}"#, ErrorKind::MalformedReply, "no choices"),
        (r#"{"error":{"message":"upstream is slow","code":429}}"#, ErrorKind::RateLimited, "upstream is slow"),
        (r#"{"error":{"message":"upstream is gone"}}"#, ErrorKind::Server, "upstream is gone"),
    ] {
        assert_fails(decode(&openai(), &Request::new("?"), reply), kind, hint);
    }
}

#[test]
fn errors_are_classified() {
    for (status, reply, kind, hint) in [
        (429, INSUFFICIENT_QUOTA, ErrorKind::InsufficientQuota, "the account's quota is used up: You exceeded"),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for the-model","type":"requests","code":"rate_limit_exceeded"}}"#,
            ErrorKind::RateLimited,
            "Rate limit reached",
        ),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#,
            ErrorKind::Unauthorized,
            "Incorrect",
        ),
        (400, r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#, ErrorKind::Unauthorized, "bad key"),
        (403, r#"{"error":{"message":"Country not supported"}}"#, ErrorKind::Forbidden, "Country"),
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
            ErrorKind::ModelMissing,
            "`x`",
        ),
        (404, r#"{"detail":"Not Found"}"#, ErrorKind::Rejected, "Not Found"),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            ErrorKind::ContextTooLong,
            "maximum context length",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}"#,
            ErrorKind::ContextTooLong,
            "too long",
        ),
        (402, r#"{"error":{"message":"Insufficient credits","code":402}}"#, ErrorKind::InsufficientQuota, "credits"),
        (500, r#"{"error":"CUDA error"}"#, ErrorKind::Server, "CUDA"),
        (503, "no healthy upstream", ErrorKind::Overloaded, "no healthy upstream"),
    ] {
        let error = error(&openai(), status, reply);
        assert_eq!(error.kind(), kind, "{status} {reply}");
        assert!(error.message().contains(hint), "{hint:?} in {error}");
    }
    let rate_limit = error(&openai(), 429, r#"{"error":{"message":"slow down"}}"#);
    assert!(!rate_limit.message().contains("used up"), "a rate limit is no exhausted quota");
}

#[test]
fn models_are_listed_by_name() {
    let wire = OpenAi.models_request(&at("https://openrouter.ai/api/v1/")).unwrap();
    assert_eq!(wire.url.as_str(), "https://openrouter.ai/api/v1/models");
    assert_key_is_hidden(&wire);
    let models = OpenAi.decode_models(&Bytes::from_static(MODELS.as_bytes())).unwrap();
    assert_eq!(models, ["gpt-5-mini", "gpt-4o-2024-08-06"]);
    assert!(OpenAi.decode_models(&Bytes::from_static(b"{\"data\":null}")).unwrap().is_empty());
}
