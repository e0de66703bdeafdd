use bytes::Bytes;
use serde_json::{Value, json};

use super::super::tests::{KEY, body, bounded, target};
use super::super::{Codec, codec};
use super::*;
use crate::config::Provider;

const PROVIDERS: [Provider; 3] = [Provider::Ollama, Provider::Gemini, Provider::OpenAi];

fn protocol(provider: Provider) -> (&'static dyn Codec, Target) {
    (codec(provider).unwrap(), target(provider, "http://h/base", Some(KEY)))
}

fn event(provider: Provider, data: &Value) -> Result<Event> {
    let (codec, target) = protocol(provider);
    codec.decode_event(&target, &Bytes::from(data.to_string()))
}

fn total(event: &Event) -> u64 {
    event.usage.unwrap().apply(Usage::default()).total()
}

fn text(text: &str) -> Event {
    Event { text: Some(text.to_owned()), ..Event::default() }
}

#[test]
fn encode_stream_adds_the_stream_option_to_the_request() {
    for (provider, path, stream_option) in [
        (Provider::Ollama, "/base/api/chat", json!({"stream": true})),
        (Provider::Gemini, "/base/models/the-model:streamGenerateContent?alt=sse", json!({})),
        (
            Provider::OpenAi,
            "/base/chat/completions",
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        ),
        (Provider::Anthropic, "/base/v1/messages", json!({"stream": true})),
    ] {
        let (codec, target) = protocol(provider);
        let whole = codec.encode(&target, &bounded()).unwrap();
        let streamed = codec.encode_stream(&target, &bounded()).unwrap();
        let mut expected = body(&whole);
        expected.as_object_mut().unwrap().extend(stream_option.as_object().unwrap().clone());
        assert_eq!(body(&streamed), expected, "{provider}");
        assert!(streamed.url.as_str().ends_with(path), "{}", streamed.url);
        assert_eq!(streamed.headers, whole.headers, "{provider}");
    }
}

#[test]
fn ollama_counts_tokens_in_the_last_line() {
    let line = json!({"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": false});
    assert_eq!(event(Provider::Ollama, &line).unwrap(), Event { model: Some("m".to_owned()), ..text("Hel") });
    let thinking = json!({"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": false});
    assert_eq!(
        event(Provider::Ollama, &thinking).unwrap(),
        Event { reasoning: Some("hm".to_owned()), reasoning_field: "thinking", ..text("") }
    );
    let last = json!({"message": {"content": ""}, "done": true, "done_reason": "length",
        "prompt_eval_count": 3, "eval_count": 4});
    let last = event(Provider::Ollama, &last).unwrap();
    assert!(last.is_last);
    assert_eq!((last.finish, total(&last)), (Some(FinishReason::Length), 7));
}

#[test]
fn gemini_separates_thoughts_and_ends_with_the_body() {
    let chunk = json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "Hel"}]}}],
        "usageMetadata": {"promptTokenCount": 3, "thoughtsTokenCount": 5}, "modelVersion": "m-1"});
    let usage = Some(UsageUpdate::Full(Usage { input: 3, reasoning: 5, ..Usage::default() }));
    let reasoning = Some("hm".to_owned());
    let expected = Event {
        model: Some("m-1".to_owned()),
        usage,
        reasoning,
        reasoning_field: "parts with `thought`",
        ..text("Hel")
    };
    assert_eq!(event(Provider::Gemini, &chunk).unwrap(), expected);
    let last = json!({"candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "MAX_TOKENS"}]});
    let last = event(Provider::Gemini, &last).unwrap();
    assert_eq!((last.text.as_deref(), last.finish, last.is_last), (Some("lo"), Some(FinishReason::Length), false));
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}});
    assert!(event(Provider::Gemini, &blocked).unwrap().blocked.unwrap().contains("SAFETY"));
    let cut = json!({"candidates": [{"finishReason": "RECITATION"}]});
    assert!(event(Provider::Gemini, &cut).unwrap().blocked.unwrap().contains("RECITATION"));
}

