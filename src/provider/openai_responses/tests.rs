use http::header::AUTHORIZATION;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::{
    KEY, assert_fails, assert_key_is_hidden, body, bounded, decode, encoded, error, parts, structured, target,
};
use super::super::{ModelOptions, Transcript};
use super::*;
use crate::config::{Effort, OpenAiApi, Provider};
use crate::error::ErrorKind;
use crate::message::{FinishReason, Repair, Usage};
use crate::parameter::{Parameter, Refusal};

const ANSWER: &str = r#"{"title":"Moss walls","score":7.5}"#;

fn at(base: &str) -> Target {
    let target = target(Provider::OpenAi, base, Some(KEY));
    Target { options: ModelOptions { api: OpenAiApi::Responses, ..ModelOptions::default() }, ..target }
}

fn openai() -> Target {
    at("https://api.openai.com/v1")
}

fn usage() -> Value {
    json!({
        "input_tokens": 1290, "input_tokens_details": {"cached_tokens": 1152},
        "output_tokens": 341, "output_tokens_details": {"reasoning_tokens": 320},
        "total_tokens": 1631,
    })
}

fn message(parts: &Value) -> Value {
    json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": parts})
}

fn reasoning() -> Value {
    let summary = json!([{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Second."}]);
    json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": null})
}

fn text(text: &str) -> Value {
    message(&json!([{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]))
}

/// A reply with all the fields of OpenAI's that repeat the request.
fn response(status: &str, output: &Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "background": false, "error": null,
        "incomplete_details": null, "instructions": "Be brief.", "max_output_tokens": null, "metadata": {},
        "model": "gpt-5-mini-2025-08-07", "output": output, "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": "medium", "summary": null}, "service_tier": "default",
        "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage(), "user": null,
    })
}

fn incomplete(reason: &Value, output: &Value) -> Value {
    let mut response = response("incomplete", output);
    response["incomplete_details"] = json!({ "reason": reason });
    response
}

fn ends(kind: &str, response: &Value) -> Value {
    json!({"type": format!("response.{kind}"), "sequence_number": 9, "response": response})
}

fn delta(kind: &str, delta: &Value) -> Value {
    json!({"type": format!("response.{kind}.delta"), "item_id": "i", "output_index": 0, "content_index": 0, "delta": delta})
}

/// The events of a reply with a summary of its reasoning and `text` in two pieces.
fn events(text: &str) -> Vec<Value> {
    let begun = response("in_progress", &json!([]));
    let (first, rest) = text.split_at(text.len() / 2);
    let part = |index, text| json!({"type": "response.reasoning_summary_part.added", "summary_index": index, "part": {"type": "summary_text", "text": text}});
    vec![
        ends("created", &begun),
        ends("in_progress", &begun),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        part(0, ""),
        delta("reasoning_summary_text", &json!("First.")),
        json!({"type": "response.reasoning_summary_text.done", "text": "First."}),
        part(1, ""),
        delta("reasoning_summary_text", &json!("Second.")),
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning()}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "role": "assistant", "content": []}}),
        json!({"type": "response.content_part.added", "part": {"type": "output_text", "text": "", "annotations": []}}),
        delta("output_text", &json!(first)),
        delta("output_text", &json!(rest)),
        json!({"type": "response.output_text.done", "text": text}),
        json!({"type": "response.content_part.done", "part": {"type": "output_text", "text": text}}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": self::text(text)}),
        ends("completed", &response("completed", &json!([reasoning(), self::text(text)]))),
    ]
}

fn stream_of(request: &Request, events: &[Value]) -> Result<Reply> {
    let target = openai();
    let mut transcript = Transcript::new(request);
    for event in events {
        transcript.add(OpenAiResponses.decode_event(&target, &Bytes::from(event.to_string()))?);
    }
    transcript.check(&target, request, None)?;
    transcript.into_reply(&target, request, OpenAiResponses.reply_dialect(&target, request))
}

#[test]
fn a_structured_request_has_the_lowered_schema_and_a_sensitive_key() {
    let request = structured();
    let wire = OpenAiResponses.encode(&openai(), &request).unwrap();
    assert_eq!(wire.url.as_str(), "https://api.openai.com/v1/responses");
    assert_eq!(wire.headers[0].0, AUTHORIZATION);
    assert_key_is_hidden(&wire);
    let lowered = request.schema.as_ref().unwrap().lower(Dialect::OpenAi);
    assert_eq!(
        body(&wire),
        json!({
            "model": "the-model",
            "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": "Name an idea."}],
            "temperature": 0.0,
            "text": {"format": {
                "type": "json_schema", "name": "Idea", "strict": lowered.is_strict(), "schema": lowered.document(),
            }},
            "store": false,
        })
    );
    let streamed = body(&OpenAiResponses.encode_stream(&openai(), &Request::new("?")).unwrap());
    assert_eq!((&streamed["stream"], streamed.get("stream_options")), (&json!(true), None));
    assert_eq!((streamed.get("instructions"), streamed.get("text")), (None, None));
}

