//! Envelopes as real servers write them: a field of an unexpected type costs no other field, and no text is lost silently.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::message::{FinishReason, Usage};
use crate::provider::Transcript;

pub(super) const PROVIDERS: [Provider; 4] = [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Anthropic];

/// A whole reply with the text "hello" and all fields that are read.
pub(super) fn full_envelope(provider: Provider) -> Value {
    match provider {
        Provider::Ollama => {
            json!({"model": "m", "created_at": "now", "message": {"role": "assistant", "content": "hello",
            "thinking": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2, "error": null})
        }
        Provider::Gemini => json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "hello",
            "thought": false}]}, "finishReason": "STOP", "finishMessage": null, "urlContextMetadata": null}],
            "promptFeedback": {}, "modelVersion": "m", "error": null,
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "cachedContentTokenCount": 0}}),
        Provider::OpenAi => json!({"id": "x", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant",
            "content": "hello", "refusal": null, "reasoning_content": null, "tool_calls": null}, "finish_reason": "stop",
            "error": null}], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 0}}, "error": null}),
        _ => json!({"type": "message", "model": "m", "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn", "stop_details": null, "usage": {"input_tokens": 3, "output_tokens": 2}, "error": null}),
    }
}

/// The events of a stream with the text "hello".
pub(super) fn events(provider: Provider) -> Vec<Value> {
    match provider {
        Provider::Ollama => vec![
            json!({"model": "m", "message": {"content": "hel", "thinking": null}, "done": false, "error": null}),
            json!({"model": "m", "message": {"content": "lo"}, "done": true, "done_reason": "stop", "eval_count": 2}),
        ],
        Provider::Gemini => vec![
            json!({"candidates": [{"index": 0, "content": {"parts": [{"text": "hel", "thought": null}]}}],
                "usageMetadata": {"promptTokenCount": 3}, "modelVersion": "m"}),
            json!({"candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}], "error": null}),
        ],
        Provider::OpenAi => vec![
            json!({"model": "m", "choices": [{"index": 0, "delta": {"content": "hel", "reasoning": null},
                "finish_reason": null}], "usage": null}),
            json!({"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop", "error": null}], "error": null, "usage": {"prompt_tokens": 3}}),
        ],
        _ => vec![
            json!({"type": "message_start", "message": {"model": "m", "content": [], "usage": {"input_tokens": 3}}}),
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": "he"}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "llo"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_details": null},
                "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ],
    }
}

pub(super) fn at(provider: Provider) -> Target {
    target(provider, "http://h/base", Some(KEY))
}

pub(super) fn decode_bytes(provider: Provider, body: &[u8]) -> Result<Reply> {
    codec(provider).unwrap().decode(&at(provider), &bounded(), &Bytes::copy_from_slice(body))
}

/// The reply of a stream of `events`, or its first error.
pub(super) fn stream<'a>(provider: Provider, events: impl IntoIterator<Item = &'a [u8]>) -> Result<Reply> {
    let mut transcript = Transcript::default();
    for data in events {
        transcript.add(codec(provider).unwrap().decode_event(&at(provider), &Bytes::copy_from_slice(data))?);
    }
    transcript.finish();
    transcript.check(&at(provider), &bounded(), None)?;
    transcript.into_reply(&at(provider), &bounded(), None)
}

pub(super) fn stream_of(provider: Provider, events: &[Value]) -> Result<Reply> {
    let events: Vec<_> = events.iter().map(Value::to_string).collect();
    stream(provider, events.iter().map(String::as_bytes))
}

/// The paths of all values in `value`, as JSON pointers.
fn paths(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let nested = children.into_iter().flat_map(|(name, value)| {
        paths(value).into_iter().chain([String::new()]).map(move |path| format!("/{name}{path}"))
    });
    nested.collect()
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-z ]{0,8}".prop_map(Value::from),
        prop_oneof![Just("stop"), Just("error"), Just("MAX_TOKENS"), Just("SAFETY"), Just("refusal")]
            .prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        let name = prop_oneof![Just("text"), Just("type"), Just("message"), Just("content"), Just("code")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..3).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// Fields that say what the rest of an envelope means, and the text itself: a change of one changes the reply.
fn carries_text(path: &str) -> bool {
    let is_text = |name: &str| path.ends_with(name);
    ["/text", "/content", "/thinking", "/thought", "/reasoning", "/reasoning_content", "/refusal", "/type", "/index"]
        .into_iter()
        .any(is_text)
        || ["/parts", "/candidates", "/choices", "/message", "/delta", "/content_block", "/0"].into_iter().any(is_text)
}

