//! Streams over HTTP: what a consumer sees, which target is asked, and what the books say.

use crate::stream_setting::{DONE, QUESTION, ROLE, STOP, Setting, delta, read};
use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, StreamOptions};
use madspark::simulator::{Fault, Rule};
use madspark::{ErrorKind, Provider};

#[tokio::test]
async fn the_pieces_joined_are_the_answer_in_every_dialect() {
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Mock] {
        let setting = Setting::asking(provider, false);
        let mut call = setting.router.call(&setting.engine, Request::new(QUESTION), None, None).unwrap();
        call.next(None).await.unwrap();
        let whole = call.finish().unwrap().0;
        let (text, restarts, outcome) = read(setting.stream(StreamOptions::default())).await;
        let response = outcome.unwrap();
        assert_eq!((&text, &response.text, restarts), (&whole.text, &whole.text, 0), "{provider}");
        assert_eq!((response.tokens, response.cost), (whole.tokens, whole.cost), "{provider}");
        assert_eq!((&response.provider, &response.model), (&whole.provider, &whole.model));
        assert_eq!(setting.router.metrics().total_requests, 2);
        assert_eq!(setting.router.metrics().total_tokens, 2 * whole.tokens);
    }
}

#[tokio::test]
async fn role_blank_text_and_comments_commit_to_nothing() {
    let setting = Setting::new();
    let blank = delta(" \n ");
    setting.script(Provider::OpenAi, &[ROLE, ": keep-alive\n\n", &blank, ROLE], Some(Fault::Truncate));
    let (text, restarts, outcome) = read(setting.stream(StreamOptions::default())).await;
    let response = outcome.unwrap();
    assert_eq!((&*response.provider, restarts), ("ollama", 0));
    assert_eq!(text, response.text);
    assert_eq!(setting.asked(), [Provider::OpenAi, Provider::Ollama]);
    let failed = &response.attempts[0];
    assert_eq!((failed.error, failed.status, failed.sent), (Some(ErrorKind::Disconnected), Some(200), true));
    let metrics = setting.router.metrics();
    assert_eq!((metrics.openai_calls, metrics.ollama_calls, metrics.fallback_triggers), (1, 1, 1));
}

#[tokio::test]
async fn blank_text_before_the_first_word_is_part_of_the_answer() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[ROLE, &delta("\n  "), &delta("Yes"), &delta(" \n"), STOP, DONE], None);
    let (text, _, outcome) = read(setting.stream(StreamOptions::default())).await;
    assert_eq!(text, "\n  Yes \n");
    assert_eq!(outcome.unwrap().text, text);
}

#[tokio::test]
async fn a_failure_after_the_first_text_carries_that_text() {
    let setting = Setting::new();
    setting.script(Provider::OpenAi, &[ROLE, &delta("Because "), &delta("wa")], Some(Fault::Truncate));
    let (text, _, outcome) = read(setting.stream(StreamOptions::default())).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.partial()), (ErrorKind::Disconnected, Some("Because wa")));
    assert_eq!((text.as_str(), error.attempts().len()), ("Because wa", 1));
    assert!(!format!("{error} {error:?}").contains("Because"), "the text must not reach a message");
    assert_eq!(setting.asked(), [Provider::OpenAi]);
    assert_eq!(setting.router.metrics().failed_requests, 1);
}

#[tokio::test]
async fn a_restart_drops_the_text_and_asks_the_next_target() {
    let setting = Setting::new();
    setting.script(Provider::OpenAi, &[&delta("Because wa")], Some(Fault::Truncate));
    setting.script(Provider::Ollama, &["{\"message\":{\"content\":\"Since\"},\"done\":false}\n"], None);
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (text, restarts, outcome) = read(setting.stream(options)).await;
    let response = outcome.unwrap();
    assert_eq!((restarts, &text, &*response.provider), (2, &response.text, "gemini"));
    let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(kinds, [Some(ErrorKind::Disconnected), Some(ErrorKind::Truncated), None]);
    assert_eq!(setting.router.metrics().fallback_triggers, 2);
}