#[test]
fn options_have_the_names_of_the_protocol() {
    let options = ModelOptions {
        effort: Some(Effort::Low),
        service_tier: Some("flex".into()),
        api: OpenAiApi::Responses,
        ..ModelOptions::default()
    };
    let body = encoded(&Target { options, ..openai() }, &bounded());
    assert_eq!((&body["max_output_tokens"], &body["temperature"]), (&json!(64), &json!(0.9)));
    assert_eq!((&body["reasoning"], &body["service_tier"]), (&json!({"effort": "low"}), &json!("flex")));
    for absent in ["max_tokens", "max_completion_tokens", "reasoning_effort"] {
        assert_eq!(body.get(absent), None, "{absent}");
    }
    // OpenAI accepts no lower limit.
    let small = Request { max_tokens: Some(5), ..bounded() };
    assert_eq!(encoded(&openai(), &small)["max_output_tokens"], json!(16));
    assert_eq!(encoded(&at("http://h/v1"), &small)["max_output_tokens"], json!(5));
}

#[test]
fn reasoning_models_get_no_temperature() {
    let target = Target { model: "gpt-5-mini".into(), ..openai() };
    let body = encoded(&target, &bounded());
    assert_eq!((body.get("temperature"), &body["max_output_tokens"]), (None, &json!(64)));
    let thinks_less = Adjustments::default().with_less_thinking();
    let less = encoded(&target, &Request { adjustments: thinks_less, ..bounded() });
    assert_eq!(less["reasoning"], json!({"effort": "minimal"}));
}

#[test]
fn refused_parameters_are_left_out() {
    let options = ModelOptions { effort: Some(Effort::Low), api: OpenAiApi::Responses, ..ModelOptions::default() };
    let target = Target { options, ..openai() };
    for (parameter, field, message) in [
        ("temperature", "temperature", "Unsupported parameter: 'temperature' is not supported with this model."),
        (
            "reasoning.effort",
            "reasoning",
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
        ),
        ("reasoning", "reasoning", "Unknown parameter: 'reasoning'."),
        ("max_output_tokens", "max_output_tokens", "Unknown parameter: 'max_output_tokens'."),
    ] {
        let fault =
            json!({"error": {"message": message, "type": "invalid_request_error", "param": parameter, "code": "x"}});
        let error = OpenAiResponses.reclassify(&target, &bounded(), error(&target, 400, &fault.to_string()));
        assert_eq!(error.kind(), ErrorKind::ParameterRejected, "{parameter}");
        let adjustments = Adjustments::default().after(error.refusal().unwrap());
        let request = Request { adjustments, ..bounded() };
        assert_eq!(encoded(&target, &request).get(field), None, "{parameter}");
    }
    let low = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 5 instead.";
    assert!(!Refusal::new([Parameter::MaxOutputTokens], low).unwrap().is_lasting());
}

#[test]
fn a_rejected_schema_takes_simpler_forms() {
    let target = at("https://example.org/v1");
    let fault = |message: &str, param: &str| {
        let body =
            json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": null}});
        error(&target, 400, &body.to_string())
    };
    for (message, param) in [
        (
            "Invalid schema for response_format 'Idea': In context=(), 'minItems' is not permitted.",
            "text.format.schema",
        ),
        ("Invalid parameter: 'text.format' of type 'json_schema' is not supported with this model.", "text.format"),
        ("Unsupported parameter: 'text.format'.", "text.format"),
    ] {
        let error = OpenAiResponses.reclassify(&target, &structured(), fault(message, param));
        assert_eq!(error.kind(), ErrorKind::SchemaRejected, "{message}");
        let (form, _) = OpenAiResponses.simpler_form(&target, &structured(), &error).unwrap();
        assert_eq!(form, SchemaForm::Prompted, "{message}");
    }
    let prompted = encoded(&target, &Request { form: SchemaForm::Prompted, ..structured() });
    assert_eq!(prompted.get("text"), None);
    assert!(prompted["instructions"].as_str().unwrap().contains("JSON Schema"));
}

