//! Structured replies as they come: what is shown, what is judged, and what follows a rejection.

use std::sync::Arc;
use std::time::Duration;

use crate::stream_setting::{DONE, LONG, QUESTION, STOP, Setting, delta};
use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, Rejection, Stream, StreamEvent, StreamOptions};
use madspark::schema::{Change, Schema};
use madspark::simulator::{Fault, Rule};
use madspark::{ErrorKind, Provider};
use serde_json::json;

/// `OpenAI` is sent the list as a property of an object.
fn request() -> Request {
    let items = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let schema = Schema::new("List", json!({"type": "array", "items": items})).unwrap();
    Request { schema: Some(Arc::new(schema)), ..Request::new(QUESTION) }
}

fn stream(setting: &Setting, on_error: OnStreamError) -> Stream {
    let options = StreamOptions { on_error, ..StreamOptions::default() };
    setting.router.stream(&setting.engine, request(), None, options).unwrap()
}

fn faults() -> Rejection {
    Rejection { faults: vec!["0.a: too small".to_owned()] }
}

/// What comes up to the whole, and that.
async fn pull(stream: &mut Stream) -> (Vec<String>, String) {
    let mut shown = Vec::new();
    loop {
        match tokio::time::timeout(LONG, stream.next()).await.unwrap().unwrap() {
            Some(StreamEvent::Partial(json)) => shown.push(json),
            Some(StreamEvent::Complete(json)) => return (shown, json),
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_closed_comes_before_the_whole_in_the_callers_form() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let reply = [delta(r#"{"value": [{"a": 1}, {"a": 2"#), delta("}]}"), STOP.to_owned(), DONE.to_owned()];
    setting.script(Provider::OpenAi, &reply.each_ref().map(String::as_str), None);
    let mut stream = stream(&setting, OnStreamError::Fail);
    let (shown, whole) = pull(&mut stream).await;
    assert_eq!(whole, r#"[{"a": 1}, {"a": 2}]"#);
    assert_eq!(shown.last().unwrap(), r#"[{"a":1},{"a":2}]"#);
    // The whole is the end unless it is rejected.
    assert!(stream.next().await.unwrap().is_none());
    let response = stream.finish().unwrap();
    assert_eq!((response.text, &*response.provider), (whole, "openai"));
    assert_eq!(setting.router.metrics().total_requests, 1);
}

#[tokio::test]
async fn a_rejected_whole_is_mended_before_anything_is_dropped() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[&delta(r#"{"value": [{"a": "1"}]}"#), STOP, DONE], None);
    let mut stream = stream(&setting, OnStreamError::Fail);
    let (_, written) = pull(&mut stream).await;
    assert_eq!(written, r#"[{"a": "1"}]"#);
    stream.reject(faults());
    let (shown, mended) = pull(&mut stream).await;
    assert_eq!((shown.len(), mended.as_str()), (0, r#"[{"a": 1}]"#));
    let response = stream.finish().unwrap();
    assert_eq!(response.attempts[0].changes, [Change::TextToNumber]);
    assert_eq!(setting.asked(), [Provider::OpenAi]);
}

#[tokio::test]
async fn a_rejected_whole_fails_with_what_was_shown() {
    let setting = Setting::new();
    setting.script(Provider::OpenAi, &[&delta(r#"{"value": [{"a": 1}]}"#), STOP, DONE], None);
    let mut stream = stream(&setting, OnStreamError::Fail);
    let (_, whole) = pull(&mut stream).await;
    stream.reject(faults());
    let error = stream.next().await.unwrap_err();
    assert_eq!((error.kind(), error.partial()), (ErrorKind::InvalidOutput, Some(r#"[{"a":1}]"#)));
    let rejected = error.rejected().unwrap();
    assert_eq!((&rejected.text, &rejected.faults), (&whole, &faults().faults));
    assert_eq!(error.attempts()[0].error, Some(ErrorKind::InvalidOutput));
    assert_eq!(setting.asked(), [Provider::OpenAi]);
    assert_eq!(setting.router.metrics().failed_requests, 1);
    assert!(stream.next().await.unwrap().is_none());
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_restart_follows_the_policy_repair_first_then_the_next_target() {
    let setting = Setting::new();
    setting.script(Provider::OpenAi, &[&delta(r#"{"value": [{"a": 1}]}"#), STOP, DONE], None);
    let mut stream = stream(&setting, OnStreamError::Restart);
    for asked in [&[Provider::OpenAi][..], &[Provider::OpenAi, Provider::OpenAi]] {
        pull(&mut stream).await;
        assert_eq!(setting.asked(), asked);
        stream.reject(faults());
        let Some(StreamEvent::Restarted(failed)) = stream.next().await.unwrap() else { panic!("no restart") };
        assert_eq!((failed.provider, failed.error), (Provider::OpenAi, Some(ErrorKind::InvalidOutput)));
    }
    pull(&mut stream).await;
    assert_eq!(setting.asked(), [Provider::OpenAi, Provider::OpenAi, Provider::Ollama]);
    let repair = setting.simulator.requests()[1].body.clone();
    assert!(String::from_utf8_lossy(&repair).contains("0.a: too small"));
    assert_eq!(stream.finish().unwrap().attempts.len(), 3);
}

#[tokio::test]
async fn an_answer_cannot_be_taken_after_it_was_rejected() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[&delta(r#"{"value": []}"#), STOP, DONE], None);
    let mut stream = stream(&setting, OnStreamError::Fail);
    pull(&mut stream).await;
    stream.reject(faults());
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_cut_before_the_first_closed_value_is_not_noticed() {
    let setting = Setting::new();
    setting.script(Provider::OpenAi, &[&delta(r#"Sure! {"value": [{"a": 12"#)], Some(Fault::Truncate));
    let mut stream = stream(&setting, OnStreamError::Fail);
    pull(&mut stream).await;
    let response = stream.finish().unwrap();
    assert_eq!(&*response.provider, "ollama");
    let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(kinds, [Some(ErrorKind::Disconnected), None]);
}

#[tokio::test]
async fn a_pull_that_is_dropped_loses_nothing() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let items: Vec<String> = (0..40).map(|number| delta(&format!("{{\"a\": {number}}}, "))).collect();
    let opening = delta(r#"{"value": ["#);
    let closing = delta(r#"{"a": 40}]}"#);
    let pieces = [&opening].into_iter().chain(&items).chain([&closing]).map(String::as_str).chain([STOP, DONE]);
    let pieces = pieces.map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
    let rule = Rule { pieces: Some(pieces), tokens_per_second: Some(200.0), ..Rule::default() };
    setting.simulator.on(rule).unwrap();
    let mut stream = stream(&setting, OnStreamError::Fail);
    let mut shown = 0;
    assert!(stream.next().await.unwrap().is_some());
    let whole = loop {
        // Most of these are dropped while they wait.
        match tokio::time::timeout(Duration::from_millis(2), stream.next()).await {
            Ok(Ok(Some(StreamEvent::Partial(_)))) => shown += 1,
            Ok(Ok(Some(StreamEvent::Complete(json)))) => break json,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    };
    assert!(shown > 1);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&whole).unwrap().len(), 41);
}

#[tokio::test]
async fn a_reply_that_comes_at_once_is_shown_and_judged_as_any_other() {
    for provider in [Provider::OpenAi, Provider::Mock] {
        let setting = Setting::asking(provider, false);
        let body = json!({"choices": [{
            "message": {"content": "Here: {\"value\": [{\"a\": 1}]}"},
            "finish_reason": "stop",
        }]});
        let body = Some(Bytes::from(body.to_string()));
        setting.simulator.on(Rule { body, ..Rule::default() }).unwrap();
        let mut stream = stream(&setting, OnStreamError::Fail);
        let (shown, whole) = pull(&mut stream).await;
        let shown: Vec<serde_json::Value> = shown.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
        assert_eq!(shown, [serde_json::from_str::<serde_json::Value>(&whole).unwrap()], "{provider}");
        assert_eq!(stream.finish().unwrap().text, whole);
    }
}
