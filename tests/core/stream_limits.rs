//! Streams over HTTP: time limits, connections, and invalid options.

use std::time::Duration;

use crate::stream_harness::{DONE, Harness, QUESTION, ROLE, STOP, TIMEOUT, delta, read};
use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, Policy, StreamEvent, StreamOptions};
use madspark::simulator::{Fault, Rule};
use madspark::{Error, ErrorKind, Provider};

/// A time limit that expires.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn each_time_limit_has_its_error() {
    let trickle: Vec<String> = (0..200).map(|number| delta(&number.to_string())).collect();
    let trickle: Vec<&str> = trickle.iter().map(String::as_str).collect();
    let unlimited =
        StreamOptions { first: Some(TIMEOUT), idle: Some(TIMEOUT), total: Some(TIMEOUT), ..StreamOptions::default() };
    for (pieces, fault, rate, options, kind, message) in [
        (
            &[ROLE][..],
            Some(Fault::StallMidBody),
            None,
            StreamOptions { first: Some(SHORT), ..unlimited },
            ErrorKind::FirstTokenTimeout,
            "no text",
        ),
        (
            &[ROLE, &delta("x")][..],
            Some(Fault::StallMidBody),
            None,
            StreamOptions { idle: Some(SHORT), ..unlimited },
            ErrorKind::IdleTimeout,
            "was idle",
        ),
        (
            &trickle[..],
            None,
            Some(50.0),
            StreamOptions { total: Some(SHORT), ..unlimited },
            ErrorKind::Timeout,
            "not complete",
        ),
    ] {
        let harness = Harness::with_provider(Provider::OpenAi, false);
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        harness.simulator.on(Rule { pieces: Some(pieces), fault, tokens_per_second: rate, ..Rule::default() }).unwrap();
        let error = read(harness.stream(options)).await.2.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.causes().last().map_or(error.kind(), Error::kind), kind);
        assert!(
            harness.simulator.wait_for_async(TIMEOUT, |requests| requests[0].hung_up).await,
            "the socket is still open"
        );
    }
}

/// The server never ends its reply, and no time limit expires.
#[tokio::test]
async fn every_text_of_a_reply_has_a_bound() {
    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));
    for (field, kind) in [
        ("content", ErrorKind::MalformedReply),
        ("reasoning_content", ErrorKind::MalformedReply),
        ("refusal", ErrorKind::Refused),
    ] {
        let policy = Policy { max_attempts: 1, ..Policy::default() };
        let harness = Harness::with_policy(Provider::OpenAi, false, policy);
        let text = "x".repeat(1 << 18);
        let piece =
            Bytes::from(format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"{field}\":\"{text}\"}}}}]}}\n\n"));
        let pieces = Some(vec![piece; 80 << 2]);
        harness.simulator.on(Rule { pieces, fault: Some(Fault::StallMidBody), ..Rule::default() }).unwrap();
        let options = StreamOptions { first: HOUR, idle: HOUR, total: HOUR, ..StreamOptions::default() };
        let mut stream = harness.stream(options);
        let read_to_error = async {
            loop {
                if let Err(error) = stream.next().await {
                    break error;
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(120), read_to_error).await.expect("the text has no bound");
        assert_eq!(error.causes().last().map_or(error.kind(), Error::kind), kind, "{field}: {error}");
        assert!(harness.simulator.wait_for_async(TIMEOUT, |requests| requests[0].hung_up).await, "{field}");
    }
}

#[tokio::test]
async fn dropping_a_stream_closes_the_socket() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.script(Provider::OpenAi, &[&delta("Because")], Some(Fault::StallMidBody));
    let mut stream = harness.stream(StreamOptions::default());
    assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Delta(text)) if text == "Because"));
    assert_eq!(harness.simulator.in_flight(), 1);
    drop(stream);
    assert!(harness.simulator.wait_for_async(TIMEOUT, |requests| requests[0].hung_up).await);
}