#[test]
fn files_are_parts_and_a_repair_is_an_output_text() {
    let repair = Repair { reply: "{}".into(), instruction: "title: missing".into(), form: None };
    let request =
        Request { parts: parts().into_iter().take(3).collect(), repair: Some(repair), ..Request::new("What is it?") };
    assert_eq!(
        encoded(&openai(), &request)["input"],
        json!([
            {"type": "message", "role": "user", "content": [
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"},
                {"type": "input_file", "filename": "paper.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                {"type": "input_text", "text": "Document \"notes.md\":\n~~~~~\n# Notes\n~~~~~\n\nWhat is it?"},
            ]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "{}"}]},
            {"type": "message", "role": "user", "content": "title: missing"},
        ])
    );
    let error = OpenAiResponses.encode(&at("http://localhost:1/v1"), &request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_reply_is_the_same_whole_and_streamed() {
    let whole = response("completed", &json!([reasoning(), text(ANSWER)]));
    for request in [structured(), Request::new("?")] {
        for reply in [decode(&openai(), &request, &whole.to_string()), stream_of(&request, &events(ANSWER))] {
            let reply = reply.unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(&reply.text).unwrap(),
                json!({"title": "Moss walls", "score": 7.5})
            );
            assert_eq!(reply.model.as_deref(), Some("gpt-5-mini-2025-08-07"));
            assert_eq!((reply.finish, reply.finish_detail.as_deref()), (FinishReason::Stop, Some("completed")));
            assert_eq!(reply.reasoning.as_deref(), Some("First.\n\nSecond."));
            assert_eq!(reply.usage, Usage { input: 138, cached_input: 1152, output: 21, reasoning: 320, tool: 0 });
        }
    }
}

#[test]
fn texts_that_arrive_only_at_the_end_count() {
    let end = |status: &str, output: Value| vec![ends(status, &response(status, &output))];
    assert_eq!(stream_of(&Request::new("?"), &end("completed", json!([text("Moss.")]))).unwrap().text, "Moss.");
    let refusal = message(&json!([{"type": "refusal", "refusal": "I cannot."}]));
    let refused = stream_of(&Request::new("?"), &end("completed", json!([refusal])));
    assert_fails(refused, ErrorKind::Refused, "I cannot.");
    let twice = [delta("output_text", &json!("Moss.")), end("completed", json!([text("Moss.")])).remove(0)];
    assert_eq!(stream_of(&Request::new("?"), &twice).unwrap().text, "Moss.");
}

