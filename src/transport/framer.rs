//! Splits the bytes of a streamed reply into events. Does no I/O; chunks may end anywhere.

use bytes::{Bytes, BytesMut};

use super::MAX_REPLY;
use super::format::{self, Format};
use super::lines::Lines;
use crate::error::{Error, ErrorKind, Result};

/// Upper bound of one event, in bytes.
pub const MAX_EVENT: usize = 8 * 1024 * 1024;

/// How the events of a streamed reply are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// [Server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html). Only their data is read, and
    /// whether they are errors; ids and reconnection times are ignored.
    Sse,
    /// One JSON value per line.
    Ndjson,
}

/// What a frame contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// The data of an event.
    Event,
    /// The data of an event that is named `error`, or the value of an `error` field, as llama.cpp sends it.
    Error,
    /// The whole reply, which is no stream.
    Document,
}

/// A part of a streamed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it contains.
    pub kind: FrameKind,
    /// The bytes; never blank.
    pub data: Bytes,
}

/// Splits a streamed reply into events.
///
/// A reply may have the other framing, or be one document, whatever its label says; its first bytes tell.
///
/// ```
/// use madspark::transport::{Framer, Framing};
///
/// # fn main() -> madspark::Result<()> {
/// let mut framer = Framer::new(Framing::Sse);
/// framer.push(b": a comment\n\ndata: {\"te");
/// assert_eq!(framer.next()?, None);
/// framer.push(b"xt\": \"hi\"}\r\n\r\n");
/// assert_eq!(framer.next()?.unwrap().data, &b"{\"text\": \"hi\"}"[..]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    /// `None` until the first bytes tell.
    format: Option<Format>,
    /// The bytes before the format is known; the whole document.
    start: BytesMut,
    lines: Lines,
    /// The data of the current server-sent event; `None` before its first `data` line.
    data: Option<BytesMut>,
    /// Whether the current server-sent event is an error.
    is_error: bool,
}

impl Framer {
    /// Creates a framer for the start of a reply that should have `framing`.
    pub fn new(framing: Framing) -> Self {
        Self { framing, format: None, start: BytesMut::new(), lines: Lines::new(false), data: None, is_error: false }
    }

    /// Creates a framer that reads `framing`, whatever the first bytes are.
    pub fn fixed(framing: Framing) -> Self {
        let mut framer = Self::new(framing);
        framer.begin(format::default_format(framing));
        framer
    }

    /// Appends the next bytes of the reply.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.format {
            Some(Format::Sse | Format::Lines) => self.lines.push(bytes),
            Some(Format::Document) => self.start.extend_from_slice(bytes),
            None => {
                self.start.extend_from_slice(bytes);
                if let Some(format) = format::detect(self.framing, &self.start, bytes.len()) {
                    self.begin(format);
                }
            }
        }
    }

    /// Whether the reply is one document, which [`Framer::finish`] returns.
    pub fn is_document(&self) -> bool {
        self.format == Some(Format::Document)
    }

    /// Returns the next complete event; `None` if it needs more bytes.
    ///
    /// # Errors
    /// Returns `MalformedReply` if an event is longer than [`MAX_EVENT`], or a document longer than [`MAX_REPLY`].
    #[expect(clippy::should_implement_trait, reason = "an iterator's `None` would be final")]
    pub fn next(&mut self) -> Result<Option<Frame>> {
        let is_sse = match self.format {
            Some(Format::Sse) => true,
            Some(Format::Lines) => false,
            Some(Format::Document) | None if self.start.len() > MAX_REPLY => {
                let message = format!("the reply has more than {MAX_REPLY} bytes");
                return Err(Error::new(ErrorKind::MalformedReply, message));
            }
            Some(Format::Document) | None => return Ok(None),
        };
        while let Some(line) = self.lines.next()? {
            let event = if !is_sse {
                frame(FrameKind::Event, line)
            } else if line.is_empty() {
                self.dispatch()
            } else {
                self.read_line(&line)?;
                None
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
    pub fn finish(&mut self) -> Result<Option<Frame>> {
        if self.format.is_none() {
            self.begin(format::default_format(self.framing));
            let event = self.next()?;
            if event.is_some() {
                return Ok(event);
            }
        }
        if self.is_document() {
            return Ok(frame(FrameKind::Document, self.start.split().freeze()));
        }
        let rest = self.lines.take_rest();
        if self.format == Some(Format::Lines) {
            return Ok(frame(FrameKind::Event, rest));
        }
        self.read_line(&rest)?;
        Ok(self.dispatch())
    }

    fn begin(&mut self, format: Format) {
        self.format = Some(format);
        let start = self.start.split();
        let start = format::without_mark(&start);
        if format == Format::Document {
            self.start.extend_from_slice(start);
        } else {
            // CR is white space within JSON.
            self.lines = Lines::new(format == Format::Sse);
            self.lines.push(start);
        }
    }

    /// Reads a line of a server-sent event.
    fn read_line(&mut self, line: &[u8]) -> Result<()> {
        let value = if let Some(value) = field(line, b"data") {
            value
        } else if let Some(value) = field(line, b"error") {
            self.is_error = true;
            value
        } else {
            let name = field(line, b"event").unwrap_or_default();
            self.is_error |= name.trim_ascii().eq_ignore_ascii_case(b"error");
            return Ok(());
        };
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

    /// Ends the current server-sent event. Returns it unless its data is empty.
    fn dispatch(&mut self) -> Option<Frame> {
        let kind = if std::mem::take(&mut self.is_error) { FrameKind::Error } else { FrameKind::Event };
        self.data.take().filter(|data| !data.is_empty()).map(|data| Frame { kind, data: data.freeze() })
    }
}

/// Returns the value of the field `name` in `line`. A comment begins with a colon, so its field name is empty.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

fn frame(kind: FrameKind, data: Bytes) -> Option<Frame> {
    (!data.trim_ascii().is_empty()).then_some(Frame { kind, data })
}

pub(super) fn too_long() -> Error {
    Error::new(ErrorKind::MalformedReply, format!("an event of the stream is longer than {MAX_EVENT} bytes"))
}