#[test]
fn openai_ends_with_done_after_the_finish_reason() {
    let role = json!({"model": "m", "choices": [{"delta": {"role": "assistant", "content": null}}], "usage": null});
    assert_eq!(event(Provider::OpenAi, &role).unwrap(), Event { model: Some("m".to_owned()), ..Event::default() });
    let reasoning = json!({"choices": [{"delta": {"reasoning_content": "hm"}}]});
    let thought = Event { reasoning: Some("hm".to_owned()), reasoning_field: "reasoning_content", ..Event::default() };
    assert_eq!(event(Provider::OpenAi, &reasoning).unwrap(), thought);
    let stop = event(Provider::OpenAi, &json!({"choices": [{"delta": {}, "finish_reason": "stop"}]})).unwrap();
    assert_eq!((stop.finish, stop.is_last), (Some(FinishReason::Stop), false));
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}});
    assert_eq!(total(&event(Provider::OpenAi, &usage).unwrap()), 7);
    let (codec, target) = protocol(Provider::OpenAi);
    assert!(codec.decode_event(&target, &Bytes::from_static(b"[DONE]")).unwrap().is_last);
    let filtered = json!({"choices": [{"delta": {}, "finish_reason": "content_filter"}]});
    assert!(event(Provider::OpenAi, &filtered).unwrap().blocked.is_some());
}

