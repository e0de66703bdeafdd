//! Decodes a whole reply, whatever its form: a server may send events although none were requested, or no events where they
//! were.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request};
use crate::provider::{Codec, Event, Target, Transcript};
use crate::transport::{Frame, FrameKind, Framer, Framing};

/// Decodes `body`, the complete body of a successful reply of `target` to `request`.
///
/// A body that is not the protocol's document is read as server-sent events, as a list of events, or as one event per line.
///
/// # Errors
/// Returns the errors of [`Codec::decode`], and `MalformedReply` if one of several events cannot be read.
pub(super) fn decode(codec: &dyn Codec, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
    let error = match codec.decode(target, request, body) {
        Err(error) if error.kind() == ErrorKind::MalformedReply => error,
        decoded => return decoded,
    };
    if body.trim_ascii().is_empty() {
        return Err(empty_body(target));
    }
    decode_events(codec, target, request, frames(body)).unwrap_or(Err(error))
}

/// Decodes `data`, one event of a streamed reply.
///
/// # Errors
/// Returns the errors of [`Codec::decode_event`].
pub(super) fn decode_event(codec: &dyn Codec, target: &Target, request: &Request, data: &Bytes) -> Result<Event> {
    codec.decode_event(target, data).map_err(|error| codec.reclassify(target, request, error))
}

/// Decodes the lines of `data`, which is no event, as events: some servers send no blank line between two. `None` if a line is
/// no event either.
///
/// # Errors
/// Returns the errors of [`Codec::decode_event`].
pub(super) fn decode_lines(
    codec: &dyn Codec,
    target: &Target,
    request: &Request,
    data: &Bytes,
) -> Option<Result<Vec<Event>>> {
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let events: Vec<_> = lines.map(|line| decode_event(codec, target, request, &data.slice_ref(line))).collect();
    let is_malformed =
        |event: &Result<Event>| event.as_ref().is_err_and(|error| error.kind() == ErrorKind::MalformedReply);
    (events.len() > 1 && !events.iter().any(is_malformed)).then(|| events.into_iter().collect())
}

/// Returns the error in `data`, an event that the server has named an error.
pub(super) fn decode_error_event(codec: &dyn Codec, target: &Target, request: &Request, data: &Bytes) -> Error {
    let error = match codec.decode_event(target, data) {
        Err(error) if error.kind() != ErrorKind::MalformedReply => error,
        _ => {
            let words = || Value::from(String::from_utf8_lossy(data).into_owned());
            let error: Value = serde_json::from_slice(data).unwrap_or_else(|_| words());
            codec.error_in_reply(target, &error)
        }
    };
    codec.reclassify(target, request, error)
}

/// The error of a reply without a body.
pub(super) fn empty_body(target: &Target) -> Error {
    let message = "the reply is empty: status 200 without a body; see the log of the server, and check the base URL";
    target.locate(Error::new(ErrorKind::MalformedReply, message))
}

/// Returns the reply that `frames` add up to; `None` if none of them is an event.
fn decode_events(codec: &dyn Codec, target: &Target, request: &Request, frames: Vec<Frame>) -> Option<Result<Reply>> {
    let (mut transcript, mut read, mut skipped) = (Transcript::new(request), 0_u32, None);
    for Frame { kind, data } in frames {
        if kind == FrameKind::Error {
            return Some(Err(decode_error_event(codec, target, request, &data)));
        }
        let decoded = decode_event(codec, target, request, &data).map(|event| vec![event]);
        let is_malformed = decoded.as_ref().is_err_and(|error| error.kind() == ErrorKind::MalformedReply);
        let lines = if is_malformed { decode_lines(codec, target, request, &data) } else { None };
        match lines.unwrap_or(decoded) {
            Ok(events) => {
                read += 1;
                for event in events {
                    transcript.add(event);
                }
            }
            Err(error) if error.kind() == ErrorKind::MalformedReply => skipped = skipped.or(Some(error)),
            Err(error) => return Some(Err(error.with_usage(transcript.usage()))),
        }
    }
    if read == 0 {
        return None;
    }
    transcript.finish();
    let reply = match skipped {
        Some(error) => Err(error.with_usage(transcript.usage())),
        None => transcript.check(target, request, None),
    };
    Some(reply.and_then(|()| transcript.into_reply(target, request, codec.reply_dialect(target, request))))
}

/// Splits `body` into events: those of a stream, the elements of a list, or lines.
fn frames(body: &Bytes) -> Vec<Frame> {
    let event = |data: &[u8]| Frame { kind: FrameKind::Event, data: Bytes::copy_from_slice(data) };
    if let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(body) {
        return list.into_iter().map(|element| event(element.get().as_bytes())).collect();
    }
    let events = framed(Framing::Sse, body);
    if events.is_empty() { framed(Framing::Ndjson, body) } else { events }
}

fn framed(framing: Framing, body: &Bytes) -> Vec<Frame> {
    let mut framer = Framer::fixed(framing);
    framer.push(body);
    let mut found = Vec::new();
    while let Ok(Some(frame)) = framer.next() {
        found.push(frame);
    }
    found.extend(framer.finish().ok().flatten());
    found
}
