use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::Transcript;
use super::super::tests::{
    KEY, assert_fails, assert_key_is_hidden, body, bounded, decode, encoded, error, parts, structured, target,
};
use super::*;
use crate::config::Thinking;
use crate::message::{FinishReason, Usage};
use crate::parameter::Adjustments;

const THINKING: &str = include_str!("../../../tests/core/fixtures/wire/gemini/thinking.json");
const TRUNCATED_BY_THOUGHTS: &str = include_str!("../../../tests/core/fixtures/wire/gemini/truncated_by_thoughts.json");
const BLOCKED_PROMPT: &str = include_str!("../../../tests/core/fixtures/wire/gemini/blocked_prompt.json");
const QUOTA: &str = include_str!("../../../tests/core/fixtures/wire/gemini/quota.json");
const WRONG_KEY: &str = include_str!("../../../tests/core/fixtures/wire/gemini/wrong_key.json");
const MODELS: &str = include_str!("../../../tests/core/fixtures/wire/gemini/models.json");

fn gemini() -> Target {
    target(Provider::Gemini, "https://generativelanguage.googleapis.com/v1beta", Some(KEY))
}

#[test]
fn a_structured_request_has_the_lowered_schema_and_a_sensitive_key() {
    let request = structured();
    let wire = Gemini.encode(&gemini(), &request).unwrap();
    assert_eq!(wire.url.as_str(), "https://generativelanguage.googleapis.com/v1beta/models/the-model:generateContent");
    assert_eq!(wire.headers[0].0, "x-goog-api-key");
    assert_key_is_hidden(&wire);
    assert_eq!(
        body(&wire),
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "Name an idea."}]}],
            "generationConfig": {
                "temperature": 0.0,
                "responseMimeType": "application/json",
                "responseJsonSchema": request.schema.as_ref().unwrap().lower(Dialect::Gemini).document(),
            },
        })
    );
}

#[test]
fn a_text_request_has_no_schema() {
    let body = encoded(&gemini(), &bounded());
    assert_eq!(body["generationConfig"], json!({"temperature": 0.9, "maxOutputTokens": 64}));
    assert_eq!(body.get("systemInstruction"), None);
    assert_eq!(body.get("tools"), None);
}

#[test]
fn files_are_inline_and_urls_are_text_with_the_url_context_tool() {
    let mut parts = parts();
    parts.push(Part::Url(Arc::from("https://example.org/other")));
    let body = encoded(&gemini(), &Request { parts, ..Request::new("What is it?") });
    let text = "Document \"notes.md\":\n~~~~~\n# Notes\n~~~~~\n\nWhat is it?\n\n\
                Web pages to read:\n- https://example.org/page\n- https://example.org/other";
    assert_eq!(
        body["contents"][0]["parts"],
        json!([
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
            {"text": text},
        ])
    );
    assert_eq!(body["tools"], json!([{"urlContext": {}}]));
}

#[test]
fn the_name_of_a_model_cannot_change_the_address() {
    for (model, path) in [
        ("models/gemini-x", "/v1beta/models/gemini-x:generateContent"),
        ("../../evil?x=", "/v1beta/models/..%2F..%2Fevil%3Fx=:generateContent"),
    ] {
        let target = Target { model: Arc::from(model), ..gemini() };
        let url = Gemini.encode(&target, &Request::new("?")).unwrap().url;
        assert_eq!((url.path(), url.query()), (path, None));
    }
}

#[test]
fn a_key_is_required() {
    for key in [None, Some(""), Some("  ")] {
        let target = target(Provider::Gemini, "https://h/v1beta", key);
        for outcome in [Gemini.encode(&target, &Request::new("?")), Gemini.models_request(&target)] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MissingKey);
            assert!(error.message().contains("gemini_api_key, GEMINI_API_KEY or GOOGLE_API_KEY"), "{error}");
        }
    }
}

