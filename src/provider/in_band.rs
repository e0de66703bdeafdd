//! Errors that a server sends with status 200, in place of a reply or of an event.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Target;
use super::envelope::{document, parse_event, parse_reply};
use super::error_body::ErrorBody;
use crate::error::Result;

/// The longest data that may only keep a connection open, in bytes.
const MAX_KEEP_ALIVE: usize = 40;

/// What servers send to keep a connection open.
const KEEP_ALIVE: [&str; 5] = ["ping", "pong", "keepalive", "heartbeat", "alive"];

/// Parses the body of a reply of `target`.
///
/// # Errors
/// Returns the error that the server states in place of a reply, otherwise `MalformedReply`.
pub(super) fn reply_or_error<T: DeserializeOwned>(target: &Target, body: &Bytes) -> Result<T> {
    parse_reply(target, body).map_err(|error| stated(body).map_or(error, |stated| stated.into_reply_error(target)))
}

/// Parses an event of `target` like [`parse_event`]. `None` for words that keep the connection open.
///
/// # Errors
/// Returns the error that the server states in place of an event, otherwise `MalformedReply`.
pub(super) fn event_or_error<T: DeserializeOwned>(target: &Target, data: &Bytes) -> Result<Option<(T, bool)>> {
    match parse_event(target, data) {
        Ok(event) => Ok(Some(event)),
        Err(_) if is_keep_alive(data) => Ok(None),
        Err(error) => Err(stated(data).map_or(error, |stated| stated.into_reply_error(target))),
    }
}

/// Returns the error in `data`, an envelope whose field `error` is `error`. `is_blank` is whether it has no field of a reply or
/// an event, so that it may be an error without that field.
pub(super) fn reported(error: Option<Value>, is_blank: bool, data: &[u8]) -> Option<ErrorBody> {
    if error.is_none() && !is_blank {
        return None;
    }
    document(data).and_then(|document| ErrorBody::in_reply(&document)).or_else(|| error.map(|error| error_in(&error)))
}

/// Returns `error`, the value of a field that holds an error.
pub(super) fn error_in(error: &Value) -> ErrorBody {
    ErrorBody::parse(200, json!({ "error": error }).to_string().as_bytes())
}

/// Returns the error in `data`, which is neither a reply nor an event.
fn stated(data: &[u8]) -> Option<ErrorBody> {
    match document(data) {
        Some(document) => ErrorBody::in_reply(&document),
        None if is_framed(data) => None,
        None => ErrorBody::in_text(data),
    }
}

/// Whether `data` has the shape of events or of JSON, whatever its words are.
fn is_framed(data: &[u8]) -> bool {
    let data = data.trim_ascii_start();
    let starts = ["data:", "event:", "id:", "retry:", ":", "[{", "[\""];
    starts.iter().any(|start| data.starts_with(start.as_bytes()))
}

fn is_keep_alive(data: &[u8]) -> bool {
    if data.len() > MAX_KEEP_ALIVE {
        return false;
    }
    let letters = data.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let name: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    KEEP_ALIVE.iter().any(|known| name == known.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_keep_a_connection_open_are_known() {
        for alive in ["ping", "[PING]", ": keep-alive", "heartbeat"] {
            assert!(is_keep_alive(alive.as_bytes()), "{alive}");
        }
        for other in ["hello", "error: no ping", "", "{\"type\":\"ping\"}"] {
            assert!(!is_keep_alive(other.as_bytes()), "{other}");
        }
    }
}
