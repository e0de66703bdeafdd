//! Server-sent events, as far as model providers use them: the data. Names, ids and reconnection times are left out.
//!
//! See <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use bytes::{Bytes, BytesMut};

use super::framer::{MAX_EVENT, too_long};
use super::lines::{Ends, Lines};
use crate::error::Result;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The event being gathered.
#[derive(Debug)]
pub(super) struct Sse {
    lines: Lines,
    /// The data so far; `None` before the first `data` line of an event.
    data: Option<BytesMut>,
    is_first_line: bool,
}

impl Sse {
    pub(super) fn new() -> Self {
        Self { lines: Lines::new(Ends::Any), data: None, is_first_line: true }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(line) = self.lines.next()? {
            if line.is_empty() {
                if let Some(data) = self.dispatch() {
                    return Ok(Some(data));
                }
            } else {
                self.take(&line)?;
            }
        }
        Ok(None)
    }

    /// The standard drops an event without the blank line after it. Servers that leave out the last one have said all
    /// they had to say, so it is taken.
    pub(super) fn finish(&mut self) -> Result<Option<Bytes>> {
        let rest = self.lines.rest();
        self.take(&rest)?;
        Ok(self.dispatch())
    }

    fn dispatch(&mut self) -> Option<Bytes> {
        self.data.take().filter(|data| !data.is_empty()).map(BytesMut::freeze)
    }

    fn take(&mut self, line: &[u8]) -> Result<()> {
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(line) if self.is_first_line => line,
            _ => line,
        };
        self.is_first_line = false;
        let Some(value) = field(line, b"data") else { return Ok(()) };
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
}

/// The value in `line` where it is of field `name`. A comment begins with a colon and so has no name.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