proptest! {
    #[test]
    fn any_value_in_any_field_loses_no_text(
        provider in prop::sample::select(&PROVIDERS[..]),
        place in any::<prop::sample::Index>(),
        event in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let mut envelope = full_envelope(provider);
        let paths_of = paths(&envelope);
        let path = place.get(&paths_of);
        *envelope.pointer_mut(path).unwrap() = value.clone();
        // An error says that the reply is not whole. Nothing else may cost the text.
        if let Ok(reply) = decode_bytes(provider, envelope.to_string().as_bytes()) {
            prop_assert!(carries_text(path) || reply.text == "hello", "{provider} {envelope}: {reply:?}");
        }
        let mut events = events(provider);
        let index = event.index(events.len());
        let paths_of = paths(&events[index]);
        let path = place.get(&paths_of);
        *events[index].pointer_mut(path).unwrap() = value;
        if let Ok(reply) = stream_of(provider, &events) {
            prop_assert!(carries_text(path) || reply.text == "hello", "{provider} {events:?}: {reply:?}");
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in any::<Vec<u8>>(), json in any_json()) {
        for provider in PROVIDERS {
            for bytes in [&bytes[..], json.to_string().as_bytes()] {
                let _ = (decode_bytes(provider, bytes), stream(provider, [bytes]));
            }
        }
    }

    #[test]
    fn a_number_in_place_of_text_is_its_digits(number in any::<f64>()) {
        prop_assume!(number.is_finite());
        let written = json!(number).to_string();
        for provider in PROVIDERS {
            let envelope = full_envelope(provider).to_string().replace("\"hello\"", &written);
            prop_assert_eq!(decode_bytes(provider, envelope.as_bytes()).unwrap().text, written.clone());
        }
    }
}

#[test]
fn the_envelopes_of_the_tests_are_good() {
    for provider in PROVIDERS {
        for reply in [
            decode_bytes(provider, full_envelope(provider).to_string().as_bytes()).unwrap(),
            stream_of(provider, &events(provider)).unwrap(),
        ] {
            assert_eq!((reply.text.as_str(), reply.finish), ("hello", FinishReason::Stop), "{provider}");
            assert_eq!((reply.model.as_deref(), reply.reasoning), (Some("m"), None), "{provider}");
        }
    }
}

#[test]
fn accounting_of_any_shape_costs_no_text() {
    for provider in PROVIDERS {
        for (name, value) in [
            ("usage", json!([])),
            ("usage", json!("n/a")),
            ("usage", json!(5)),
            ("usageMetadata", json!("")),
            ("prompt_eval_count", json!({})),
            ("model", json!({})),
            ("modelVersion", json!(["m"])),
            ("error", json!({})),
            ("error", json!("")),
            ("error", json!(false)),
            ("error", json!({"message": "", "code": null})),
        ] {
            let mut envelope = full_envelope(provider);
            envelope[name] = value.clone();
            let reply = decode_bytes(provider, envelope.to_string().as_bytes());
            assert_eq!(reply.unwrap().text, "hello", "{provider} {name} {value}");
            let mut events = events(provider);
            events[1][name] = value.clone();
            assert_eq!(stream_of(provider, &events).unwrap().text, "hello", "{provider} {name} {value}");
        }
    }
}

#[test]
fn damaged_bytes_are_read() {
    for provider in PROVIDERS {
        let envelope = full_envelope(provider).to_string();
        let with = |text: &[u8]| {
            let at = envelope.find("hello").unwrap();
            [&envelope.as_bytes()[..at], text, &envelope.as_bytes()[at + 5..]].concat()
        };
        for (body, text) in [
            ([b"\xef\xbb\xbf", envelope.as_bytes()].concat(), "hello"),
            (with(b"hel\xfflo"), "hel\u{fffd}lo"),
            (with(br"hel\ud83d"), "hel\u{fffd}"),
            (with(br"\ude00hello \ud83d\ude00"), "\u{fffd}hello 😀"),
            (envelope.replacen("null", "NaN", 1).into_bytes(), "hello"),
            (envelope.replacen('{', "{\"logprob\": -Infinity, ", 1).into_bytes(), "hello"),
            (envelope.replacen('{', "{\"model\": \"n\", \"model\": \"m\", ", 1).into_bytes(), "hello"),
            (format!("[{envelope}]").into_bytes(), "hello"),
        ] {
            let reply = decode_bytes(provider, &body).unwrap();
            assert_eq!(reply.text, text, "{provider} {}", String::from_utf8_lossy(&body));
        }
    }
}

#[test]
fn halves_of_a_character_in_two_events_are_joined() {
    for provider in PROVIDERS {
        let piece = |text: &str| {
            let event = match provider {
                Provider::Anthropic => events(provider)[2].to_string().replace("llo", "hel"),
                _ => events(provider)[0].to_string(),
            };
            event.replace("hel", text)
        };
        let end: Vec<_> = match provider {
            Provider::Anthropic => events(provider)[3..].iter().map(Value::to_string).collect(),
            _ => vec![events(provider)[1].to_string().replace("lo", "")],
        };
        for (pieces, text) in [
            (&[r"a\ud83d", r"\ude00z"][..], "a😀z"),
            (&[r"a\ud83d", "", r"\ude00"], "a😀"),
            (&[r"good word \ud83d", "z"], "good word \u{fffd}z"),
            (&["a", r"\ude00z"], "a\u{fffd}z"),
            (&[r"a\ud83d", r"\ud83d\ude00"], "a\u{fffd}😀"),
            (&[r"a\ud83d"], "a\u{fffd}"),
        ] {
            let events: Vec<_> = pieces.iter().map(|text| piece(text)).chain(end.clone()).collect();
            let reply = stream(provider, events.iter().map(String::as_bytes)).unwrap();
            assert_eq!(reply.text, text, "{provider} {pieces:?}");
        }
    }
}

#[test]
fn text_of_an_unexpected_type_is_its_json() {
    for provider in PROVIDERS {
        for (json, text) in
            [("0.005", "0.005"), ("17", "17"), ("5.50", "5.50"), ("true", "true"), (r#"{"a": 1.0}"#, r#"{"a": 1.0}"#)]
        {
            let envelope = full_envelope(provider).to_string().replace("\"hello\"", json);
            assert_eq!(decode_bytes(provider, envelope.as_bytes()).unwrap().text, text, "{provider}");
            let events: Vec<_> =
                events(provider).iter().map(|event| event.to_string().replace("\"lo\"", json)).collect();
            let events: Vec<_> = events.iter().map(|event| event.replace("\"llo\"", json)).collect();
            let reply = stream(provider, events.iter().map(String::as_bytes)).unwrap();
            assert!(reply.text.starts_with("he") && reply.text.ends_with(text), "{provider} {reply:?}");
        }
    }
}

#[test]
fn data_in_place_of_the_parts_of_a_text_is_its_json() {
    let data = r#"{"score": 7, "text": "fine", "items": [1.0]}"#;
    for (provider, body) in [
        (Provider::Anthropic, r#"{"content": DATA, "stop_reason": "end_turn"}"#),
        (Provider::Anthropic, r#"{"content": [{"type": "text", "text": DATA}], "stop_reason": "end_turn"}"#),
        (Provider::Gemini, r#"{"candidates": [{"content": {"parts": DATA}, "finishReason": "STOP"}]}"#),
        (Provider::Gemini, r#"{"candidates": [{"content": {"parts": [{"text": DATA}]}, "finishReason": "STOP"}]}"#),
        (Provider::Ollama, r#"{"message": {"content": DATA}, "done": true, "done_reason": "stop"}"#),
        (Provider::OpenAi, r#"{"choices": [{"message": {"content": DATA}, "finish_reason": "stop"}]}"#),
    ] {
        for usage in ["", r#", "usage": "n/a""#] {
            let body = body.replace("DATA", data);
            let body = format!("{}{usage}}}", &body[..body.len() - 1]);
            assert_eq!(decode_bytes(provider, body.as_bytes()).unwrap().text, data, "{provider} {body}");
        }
    }
    let list = r#"[{"score": 7}, {"score": 8}]"#;
    let body = format!(r#"{{"content": {list}, "stop_reason": "end_turn"}}"#);
    assert_eq!(decode_bytes(Provider::Anthropic, body.as_bytes()).unwrap().text, list);
}

#[test]
fn a_single_part_in_place_of_a_list_is_read() {
    for (provider, body, text, reasoning) in [
        (Provider::Anthropic, r#"{"content": {"type": "text", "text": "hi"}, "usage": 5}"#, "hi", None),
        (Provider::Anthropic, r#"{"content": "hi", "stop_reason": "end_turn"}"#, "hi", None),
        (
            Provider::Anthropic,
            r#"{"model": {}, "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}, null]}"#,
            "hi",
            Some("hm"),
        ),
        (
            Provider::Gemini,
            r#"{"candidates": [{"content": {"parts": {"text": "hi"}}, "finishReason": "STOP"}]}"#,
            "hi",
            None,
        ),
        (Provider::Gemini, r#"{"candidates": [{"content": {"parts": "hi"}, "finishReason": "STOP"}]}"#, "hi", None),
        (
            Provider::Gemini,
            r#"{"modelVersion": [], "candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "hi"},
                {"thoughtSignature": "x"}]}, "finishReason": "STOP"}]}"#,
            "hi",
            Some("hm"),
        ),
    ] {
        let reply = decode_bytes(provider, body.as_bytes()).unwrap();
        assert_eq!((reply.text.as_str(), reply.reasoning.as_deref()), (text, reasoning), "{body}");
    }
    let body = r#"{"content": {"type": "tool_use", "id": "a", "name": "f", "input": {}}, "stop_reason": "tool_use"}"#;
    let error = decode_bytes(Provider::Anthropic, body.as_bytes()).unwrap_err();
    assert!(error.message().contains("tool"), "{error}");
}

#[test]
fn an_unreadable_text_fails_the_reply() {
    for (provider, body) in [
        (Provider::OpenAi, r#"{"choices": [{"message": ["hello"], "finish_reason": "stop"}]}"#),
        (Provider::OpenAi, r#"{"choices": 5}"#),
        (Provider::Gemini, r#"{"candidates": [{"content": ["hello"], "finishReason": "STOP"}]}"#),
        (Provider::Ollama, r#"{"message": ["hello"], "done": true}"#),
        (Provider::Anthropic, r#"{"content": [["hello"]], "stop_reason": "end_turn"}"#),
        (Provider::Anthropic, r#"{"content": [{"score": 7}, ["hello"]], "stop_reason": "end_turn"}"#),
        (Provider::Gemini, r#"{"candidates": [{"content": {"parts": [["hello"]]}, "finishReason": "STOP"}]}"#),
    ] {
        let error = decode_bytes(provider, body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedReply, "{provider} {body}");
    }
}

#[test]
fn reasoning_is_apart_from_the_text() {
    for (provider, body) in [
        (
            Provider::OpenAi,
            json!({"choices": [{"message": {"content": "hi", "reasoning_content": "hm"}, "finish_reason": "stop"}]}),
        ),
        (
            Provider::OpenAi,
            json!({"choices": [{"message": {"content": "hi", "reasoning": "hm", "reasoning_content": "hm"}}]}),
        ),
        (
            Provider::OpenAi,
            json!({"choices": [{"message": {"content": "hi", "reasoning": null, "reasoning_details":
            [{"type": "reasoning.text", "text": "h"}, {"type": "reasoning.summary", "summary": "m"}, {"type": "reasoning.encrypted", "data": "x"}]}}]}),
        ),
        (
            Provider::OpenAi,
            json!({"choices": [{"message": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "hi"}]}}]}),
        ),
        (
            Provider::Gemini,
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "hi"}]}, "finishReason": "STOP"}]}),
        ),
        (
            Provider::Anthropic,
            json!({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}], "stop_reason": "end_turn"}),
        ),
        (
            Provider::Ollama,
            json!({"message": {"content": "hi", "thinking": "hm"}, "done": true, "done_reason": "stop"}),
        ),
    ] {
        let reply = decode_bytes(provider, body.to_string().as_bytes()).unwrap();
        assert_eq!((reply.text.as_str(), reply.reasoning.as_deref()), ("hi", Some("hm")), "{body}");
    }
}

#[test]
fn only_the_first_choice_is_the_answer() {
    let other = json!({"index": 1, "message": {"content": "other"}, "finish_reason": "length"});
    let first = json!({"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"});
    for choices in [json!([first, other]), json!([other, first])] {
        let reply = decode_bytes(Provider::OpenAi, json!({ "choices": choices }).to_string().as_bytes()).unwrap();
        assert_eq!((reply.text.as_str(), reply.finish), ("hello", FinishReason::Stop));
    }
    let delta = |index: u32, text: &str| json!({"index": index, "delta": {"content": text}, "finish_reason": null});
    let events = [
        json!({"choices": [delta(1, "x"), delta(0, "hel")]}),
        json!({"choices": [delta(1, "y")]}),
        json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "error"}]}),
        json!({"choices": [delta(0, "lo")]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    ];
    assert_eq!(stream_of(Provider::OpenAi, &events).unwrap().text, "hello");
    let candidate = |index: u32, text: &str| json!({"index": index, "content": {"parts": [{"text": text}]}, "finishReason": "STOP"});
    let body = json!({"candidates": [candidate(1, "other"), candidate(0, "hello")]});
    assert_eq!(decode_bytes(Provider::Gemini, body.to_string().as_bytes()).unwrap().text, "hello");
}

#[test]
fn a_message_beside_the_delta_of_an_event_is_no_text() {
    let chunk = |delta: &str, so_far: &str, reason: Value| json!({"choices": [{"index": 0, "delta": {"content": delta}, "message": {"content": so_far}, "finish_reason": reason}]});
    let events =
        [chunk("hel", "hel", Value::Null), chunk("lo", "hello", Value::Null), chunk("", "hello", json!("stop"))];
    assert_eq!(stream_of(Provider::OpenAi, &events).unwrap().text, "hello");
    let whole = json!({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]});
    assert_eq!(stream_of(Provider::OpenAi, &[whole]).unwrap().text, "hello");
}