#[tokio::test]
async fn dropping_next_loses_no_text() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.simulator.set_tokens_per_second(Some(200.0)).unwrap();
    let mut stream = harness.stream(StreamOptions::default());
    let mut text = String::new();
    loop {
        // Most of these futures are dropped while they wait.
        match tokio::time::timeout(Duration::from_millis(2), stream.next()).await {
            Ok(event) => match event.unwrap() {
                Some(StreamEvent::Delta(piece)) => text.push_str(&piece),
                Some(other) => unreachable!("{other:?}"),
                None => break,
            },
            Err(_) if text.is_empty() => {
                // The request is dropped with the future before its headers arrive, so this one is awaited.
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
async fn connections_are_reused_after_a_complete_stream() {
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi] {
        let harness = Harness::with_provider(provider, false);
        for _ in 0..3 {
            read(harness.stream(StreamOptions::default())).await.2.unwrap();
        }
        assert!(harness.simulator.requests().iter().all(|request| request.connection == 0), "{provider}");
    }
}

#[tokio::test]
async fn invalid_options_fail_before_a_request() {
    let harness = Harness::new();
    let options = StreamOptions { idle: Some(Duration::ZERO), ..StreamOptions::default() };
    let refused = harness.router.stream(&harness.engine, Request::new(QUESTION), None, options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let refused =
        harness.router.stream(&harness.engine, Request::new(" "), None, StreamOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!("continue".parse::<OnStreamError>().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(harness.router.metrics().total_requests, 0);
}

#[tokio::test]
async fn events_restart_the_idle_timeout() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let mut pieces: Vec<Bytes> = (0..60).map(|number| delta(&format!("{number} ")).into()).collect();
    pieces.extend([STOP.into(), DONE.into()]);
    // One second in total.
    harness.simulator.on(Rule { pieces: Some(pieces), tokens_per_second: Some(60.0), ..Rule::default() }).unwrap();
    let options = StreamOptions { idle: Some(Duration::from_millis(500)), ..StreamOptions::default() };
    assert!(read(harness.stream(options)).await.0.ends_with("58 59 "));
}

#[tokio::test]
async fn comments_do_not_extend_the_first_text_timeout() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let mut pieces = vec![": keep-alive\n\n"; 50_000];
    let answer = delta("Yes.");
    pieces.extend([answer.as_str(), STOP, DONE]);
    harness.script(Provider::OpenAi, &pieces, None);
    let options = StreamOptions { first: Some(Duration::from_millis(5)), ..StreamOptions::default() };
    let error = read(harness.stream(options)).await.2.unwrap_err();
    assert_eq!(error.causes()[0].kind(), ErrorKind::FirstTokenTimeout, "{error}");
}

#[tokio::test]
async fn the_idle_timeout_counts_dropped_calls_of_next() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    harness.script(Provider::OpenAi, &[&delta("x")], Some(Fault::StallMidBody));
    let options = StreamOptions { idle: Some(SHORT), ..StreamOptions::default() };
    let mut stream = harness.stream(options);
    assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Delta(_))));
    // Each call of `next` is dropped before the limit, but together they exceed it.
    let reading = tokio::time::timeout(TIMEOUT, async {
        loop {
            if let Ok(outcome) = tokio::time::timeout(SHORT / 20, stream.next()).await {
                break outcome;
            }
        }
    });
    assert_eq!(reading.await.unwrap().unwrap_err().kind(), ErrorKind::IdleTimeout);
}

#[tokio::test]
async fn long_white_space_before_the_first_word_is_returned_with_it() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let blank = " ".repeat(200_000);
    harness.script(Provider::OpenAi, &[&delta(&blank), &delta("Yes."), STOP, DONE], None);
    let (text, _, outcome) = read(harness.stream(StreamOptions::default())).await;
    assert_eq!(text, blank + "Yes.");
    assert_eq!(outcome.unwrap().text, text);
}
