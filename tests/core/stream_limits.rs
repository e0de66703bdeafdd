//! Streams over HTTP: limits of time and size, connections, and what is refused.

use std::time::Duration;

use crate::stream_setting::{DONE, LONG, QUESTION, ROLE, STOP, Setting, delta, read};
use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{OnStreamError, StreamEvent, StreamOptions};
use madspark::simulator::{Fault, Rule};
use madspark::{Error, ErrorKind, Provider};

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn each_time_limit_names_itself() {
    let trickle: Vec<String> = (0..200).map(|number| delta(&number.to_string())).collect();
    let trickle: Vec<&str> = trickle.iter().map(String::as_str).collect();
    let unlimited =
        StreamOptions { first: Some(LONG), idle: Some(LONG), total: Some(LONG), ..StreamOptions::default() };
    for (pieces, fault, rate, options, kind, told) in [
        (
            &[ROLE][..],
            Some(Fault::StallMidBody),
            None,
            StreamOptions { first: Some(SHORT), ..unlimited },
            ErrorKind::FirstTokenTimeout,
            "no text",
        ),
        (
            &[ROLE, &delta("a")][..],
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
        let setting = Setting::asking(Provider::OpenAi, false);
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        setting.simulator.on(Rule { pieces: Some(pieces), fault, tokens_per_second: rate, ..Rule::default() }).unwrap();
        let error = read(setting.stream(options)).await.2.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.causes().last().map_or(error.kind(), Error::kind), kind);
        assert!(setting.simulator.wait_for_async(LONG, |asked| asked[0].hung_up).await, "the socket stays open");
    }
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
                Some(other) => unreachable!("{other:?}: nothing fails here"),
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

#[tokio::test]
async fn events_keep_a_stream_alive_beyond_the_limit_of_standing_still() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let mut pieces: Vec<Bytes> = (0..60).map(|number| delta(&format!("{number} ")).into()).collect();
    pieces.extend([STOP.into(), DONE.into()]);
    // A second altogether.
    setting.simulator.on(Rule { pieces: Some(pieces), tokens_per_second: Some(60.0), ..Rule::default() }).unwrap();
    let options = StreamOptions { idle: Some(Duration::from_millis(500)), ..StreamOptions::default() };
    assert!(read(setting.stream(options)).await.0.ends_with("58 59 "));
}

#[tokio::test]
async fn a_flood_of_comments_is_no_answer() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let mut pieces = vec![": keep-alive\n\n"; 50_000];
    let answer = delta("Yes.");
    pieces.extend([answer.as_str(), STOP, DONE]);
    setting.script(Provider::OpenAi, &pieces, None);
    let options = StreamOptions { first: Some(Duration::from_millis(5)), ..StreamOptions::default() };
    let error = read(setting.stream(options)).await.2.unwrap_err();
    assert_eq!(error.causes()[0].kind(), ErrorKind::FirstTokenTimeout, "{error}");
}

#[tokio::test]
async fn time_between_pulls_is_the_consumers_own_unless_it_drops_them() {
    let setting = Setting::asking(Provider::OpenAi, false);
    setting.script(Provider::OpenAi, &[&delta("a")], Some(Fault::StallMidBody));
    let options = StreamOptions { idle: Some(SHORT), ..StreamOptions::default() };
    let mut stream = setting.stream(options);
    assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Delta(_))));
    // Each pull is far shorter than the limit; all of them together are not.
    let patience = tokio::time::timeout(LONG, async {
        loop {
            if let Ok(outcome) = tokio::time::timeout(SHORT / 20, stream.next()).await {
                break outcome;
            }
        }
    });
    assert_eq!(patience.await.unwrap().unwrap_err().kind(), ErrorKind::IdleTimeout);
}

#[tokio::test]
async fn much_white_space_before_the_first_word_is_no_end() {
    let setting = Setting::asking(Provider::OpenAi, false);
    let blank = " ".repeat(200_000);
    setting.script(Provider::OpenAi, &[&delta(&blank), &delta("Yes."), STOP, DONE], None);
    let (text, _, outcome) = read(setting.stream(StreamOptions::default())).await;
    assert_eq!(text, blank + "Yes.");
    assert_eq!(outcome.unwrap().text, text);
}