#[test]
fn empty_counts_do_not_reset_the_counts_so_far() {
    for provider in PROVIDERS {
        let mut events = events(provider);
        let name = if provider == Provider::Gemini { "usageMetadata" } else { "usage" };
        events.insert(1, json!({"type": "message_delta", "delta": {}, name: {}}));
        assert!(stream_of(provider, &events).unwrap().usage.total() > 0, "{provider}");
    }
}

#[test]
fn a_flag_in_place_of_words_is_none() {
    let message = json!({"content": "hello", "refusal": false, "reasoning": true, "reasoning_content": 0});
    let reply = json!({"choices": [{"message": message, "finish_reason": "stop"}]});
    let reply = decode_bytes(Provider::OpenAi, reply.to_string().as_bytes()).unwrap();
    assert_eq!((reply.text.as_str(), reply.reasoning), ("hello", None));
    let error = json!({"error": true, "message": "upstream is gone", "choices": []});
    assert_fails(decode_bytes(Provider::OpenAi, error.to_string().as_bytes()), ErrorKind::Server, "upstream is gone");
}

#[test]
fn counts_of_all_servers_are_read() {
    for (usage, expected) in [
        (json!({"prompt_tokens": 11.0, "completion_tokens": "7"}), Usage { input: 11, output: 7, ..Usage::default() }),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "prompt_cache_hit_tokens": 64}),
            Usage { input: 36, cached_input: 64, output: 7, ..Usage::default() },
        ),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 7, "cached_tokens": 64}),
            Usage { input: 36, cached_input: 64, output: 7, ..Usage::default() },
        ),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "completion_tokens_details": {"reasoning_tokens": 25}}),
            Usage { input: 9, output: 2, reasoning: 25, ..Usage::default() },
        ),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 36, "completion_tokens_details": {"reasoning_tokens": 25}}),
            Usage { input: 9, output: 2, reasoning: 25, ..Usage::default() },
        ),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, "completion_tokens_details": {"reasoning_tokens": 25}}),
            Usage { input: 9, output: 5, reasoning: 25, ..Usage::default() },
        ),
        (
            json!({"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}),
            Usage { input: 5, cached_input: 4, output: 2, ..Usage::default() },
        ),
        (json!({"prompt_tokens": 9, "total_tokens": 11}), Usage { input: 9, output: 2, ..Usage::default() }),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": []}),
            Usage { input: 9, output: 2, ..Usage::default() },
        ),
    ] {
        let mut envelope = full_envelope(Provider::OpenAi);
        envelope["usage"] = usage.clone();
        let reply = decode_bytes(Provider::OpenAi, envelope.to_string().as_bytes()).unwrap();
        assert_eq!(reply.usage, expected, "{usage}");
    }
    let in_choice =
        json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop", "usage": {"prompt_tokens": 3}}]});
    assert_eq!(stream_of(Provider::OpenAi, &[in_choice]).unwrap().usage.input, 3);
}
