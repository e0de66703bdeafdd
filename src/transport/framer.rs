//! Splits the bytes of a streamed reply into events. Does no I/O; chunks may end anywhere.

use bytes::{Bytes, BytesMut};

use super::lines::Lines;
use crate::error::{Error, ErrorKind, Result};

/// Upper bound of one event, in bytes.
pub const MAX_EVENT: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How the events of a streamed reply are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// [Server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html). Only their data is read; event
    /// names, ids and reconnection times are ignored.
    Sse,
    /// One JSON value per line.
    Ndjson,
}

/// Splits a streamed reply into events.
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
pub struct Framer {
    framing: Framing,
    lines: Lines,
    /// The data of the current server-sent event; `None` before its first `data` line.
    data: Option<BytesMut>,
    is_first_line: bool,
}

impl Framer {
    /// Creates a framer for the start of a reply.
    pub fn new(framing: Framing) -> Self {
        // CR is white space within JSON.
        Self { framing, lines: Lines::new(framing == Framing::Sse), data: None, is_first_line: true }
    }

    /// Appends the next bytes of the reply.
    pub fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    /// Returns the data of the next complete event; `None` if it needs more bytes.
    ///
    /// # Errors
    /// Returns `MalformedReply` if an event is longer than [`MAX_EVENT`].
    #[expect(clippy::should_implement_trait, reason = "an iterator's `None` would be final")]
    pub fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(line) = self.lines.next()? {
            let event = match self.framing {
                Framing::Ndjson => not_blank(line),
                Framing::Sse if line.is_empty() => self.dispatch(),
                Framing::Sse => {
                    self.read_line(&line)?;
                    None
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Returns the event that the end of the reply completes. To be called after [`Framer::next`] returned `None`.
    ///
    /// The standard discards a server-sent event without a blank line after it. Some servers omit the last one, so that event is
    /// returned.
    pub fn finish(&mut self) -> Result<Option<Bytes>> {
        let rest = self.lines.take_rest();
        match self.framing {
            Framing::Ndjson => Ok(not_blank(rest)),
            Framing::Sse => {
                self.read_line(&rest)?;
                Ok(self.dispatch())
            }
        }
    }

    /// Reads a line of a server-sent event.
    fn read_line(&mut self, line: &[u8]) -> Result<()> {
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(line) if self.is_first_line => line,
            _ => line,
        };
        self.is_first_line = false;
        let Some(value) = data_field(line) else { return Ok(()) };
        let data = match &mut self.data {
            Some(data) => {
                data.extend_from_slice(b"\n");
                data
            }
            None => self.data.insert(BytesMut::new()),
        };
        data.extend_from_slice(value);
        if data.len() > MAX_EVENT { Err(too_long()) } else { Ok(()) }
    }

    /// Ends the current server-sent event. Returns its data unless that is empty.
    fn dispatch(&mut self) -> Option<Bytes> {
        self.data.take().filter(|data| !data.is_empty()).map(BytesMut::freeze)
    }
}

/// Returns the value of the `data` field in `line`. A comment begins with a colon, so its field name is empty.
fn data_field(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

fn not_blank(line: Bytes) -> Option<Bytes> {
    Some(line).filter(|line| !line.trim_ascii().is_empty())
}

pub(super) fn too_long() -> Error {
    Error::new(ErrorKind::MalformedReply, format!("an event of the stream is longer than {MAX_EVENT} bytes"))
}
