//! Structured streams: partial replies, validation, and what follows a rejection.

use std::sync::Arc;
use std::time::Duration;

use crate::stream_harness::{DONE, Harness, QUESTION, STOP, TIMEOUT, delta};
use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, Rejection, Stream, StreamEvent, StreamOptions};
use madspark::schema::{Change, Schema};
use madspark::simulator::{Fault, Rule};
use madspark::{ErrorKind, Provider};
use serde_json::json;

/// A list of objects, which is sent to `OpenAI` as a property of an object.
fn request() -> Request {
    let items = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let schema = Schema::new("List", json!({"type": "array", "items": items})).unwrap();
    Request { schema: Some(Arc::new(schema)), ..Request::new(QUESTION) }
}

fn stream(harness: &Harness, on_error: OnStreamError) -> Stream {
    let options = StreamOptions { on_error, ..StreamOptions::default() };
    harness.router.stream(&harness.engine, request(), None, options).unwrap()
}

fn rejection() -> Rejection {
    Rejection { faults: vec!["0.a: too small".to_owned()] }
}

/// Reads up to the complete reply. Returns the partial replies and the complete one.
async fn read(stream: &mut Stream) -> (Vec<String>, String) {
    let mut partials = Vec::new();
    loop {
        match tokio::time::timeout(TIMEOUT, stream.next()).await.unwrap().unwrap() {
            Some(StreamEvent::Partial(json)) => partials.push(json),
            Some(StreamEvent::Complete(json)) => return (partials, json),
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn partial_replies_have_the_form_of_the_callers_schema() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let reply = [delta(r#"{"value": [{"a": 1}, {"a": 2"#), delta("}]}"), STOP.to_owned(), DONE.to_owned()];
    harness.script(Provider::OpenAi, &reply.each_ref().map(String::as_str), None);
    let mut stream = stream(&harness, OnStreamError::Fail);
    let (partials, complete) = read(&mut stream).await;
    assert_eq!(complete, r#"[{"a": 1}, {"a": 2}]"#);
    assert_eq!(partials.last().unwrap(), r#"[{"a":1},{"a":2}]"#);
    // The complete reply is the end unless it is rejected.
    assert!(stream.next().await.unwrap().is_none());
    let response = stream.finish().unwrap();
    assert_eq!((response.text, &*response.provider), (complete, "openai"));
    assert_eq!(harness.router.metrics().total_requests, 1);
}

#[tokio::test]
async fn a_rejected_reply_is_repaired_without_a_request() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.script(Provider::OpenAi, &[&delta(r#"{"value": [{"a": "1"}]}"#), STOP, DONE], None);
    let mut stream = stream(&harness, OnStreamError::Fail);
    let (_, written) = read(&mut stream).await;
    assert_eq!(written, r#"[{"a": "1"}]"#);
    stream.reject(rejection());
    let (partials, repaired) = read(&mut stream).await;
    assert_eq!((partials.len(), repaired.as_str()), (0, r#"[{"a": 1}]"#));
    let response = stream.finish().unwrap();
    assert_eq!(response.attempts[0].changes, [Change::TextToNumber]);
    assert_eq!(harness.requested(), [Provider::OpenAi]);
}

#[tokio::test]
async fn a_rejected_reply_fails_with_the_last_partial_reply() {
    let harness = Harness::new();
    harness.script(Provider::OpenAi, &[&delta(r#"{"value": [{"a": 1}]}"#), STOP, DONE], None);
    let mut stream = stream(&harness, OnStreamError::Fail);
    let (_, complete) = read(&mut stream).await;
    stream.reject(rejection());
    let error = stream.next().await.unwrap_err();
    assert_eq!((error.kind(), error.partial()), (ErrorKind::InvalidOutput, Some(r#"[{"a":1}]"#)));
    let rejected = error.rejected().unwrap();
    assert_eq!((&rejected.text, &rejected.faults), (&complete, &rejection().faults));
    assert_eq!(error.attempts()[0].error, Some(ErrorKind::InvalidOutput));
    assert_eq!(harness.requested(), [Provider::OpenAi]);
    assert_eq!(harness.router.metrics().failed_requests, 1);
    assert!(stream.next().await.unwrap().is_none());
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_restart_requests_a_repair_and_then_falls_back() {
    let harness = Harness::new();
    harness.script(Provider::OpenAi, &[&delta(r#"{"value": [{"a": 1}]}"#), STOP, DONE], None);
    let mut stream = stream(&harness, OnStreamError::Restart);
    for requested in [&[Provider::OpenAi][..], &[Provider::OpenAi, Provider::OpenAi]] {
        read(&mut stream).await;
        assert_eq!(harness.requested(), requested);
        stream.reject(rejection());
        let Some(StreamEvent::Restarted(failed)) = stream.next().await.unwrap() else { panic!("no restart") };
        assert_eq!((failed.provider, failed.error), (Provider::OpenAi, Some(ErrorKind::InvalidOutput)));
    }
    read(&mut stream).await;
    assert_eq!(harness.requested(), [Provider::OpenAi, Provider::OpenAi, Provider::Ollama]);
    let repair = harness.simulator.requests()[1].body.clone();
    assert!(String::from_utf8_lossy(&repair).contains("0.a: too small"));
    assert_eq!(stream.finish().unwrap().attempts.len(), 3);
}

#[tokio::test]
async fn finish_fails_after_a_rejection() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.script(Provider::OpenAi, &[&delta(r#"{"value": []}"#), STOP, DONE], None);
    let mut stream = stream(&harness, OnStreamError::Fail);
    read(&mut stream).await;
    stream.reject(rejection());
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_failure_before_the_first_partial_reply_falls_back() {
    let harness = Harness::new();
    harness.script(Provider::OpenAi, &[&delta(r#"Sure! {"value": [{"a": 12"#)], Some(Fault::Truncate));
    let mut stream = stream(&harness, OnStreamError::Fail);
    read(&mut stream).await;
    let response = stream.finish().unwrap();
    assert_eq!(&*response.provider, "ollama");
    let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(kinds, [Some(ErrorKind::Disconnected), None]);
}

#[tokio::test]
async fn dropping_next_loses_no_partial_reply() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let items: Vec<String> = (0..40).map(|number| delta(&format!("{{\"a\": {number}}}, "))).collect();
    let opening = delta(r#"{"value": ["#);
    let closing = delta(r#"{"a": 40}]}"#);
    let pieces = [&opening].into_iter().chain(&items).chain([&closing]).map(String::as_str).chain([STOP, DONE]);
    let pieces = pieces.map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
    let rule = Rule { pieces: Some(pieces), tokens_per_second: Some(200.0), ..Rule::default() };
    harness.simulator.on(rule).unwrap();
    let mut stream = stream(&harness, OnStreamError::Fail);
    let mut partials = 0;
    assert!(stream.next().await.unwrap().is_some());
    let complete = loop {
        // Most of these futures are dropped while they wait.
        match tokio::time::timeout(Duration::from_millis(2), stream.next()).await {
            Ok(Ok(Some(StreamEvent::Partial(_)))) => partials += 1,
            Ok(Ok(Some(StreamEvent::Complete(json)))) => break json,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    };
    assert!(partials > 1);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&complete).unwrap().len(), 41);
}

#[tokio::test]
async fn a_reply_that_is_not_streamed_has_one_partial_reply() {
    for provider in [Provider::OpenAi, Provider::Mock] {
        let harness = Harness::with_provider(provider, false);
        let body = json!({"choices": [{
            "message": {"content": "Here: {\"value\": [{\"a\": 1}]}"},
            "finish_reason": "stop",
        }]});
        let body = Some(Bytes::from(body.to_string()));
        harness.simulator.on(Rule { body, ..Rule::default() }).unwrap();
        let mut stream = stream(&harness, OnStreamError::Fail);
        let (partials, complete) = read(&mut stream).await;
        let partials: Vec<serde_json::Value> =
            partials.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
        assert_eq!(partials, [serde_json::from_str::<serde_json::Value>(&complete).unwrap()], "{provider}");
        assert_eq!(stream.finish().unwrap().text, complete);
    }
}
