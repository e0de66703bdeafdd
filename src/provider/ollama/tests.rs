use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Transcript;
use super::super::tests::{
    KEY, assert_fails, assert_key_is_hidden, body, bounded, decode, encoded, error, parts, structured, target,
};
use super::*;
use crate::config::KeepAlive;
use crate::message::{FinishReason, Headroom};

const CHAT: &str = include_str!("../../../tests/core/fixtures/wire/ollama/chat.json");
const THINKING: &str = include_str!("../../../tests/core/fixtures/wire/ollama/thinking.json");
const TAGS: &str = include_str!("../../../tests/core/fixtures/wire/ollama/tags.json");

fn ollama() -> Target {
    target(Provider::Ollama, "http://localhost:11434", None)
}

#[test]
fn a_structured_request_has_the_lowered_schema() {
    let request = structured();
    let wire = Ollama.encode(&ollama(), &request).unwrap();
    assert_eq!(wire.url.as_str(), "http://localhost:11434/api/chat");
    assert_eq!(wire.method, "POST");
    assert_eq!(
        body(&wire),
        json!({
            "model": "the-model",
            "messages": [
                {
                    "role": "system",
                    "content": "Be brief.\n\nAnswer with JSON in this form:\n{\n  \"title\": string,\n  \"score\": number\n}",
                },
                {"role": "user", "content": "Name an idea."},
            ],
            "stream": false,
            "truncate": false,
            "shift": false,
            "format": request.schema.as_ref().unwrap().lower(Dialect::Ollama).document(),
            "options": {"temperature": 0.0},
        })
    );
}

#[test]
fn a_text_request_has_no_format() {
    let body = encoded(&ollama(), &bounded());
    assert_eq!(body.get("format"), None);
    assert_eq!(body["messages"], json!([{"role": "user", "content": "Tell me more."}]));
    assert_eq!(body["options"], json!({"temperature": 0.9, "num_predict": 64}));
}

#[test]
fn documents_are_text_and_images_base64() {
    let request = Request { parts: parts().into_iter().take(2).collect(), ..Request::new("What is it?") };
    assert_eq!(
        encoded(&ollama(), &request)["messages"],
        json!([{
            "role": "user",
            "content": "Document \"notes.md\":\n~~~~~\n# Notes\n~~~~~\n\nWhat is it?",
            "images": ["iVBORw=="],
        }])
    );
}

#[test]
fn a_key_is_a_bearer_token() {
    assert!(Ollama.encode(&ollama(), &structured()).unwrap().headers.is_empty());
    let target = target(Provider::Ollama, "https://ollama.com", Some(KEY));
    let wire = Ollama.encode(&target, &structured()).unwrap();
    assert_eq!(wire.headers[0].1.to_str().unwrap(), format!("Bearer {KEY}"));
    assert_key_is_hidden(&wire);
    for other in [Ollama.models_request(&target), Ollama.facts_request(&target).map(Option::unwrap)] {
        assert_eq!(other.unwrap().headers, wire.headers);
    }
}

#[test]
fn a_reply_is_decoded() {
    let reply = decode(&ollama(), &structured(), CHAT).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), json!({"title": "Moss walls", "score": 7.5}));
    assert_eq!(reply.model.as_deref(), Some("gemma3:12b"));
    assert_eq!(reply.finish, FinishReason::Stop);
    assert_eq!(reply.usage, Usage { input: 26, output: 298, ..Usage::default() });
}

#[test]
fn thoughts_are_no_text_and_an_absent_count_is_zero() {
    let reply = decode(&ollama(), &Request::new("?"), THINKING).unwrap();
    assert_eq!(reply.text, "Moss walls cool a street.");
    assert_eq!(reply.usage, Usage { output: 41, ..Usage::default() });
}

