//! Streams and whole replies as servers send them, byte for byte: with a wrong label, in another form, compressed, split anywhere,
//! with pauses, errors and invalid events.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::stream_harness::{DONE, Harness, QUESTION, ROLE, STOP, TIMEOUT, delta, read};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use madspark::message::{Reply, Request};
use madspark::provider::{ModelOptions, Target, Transcript, codec};
use madspark::router::{Policy, Response, StreamEvent, StreamOptions};
use madspark::schema::Schema;
use madspark::simulator::{RawEnd, RawPart, RawReply, Rule};
use madspark::transport::{FrameKind, Framer, Framing};
use madspark::{Error, ErrorKind, Provider, Secret};
use proptest::prelude::*;
use serde_json::{Value, json};

const PROVIDERS: [Provider; 4] = [Provider::OpenAi, Provider::Anthropic, Provider::Gemini, Provider::Ollama];

/// A pause between two events, and limits that are shorter and longer than two of them.
const PAUSE: Duration = Duration::from_millis(150);
const BELOW: Duration = Duration::from_millis(250);

/// Returns the events of a reply of `provider` with the text `{"a": 1}`, in two pieces.
fn events(provider: Provider) -> Vec<Value> {
    let [first, second] = ["{\"a\":", " 1}"];
    match provider {
        Provider::OpenAi => vec![
            json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": first}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": second}, "finish_reason": "stop"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
        ],
        Provider::Anthropic => vec![
            json!({"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": first}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": second}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
            json!({"type": "message_stop"}),
        ],
        Provider::Gemini => vec![
            json!({"candidates": [{"content": {"parts": [{"text": first}]}}]}),
            json!({"candidates": [{"content": {"parts": [{"text": second}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}),
        ],
        _ => vec![
            json!({"message": {"content": first}, "done": false}),
            json!({"message": {"content": second}, "done": false}),
            json!({"message": {"content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4}),
        ],
    }
}

/// Returns the same reply as one document.
fn document(provider: Provider) -> Value {
    let text = "{\"a\": 1}";
    match provider {
        Provider::OpenAi => json!({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
        Provider::Anthropic => json!({"type": "message", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 4}}),
        Provider::Gemini => json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}),
        _ => {
            json!({"message": {"content": text}, "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4})
        }
    }
}

fn sse(events: &[Value]) -> String {
    let events: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    events.concat()
}

fn lines(events: &[Value]) -> String {
    let events: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
    events.concat()
}

/// Returns the reply of `provider` in every form.
fn forms(provider: Provider) -> Vec<(&'static str, String)> {
    let (events, document) = (events(provider), document(provider));
    let named: Vec<String> = events.iter().map(|event| format!("event: message\r\ndata: {event}\r\n\r\n")).collect();
    vec![
        ("events", sse(&events)),
        ("named events after a comment", format!(": hello\n\n{}", named.concat())),
        ("events without blank lines", sse(&events).replace("\n\n", "\n")),
        ("lines", lines(&events)),
        ("a list", serde_json::to_string_pretty(&events).unwrap()),
        ("a document", document.to_string()),
        ("an indented document", format!("\u{feff}\n{document:#}\n")),
    ]
}

fn reply(body: impl Into<Bytes>, label: Option<&str>) -> Rule {
    let headers = label.map(|label| ("content-type".to_owned(), label.to_owned())).into_iter().collect();
    Rule { reply: Some(RawReply::from(body.into())), headers, ..Rule::default() }
}

fn structured() -> Request {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    Request { schema: Some(Arc::new(Schema::new("Thing", schema).unwrap())), ..Request::new(QUESTION) }
}

/// Returns a router whose calls make one attempt.
fn once(provider: Provider) -> Harness {
    Harness::with_policy(provider, false, Policy { max_attempts: 1, ..Policy::default() })
}

/// Makes a call for a whole reply.
async fn call(harness: &Harness, request: Request) -> Result<Response, Error> {
    let mut call = harness.router.call(&harness.engine, request, None)?;
    call.next(None).await?;
    Ok(call.finish()?.0)
}

/// Reads a structured stream. Returns the number of partial replies and the outcome.
async fn read_structured(harness: &Harness) -> (usize, Result<Response, Error>) {
    let mut stream = harness.router.stream(&harness.engine, structured(), None, StreamOptions::default()).unwrap();
    let mut partials = 0;
    loop {
        match tokio::time::timeout(TIMEOUT, stream.next()).await.unwrap() {
            Ok(Some(StreamEvent::Partial(_))) => partials += 1,
            Ok(Some(StreamEvent::Complete(_)) | None) => return (partials, stream.finish()),
            Ok(Some(other)) => panic!("{other:?}"),
            Err(error) => return (partials, Err(error)),
        }
    }
}

#[tokio::test]
async fn the_first_bytes_decide_whatever_was_requested_and_the_label_says() {
    let labels =
        [Some("text/event-stream"), Some("application/json"), Some("text/plain"), Some("application/x-ndjson"), None];
    for provider in PROVIDERS {
        for (form, body) in forms(provider) {
            for label in labels {
                let harness = Harness::with_provider(provider, false);
                harness.simulator.on(reply(body.clone(), label)).unwrap();
                let case = format!("{form} of {provider} as {label:?}");
                let (text, _, outcome) = read(harness.stream(StreamOptions::default())).await;
                let streamed = outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!((text.as_str(), streamed.tokens), ("{\"a\": 1}", 7), "{case}");
                let whole =
                    call(&harness, Request::new(QUESTION)).await.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!((whole.text.as_str(), whole.tokens), ("{\"a\": 1}", 7), "{case}");
                let (_, outcome) = read_structured(&harness).await;
                assert_eq!(outcome.unwrap_or_else(|error| panic!("{case}: {error}")).text, "{\"a\": 1}", "{case}");
                assert_eq!(call(&harness, structured()).await.unwrap().text, "{\"a\": 1}", "{case}");
                assert_eq!(harness.requested().len(), 4, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_arrives_byte_by_byte_is_the_same() {
    for provider in PROVIDERS {
        for (form, body) in forms(provider) {
            let harness = Harness::with_provider(provider, false);
            let mut rule = reply(body, None);
            rule.reply = rule.reply.map(|reply| reply.split(1));
            harness.simulator.on(rule).unwrap();
            let (text, _, outcome) = read(harness.stream(StreamOptions::default())).await;
            assert_eq!((text.as_str(), outcome.unwrap().tokens), ("{\"a\": 1}", 7), "{form} of {provider}");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_stream_has_the_words_of_the_server() {
    for provider in PROVIDERS {
        for error in [
            "event: error\ndata: {\"message\": \"out of memory\"}\n\n",
            "event: error\ndata: out of memory\n\n",
            "error: {\"code\": 500, \"message\": \"out of memory\"}\n\n",
            "data: out of memory\nevent:error\n\n",
        ] {
            let beginning = sse(&events(provider)[..1]);
            for body in [error.to_owned(), beginning + error] {
                let harness = once(provider);
                harness.simulator.on(reply(body, Some("text/event-stream"))).unwrap();
                for outcome in [
                    read(harness.stream(StreamOptions::default())).await.2,
                    read_structured(&harness).await.1,
                    call(&harness, Request::new(QUESTION)).await,
                ] {
                    let error = outcome.unwrap_err();
                    assert!(error.to_string().contains("out of memory"), "{provider}: {error}");
                    assert_ne!(error.attempts()[0].error, Some(ErrorKind::MalformedReply), "{provider}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_structured_reply_that_lost_an_event_is_requested_again() {
    let piece = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let lossy = format!(
        "{}data: {{\"choices\":[{{\"del\n\n{}{STOP}{DONE}",
        sse(&[piece("{\"a\": 1")]),
        sse(&[piece("2"), piece("3}")])
    );
    let whole = format!("{}{STOP}{DONE}", sse(&[piece("{\"a\": 123}")]));
    for is_streamed in [true, false] {
        let harness = Harness::with_provider(Provider::OpenAi, false);
        harness.simulator.on(Rule { times: Some(1), ..reply(lossy.clone(), None) }).unwrap();
        harness.simulator.on(reply(whole.clone(), None)).unwrap();
        let outcome = if is_streamed { read_structured(&harness).await.1 } else { call(&harness, structured()).await };
        let response = outcome.unwrap();
        assert_eq!(response.text, "{\"a\": 123}");
        let kinds: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
        assert_eq!(kinds, [Some(ErrorKind::MalformedReply), None]);
    }
}

#[tokio::test]
async fn a_text_goes_on_after_an_invalid_event_and_counts_it() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let body = format!("data: {{\"choices\":[{{\"del\n\n{}{STOP}{DONE}", delta("Yes."));
    harness.simulator.on(reply(body, Some("text/event-stream"))).unwrap();
    let response = read(harness.stream(StreamOptions::default())).await.2.unwrap();
    assert_eq!((response.text.as_str(), response.attempts[0].skipped_events), ("Yes.", 1));
    let harness = once(Provider::OpenAi);
    let blank = format!("{ROLE}data: {{\"choices\":[{{\"del\n\n{STOP}{DONE}");
    harness.simulator.on(reply(blank, Some("text/event-stream"))).unwrap();
    let error = read(harness.stream(StreamOptions::default())).await.2.unwrap_err();
    assert!(error.to_string().contains("1 of 4 events of the stream could not be read"), "{error}");
}

#[tokio::test]
async fn an_empty_reply_says_so() {
    for provider in PROVIDERS {
        for body in ["", "\n\n"] {
            let harness = once(provider);
            harness.simulator.on(reply(body, Some("application/json"))).unwrap();
            let streamed = read(harness.stream(StreamOptions::default())).await.2.unwrap_err();
            let whole = call(&harness, Request::new(QUESTION)).await.unwrap_err();
            for error in [streamed, whole] {
                assert!(error.to_string().contains("the reply is empty"), "{provider}: {error}");
            }
        }
    }
}

/// Returns a rule that sends each of `events` after a pause.
fn paced<'e>(events: impl IntoIterator<Item = &'e str>) -> Rule {
    let parts = events
        .into_iter()
        .flat_map(|event| [RawPart::Pause(PAUSE), RawPart::Bytes(Bytes::copy_from_slice(event.as_bytes()))]);
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    Rule { reply: Some(RawReply { parts: parts.collect(), end: None }), headers, ..Rule::default() }
}

/// Returns a sign of generation of `provider` without text, a piece of text, and the end.
fn thinking(provider: Provider) -> [String; 3] {
    let events = match provider {
        Provider::OpenAi => [
            json!({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "Yes."}}]}),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        ],
        Provider::Anthropic => [
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Yes."}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        ],
        Provider::Gemini => [
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}]}}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "Yes."}]}}]}),
            json!({"candidates": [{"finishReason": "STOP"}]}),
        ],
        _ => [
            json!({"message": {"content": "", "thinking": "hm"}, "done": false}),
            json!({"message": {"content": "Yes."}, "done": false}),
            json!({"message": {"content": ""}, "done": true, "done_reason": "stop"}),
        ],
    };
    events.map(|event| if provider == Provider::Ollama { format!("{event}\n") } else { format!("data: {event}\n\n") })
}

#[tokio::test]
async fn a_sign_of_generation_extends_the_limit_for_the_first_event() {
    for provider in PROVIDERS {
        let [sign, text, end] = thinking(provider);
        let harness = Harness::with_provider(provider, false);
        harness.simulator.on(paced([&*sign, &sign, &sign, &sign, &text, &end])).unwrap();
        let options = StreamOptions { first: Some(BELOW), ..StreamOptions::default() };
        let (received, _, outcome) = read(harness.stream(options)).await;
        outcome.unwrap_or_else(|error| panic!("{provider}: {error}"));
        assert_eq!(received, "Yes.", "{provider}");
        // The limit for the first text counts from the start.
        let options = StreamOptions { first_text: Some(BELOW), ..StreamOptions::default() };
        let error = read(harness.stream(options)).await.2.unwrap_err();
        assert_eq!(error.causes()[0].kind(), ErrorKind::FirstTokenTimeout, "{provider}: {error}");
        assert!(error.to_string().contains("although it sent events"), "{error}");
    }
}

#[tokio::test]
async fn keep_alives_are_no_sign_of_generation() {
    let [_, text, end] = thinking(Provider::Anthropic);
    for ping in ["event: ping\ndata: {\"type\": \"ping\"}\n\n", ": ping\n\n"] {
        let harness = Harness::with_provider(Provider::Anthropic, false);
        harness.simulator.on(paced([ping, ping, ping, ping, &text, &end])).unwrap();
        let options = StreamOptions { first: Some(BELOW), ..StreamOptions::default() };
        let error = read(harness.stream(options)).await.2.unwrap_err();
        assert_eq!(error.causes()[0].kind(), ErrorKind::FirstTokenTimeout, "{ping:?}: {error}");
    }
}

#[tokio::test]
async fn only_the_end_of_the_body_ends_a_stream_without_an_end_marker() {
    let piece = |text: &str, reason: &str| {
        let candidate = json!({"content": {"parts": [{"text": text}]}, "finishReason": reason});
        format!("data: {}\n\n", json!({"candidates": [candidate]}))
    };
    for (pieces, expected) in [
        ([piece("one ", "STOP"), piece("two ", "STOP"), piece("three", "STOP")], Ok("one two three")),
        ([piece("", "STOP"), piece("two ", "STOP"), piece("three", "STOP")], Ok("two three")),
        ([piece("one ", "STOP"), piece("two ", "STOP"), piece("three", "MAX_TOKENS")], Err(ErrorKind::Truncated)),
    ] {
        let harness = Harness::with_provider(Provider::Gemini, false);
        // Longer than the wait after an end marker.
        let parts = pieces
            .iter()
            .flat_map(|piece| [RawPart::Pause(2 * PAUSE), RawPart::Bytes(Bytes::copy_from_slice(piece.as_bytes()))]);
        let reply = Some(RawReply { parts: parts.collect(), end: None });
        harness.simulator.on(Rule { reply, ..Rule::default() }).unwrap();
        let (text, _, outcome) = read(harness.stream(StreamOptions::default())).await;
        match expected {
            Ok(expected) => assert_eq!((text.as_str(), outcome.unwrap().text.as_str()), (expected, expected)),
            Err(kind) => assert_eq!(outcome.unwrap_err().kind(), kind),
        }
    }
}

#[tokio::test]
async fn compressed_replies_are_decompressed_and_others_are_named() {
    let body = document(Provider::OpenAi).to_string();
    let streamed = sse(&events(Provider::OpenAi));
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = |text: &str| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |text: &str| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for text in [body, streamed] {
        for (encoding, packed) in [("gzip", gzip(&text)), ("deflate", zlib(&text)), ("deflate", deflate(&text))] {
            let harness = Harness::with_provider(Provider::OpenAi, false);
            let headers = vec![("content-encoding".to_owned(), encoding.to_owned())];
            let reply = RawReply::from(Bytes::from(packed));
            harness
                .simulator
                .on(Rule { reply: Some(reply.clone()), headers: headers.clone(), ..Rule::default() })
                .unwrap();
            assert_eq!(call(&harness, Request::new(QUESTION)).await.unwrap().text, "{\"a\": 1}");
            harness.simulator.clear_rules();
            harness.simulator.on(Rule { reply: Some(reply.split(3)), headers, ..Rule::default() }).unwrap();
            assert_eq!(read(harness.stream(StreamOptions::default())).await.2.unwrap().text, "{\"a\": 1}");
        }
    }
    for (status, kind) in [(200, ErrorKind::MalformedReply), (429, ErrorKind::RateLimited)] {
        let harness = once(Provider::OpenAi);
        let headers = vec![("content-encoding".to_owned(), "br".to_owned())];
        harness.simulator.on(Rule { status: Some(status), headers, ..reply("\u{8b}packed", None) }).unwrap();
        let streamed = read(harness.stream(StreamOptions::default())).await.2.unwrap_err();
        for error in [streamed, call(&harness, Request::new(QUESTION)).await.unwrap_err()] {
            assert_eq!((error.causes()[0].kind(), error.causes()[0].status()), (kind, Some(status)), "{error}");
            assert!(status != 200 || error.to_string().contains("content-encoding \"br\""), "{error}");
        }
    }
}

#[tokio::test]
async fn a_connection_closed_behind_the_last_chunk_costs_no_attempt() {
    let parts = [delta("Yes."), STOP.to_owned(), DONE.to_owned()].map(|event| RawPart::Bytes(event.into()));
    for end in [RawEnd::Close, RawEnd::KeepAlive] {
        let harness = once(Provider::OpenAi);
        let reply = RawReply { parts: parts.to_vec(), end: Some(end) };
        harness.simulator.on(Rule { reply: Some(reply), ..Rule::default() }).unwrap();
        for round in 0..20 {
            let response = read(harness.stream(StreamOptions::default())).await.2;
            let response = response.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!((response.text.as_str(), response.attempts.len()), ("Yes.", 1));
        }
    }
}

/// What a stream adds up to: the reply, or the class of its error.
type Outcome = Result<(String, Option<String>, String, u64), ErrorKind>;

/// Decodes a stream that arrives in `chunks`.
fn decoded<'c>(provider: Provider, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Outcome, usize) {
    let target = Target {
        provider,
        model: Arc::from("the-model"),
        base_url: "http://127.0.0.1".into(),
        key: Some(Secret::new("a-key-of-no-worth")),
        timeout: TIMEOUT,
        options: ModelOptions::default(),
        facts: None,
    };
    let (codec, request) = (codec(provider).unwrap(), Request::new(QUESTION));
    let mut framer = Framer::new(if provider == Provider::Ollama { Framing::Ndjson } else { Framing::Sse });
    let mut received = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        while let Some(frame) = framer.next().unwrap() {
            received.push(frame);
        }
    }
    received.extend(framer.finish().unwrap());
    let (mut transcript, mut skipped) = (Transcript::default(), 0);
    for frame in received {
        assert_ne!(frame.kind, FrameKind::Document);
        match codec.decode_event(&target, &frame.data) {
            Ok(event) => transcript.add(event),
            Err(error) if error.kind() == ErrorKind::MalformedReply => skipped += 1,
            Err(error) => return (Err(error.kind()), skipped),
        }
    }
    let reply = transcript.check(&target, &request, None).and_then(|()| transcript.into_reply(&target, &request, None));
    let facts = |reply: Reply| (reply.text, reply.reasoning, format!("{:?}", reply.finish), reply.usage.total());
    (reply.map(facts).map_err(|error| error.kind()), skipped)
}

/// The recorded streams.
static RECORDED: LazyLock<Vec<(Provider, Vec<u8>)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/wire");
    let mut streams = Vec::new();
    for provider in PROVIDERS {
        for entry in fs::read_dir(folder.join(provider.as_str())).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "sse" || ending == "ndjson") {
                streams.push((provider, fs::read(path).unwrap()));
            }
        }
    }
    assert!(streams.len() >= 8);
    streams
});

#[test]
fn a_recorded_stream_is_the_same_with_every_split() {
    for (provider, body) in RECORDED.iter() {
        let whole = decoded(*provider, [&body[..]]);
        assert_eq!(decoded(*provider, body.chunks(1)), whole, "{provider}");
        for at in (0..body.len()).step_by(5) {
            let (start, end) = body.split_at(at);
            assert_eq!(decoded(*provider, [start, end]), whole, "{provider} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn a_recorded_stream_is_the_same_in_any_chunks(
        index in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (provider, body) = index.get(&RECORDED);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        at.extend([0, body.len()]);
        at.sort_unstable();
        let chunks = at.windows(2).map(|ends| &body[ends[0]..ends[1]]);
        prop_assert_eq!(decoded(*provider, chunks), decoded(*provider, [&body[..]]));
    }
}