#[test]
fn a_reply_is_decoded_with_disjoint_counts() {
    let reply = decode(&gemini(), &structured(), THINKING).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), json!({"title": "Moss walls", "score": 7.5}));
    assert_eq!(reply.model.as_deref(), Some("gemini-3-flash-preview"));
    assert_eq!(reply.finish, FinishReason::Stop);
    assert_eq!(reply.usage, Usage { input: 104, cached_input: 2048, output: 96, reasoning: 422, tool: 11364 });
    assert_eq!(reply.usage.total(), 14034, "the provider's own total");
}

#[test]
fn cached_tokens_do_not_exceed_the_prompt() {
    let reply = json!({
        "candidates": [{"content": {"parts": [{"text": "Moss."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "cachedContentTokenCount": 9},
    });
    let reply = decode(&gemini(), &Request::new("?"), &reply.to_string()).unwrap();
    assert_eq!(reply.usage, Usage { cached_input: 5, ..Usage::default() });
}

#[test]
fn a_reply_truncated_by_thoughts_reports_their_tokens() {
    let hint = "64 went into thoughts, 0 into the answer";
    let error = assert_fails(decode(&gemini(), &bounded(), TRUNCATED_BY_THOUGHTS), ErrorKind::ThinkingTruncated, hint);
    assert_eq!(error.usage().total(), 76);
}

#[test]
fn a_truncated_text_is_accepted_only_under_the_callers_limit() {
    let cut = THINKING.replace("\"STOP\"", "\"MAX_TOKENS\"");
    assert_eq!(decode(&gemini(), &bounded(), &cut).unwrap().finish, FinishReason::Length);
    assert_fails(decode(&gemini(), &structured(), &cut), ErrorKind::ThinkingTruncated, "cut at the limit");
    assert_fails(decode(&gemini(), &Request::new("?"), &cut), ErrorKind::ThinkingTruncated, "cut at the limit");
}

#[test]
fn a_blocked_prompt_is_an_error() {
    let error =
        assert_fails(decode(&gemini(), &structured(), BLOCKED_PROMPT), ErrorKind::Blocked, "PROHIBITED_CONTENT");
    assert_eq!(error.usage().input, 31);
}

#[test]
fn finish_reasons_are_classified() {
    for (reason, kind) in [
        ("SAFETY", ErrorKind::Blocked),
        ("RECITATION", ErrorKind::Blocked),
        ("BLOCKLIST", ErrorKind::Blocked),
        ("PROHIBITED_CONTENT", ErrorKind::Blocked),
        ("SPII", ErrorKind::Blocked),
        ("IMAGE_SAFETY", ErrorKind::Blocked),
        ("MODEL_ARMOR", ErrorKind::Blocked),
        ("LANGUAGE", ErrorKind::Blocked),
        ("OTHER", ErrorKind::Blocked),
        ("STOP", ErrorKind::EmptyReply),
        ("MALFORMED_FUNCTION_CALL", ErrorKind::EmptyReply),
        ("A_NEW_ONE", ErrorKind::EmptyReply),
        ("MAX_TOKENS", ErrorKind::Truncated),
    ] {
        let envelope =
            |parts: Value| json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]}).to_string();
        let hint = if kind == ErrorKind::Truncated { "cut" } else { reason };
        assert_fails(decode(&gemini(), &bounded(), &envelope(json!([]))), kind, hint);
        let partial = decode(&gemini(), &bounded(), &envelope(json!([{"text": "Half of"}])));
        let expected = match reason {
            "STOP" | "MAX_TOKENS" => None,
            "A_NEW_ONE" | "MALFORMED_FUNCTION_CALL" => Some(ErrorKind::Server),
            _ => Some(ErrorKind::Blocked),
        };
        assert_eq!(partial.err().map(|error| error.kind()), expected, "{reason}: half a text is no answer");
    }
}

#[test]
fn replies_without_text_are_classified() {
    for (reply, kind) in [
        (r#"{"candidates":[]}"#, ErrorKind::EmptyReply),
        (r#"{"usageMetadata":{"promptTokenCount":3}}"#, ErrorKind::EmptyReply),
        (r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}]}"#, ErrorKind::ThinkingOnly),
        (r#"{"choices":[]}"#, ErrorKind::MalformedReply),
        (r#"{"error":{"message":"upstream is gone"}}"#, ErrorKind::Server),
    ] {
        assert_fails(decode(&gemini(), &Request::new("?"), reply), kind, "");
    }
}

#[test]
fn an_exhausted_daily_quota_has_a_retry_delay() {
    let error = error(&gemini(), 429, QUOTA);
    assert_eq!(error.kind(), ErrorKind::DailyQuota);
    assert_eq!(error.retry_after(), Some(Duration::from_nanos(45_837_906_927)));
    assert!(error.message().starts_with("the quota of the day is used up: You exceeded"), "{error}");
}

#[test]
fn a_quota_per_minute_is_a_rate_limit() {
    let error = error(&gemini(), 429, &QUOTA.replace("PerDay", "PerMinute"));
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.message().starts_with("You exceeded"), "{error}");
}

#[test]
fn errors_are_classified() {
    for (status, reply, kind) in [
        (400, WRONG_KEY, ErrorKind::Unauthorized),
        (400, r#"{"error":{"message":"Invalid API key"}}"#, ErrorKind::Unauthorized),
        (
            400,
            r#"{"error":{"code":400,"message":"Invalid JSON payload received.","status":"INVALID_ARGUMENT"}}"#,
            ErrorKind::Rejected,
        ),
        (
            400,
            r#"{"error":{"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
            ErrorKind::Rejected,
        ),
        (401, r#"{"error":{"status":"UNAUTHENTICATED"}}"#, ErrorKind::Unauthorized),
        (403, r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#, ErrorKind::Forbidden),
        (
            404,
            r#"{"error":{"code":404,"message":"models/the-model is not found for API version v1beta","status":"NOT_FOUND"}}"#,
            ErrorKind::ModelMissing,
        ),
        (404, "", ErrorKind::Rejected),
        (500, r#"{"error":{"code":500,"status":"INTERNAL"}}"#, ErrorKind::Server),
        (
            503,
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            ErrorKind::Overloaded,
        ),
        (504, r#"{"error":{"code":504,"status":"DEADLINE_EXCEEDED"}}"#, ErrorKind::Server),
    ] {
        assert_eq!(error(&gemini(), status, reply).kind(), kind, "{status} {reply}");
    }
}

#[test]
fn a_retry_delay_is_in_seconds() {
    let delay = |text: &str| {
        let body = json!({"error": {"code": 429, "message": "no", "details": [{"retryDelay": text}]}});
        error(&gemini(), 429, &body.to_string()).retry_after()
    };
    assert_eq!(delay("3s"), Some(Duration::from_secs(3)));
    assert_eq!(delay("0.5s"), Some(Duration::from_millis(500)));
    for malformed in ["soon", "-1s", "NaNs", "s", "1e300s"] {
        assert_eq!(delay(malformed), None, "{malformed}");
    }
}

#[test]
fn models_are_listed_by_name() {
    let wire = Gemini.models_request(&gemini()).unwrap();
    assert_eq!(wire.url.as_str(), "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000");
    assert_key_is_hidden(&wire);
    let models = Gemini.decode_models(&Bytes::from_static(MODELS.as_bytes())).unwrap();
    assert_eq!(models, ["models/gemini-3-flash-preview", "models/gemini-embedding-001"]);
}

#[test]
fn thinking_is_sent_as_configured_and_reduced_on_request() {
    let config = |model: &str, thinking, less_thinking| {
        let options = ModelOptions { thinking, ..ModelOptions::default() };
        let target = Target { model: Arc::from(model), options, ..gemini() };
        let mut adjustments = Adjustments::default();
        adjustments.less_thinking = less_thinking;
        let request = Request { adjustments, ..Request::new("?") };
        let sent = encoded(&target, &request);
        assert_eq!(sent, body(&Gemini.encode_stream(&target, &request).unwrap()));
        sent["generationConfig"].get("thinkingConfig").cloned()
    };
    let budget = Some(Thinking::Budget(512));
    assert_eq!(config("gemini-2.5-flash", None, false), None);
    assert_eq!(config("gemini-2.5-flash", budget, false), Some(json!({"thinkingBudget": 512})));
    assert_eq!(config("gemini-2.5-flash", budget, true), Some(json!({"thinkingBudget": 0})));
    assert_eq!(config("models/gemini-3-pro-preview", None, true), Some(json!({"thinkingLevel": "LOW"})));
}

#[test]
fn pages_and_a_schema_combine_from_generation_three_on() {
    let at = |model: &str| Target { model: Arc::from(model), ..gemini() };
    let with_page = Request { parts: vec![Part::Url(Arc::from("https://example.org"))], ..structured() };
    assert_eq!(Gemini.schema_form(&at("models/gemini-2.5-flash"), &with_page), Some(SchemaForm::Prompted));
    assert_eq!(Gemini.schema_form(&at("models/gemini-3-flash-preview"), &with_page), Some(SchemaForm::Native));
    assert_eq!(Gemini.schema_form(&at("models/gemini-2.5-flash"), &structured()), Some(SchemaForm::Native));
    assert_eq!(Gemini.context_length(&at("gemini-2.5-flash")), Some(1_048_576));
}

#[test]
fn the_status_of_pages_is_decoded_from_replies_and_streams() {
    let reply = |metadata: &Value| {
        json!({"candidates": [{
            "content": {"parts": [{"text": "Moss."}]},
            "finishReason": "STOP",
            "urlContextMetadata": metadata,
        }]})
        .to_string()
    };
    let page = |name: &str, status: Option<&str>| json!({"retrievedUrl": format!("https://{name}.org"), "urlRetrievalStatus": status});
    let reported = reply(&json!({"urlMetadata": [
        page("a", Some("URL_RETRIEVAL_STATUS_SUCCESS")),
        page("b", Some("URL_RETRIEVAL_STATUS_ERROR")),
        page("c", Some("URL_RETRIEVAL_STATUS_PAYWALL")),
        page("d", Some("URL_RETRIEVAL_STATUS_UNSAFE")),
        page("e", Some("URL_RETRIEVAL_STATUS_TEAPOT")),
        page("f", None),
        {"urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        7,
        page("user:passw0rd@g", Some("URL_RETRIEVAL_STATUS_SUCCESS")),
        {"urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
    ]}));
    let statuses = ["success", "error", "paywall", "unsafe", "other", "other"].into_iter().zip("abcdef".chars());
    let mut expected: Vec<_> = statuses.map(|(status, name)| (format!("https://{name}.org"), status)).collect();
    expected.push(("https://g.org/".to_owned(), "success"));
    expected.push(("an unnamed address".to_owned(), "error"));
    let seen =
        |reply: &Reply| -> Vec<_> { reply.pages.iter().map(|page| (page.url.clone(), page.status.as_str())).collect() };
    assert_eq!(seen(&decode(&gemini(), &Request::new("?"), &reported).unwrap()), expected);
    let mut transcript = Transcript::default();
    for data in [reported, reply(&Value::Null)] {
        transcript.add(Gemini.decode_event(&gemini(), &Bytes::from(data)).unwrap());
    }
    assert_eq!(seen(&transcript.into_reply(&gemini(), &Request::new("?"), None).unwrap()), expected);
    for malformed in [json!(null), json!([]), json!({"urlMetadata": null}), json!({"urlMetadata": {"a": 1}})] {
        assert!(decode(&gemini(), &Request::new("?"), &reply(&malformed)).unwrap().pages.is_empty(), "{malformed}");
    }
}