#[test]
fn a_truncated_text_is_accepted_only_under_the_callers_limit() {
    let cut = CHAT.replace("\"stop\"", "\"length\"");
    assert_eq!(decode(&ollama(), &bounded(), &cut).unwrap().finish, FinishReason::Length);
    for request in [structured(), Request { max_tokens: Some(9), ..structured() }, Request::new("?")] {
        let error = assert_fails(decode(&ollama(), &request, &cut), ErrorKind::Truncated, "cut at the limit");
        assert_eq!(error.usage().total(), 324, "the tokens of a truncated reply count");
    }
    let empty = r#"{"message":{"content":" "},"done":true,"done_reason":"length"}"#;
    assert_fails(decode(&ollama(), &bounded(), empty), ErrorKind::Truncated, "cut at the limit");
}

#[test]
fn replies_without_text_are_classified() {
    for (reply, kind, hint) in [
        (r#"{"message":{"content":""},"done_reason":"load"}"#, ErrorKind::EmptyReply, "(load)"),
        (
            r#"{"message":{"content":null,"thinking":"hm"},"done_reason":"stop"}"#,
            ErrorKind::ThinkingOnly,
            "only thinking",
        ),
        (r#"{"message":{"role":"assistant"}}"#, ErrorKind::EmptyReply, "no reason"),
        (r#"{"response":"hello","done":true}"#, ErrorKind::MalformedReply, "no message"),
        (r#"{"error":{"message":"model runner has stopped"}}"#, ErrorKind::Server, "model runner has stopped"),
    ] {
        assert_fails(decode(&ollama(), &Request::new("?"), reply), kind, hint);
    }
}

#[test]
fn errors_are_classified() {
    for (status, reply, kind, hint) in [
        (404, r#"{"error":"model 'the-model' not found"}"#, ErrorKind::ModelMissing, "`ollama pull the-model`"),
        (
            404,
            r#"{"error":{"message":"model \"x\" not found, try pulling it first"}}"#,
            ErrorKind::ModelMissing,
            "pull",
        ),
        (404, "404 page not found", ErrorKind::Rejected, "404 page not found"),
        (404, r#"{"error":"no model is served at this path"}"#, ErrorKind::Rejected, "at this path"),
        (
            400,
            r#"{"error":"\"the-model\" does not support thinking"}"#,
            ErrorKind::ParameterRejected,
            "does not support",
        ),
        (401, r#"{"error":"unauthorized","signin_url":"https://ollama.com/connect"}"#, ErrorKind::Unauthorized, "una"),
        (429, r#"{"error":"you have reached your hourly usage limit"}"#, ErrorKind::RateLimited, "hourly"),
        (500, r#"{"error":{"message":"model requires more system memory"}}"#, ErrorKind::Server, "more system memory"),
        (502, r#"{"error":"cloud unreachable"}"#, ErrorKind::Server, "unreachable"),
        (503, r#"{"error":"server busy, please try again."}"#, ErrorKind::Overloaded, "server busy"),
        (
            400,
            r#"{"error":"{\"error\":{\"code\":400,\"message\":\"request (8889 tokens) exceeds the available context size (4096 tokens), try increasing it\",\"type\":\"exceed_context_size_error\"}}"}"#,
            ErrorKind::ContextTooLong,
            "OLLAMA_CONTEXT_LENGTH",
        ),
    ] {
        let error = error(&ollama(), status, reply);
        assert_eq!(error.kind(), kind, "{status} {reply}");
        assert!(error.message().contains(hint), "{hint:?} in {error}");
    }
}

#[test]
fn models_are_listed_by_name() {
    let models = |body: &'static str| Ollama.decode_models(&Bytes::from_static(body.as_bytes())).unwrap();
    assert_eq!(models(TAGS), ["gemma3:4b", "gpt-oss:120b-cloud"]);
    assert!(models(r#"{"models":null}"#).is_empty());
    let proxied = Target { base_url: "https://h/ollama/".into(), ..ollama() };
    assert_eq!(Ollama.models_request(&proxied).unwrap().url.as_str(), "https://h/ollama/api/tags");
}

fn with_options(options: ModelOptions) -> Target {
    Target { options, ..ollama() }
}

#[test]
fn the_window_fits_the_prompt_and_grows_with_extended_headroom() {
    let options = |target: &Target, request: &Request| encoded(target, request)["options"].clone();
    let long = Request::new("abc ".repeat(3000));
    assert_eq!(options(&ollama(), &Request::new("?")), json!({"temperature": 0.0}));
    assert_eq!(options(&ollama(), &long), json!({"temperature": 0.0, "num_ctx": 8192}));
    let extended = Request { headroom: Headroom::Extended, ..long };
    assert_eq!(options(&ollama(), &extended), json!({"temperature": 0.0, "num_ctx": 16_384}));
    let configured = with_options(ModelOptions { num_ctx: Some(5000), ..ModelOptions::default() });
    assert_eq!(options(&configured, &Request::new("?")), json!({"temperature": 0.0, "num_ctx": 5000}));
    let streamed = body(&Ollama.encode_stream(&ollama(), &extended).unwrap());
    assert_eq!(streamed["options"]["num_ctx"], 16_384);
}

#[test]
fn keep_alive_is_sent_as_configured() {
    let sent = |keep_alive| {
        let target = with_options(ModelOptions { keep_alive: Some(keep_alive), ..ModelOptions::default() });
        encoded(&target, &Request::new("?"))["keep_alive"].to_string()
    };
    assert_eq!(sent(KeepAlive::Text(Arc::from("1h30m"))), "\"1h30m\"");
    assert_eq!(sent(KeepAlive::Seconds(-1.0)), "-1");
    assert_eq!(sent(KeepAlive::Seconds(0.0)), "0");
    assert_eq!(sent(KeepAlive::Seconds(0.5)), "0.5");
    assert_eq!(encoded(&ollama(), &Request::new("?")).get("keep_alive"), None);
}

#[test]
fn think_is_never_sent() {
    for request in [structured(), bounded(), Request { headroom: Headroom::Extended, ..structured() }] {
        assert_eq!(encoded(&ollama(), &request).get("think"), None);
    }
}

#[test]
fn a_truncated_prompt_is_an_error() {
    let request = Request::new("abc ".repeat(7900));
    let reply = |counted: u64| {
        json!({
            "message": {"content": "Moss."}, "done": true, "done_reason": "stop", "prompt_eval_count": counted,
            "eval_count": 3,
        })
        .to_string()
    };
    let error =
        assert_fails(decode(&ollama(), &request, &reply(2050)), ErrorKind::ContextTruncated, "2050 of at least");
    assert_eq!(error.usage(), Usage { input: 2050, output: 3, ..Usage::default() });
    for counted in [0, 17, 3000, 9000] {
        assert_eq!(decode(&ollama(), &request, &reply(counted)).unwrap().text, "Moss.", "{counted}");
    }
    let mut transcript = Transcript::default();
    transcript.add(Ollama.decode_event(&ollama(), &Bytes::from(reply(2050))).unwrap());
    let error = transcript.check(&ollama(), &request, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextTruncated);
    transcript.check(&ollama(), &Request::new("abc"), None).unwrap();
}

#[test]
fn a_remote_model_gets_the_schema_in_the_prompt_and_is_never_loaded() {
    let remote = ModelFacts { is_remote: true, ..ModelFacts::default() };
    for target in [
        Target { model: Arc::from("gpt-oss:120b-cloud"), ..ollama() },
        Target { model: Arc::from("qwen3-coder:cloud"), ..ollama() },
        Target { facts: Some(Arc::new(remote)), ..ollama() },
    ] {
        assert_eq!(Ollama.schema_form(&target, &structured()), Some(SchemaForm::Prompted));
        assert!(Ollama.running_request(&target).unwrap().is_none());
    }
    assert_eq!(Ollama.schema_form(&ollama(), &structured()), Some(SchemaForm::Native));
}

#[test]
fn facts_and_running_models_have_their_own_requests() {
    let proxied = Target { base_url: "https://h/ollama/".into(), ..ollama() };
    let wire = Ollama.facts_request(&proxied).unwrap().unwrap();
    assert_eq!((wire.method.as_str(), wire.url.as_str()), ("POST", "https://h/ollama/api/show"));
    assert_eq!(body(&wire), json!({"model": "the-model"}));
    let wire = Ollama.running_request(&proxied).unwrap().unwrap();
    assert_eq!((wire.method.as_str(), wire.url.as_str()), ("GET", "https://h/ollama/api/ps"));
    assert!(wire.body.is_empty());
}
