//! Streams over HTTP: the text, the selected targets, and the accounting.

use crate::stream_harness::{DONE, Harness, QUESTION, ROLE, STOP, delta, read};
use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, StreamOptions};
use madspark::simulator::{Fault, Rule};
use madspark::{ErrorKind, Provider};

#[tokio::test]
async fn the_concatenated_deltas_are_the_answer_of_every_provider() {
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Mock] {
        let harness = Harness::with_provider(provider, false);
        let mut call = harness.router.call(&harness.engine, Request::new(QUESTION), None).unwrap();
        call.next(None).await.unwrap();
        let whole = call.finish().unwrap().0;
        let (text, restarts, outcome) = read(harness.stream(StreamOptions::default())).await;
        let response = outcome.unwrap();
        assert_eq!((&text, &response.text, restarts), (&whole.text, &whole.text, 0), "{provider}");
        assert_eq!((response.tokens, response.cost), (whole.tokens, whole.cost), "{provider}");
        assert_eq!((&response.provider, &response.model), (&whole.provider, &whole.model));
        assert_eq!(harness.router.metrics().total_requests, 2);
        assert_eq!(harness.router.metrics().total_tokens, 2 * whole.tokens);
    }
}

#[tokio::test]
async fn blank_text_and_comments_do_not_count_as_first_text() {
    let harness = Harness::new();
    let blank = delta(" \n ");
    harness.script(Provider::OpenAi, &[ROLE, ": keep-alive\n\n", &blank, ROLE], Some(Fault::Truncate));
    let (text, restarts, outcome) = read(harness.stream(StreamOptions::default())).await;
    let response = outcome.unwrap();
    assert_eq!((&*response.provider, restarts), ("ollama", 0));
    assert_eq!(text, response.text);
    assert_eq!(harness.requested(), [Provider::OpenAi, Provider::Ollama]);
    let failed = &response.attempts[0];
    assert_eq!((failed.error, failed.status, failed.sent), (Some(ErrorKind::Disconnected), Some(200), true));
    let metrics = harness.router.metrics();
    assert_eq!((metrics.openai_calls, metrics.ollama_calls, metrics.fallback_triggers), (1, 1, 1));
}

#[tokio::test]
async fn blank_text_before_the_first_word_is_part_of_the_answer() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.script(Provider::OpenAi, &[ROLE, &delta("\n  "), &delta("Yes"), &delta(" \n"), STOP, DONE], None);
    let (text, _, outcome) = read(harness.stream(StreamOptions::default())).await;
    assert_eq!(text, "\n  Yes \n");
    assert_eq!(outcome.unwrap().text, text);
}

#[tokio::test]
async fn a_failure_after_the_first_text_contains_that_text() {
    let harness = Harness::new();
    harness.script(Provider::OpenAi, &[ROLE, &delta("Because "), &delta("wa")], Some(Fault::Truncate));
    let (text, _, outcome) = read(harness.stream(StreamOptions::default())).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.partial()), (ErrorKind::Disconnected, Some("Because wa")));
    assert_eq!((text.as_str(), error.attempts().len()), ("Because wa", 1));
    assert!(!format!("{error} {error:?}").contains("Because"), "messages must not contain the text");
    assert_eq!(harness.requested(), [Provider::OpenAi]);
    assert_eq!(harness.router.metrics().failed_requests, 1);
}

#[tokio::test]
async fn a_restart_discards_the_text_and_falls_back() {
    let harness = Harness::new();
    harness.script(Provider::OpenAi, &[&delta("Because wa")], Some(Fault::Truncate));
    harness.script(Provider::Ollama, &["{\"message\":{\"content\":\"Since\"},\"done\":false}\n"], None);
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (text, restarts, outcome) = read(harness.stream(options)).await;
    let response = outcome.unwrap();
    assert_eq!((restarts, &text, &*response.provider), (2, &response.text, "gemini"));
    let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(kinds, [Some(ErrorKind::Disconnected), Some(ErrorKind::Disconnected), None]);
    assert_eq!(harness.router.metrics().fallback_triggers, 2);
}