#[test]
fn anthropic_counts_the_prompt_first_and_the_output_last() {
    let events = [
        json!({"type": "message_start", "message": {"model": "m", "content": [], "usage":
            {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage":
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}}),
        json!({"type": "message_stop"}),
    ];
    let transcript = transcript_of(events.iter().map(|data| event(Provider::Anthropic, data).unwrap()));
    assert!(transcript.is_complete());
    let (_, target) = protocol(Provider::Anthropic);
    transcript.check(&target, &Request::new("p"), None).unwrap();
    let usage = Usage { input: 3, cached_input: 2, output: 5, reasoning: 4, tool: 0 };
    assert_eq!((transcript.text(), transcript.usage()), ("Hello", usage));
    let reply = transcript.into_reply(&target, &Request::new("p"), None).unwrap();
    assert_eq!((reply.model.as_deref(), reply.finish), (Some("m"), FinishReason::Stop));
}

#[test]
fn anthropic_reports_why_it_stopped_early() {
    let stopped = |delta: Value| event(Provider::Anthropic, &json!({"type": "message_delta", "delta": delta}));
    let refused = stopped(json!({"stop_reason": "refusal", "stop_details": {"explanation": "not this"}})).unwrap();
    assert_eq!(refused.refusal.as_deref(), Some("not this"));
    assert_eq!(stopped(json!({"stop_reason": "max_tokens"})).unwrap().finish, Some(FinishReason::Length));
    assert_eq!(stopped(json!({"stop_reason": "pause_turn"})).unwrap_err().kind(), ErrorKind::Truncated);
    for (kind, class) in [("overloaded_error", ErrorKind::Overloaded), ("api_error", ErrorKind::Server)] {
        let error = json!({"type": "error", "error": {"type": kind, "message": "no"}});
        assert_eq!(event(Provider::Anthropic, &error).unwrap_err().kind(), class, "{kind}");
    }
}

#[test]
fn an_error_event_has_the_kind_of_an_error_reply() {
    let error_event =
        |code: Value, name: &str| json!({"error": {"code": code, "status": name, "type": name, "message": "no"}});
    for (data, kind) in [
        (error_event(json!(429), "RESOURCE_EXHAUSTED"), ErrorKind::RateLimited),
        (error_event(json!("503"), "UNAVAILABLE"), ErrorKind::Overloaded),
        (error_event(Value::Null, "rate_limit_exceeded"), ErrorKind::RateLimited),
        (error_event(Value::Null, "overloaded_error"), ErrorKind::Overloaded),
        (error_event(Value::Null, "authentication_error"), ErrorKind::Unauthorized),
        (error_event(Value::Null, "invalid_request_error"), ErrorKind::Rejected),
        (error_event(Value::Null, "server_error"), ErrorKind::Server),
        (error_event(json!(7), ""), ErrorKind::Server),
        (json!({"error": "an error was encountered while running the model"}), ErrorKind::Server),
    ] {
        for provider in PROVIDERS {
            let error = event(provider, &data).unwrap_err();
            assert_eq!((error.kind(), error.provider()), (kind, Some(provider)), "{data}");
        }
    }
}

#[test]
fn invalid_events_are_malformed_and_unknown_events_are_ignored() {
    for provider in PROVIDERS.into_iter().chain([Provider::Anthropic]) {
        let (codec, target) = protocol(provider);
        for invalid in ["{\"choices\":[{\"del", "\u{fffd}", "7", "[]]", "<html>"] {
            let error = codec.decode_event(&target, &Bytes::from_static(invalid.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedReply, "{provider}: {invalid}");
        }
        let ping = event(provider, &json!({"type": "ping"})).unwrap();
        assert!(ping.text.unwrap_or_default().is_empty() && !ping.is_last && ping.finish.is_none(), "{provider}");
    }
}

fn transcript_of(events: impl IntoIterator<Item = Event>) -> Transcript {
    let mut transcript = Transcript::default();
    events.into_iter().for_each(|event| transcript.add(event));
    transcript
}

fn last(finish: FinishReason) -> Event {
    Event { finish: Some(finish), is_last: true, ..Event::default() }
}

#[test]
fn the_latest_count_replaces_the_previous_one() {
    let count =
        |output| Event { usage: Some(UsageUpdate::Full(Usage { input: 10, output, ..Usage::default() })), ..text("x") };
    let transcript = transcript_of([count(1), count(2), count(3), last(FinishReason::Stop)]);
    assert_eq!(transcript.usage().total(), 13);
    let (_, target) = protocol(Provider::OpenAi);
    let cut = transcript_of([count(5)]).check(&target, &Request::new("p"), None).unwrap_err();
    assert_eq!((cut.kind(), cut.usage().total()), (ErrorKind::Disconnected, 15));
}

#[test]
fn the_end_of_a_stream_is_classified() {
    let (_, target) = protocol(Provider::Gemini);
    let plain = Request::new("p");
    let lost = || Some(Error::new(ErrorKind::Disconnected, "gone"));
    let refused = Event { refusal: Some("no".to_owned()), ..Event::default() };
    let blocked = Event { blocked: Some("SAFETY".to_owned()), ..Event::default() };
    let finished = Event { finish: Some(FinishReason::Stop), ..Event::default() };
    for (events, request, failure, expected) in [
        (vec![text("x"), last(FinishReason::Stop)], &plain, None, None),
        (vec![text("x"), last(FinishReason::Stop)], &plain, lost(), None),
        (vec![text("x"), finished.clone()], &plain, None, None),
        (vec![text("x"), finished], &plain, lost(), Some(ErrorKind::Disconnected)),
        (vec![text("x")], &plain, None, Some(ErrorKind::Disconnected)),
        (vec![text("x")], &plain, lost(), Some(ErrorKind::Disconnected)),
        (vec![text(" ")], &plain, None, Some(ErrorKind::EmptyReply)),
        (vec![text(" "), last(FinishReason::Stop)], &plain, None, Some(ErrorKind::EmptyReply)),
        (vec![text("x"), last(FinishReason::Length)], &plain, None, Some(ErrorKind::Truncated)),
        (vec![text("x"), last(FinishReason::Length)], &bounded(), None, None),
        (vec![last(FinishReason::Length)], &bounded(), None, Some(ErrorKind::Truncated)),
        (vec![text("x"), refused.clone(), last(FinishReason::Stop)], &plain, None, Some(ErrorKind::Refused)),
        (vec![refused], &plain, lost(), Some(ErrorKind::Refused)),
        (vec![text("x"), blocked], &plain, lost(), Some(ErrorKind::Blocked)),
    ] {
        let case = format!("{events:?} then {failure:?}");
        let outcome = transcript_of(events).check(&target, request, failure);
        assert_eq!(outcome.err().map(|error| error.kind()), expected, "{case}");
    }
}
