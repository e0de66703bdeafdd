//! Streams over HTTP: what a consumer sees, which target is asked, and what the books say.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, Overrides, Response, Stream, StreamEvent, StreamOptions};
use madspark::simulator::{Fault, Route, Rule, Simulator};
use madspark::{Config, Engine, Error, ErrorKind, Provider, ProviderChoice, Router, Secret};

/// Long enough never to matter.
const LONG: Duration = Duration::from_secs(20);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(150);

const QUESTION: &str = "Why do rivers bend?";

struct Setting {
    simulator: Simulator,
    engine: Arc<Engine>,
    router: Arc<Router>,
}

impl Setting {
    /// OpenAI first, then Ollama and Gemini.
    fn new() -> Self {
        Self::asking(Provider::OpenAi, true)
    }

    fn asking(provider: Provider, fallback: bool) -> Self {
        let simulator = Simulator::start().unwrap();
        let config = Config {
            ollama_host: simulator.ollama_url(),
            gemini_base_url: simulator.gemini_url(),
            gemini_api_key: Some(Secret::new("a-key-of-no-worth")),
            openai_base_url: simulator.openai_url(),
            openai_model: Some("simulated".to_owned()),
            ..Config::default()
        };
        let primary_provider = Some(ProviderChoice::Pinned(provider));
        let overrides = Overrides { primary_provider, fallback_enabled: Some(fallback), ..Overrides::default() };
        let router = Arc::new(Router::new(Arc::new(config), overrides));
        Self { simulator, engine: Arc::new(Engine::new()), router }
    }

    fn stream(&self, options: StreamOptions) -> Stream {
        self.router.stream(&self.engine, Request::new(QUESTION), None, options).unwrap()
    }

    /// Scripts what OpenAI's stream consists of, and how it ends.
    fn script(&self, provider: Provider, pieces: &[&str], fault: Option<Fault>) {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        let route = Route::Provider(provider);
        self.simulator.on(Rule { route, pieces: Some(pieces), fault, ..Rule::default() }).unwrap();
    }

    fn asked(&self) -> Vec<Provider> {
        self.simulator.requests().iter().filter_map(|request| request.provider).collect()
    }
}

/// The text after the last restart, the number of restarts, and how it ended.
async fn read(mut stream: Stream) -> (String, usize, Result<Response, Error>) {
    let (mut text, mut restarts) = (String::new(), 0);
    loop {
        match tokio::time::timeout(LONG, stream.next()).await.unwrap() {
            Ok(Some(StreamEvent::Delta(piece))) => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
            }
            Ok(Some(StreamEvent::Restarted(failed))) => {
                assert!(!failed.ok());
                text.clear();
                restarts += 1;
            }
            Ok(None) => {
                // The end stays the end.
                assert!(stream.next().await.unwrap().is_none());
                return (text, restarts, stream.finish());
            }
            Err(error) => {
                assert!(stream.next().await.unwrap().is_none());
                assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
                return (text, restarts, Err(error));
            }
        }
    }
}

fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text:?}}}}}]}}\n\n")
}

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn the_pieces_joined_are_the_answer_in_every_dialect() {
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Mock] {
        let setting = Setting::asking(provider, false);
        let mut call = setting.router.call(&setting.engine, Request::new(QUESTION), None).unwrap();
        call.next(None).await.unwrap();
        let whole = call.finish().unwrap();
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
async fn a_restart_without_another_target_fails() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[&delta("Because wa")], Some(Fault::Truncate));
    let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
    let (_, restarts, outcome) = read(setting.stream(options)).await;
    let error = outcome.unwrap_err();
    assert_eq!((restarts, error.kind(), error.partial()), (0, ErrorKind::Disconnected, Some("Because wa")));
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
async fn each_time_limit_names_itself() {
    let trickle: Vec<String> = (0..200).map(|number| delta(&number.to_string())).collect();
    let trickle: Vec<&str> = trickle.iter().map(String::as_str).collect();
    let unlimited =
        StreamOptions { first: Some(LONG), idle: Some(LONG), total: Some(LONG), ..StreamOptions::default() };
    for (pieces, fault, rate, options, told) in [
        (&[ROLE][..], Some(Fault::StallMidBody), None, StreamOptions { first: Some(SHORT), ..unlimited }, "no text"),
        (
            &[ROLE, &delta("a")][..],
            Some(Fault::StallMidBody),
            None,
            StreamOptions { idle: Some(SHORT), ..unlimited },
            "stood still",
        ),
        (&trickle[..], None, Some(50.0), StreamOptions { total: Some(SHORT), ..unlimited }, "not complete"),
    ] {
        let setting = Setting::asking(Provider::OpenAi, false);
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        setting.simulator.on(Rule { pieces: Some(pieces), fault, tokens_per_second: rate, ..Rule::default() }).unwrap();
        let error = read(setting.stream(options)).await.2.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let kind = error.causes().last().map_or(error.kind(), Error::kind);
        assert_eq!(kind, ErrorKind::Timeout);
        assert!(setting.simulator.wait_for_async(LONG, |asked| asked[0].hung_up).await, "the socket stays open");
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
async fn dropping_a_stream_or_its_pull_closes_the_socket() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[&delta("Because")], Some(Fault::StallMidBody));
    let mut stream = setting.stream(StreamOptions::default());
    assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Delta(text)) if text == "Because"));
    assert_eq!(setting.simulator.in_flight(), 1);
    drop(stream);
    assert!(setting.simulator.wait_for_async(LONG, |asked| asked[0].hung_up).await);
}

#[tokio::test]
async fn a_dropped_pull_loses_no_text() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.simulator.set_tokens_per_second(Some(200.0)).unwrap();
    let mut stream = setting.stream(StreamOptions::default());
    let mut text = String::new();
    loop {
        // Most of these are dropped while they wait.
        match tokio::time::timeout(Duration::from_millis(2), stream.next()).await {
            Ok(event) => match event.unwrap() {
                Some(StreamEvent::Delta(piece)) => text.push_str(&piece),
                Some(StreamEvent::Restarted(_)) => unreachable!("nothing fails here"),
                None => break,
            },
            Err(_) if text.is_empty() => {
                // The request itself is dropped with its pull: begin anew with one that is waited for.
                if let Some(StreamEvent::Delta(piece)) = stream.next().await.unwrap() {
                    text.push_str(&piece);
                }
            }
            Err(_) => {}
        }
    }
    assert_eq!(stream.finish().unwrap().text, text);
}

#[tokio::test]
async fn connections_are_used_again_after_a_whole_stream() {
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi] {
        let setting = Setting::asking(provider, false);
        for _ in 0..3 {
            read(setting.stream(StreamOptions::default())).await.2.unwrap();
        }
        assert!(setting.simulator.requests().iter().all(|request| request.connection == 0), "{provider}");
    }
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_before_anything_is_sent() {
    let setting = Setting::new();
    let options = StreamOptions { idle: Some(Duration::ZERO), ..StreamOptions::default() };
    let refused = setting.router.stream(&setting.engine, Request::new(QUESTION), None, options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let refused =
        setting.router.stream(&setting.engine, Request::new(" "), None, StreamOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!("continue".parse::<OnStreamError>().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(setting.router.metrics().total_requests, 0);
}
