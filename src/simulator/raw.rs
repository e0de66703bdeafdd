//! Replies that are sent byte for byte.

use std::future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use super::socket::Socket;
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

/// A reply that is sent byte for byte, past every check of HTTP.
///
/// If the bytes start with `HTTP/`, the parts are the whole reply: status line, headers and body. Otherwise they are
/// the body; status and headers come from the [`Rule`](super::Rule). A body of one part has a `content-length`, a body of
/// several parts is sent in chunks, one for each part.
///
/// ```
/// use std::time::Duration;
/// use madspark::simulator::{RawEnd, RawPart, RawReply};
///
/// // Half an event, a pause, and the other half. The connection is reset behind it.
/// let parts = vec!["data: {\"cho".into(), RawPart::Pause(Duration::from_millis(50)), "ices\": []}\n\n".into()];
/// let reply = RawReply { parts, end: Some(RawEnd::Reset) };
/// # let _ = reply;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawReply {
    /// The bytes and the pauses between them. Each part is written by itself.
    pub parts: Vec<RawPart>,
    /// What follows the last part. `None` keeps the connection open if the headers state the end of the body, and closes it
    /// otherwise.
    pub end: Option<RawEnd>,
}

/// A part of a [`RawReply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawPart {
    /// Bytes that are written at once.
    Bytes(Bytes),
    /// A pause before the next bytes.
    Pause(Duration),
}

named_enum! {
    /// What follows the last byte of a [`RawReply`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RawEnd {
        /// The connection stays open for the next request.
        KeepAlive = "keep_alive",
        /// The connection is closed.
        Close = "close",
        /// The connection is reset. Bytes that the client has not read may be lost.
        Reset = "reset",
        /// The connection stays open, and nothing follows.
        Stall = "stall",
    }
}

impl RawReply {
    /// Divides every run of bytes into pieces of at most `size` bytes, each written by itself.
    #[must_use]
    pub fn split(self, size: usize) -> Self {
        let size = size.max(1);
        let pieces = |part| match part {
            RawPart::Bytes(bytes) => {
                let starts = (0..bytes.len()).step_by(size);
                starts.map(|start| RawPart::Bytes(bytes.slice(start..bytes.len().min(start + size)))).collect()
            }
            pause @ RawPart::Pause(_) => vec![pause],
        };
        Self { parts: self.parts.into_iter().flat_map(pieces).collect(), ..self }
    }

    /// Whether it has a status line.
    fn has_head(&self) -> bool {
        let bytes = self.parts.iter().filter_map(|part| match part {
            RawPart::Bytes(bytes) => Some(bytes),
            RawPart::Pause(_) => None,
        });
        bytes.flatten().take(5).eq(b"HTTP/")
    }
}

impl From<Bytes> for RawReply {
    fn from(bytes: Bytes) -> Self {
        Self { parts: vec![RawPart::Bytes(bytes)], end: None }
    }
}

impl From<&'static str> for RawReply {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl From<&'static str> for RawPart {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

impl FromStr for RawEnd {
    type Err = Error;

    /// Fails with `InvalidInput` for an unknown name.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == name).ok_or_else(|| {
            Error::invalid_input(format!("unknown end {name:?}: use one of {}", Self::ALL.map(Self::as_str).join(", ")))
        })
    }
}

/// A reply with its head.
#[derive(Debug)]
pub(super) struct CompiledReply {
    parts: Vec<RawPart>,
    end: RawEnd,
    /// The status of the head; `None` if it has none.
    pub(super) status: Option<u16>,
}

impl CompiledReply {
    /// Completes `reply`. A reply that is only a body gets `status` and `headers`. Fails with `InvalidInput` if a whole reply
    /// has them too.
    pub(super) fn new(reply: &RawReply, status: Option<u16>, headers: &[(String, String)]) -> Result<Self> {
        let is_whole = reply.has_head();
        if is_whole && (status.is_some() || !headers.is_empty()) {
            return Err(Error::invalid_input(
                "a reply that starts with \"HTTP/\" has its own status and headers: leave out `status` and `headers`",
            ));
        }
        let parts =
            if is_whole { reply.parts.clone() } else { with_head(&reply.parts, status.unwrap_or(200), headers) };
        let head = head_of(&parts);
        let end = reply.end.unwrap_or(if ends_by_itself(&head) { RawEnd::KeepAlive } else { RawEnd::Close });
        let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
        Ok(Self { parts, end, status })
    }

    /// Sends the reply. Returns whether the connection stays open for another request.
    pub(super) async fn send(&self, socket: &Socket) -> io::Result<bool> {
        for part in &self.parts {
            match part {
                RawPart::Bytes(bytes) => {
                    socket.send(bytes).await?;
                    // Gives a reader in this runtime the chance to see the parts one by one.
                    tokio::task::yield_now().await;
                }
                RawPart::Pause(pause) => tokio::time::sleep(*pause).await,
            }
        }
        match self.end {
            RawEnd::KeepAlive => Ok(true),
            RawEnd::Close => Ok(false),
            RawEnd::Reset => socket.reset_on_close().map(|()| false),
            RawEnd::Stall => future::pending().await,
        }
    }
}

