//! Errors in the envelopes of many servers.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::steps::testing::counted;

fn in_reply(document: &Value) -> Option<String> {
    ErrorBody::in_reply(document).map(|error| error.message)
}

#[test]
fn an_error_in_a_reply_is_found_whatever_its_shape() {
    for document in [
        json!({"error": "words"}),
        json!({"error": {"message": "words"}}),
        json!({"error": {"msg": "words", "code": 500}}),
        json!({"error": [{"message": "words"}]}),
        json!({"error": true, "message": "words"}),
        json!({"code": 1113, "message": "words"}),
        json!({"code": "500", "msg": "words", "data": null}),
        json!({"object": "error", "message": "words", "type": "BadRequestError", "code": 400}),
        json!({"type": "error", "error": {"type": "api_error", "message": "words"}}),
        json!({"message": "words"}),
        json!({"detail": "words"}),
        json!({"success": false, "errors": [{"code": 7003, "message": "words"}]}),
        json!({"status": "error", "error_message": "words"}),
        json!({"base_resp": {"status_code": 1004, "status_msg": "words"}, "choices": null}),
        json!({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "words"}, "message": {"content": "ha"}}]}),
        json!({"id": "x", "choices": [], "error": {"message": "words"}}),
        json!([{"error": {"message": "words"}}]),
        json!("error: words"),
    ] {
        let message = in_reply(&document).unwrap_or_else(|| panic!("{document}"));
        assert!(message.contains("words"), "{document}: {message}");
    }
}

#[test]
fn a_reply_is_no_error() {
    for document in [
        json!({"choices": [{"message": {"content": "error: no"}}], "error": null}),
        json!({"choices": [{"message": {"content": "hi"}}], "error": {}, "message": "words"}),
        json!({"choices": [{"message": {"content": "hi"}}], "error": ""}),
        json!({"choices": [{"message": {"content": "hi"}}], "error": false}),
        json!({"choices": [{"message": {"content": "hi"}, "error": null}], "error": {"code": null, "message": ""}}),
        json!({"candidates": [{"content": {}}]}),
        json!({"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": true}),
        json!({"type": "message_start", "message": {"content": []}}),
        json!({"type": "ping"}),
        json!({"type": "notice", "message": "words"}),
        json!({"code": 0, "msg": "success", "data": {}}),
        json!({"success": true, "message": "ok"}),
        json!({}),
        json!([]),
        json!(null),
        json!(7),
    ] {
        assert_eq!(in_reply(&document), None, "{document}");
    }
}

#[test]
fn data_that_is_no_json_is_an_error_if_it_says_so() {
    for data in
        ["error: out of memory", "[ERROR] no", "Internal Server Error", "\"Exception: no\"", "upstream timed out"]
    {
        let message = ErrorBody::in_text(data.as_bytes()).map(|error| error.message);
        assert_eq!(message.as_deref(), Some(data.trim_matches('"')), "{data}");
    }
    for data in ["[DONE]", "hello", "", "{\"error\":", "<html>error"] {
        assert!(ErrorBody::in_text(data.as_bytes()).is_none(), "{data}");
    }
}

#[test]
fn the_words_of_a_cause_follow_those_of_the_error() {
    let message = |body: &str| ErrorBody::parse(500, body.as_bytes()).message;
    let nested = r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"no memory\"}}"}}}"#;
    assert_eq!(message(nested), "Provider returned error: no memory");
    assert_eq!(
        message(r#"{"error":"Bad Request","message":"temperature is wrong","statusCode":400}"#),
        "temperature is wrong: Bad Request"
    );
    assert_eq!(message(r#"{"error":{"code":"E7","type":"odd"}}"#), "failed without saying why (E7, odd)");
    assert_eq!(message("\u{feff}{\"error\":\"no\"}"), "no");
    assert_eq!(message("data: {\"error\":\"no\"}\n\n"), "no");
    assert_eq!(message("event: error\ndata: {\"message\":\"no\"}\n\n"), "no");
    assert_eq!(message("<html><head><title>502 Bad Gateway</title></head></html>"), "502 Bad Gateway");
    assert_eq!(ErrorBody::parse(500, b"{\"error\":\"a\xff\"}").message, "a\u{fffd}");
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z {\\[\"é]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let name = prop_oneof![
            Just("error"),
            Just("message"),
            Just("code"),
            Just("metadata"),
            Just("raw"),
            Just("detail"),
            Just("loc"),
            Just("msg"),
            Just("headers"),
            Just("retry_after"),
            Just("choices"),
            Just("param")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_read(document in documents(), status in 200_u16..600) {
        let error = ErrorBody::parse(status, document.to_string().as_bytes());
        prop_assert!(!error.message.is_empty());
        error.kind(status);
        error.refused_parameters();
        error.wait(crate::error::ErrorKind::RateLimited, &http::HeaderMap::new());
        if let Some(error) = ErrorBody::in_reply(&document) {
            prop_assert!(!error.message.is_empty());
            error.kind(error.status());
        }
    }

    #[test]
    fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..200), status in 200_u16..600) {
        let error = ErrorBody::parse(status, &body);
        prop_assert!(!error.message.is_empty());
        error.kind(status);
        error.wait(crate::error::ErrorKind::RateLimited, &http::HeaderMap::new());
    }
}

#[test]
fn the_words_of_an_error_take_linear_time() {
    let steps = |count: usize| {
        let fields: Map<String, Value> = (0..count)
            .map(|index| (format!("message{}", "_".repeat(index)), format!("words {index}").into()))
            .collect();
        counted(|| ErrorBody::in_reply(&serde_json::json!({"error": fields})))
    };
    assert!(2 * steps(2000) <= 5 * steps(1000), "{} and {} steps", steps(1000), steps(2000));
}
