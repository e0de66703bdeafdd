//! JSON values, one a line.

use bytes::Bytes;

use super::lines::{Ends, Lines};
use crate::error::Result;

/// Lines that are not blank.
#[derive(Debug)]
pub(super) struct Ndjson {
    lines: Lines,
}

impl Ndjson {
    pub(super) fn new() -> Self {
        // JSON knows CR as white space, so only LF ends a value.
        Self { lines: Lines::new(Ends::Lf) }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(line) = self.lines.next()? {
            if !is_blank(&line) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// The last line may lack its end.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        Some(self.lines.rest()).filter(|line| !is_blank(line))
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}
