//! Framing of streamed replies, for any chunking of their bytes.

use madspark::ErrorKind;
use madspark::transport::{Frame, FrameKind, Framer, Framing, MAX_EVENT};
use proptest::prelude::*;

/// Returns the events of a body that arrives in `chunks`.
fn events_of<'p>(framing: Framing, chunks: impl IntoIterator<Item = &'p [u8]>) -> Vec<String> {
    let mut framer = Framer::new(framing);
    let mut events = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        while let Some(event) = framer.next().unwrap() {
            events.push(text_of(&event));
        }
    }
    events.extend(framer.finish().unwrap().map(|event| text_of(&event)));
    events
}

/// Returns the data of `frame`, with its kind unless it is an event.
fn text_of(frame: &Frame) -> String {
    let data = String::from_utf8_lossy(&frame.data);
    if frame.kind == FrameKind::Event { data.into_owned() } else { format!("{:?} {data}", frame.kind) }
}

fn sse(body: &str) -> Vec<String> {
    events_of(Framing::Sse, [body.as_bytes()])
}

fn ndjson(body: &str) -> Vec<String> {
    events_of(Framing::Ndjson, [body.as_bytes()])
}

/// Splits `body` at `cuts`.
fn chunks_of<'b>(body: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    at.extend([0, body.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect()
}

#[test]
fn the_examples_of_the_standard_are_parsed() {
    assert_eq!(sse("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    assert_eq!(
        sse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"),
        ["first event", "second event"]
    );
    assert_eq!(sse("data:test\n\ndata: test\n\ndata:  two spaces\n\n"), ["test", "test", " two spaces"]);
    assert_eq!(sse("event: ping\nretry: 3\n\ndatabase: no\n\ndata: x\n\n"), ["x"]);
}

#[test]
fn lf_cr_and_crlf_end_lines() {
    for end in ["\n", "\r", "\r\n"] {
        assert_eq!(sse(&format!("data: a{end}data: b{end}{end}data: c{end}{end}")), ["a\nb", "c"], "{end:?}");
    }
    assert_eq!(sse("data: a\r\n\ndata: b\r\r\ndata: c\n\r\n"), ["a", "b", "c"]);
}

#[test]
fn a_byte_order_mark_is_removed_only_at_the_start() {
    assert_eq!(sse("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
}

#[test]
fn the_last_event_needs_no_blank_line_or_line_end() {
    assert_eq!(sse("data: a\n\ndata: b\n"), ["a", "b"]);
    assert_eq!(sse("data: a\n\ndata: b"), ["a", "b"]);
    assert_eq!(ndjson("{\"a\":1}\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
}

#[test]
fn events_named_error_and_error_fields_are_errors() {
    assert_eq!(sse("event: error\ndata: out of memory\n\ndata: a\n\n"), ["Error out of memory", "a"]);
    assert_eq!(sse("data: {}\nevent:Error\n\n"), ["Error {}"]);
    assert_eq!(sse("data: a\n\nerror: {\"code\":500}\n\n"), ["a", "Error {\"code\":500}"]);
    assert_eq!(sse("event: errors\ndata: a\n\nerrors: b\n\nevent: error\n\ndata: c\n\n"), ["a", "c"]);
}

#[test]
fn the_first_bytes_tell_another_format() {
    assert_eq!(ndjson("\u{feff}data: a\n\ndata: b\n\n"), ["a", "b"]);
    assert_eq!(ndjson(": hello\n\nevent: error\ndata: b"), ["Error b"]);
    assert_eq!(ndjson("{\n  \"a\": 1\n}\n"), ["Document {\n  \"a\": 1\n}\n"]);
    assert_eq!(ndjson("[{},\n{}]"), ["Document [{},\n{}]"]);
    assert_eq!(sse("\u{feff} {\"a\":\n1}"), ["Document  {\"a\":\n1}"]);
    assert_eq!(sse("upstream connect error"), ["Document upstream connect error"]);
    assert_eq!((sse(""), ndjson(" \n")), (vec![], vec![]));
}

#[test]
fn empty_data_and_blank_lines_are_ignored() {
    assert_eq!(sse("data\n\ndata:\n\n\n\ndata: \n\n"), [""; 0]);
    assert_eq!(ndjson("\n \r\n{}\n\n"), ["{}"]);
}

#[test]
fn a_carriage_return_does_not_end_a_json_line() {
    assert_eq!(ndjson("{\"a\":\r1}\r\n{}\n"), ["{\"a\":\r1}\r", "{}"]);
}

#[test]
fn an_event_over_the_limit_is_malformed_while_it_arrives() {
    let chunk = vec![b'x'; 1024 * 1024];
    for (framing, start, between) in
        [(Framing::Ndjson, "", ""), (Framing::Sse, "data: ", ""), (Framing::Sse, "data: ", "\ndata: ")]
    {
        let mut framer = Framer::new(framing);
        framer.push(start.as_bytes());
        let mut taken = 0;
        let error = loop {
            framer.push(&chunk);
            framer.push(between.as_bytes());
            taken += chunk.len();
            match framer.next() {
                Ok(event) => assert_eq!(event, None),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::MalformedReply, "{framing:?}");
        assert!(taken <= MAX_EVENT + chunk.len(), "{framing:?}: {taken} bytes were buffered");
    }
}

proptest! {
    #[test]
    fn chunking_does_not_change_the_events(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "data: ", "data:", "data", ":", " ", "\n", "\r", "\r\n", "\n\n", "é", "日本", "🦀", "{\"a\":1}",
                "event: x", "event: error", ": keep-alive", "{\n", "[{}]", "error: no", "\u{feff}", "[DONE]",
            ]),
            0..40,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let body = tokens.concat();
        for framing in [Framing::Sse, Framing::Ndjson] {
            let whole = events_of(framing, [body.as_bytes()]);
            prop_assert_eq!(&events_of(framing, chunks_of(body.as_bytes(), &cuts)), &whole);
            prop_assert_eq!(&events_of(framing, body.as_bytes().chunks(1)), &whole);
        }
    }

    #[test]
    fn written_events_are_parsed(
        events in prop::collection::vec("[ -~é日🦀]{1,12}(\n[ -~é日🦀]{0,6}){0,2}", 0..6),
        end in prop::sample::select(vec!["\n", "\r", "\r\n"]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let written = events.iter().map(|event| {
            let lines: String = event.split('\n').flat_map(|line| ["data: ", line, end]).collect();
            [&lines, "id: 7", end, end, ": keep-alive", end, end].concat()
        });
        let body = [": hello", end].concat() + &written.collect::<String>();
        prop_assert_eq!(events_of(Framing::Sse, chunks_of(body.as_bytes(), &cuts)), events);
    }
}
