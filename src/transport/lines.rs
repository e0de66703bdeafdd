//! Lines out of bytes that arrive in any pieces.

use bytes::{Buf, Bytes, BytesMut};

use super::framer::{MAX_EVENT, too_long};
use crate::error::Result;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// LF. A CR before it is part of the line.
    Lf,
    /// LF, CR, or both as one end.
    Any,
}

/// The bytes of an unfinished line, and the lines before it that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Lines {
    ends: Ends,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end.
    scanned: usize,
    /// An LF that comes next belongs to the CR before it.
    after_cr: bool,
}

impl Lines {
    pub(super) fn new(ends: Ends) -> Self {
        Self { ends, buffer: BytesMut::new(), scanned: 0, after_cr: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its end. Fails with `MalformedReply` where a line is longer than [`MAX_EVENT`].
    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let is_end = |byte: &u8| *byte == b'\n' || (self.ends == Ends::Any && *byte == b'\r');
        let end = self.buffer[self.scanned..].iter().position(is_end).map(|at| self.scanned + at);
        if end.unwrap_or(self.buffer.len()) > MAX_EVENT {
            return Err(too_long());
        }
        let Some(end) = end else {
            self.scanned = self.buffer.len();
            return Ok(None);
        };
        self.scanned = 0;
        let line = self.buffer.split_to(end).freeze();
        self.after_cr = self.buffer[0] == b'\r';
        self.buffer.advance(1);
        Ok(Some(line))
    }

    /// What came after the last end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.scanned = 0;
        self.buffer.split().freeze()
    }
}
