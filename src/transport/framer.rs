//! From the bytes of a streamed reply to its events. Pure: knows no socket, and bytes may be cut anywhere.

use bytes::Bytes;

use super::ndjson::Ndjson;
use super::sse::Sse;
use crate::error::{Error, ErrorKind, Result};

/// Upper bound of one event, in bytes.
pub const MAX_EVENT: usize = 8 * 1024 * 1024;

/// How events are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    Ndjson,
}

/// Cuts a streamed reply into events.
///
/// ```
/// use madspark::transport::{Framer, Framing};
///
/// # fn main() -> madspark::Result<()> {
/// let mut framer = Framer::new(Framing::Sse);
/// framer.push(b": a comment\n\ndata: {\"te");
/// assert_eq!(framer.next()?, None);
/// framer.push(b"xt\": \"hi\"}\r\n\r\n");
/// assert_eq!(framer.next()?.as_deref(), Some(&b"{\"text\": \"hi\"}"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Framer(Kind);

#[derive(Debug)]
enum Kind {
    Sse(Sse),
    Ndjson(Ndjson),
}

impl Framer {
    /// A framer at the start of a reply.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Sse => Kind::Sse(Sse::new()),
            Framing::Ndjson => Kind::Ndjson(Ndjson::new()),
        })
    }

    /// Takes the next bytes of the reply.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Kind::Sse(sse) => sse.push(bytes),
            Kind::Ndjson(ndjson) => ndjson.push(bytes),
        }
    }

    /// The data of the next whole event; `None` where more bytes are needed. Fails with `MalformedReply` where an event is
    /// longer than [`MAX_EVENT`].
    #[expect(clippy::should_implement_trait, reason = "an iterator would end where this one waits for more bytes")]
    pub fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.0 {
            Kind::Sse(sse) => sse.next(),
            Kind::Ndjson(ndjson) => ndjson.next(),
        }
    }

    /// The event that the end of the reply completes, where there is one. Call it after [`Framer::next`] gave `None`.
    pub fn finish(&mut self) -> Result<Option<Bytes>> {
        match &mut self.0 {
            Kind::Sse(sse) => sse.finish(),
            Kind::Ndjson(ndjson) => Ok(ndjson.finish()),
        }
    }
}

pub(super) fn too_long() -> Error {
    Error::new(ErrorKind::MalformedReply, format!("an event of the stream is longer than {MAX_EVENT} bytes"))
}
