//! How replies and streams end: with a finish reason, a block, or an error in place of a reply.

use bytes::Bytes;
use serde_json::{Value, json};

use super::envelopes::{PROVIDERS, at, decode_bytes, events, full_envelope, stream, stream_of};
use super::*;
use crate::message::FinishReason;
use crate::provider::Transcript;

#[test]
fn an_end_that_is_not_good_is_never_a_whole_answer() {
    for (provider, word, kind) in [
        (Provider::OpenAi, "error", Some(ErrorKind::Server)),
        (Provider::OpenAi, "insufficient_system_resource", Some(ErrorKind::Server)),
        (Provider::OpenAi, "abort", Some(ErrorKind::Server)),
        (Provider::OpenAi, "content_filter", Some(ErrorKind::Blocked)),
        (Provider::OpenAi, "SAFETY", Some(ErrorKind::Blocked)),
        (Provider::OpenAi, "MAX_TOKENS", None),
        (Provider::OpenAi, "a_new_one", None),
        (Provider::Gemini, "MODEL_ARMOR", Some(ErrorKind::Blocked)),
        (Provider::Gemini, "LANGUAGE", Some(ErrorKind::Blocked)),
        (Provider::Gemini, "OTHER", Some(ErrorKind::Blocked)),
        (Provider::Gemini, "MALFORMED_RESPONSE", Some(ErrorKind::Server)),
        (Provider::Anthropic, "refusal", Some(ErrorKind::Refused)),
        (Provider::Anthropic, "max_tokens", None),
        (Provider::Ollama, "error", Some(ErrorKind::Server)),
    ] {
        let rename = |value: &Value| {
            let name = match provider {
                Provider::Gemini => "STOP",
                Provider::Anthropic => "end_turn",
                _ => "stop",
            };
            serde_json::from_str(&value.to_string().replace(&json!(name).to_string(), &json!(word).to_string()))
                .unwrap()
        };
        let envelope: Value = rename(&full_envelope(provider));
        let events: Vec<Value> = events(provider).iter().map(rename).collect();
        for outcome in [decode_bytes(provider, envelope.to_string().as_bytes()), stream_of(provider, &events)] {
            match (outcome, kind) {
                (Ok(reply), None) => assert_eq!(reply.finish_detail.as_deref(), Some(word), "{provider}"),
                (Err(error), Some(kind)) => {
                    assert_eq!(error.kind(), kind, "{provider} {word}");
                    assert!(kind == ErrorKind::Refused || error.message().contains(word), "{error}");
                    assert!(error.usage().total() > 0, "{provider} {word}: its tokens count");
                }
                (outcome, _) => panic!("{provider} {word}: {outcome:?}"),
            }
        }
    }
}

#[test]
fn the_last_finish_reason_of_a_stream_counts() {
    let chunk = |text: &str, reason: Value| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]});
    for events in [
        [chunk("one ", json!("STOP")), chunk("two", json!("STOP"))],
        [chunk("", json!("STOP")), chunk("one two", Value::Null)],
        [chunk("one ", json!("UNEXPECTED_TOOL_CALL")), chunk("two", json!("STOP"))],
        [chunk("one ", json!("FINISH_REASON_UNSPECIFIED")), chunk("two", json!("STOP"))],
    ] {
        let reply = stream_of(Provider::Gemini, &events).unwrap();
        assert_eq!((reply.text.as_str(), reply.finish), ("one two", FinishReason::Stop), "{events:?}");
    }
    let cut = [chunk("one ", json!("STOP")), chunk("two", json!("MAX_TOKENS"))];
    assert_eq!(stream_of(Provider::Gemini, &cut).unwrap().finish, FinishReason::Length);
}

#[test]
fn a_block_states_its_words() {
    let armor = json!({"candidates": [{"content": {"parts": [{"text": "The first half"}]}, "finishReason": "MODEL_ARMOR",
        "finishMessage": "Blocked by a floor setting"}]});
    let prompt =
        json!({"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "Blocked by a floor setting"}});
    for body in [armor, prompt] {
        for outcome in
            [decode_bytes(Provider::Gemini, body.to_string().as_bytes()), stream_of(Provider::Gemini, &[body])]
        {
            assert_fails(outcome, ErrorKind::Blocked, "Blocked by a floor setting");
        }
    }
}

#[test]
fn errors_within_a_reply_have_the_words_of_the_server() {
    for provider in PROVIDERS {
        for error in [
            json!({"error": {"message": "upstream is gone", "code": 502}}),
            json!({"error": "upstream is gone"}),
            json!({"code": 500, "message": "upstream is gone"}),
            json!({"object": "error", "message": "upstream is gone", "code": 50001}),
            json!({"detail": "upstream is gone"}),
            json!("error: upstream is gone"),
        ] {
            let body = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            let half: Vec<_> = events(provider).iter().map(Value::to_string).take(1).chain([body.clone()]).collect();
            for outcome in
                [decode_bytes(provider, body.as_bytes()), stream(provider, half.iter().map(String::as_bytes))]
            {
                assert_fails(outcome, ErrorKind::Server, "upstream is gone");
            }
        }
    }
    let choice = json!({"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "upstream went away"},
        "message": {"content": "Half of"}}], "model": "m"});
    assert_fails(
        decode_bytes(Provider::OpenAi, choice.to_string().as_bytes()),
        ErrorKind::Server,
        "upstream went away",
    );
    assert_fails(stream_of(Provider::OpenAi, &[choice]), ErrorKind::Server, "upstream went away");
}

#[test]
fn the_events_of_a_stream_are_no_error_whatever_their_words_are() {
    for provider in PROVIDERS {
        for body in
            ["data: {\"a\": \"an error: out of memory\"}\n\n", "{\"a\": 1}\n{\"a\": \"error\"}", "[{\"a\": \"error\"}"]
        {
            assert_fails(decode_bytes(provider, body.as_bytes()), ErrorKind::MalformedReply, "");
        }
    }
}

#[test]
fn words_that_keep_a_stream_open_are_ignored() {
    for provider in PROVIDERS {
        let events: Vec<_> = events(provider).iter().flat_map(|event| ["ping".to_owned(), event.to_string()]).collect();
        assert_eq!(stream(provider, events.iter().map(String::as_bytes)).unwrap().text, "hello", "{provider}");
    }
}

#[test]
fn a_failure_after_the_limit_of_tokens_is_a_cut_reply() {
    let target = at(Provider::OpenAi);
    let event = json!({"choices": [{"delta": {"content": "half"}, "finish_reason": "length"}]});
    let mut transcript = Transcript::default();
    transcript.add(codec(Provider::OpenAi).unwrap().decode_event(&target, &Bytes::from(event.to_string())).unwrap());
    let failure = || Some(Error::new(ErrorKind::Rejected, "bad request"));
    let error = transcript.check(&target, &Request::new("?"), failure()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}
