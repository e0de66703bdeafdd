//! Reads the JSON envelopes of replies and events, as real servers write them.
//!
//! A good envelope is read in one pass. Only if that fails, the bytes are repaired ([`repair`]) and each field is read by
//! itself ([`raw`]): a field of an unexpected type costs no other field. A text that cannot be read fails the whole envelope,
//! so that no text is lost silently.

mod content;
mod fields;
mod raw;
mod repair;
mod text;
mod visitor;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::Target;
use super::error_body::shorten;
use crate::error::{Error, ErrorKind, Result};

pub(super) use content::Content;
pub(super) use fields::{Count, Flag, Object, details, fault, list, object, word};
pub(super) use repair::{Half, half};
pub(super) use text::{Pieces, Text};

/// Parses the body of a reply of `target`.
///
/// # Errors
/// Returns `MalformedReply` if it is no envelope of the protocol.
pub(super) fn parse_reply<T: DeserializeOwned>(target: &Target, body: &Bytes) -> Result<T> {
    parse_json(body).map_err(|error| target.locate(error))
}

/// Parses an event of a streamed reply of `target`. The second value is whether its texts mark halves of surrogate pairs;
/// see [`half`].
///
/// # Errors
/// Returns `MalformedReply` if it is no event of the protocol.
pub(super) fn parse_event<T: DeserializeOwned>(target: &Target, data: &Bytes) -> Result<(T, bool)> {
    if let Some(event) = parse_strictly(data) {
        return Ok((event, false));
    }
    let (text, is_marked) = repair::repair_event(data);
    let event = raw::from_str(&text).map_err(|error| target.locate(malformed(data, &error)))?;
    Ok((event, is_marked))
}

/// Parses the body of a successful reply.
///
/// # Errors
/// Returns `MalformedReply`.
pub(super) fn parse_json<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    if let Some(reply) = parse_strictly(body) {
        return Ok(reply);
    }
    raw::from_str(&repair::repair(body)).map_err(|error| malformed(body, &error))
}

/// Parses the JSON in `bytes` after the same repairs; `None` if it is no JSON.
pub(super) fn document(bytes: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(bytes).ok().or_else(|| serde_json::from_str(&repair::repair(bytes)).ok())
}

/// Parses a JSON object. A derived implementation would also read a list as the fields in their order.
fn parse_strictly<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

fn malformed(body: &[u8], error: &serde_json::Error) -> Error {
    let problem = match error.classify() {
        _ if body.trim_ascii().is_empty() => "empty: the server sent no body; is the base URL right?".to_owned(),
        _ if is_web_page(body) => "a web page instead of JSON; is the base URL right?".to_owned(),
        Category::Data => format!("JSON that the protocol does not know: {error}"),
        Category::Eof => "JSON that ends too early".to_owned(),
        Category::Io | Category::Syntax => "no JSON; is the base URL right?".to_owned(),
    };
    Error::new(ErrorKind::MalformedReply, shorten(&format!("the reply is {problem}")))
}

fn is_web_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn a_body_that_is_no_envelope_is_malformed() {
        #[derive(Debug, Deserialize)]
        struct Envelope {
            #[expect(dead_code, reason = "only its presence matters")]
            field: String,
        }
        for (body, hint) in [
            ("<html>", "web page"),
            ("  <html>", "web page"),
            ("hello", "no JSON"),
            ("", "no body"),
            (" \n", "no body"),
            ("{\"field\":\"a", "ends too early"),
            ("{}", "does not know"),
            ("[\"a\"]", "does not know"),
        ] {
            let error = parse_json::<Envelope>(&Bytes::from_static(body.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedReply, "{body}");
            assert!(error.message().contains(hint), "{body}: {error}");
        }
    }

    #[test]
    fn a_document_is_read_after_repairs() {
        let read = |bytes: &[u8]| document(bytes).map(|value| value.to_string());
        assert_eq!(read(b"\xef\xbb\xbf{\"a\":NaN}").as_deref(), Some("{\"a\":null}"));
        assert_eq!(read(b"error: out of memory"), None);
    }
}