#[tokio::test]
async fn a_restart_retries_the_only_target() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let pieces = Some(vec![delta("Because wa").into()]);
    harness.simulator.on(Rule { pieces, fault: Some(Fault::Truncate), times: Some(1), ..Rule::default() }).unwrap();
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (text, restarts, outcome) = read(harness.stream(options)).await;
    let response = outcome.unwrap();
    assert_eq!((restarts, &text, &*response.provider), (1, &response.text, "openai"));
    assert!(!text.contains("Because wa"), "{text}");
    let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(kinds, [Some(ErrorKind::Disconnected), None]);
    assert_eq!(harness.requested(), [Provider::OpenAi; 2]);
    assert_eq!(harness.router.metrics().fallback_triggers, 0);
}

#[tokio::test]
async fn a_restart_fails_after_the_last_retry_of_the_only_target() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.script(Provider::OpenAi, &[&delta("Because wa")], Some(Fault::Truncate));
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (_, restarts, outcome) = read(harness.stream(options)).await;
    let error = outcome.unwrap_err();
    // The last failure is returned instead of a restart that nothing would follow.
    assert_eq!((restarts, error.kind(), error.partial()), (2, ErrorKind::Disconnected, Some("Because wa")));
    assert!(error.attempts().iter().all(|attempt| attempt.error == Some(ErrorKind::Disconnected)));
    assert_eq!((error.attempts().len(), harness.requested()), (3, vec![Provider::OpenAi; 3]));
    assert_eq!(harness.router.metrics().failed_requests, 1);
}

#[tokio::test]
async fn a_refusal_ends_the_call_before_and_after_the_first_text() {
    let refusal = "data: {\"choices\":[{\"delta\":{\"refusal\":\"I can\"}}]}\n\n\
                   data: {\"choices\":[{\"delta\":{\"refusal\":\"not\"}}]}\n\n";
    for (text, partial) in [(delta(""), None), (delta("Well, "), Some("Well, "))] {
        let harness = Harness::new();
        harness.script(Provider::OpenAi, &[&text, refusal, STOP, DONE], None);
        let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
        let error = read(harness.stream(options)).await.2.unwrap_err();
        assert_eq!((error.kind(), error.partial()), (ErrorKind::Refused, partial));
        assert!(error.message().contains("I cannot"), "{error}");
        assert_eq!(harness.requested(), [Provider::OpenAi]);
    }
}

#[tokio::test]
async fn failures_after_the_terminal_event_are_ignored() {
    for fault in [Fault::Truncate, Fault::StallMidBody] {
        let harness = Harness::with_provider(Provider::OpenAi, false);
        harness.script(Provider::OpenAi, &[&delta("Yes."), STOP, DONE], Some(fault));
        assert_eq!(read(harness.stream(StreamOptions::default())).await.2.unwrap().text, "Yes.", "{fault:?}");
    }
    // Without it, a finish reason is enough only if the body ends normally.
    for (fault, expected) in [(None, None), (Some(Fault::Truncate), Some(ErrorKind::Disconnected))] {
        let harness = Harness::with_provider(Provider::OpenAi, false);
        harness.script(Provider::OpenAi, &[&delta("Yes."), STOP], fault);
        let outcome = read(harness.stream(StreamOptions::default())).await.2;
        assert_eq!(outcome.err().map(|error| error.kind()), expected);
    }
}

#[tokio::test]
async fn a_document_in_place_of_a_stream_is_decoded() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let body = Bytes::from_static(b"{\"choices\":[{\"message\":{\"content\":\"Yes.\"},\"finish_reason\":\"stop\"}]}");
    harness.simulator.on(Rule { body: Some(body), times: Some(1), ..Rule::default() }).unwrap();
    assert_eq!(read(harness.stream(StreamOptions::default())).await.2.unwrap().text, "Yes.");
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    harness.simulator.on(Rule { body: Some(Bytes::from_static(b"<html>")), headers, ..Rule::default() }).unwrap();
    let error = read(harness.stream(StreamOptions::default())).await.2.unwrap_err();
    assert!(error.to_string().contains("is the base URL right?"), "{error}");
}

#[tokio::test]
async fn a_stream_without_a_valid_event_is_malformed() {
    let harness = Harness::with_provider(Provider::Ollama, false);
    harness.script(Provider::Ollama, &["<html>\n", "<body>down</body>\n"], None);
    let error = read(harness.stream(StreamOptions::default())).await.2.unwrap_err();
    assert_eq!((error.causes()[0].kind(), error.attempts()[0].skipped_events), (ErrorKind::MalformedReply, 2));
}
