//! Splits bytes into lines. Chunks may end anywhere.

use bytes::{Buf, Bytes, BytesMut};

use super::framer::{MAX_EVENT, too_long};
use crate::error::Result;

/// Buffers an incomplete line and the complete lines that were not taken yet.
#[derive(Debug)]
pub(super) struct Lines {
    /// Whether a CR ends a line, like an LF.
    cr_ends_line: bool,
    buffer: BytesMut,
    /// The length of the buffer's start that contains no line end.
    scanned: usize,
    /// Whether an LF at the start of the buffer belongs to the CR before it.
    after_cr: bool,
}

impl Lines {
    /// Lines that end with LF, or, if `cr_ends_line`, with LF, CR or CR LF.
    pub(super) fn new(cr_ends_line: bool) -> Self {
        Self { cr_ends_line, buffer: BytesMut::new(), scanned: 0, after_cr: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete line without its end.
    ///
    /// # Errors
    /// Returns `MalformedReply` if a line is longer than [`MAX_EVENT`].
    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let is_end = |byte: &u8| *byte == b'\n' || (self.cr_ends_line && *byte == b'\r');
        let end = self.buffer[self.scanned..].iter().position(is_end).map(|index| self.scanned + index);
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

    /// Takes the bytes after the last line end.
    pub(super) fn take_rest(&mut self) -> Bytes {
        self.scanned = 0;
        self.buffer.split().freeze()
    }
}