#[test]
fn ends_are_classified_whole_and_streamed() {
    let half = json!([text("Half of")]);
    let refusal = json!([message(&json!([{"type": "refusal", "refusal": "I cannot."}]))]);
    let call = json!([{"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}]);
    for (envelope, kind, hint) in [
        (incomplete(&json!("max_output_tokens"), &half), ErrorKind::ThinkingTruncated, "cut at the limit"),
        (incomplete(&json!("content_filter"), &half), ErrorKind::Blocked, "content_filter"),
        (incomplete(&json!("a_new_one"), &half), ErrorKind::ThinkingTruncated, "cut at the limit"),
        (incomplete(&Value::Null, &half), ErrorKind::ThinkingTruncated, "cut at the limit"),
        (response("failed", &half), ErrorKind::Server, "the server failed"),
        (response("cancelled", &half), ErrorKind::Server, "(cancelled)"),
        (response("completed", &refusal), ErrorKind::Refused, "I cannot."),
        (response("completed", &call), ErrorKind::EmptyReply, "a call of a tool"),
        (response("completed", &json!([])), ErrorKind::EmptyReply, "(completed)"),
        (response("completed", &json!([reasoning()])), ErrorKind::ThinkingOnly, "(reasoning)"),
    ] {
        let status = envelope["status"].as_str().unwrap().to_owned();
        let streamed = stream_of(&Request::new("?"), &[ends(&status, &envelope)]);
        for reply in [decode(&openai(), &Request::new("?"), &envelope.to_string()), streamed] {
            assert_fails(reply, kind, hint);
        }
    }
    let cut = incomplete(&json!("max_output_tokens"), &half);
    let reply = decode(&openai(), &bounded(), &cut.to_string()).unwrap();
    assert_eq!((reply.finish, reply.finish_detail.as_deref()), (FinishReason::Length, Some("max_output_tokens")));
}

#[test]
fn errors_have_their_words_wherever_they_are() {
    for (fault, kind) in [
        (json!({"code": "server_error", "message": "it broke"}), ErrorKind::Server),
        (json!({"code": "rate_limit_exceeded", "message": "it broke"}), ErrorKind::RateLimited),
        (json!({"code": "invalid_prompt", "message": "it broke"}), ErrorKind::Blocked),
    ] {
        let mut failed = response("failed", &json!([]));
        failed["error"] = fault.clone();
        let mut flat = fault.clone();
        flat["type"] = json!("error");
        let wrapped = json!({"type": "error", "sequence_number": 3, "error": fault});
        assert_fails(decode(&openai(), &Request::new("?"), &failed.to_string()), kind, "it broke");
        assert_fails(decode(&openai(), &Request::new("?"), &json!({ "error": fault }).to_string()), kind, "it broke");
        for event in [ends("failed", &failed), flat, wrapped] {
            let begun = delta("output_text", &json!("Half of"));
            assert_fails(stream_of(&Request::new("?"), &[begun, event]), kind, "it broke");
        }
    }
}

#[test]
fn replies_of_other_servers_say_so() {
    let chat = r#"{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]}"#;
    assert_fails(decode(&openai(), &Request::new("?"), chat), ErrorKind::MalformedReply, "responses API");
    let event = OpenAiResponses.decode_event(&openai(), &Bytes::from_static(chat.as_bytes()));
    assert_eq!(event.unwrap_err().kind(), ErrorKind::MalformedReply);
}

#[test]
fn deviating_shapes_lose_no_text() {
    for output in [
        json!([{"type": "message", "content": "Moss."}]),
        json!([{"content": [{"text": "Moss."}]}]),
        json!({"type": "message", "content": {"type": "text", "text": "Moss."}}),
        json!([{"type": "output_text", "text": "Moss."}]),
        json!([{"type": "message", "content": [{"text": "Mo"}, {"type": "a_new_one", "text": "ss."}]}]),
        json!("Moss."),
    ] {
        let reply = decode(&openai(), &Request::new("?"), &response("completed", &output).to_string()).unwrap();
        assert_eq!(reply.text, "Moss.", "{output}");
    }
    let object = json!([{"type": "message", "content": {"title": "Moss walls", "score": 7.5}}]);
    let reply = decode(&openai(), &structured(), &response("completed", &object).to_string()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), json!({"title": "Moss walls", "score": 7.5}));
    let flat = json!({"output_text": "Moss.", "status": "completed"});
    assert_eq!(decode(&openai(), &Request::new("?"), &flat.to_string()).unwrap().text, "Moss.");
    let number = [delta("output_text", &json!("Moss ")), delta("output_text", &json!(7)), events("").pop().unwrap()];
    assert_eq!(stream_of(&Request::new("?"), &number).unwrap().text, "Moss 7");
    let begun = json!({"type": "response.content_part.added", "part": {"type": "output_text", "text": "Mo"}});
    let late = [begun, delta("output_text", &json!("ss.")), events("").pop().unwrap()];
    assert_eq!(stream_of(&Request::new("?"), &late).unwrap().text, "Moss.");
}

#[test]
fn the_events_before_the_text_are_signs_of_life_of_their_own_kind() {
    let is_keep_alive =
        |event: &Value| OpenAiResponses.decode_event(&openai(), &Bytes::from(event.to_string())).unwrap().is_keep_alive;
    assert!(is_keep_alive(&ends("queued", &response("queued", &json!([])))));
    assert!(is_keep_alive(&json!({"type": "keepalive", "sequence_number": 4})));
    assert!(!is_keep_alive(&ends("created", &response("in_progress", &json!([])))));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("(type|text|code|message|status)", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_in_an_optional_field_costs_no_text(
        value in any_json(),
        field in prop::sample::select(vec![
            "id", "object", "created_at", "incomplete_details", "instructions", "metadata", "model", "reasoning",
            "service_tier", "store", "text", "tools", "usage", "user", "a_new_one",
        ]),
    ) {
        let mut whole = response("completed", &json!([text("Moss.")]));
        whole[field] = value.clone();
        let reply = decode(&openai(), &Request::new("?"), &whole.to_string()).unwrap();
        prop_assert_eq!(&reply.text, "Moss.");
        let mut all = events("Moss.");
        for event in &mut all {
            for name in ["sequence_number", "item_id", "output_index", "content_index", "summary_index", field] {
                event[name] = value.clone();
            }
            if let Some(Value::Object(response)) = event.get_mut("response") {
                response.insert(field.to_owned(), value.clone());
            }
        }
        prop_assert_eq!(&stream_of(&Request::new("?"), &all).unwrap().text, "Moss.");
    }

    #[test]
    fn any_event_is_decoded_or_refused(value in any_json(), kind in "(response\\.[a-z_]{1,12}\\.?(delta|done|added)?|error)") {
        let event = json!({"type": kind, "delta": value, "item": value, "part": value, "response": value, "error": value});
        let _ = OpenAiResponses.decode_event(&openai(), &Bytes::from(event.to_string()));
    }
}