#[tokio::test]
async fn a_restart_asks_the_only_target_anew() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let pieces = Some(vec![delta("Because wa").into()]);
    setting.simulator.on(Rule { pieces, fault: Some(Fault::Truncate), times: Some(1), ..Rule::default() }).unwrap();
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (text, restarts, outcome) = read(setting.stream(options)).await;
    let response = outcome.unwrap();
    assert_eq!((restarts, &text, &*response.provider), (1, &response.text, "openai"));
    assert!(!text.contains("Because wa"), "{text}");
    let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(kinds, [Some(ErrorKind::Disconnected), None]);
    assert_eq!(setting.asked(), [Provider::OpenAi; 2]);
    assert_eq!(setting.router.metrics().fallback_triggers, 0);
}

#[tokio::test]
async fn a_restart_fails_once_the_tries_of_the_only_target_are_used_up() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[&delta("Because wa")], Some(Fault::Truncate));
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (_, restarts, outcome) = read(setting.stream(options)).await;
    let error = outcome.unwrap_err();
    // The last failure is told in place of a restart that nothing would follow.
    assert_eq!((restarts, error.kind(), error.partial()), (2, ErrorKind::Disconnected, Some("Because wa")));
    assert!(error.attempts().iter().all(|attempt| attempt.error == Some(ErrorKind::Disconnected)));
    assert_eq!((error.attempts().len(), setting.asked()), (3, vec![Provider::OpenAi; 3]));
    assert_eq!(setting.router.metrics().failed_requests, 1);
}

#[tokio::test]
async fn a_refusal_ends_the_call_before_and_after_the_first_text() {
    let refusal = "data: {\"choices\":[{\"delta\":{\"refusal\":\"I can\"}}]}\n\n\
                   data: {\"choices\":[{\"delta\":{\"refusal\":\"not\"}}]}\n\n";
    for (text, partial) in [(delta(""), None), (delta("Well, "), Some("Well, "))] {
        let setting = Setting::new();
        setting.script(Provider::OpenAi, &[&text, refusal, STOP, DONE], None);
        let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
        let error = read(setting.stream(options)).await.2.unwrap_err();
        assert_eq!((error.kind(), error.partial()), (ErrorKind::Refused, partial));
        assert!(error.message().contains("I cannot"), "{error}");
        assert_eq!(setting.asked(), [Provider::OpenAi]);
    }
}

#[tokio::test]
async fn after_the_terminal_marker_nothing_can_fail() {
    for fault in [Fault::Truncate, Fault::StallMidBody] {
        let setting = Setting::asking(Provider::OpenAi, false);
        setting.script(Provider::OpenAi, &[&delta("Yes."), STOP, DONE], Some(fault));
        assert_eq!(read(setting.stream(StreamOptions::default())).await.2.unwrap().text, "Yes.", "{fault:?}");
    }
    // Without it the finish reason is enough where the end is clean, and only there.
    for (fault, expected) in [(None, None), (Some(Fault::Truncate), Some(ErrorKind::Disconnected))] {
        let setting = Setting::asking(Provider::OpenAi, false);
        setting.script(Provider::OpenAi, &[&delta("Yes."), STOP], fault);
        let outcome = read(setting.stream(StreamOptions::default())).await.2;
        assert_eq!(outcome.err().map(|error| error.kind()), expected);
    }
}

#[tokio::test]
async fn a_whole_document_in_place_of_a_stream_is_read_as_one() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let body = Bytes::from_static(b"{\"choices\":[{\"message\":{\"content\":\"Yes.\"},\"finish_reason\":\"stop\"}]}");
    setting.simulator.on(Rule { body: Some(body), times: Some(1), ..Rule::default() }).unwrap();
    assert_eq!(read(setting.stream(StreamOptions::default())).await.2.unwrap().text, "Yes.");
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    setting.simulator.on(Rule { body: Some(Bytes::from_static(b"<html>")), headers, ..Rule::default() }).unwrap();
    let error = read(setting.stream(StreamOptions::default())).await.2.unwrap_err();
    assert!(error.to_string().contains("is the base URL right?"), "{error}");
}

#[tokio::test]
async fn a_stream_of_which_nothing_can_be_read_is_malformed() {
    let setting = Setting::asking(Provider::Ollama, false);
    setting.script(Provider::Ollama, &["<html>\n", "<body>down</body>\n"], None);
    let error = read(setting.stream(StreamOptions::default())).await.2.unwrap_err();
    assert_eq!((error.causes()[0].kind(), error.attempts()[0].skipped_events), (ErrorKind::MalformedReply, 2));
}