/// Adds a status line, headers, and the framing of the body.
fn with_head(parts: &[RawPart], status: u16, headers: &[(String, String)]) -> Vec<RawPart> {
    let mut head = format!("HTTP/1.1 {status} Raw\r\n");
    let mut add = |name: &str, value: &str| {
        if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    };
    let is_chunked = parts.iter().filter(|part| matches!(part, RawPart::Bytes(_))).count() > 1;
    let length: usize = parts.iter().map(RawPart::len).sum();
    if is_chunked {
        add("content-type", "text/event-stream");
        add("transfer-encoding", "chunked");
    } else {
        add("content-type", "application/json");
        add("content-length", &length.to_string());
    }
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    let framed = |part: &RawPart| match part {
        RawPart::Bytes(bytes) if is_chunked && !bytes.is_empty() => {
            let size = format!("{:x}\r\n", bytes.len());
            RawPart::Bytes([size.as_bytes(), bytes, b"\r\n"].concat().into())
        }
        part => part.clone(),
    };
    let mut framed: Vec<_> = parts.iter().map(framed).collect();
    framed.insert(0, RawPart::Bytes(head.into()));
    if is_chunked {
        framed.push(RawPart::from("0\r\n\r\n"));
    }
    framed
}

impl RawPart {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Pause(_) => 0,
        }
    }
}

/// The status line and the headers, in lower case.
fn head_of(parts: &[RawPart]) -> String {
    let mut head = Vec::new();
    for part in parts {
        let RawPart::Bytes(bytes) = part else { continue };
        head.extend_from_slice(bytes);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            head.truncate(end);
            break;
        }
    }
    String::from_utf8_lossy(&head).to_ascii_lowercase()
}

/// Whether a client recognises the end of the body without the end of the connection.
fn ends_by_itself(head: &str) -> bool {
    let values = |name: &'static str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    let has_end =
        values("content-length").next().is_some() || values("transfer-encoding").any(|value| value.contains("chunked"));
    has_end && !values("connection").any(|value| value.contains("close")) && head.starts_with("http/1.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(reply: impl Into<RawReply>) -> CompiledReply {
        CompiledReply::new(&reply.into(), None, &[]).unwrap()
    }

    fn text(reply: &CompiledReply) -> String {
        reply.parts.iter().fold(String::new(), |text, part| match part {
            RawPart::Bytes(bytes) => text + std::str::from_utf8(bytes).unwrap(),
            RawPart::Pause(pause) => format!("{text}<{pause:?}>"),
        })
    }

    #[test]
    fn a_whole_reply_is_sent_unchanged_and_its_headers_decide_the_end() {
        for (head, end) in [
            ("HTTP/1.1 503 Odd\r\nContent-Length: 2\r\n\r\n{}", RawEnd::KeepAlive),
            ("HTTP/1.1 503 Odd\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", RawEnd::KeepAlive),
            ("HTTP/1.1 503 Odd\r\ncontent-length: 2\r\nconnection: Close\r\n\r\n{}", RawEnd::Close),
            ("HTTP/1.1 503 Odd\r\n\r\n{}", RawEnd::Close),
            ("HTTP/1.0 503 Odd\r\ncontent-length: 2\r\n\r\n{}", RawEnd::Close),
        ] {
            let reply = compiled(head);
            assert_eq!((text(&reply).as_str(), reply.end, reply.status), (head, end, Some(503)));
        }
    }

    #[test]
    fn a_body_gets_a_head() {
        let headers = [("Content-Type".to_owned(), "text/plain".to_owned())];
        let reply = CompiledReply::new(&"{}".into(), Some(429), &headers).unwrap();
        assert_eq!(text(&reply), "HTTP/1.1 429 Raw\r\ncontent-length: 2\r\nContent-Type: text/plain\r\n\r\n{}");
        let parts = vec!["one".into(), RawPart::Pause(Duration::from_secs(1)), "".into(), "two".into()];
        let reply = compiled(RawReply { parts, end: None });
        let head = "HTTP/1.1 200 Raw\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(text(&reply), format!("{head}3\r\none\r\n<1s>3\r\ntwo\r\n0\r\n\r\n"));
        assert_eq!((reply.end, reply.status), (RawEnd::KeepAlive, Some(200)));
    }

    #[test]
    fn a_reply_is_split_into_pieces() {
        let pause = RawPart::Pause(Duration::ZERO);
        let parts = vec!["abcde".into(), pause.clone(), "f".into()];
        let reply = RawReply { parts, end: None }.split(2);
        assert_eq!(reply.parts, ["ab".into(), "cd".into(), "e".into(), pause, "f".into()]);
    }

    #[test]
    fn a_whole_reply_takes_no_status_and_no_headers() {
        let reply = RawReply::from("HTTP/1.1 200 OK\r\n\r\n");
        assert!(CompiledReply::new(&reply, Some(200), &[]).is_err());
        assert!(CompiledReply::new(&reply, None, &[("a".to_owned(), "b".to_owned())]).is_err());
    }
}
