//! Recognises the format of a reply by its first bytes: labels are often wrong.

use super::framer::{Framing, MAX_EVENT};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The names of the fields of server-sent events, and `error`, which llama.cpp sends.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];

/// The size from which on the start of a reply is searched for the end of its first line only where bytes are new.
const SMALL: usize = 64;

/// The format of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Server-sent events.
    Sse,
    /// One JSON value per line.
    Lines,
    /// Neither: one JSON document, a web page or plain text.
    Document,
}

/// Returns the format of the reply that begins with `start`, whose last `added` bytes are new, where `framing` is expected.
/// `None` means that more bytes are needed.
pub(super) fn detect(framing: Framing, start: &[u8], added: usize) -> Option<Format> {
    if start.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(start) {
        return None;
    }
    let text = without_mark(start).trim_ascii_start();
    let first = *text.first()?;
    if has_field(text)? {
        return Some(Format::Sse);
    }
    match (framing, first) {
        (Framing::Sse, _) | (Framing::Ndjson, b'[') => Some(Format::Document),
        (Framing::Ndjson, b'{') => {
            let is_new_line = start.len() <= SMALL || start[start.len() - added..].contains(&b'\n');
            let end = if is_new_line { text.iter().position(|byte| *byte == b'\n') } else { None };
            match end {
                Some(end) if text[..end].trim_ascii_end().ends_with(b"}") => Some(Format::Lines),
                // An object that goes on in the next line.
                Some(_) => Some(Format::Document),
                None => (text.len() > MAX_EVENT).then_some(Format::Lines),
            }
        }
        (Framing::Ndjson, _) => Some(Format::Lines),
    }
}

/// Returns `start` without a byte order mark.
pub(super) fn without_mark(start: &[u8]) -> &[u8] {
    start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start)
}

/// Returns the format of a complete reply of `framing` that [`detect`] does not know.
pub(super) fn default_format(framing: Framing) -> Format {
    match framing {
        Framing::Sse => Format::Sse,
        Framing::Ndjson => Format::Lines,
    }
}

/// Whether `text` begins with a comment or a field of a server-sent event; `None` if it may become one.
fn has_field(text: &[u8]) -> Option<bool> {
    if text.starts_with(b":") {
        return Some(true);
    }
    for name in FIELDS {
        if let Some(rest) = text.strip_prefix(name) {
            return rest.first().map(|next| matches!(next, b':' | b'\n' | b'\r'));
        }
        if name.starts_with(text) {
            return None;
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(framing: Framing, start: &str) -> Option<Format> {
        detect(framing, start.as_bytes(), start.len())
    }

    #[test]
    fn the_first_bytes_decide() {
        use {Format as F, Framing as E};
        for (start, of_events, of_lines) in [
            ("data: {}", Some(F::Sse), Some(F::Sse)),
            ("\u{feff}\r\n: hello", Some(F::Sse), Some(F::Sse)),
            ("event: error\n", Some(F::Sse), Some(F::Sse)),
            ("error: {\"a\":1}", Some(F::Sse), Some(F::Sse)),
            ("data\n\n", Some(F::Sse), Some(F::Sse)),
            ("", None, None),
            (" \n", None, None),
            ("da", None, None),
            ("retry", None, None),
            ("database: no", Some(F::Document), Some(F::Lines)),
            ("<html>", Some(F::Document), Some(F::Lines)),
            ("upstream error", Some(F::Document), Some(F::Lines)),
            ("[{}", Some(F::Document), Some(F::Document)),
            ("{\"a\"", Some(F::Document), None),
            ("{\"a\":1}\n", Some(F::Document), Some(F::Lines)),
            ("{\"a\":1} \r\n{", Some(F::Document), Some(F::Lines)),
            ("{\n  \"a\":1\n}", Some(F::Document), Some(F::Document)),
        ] {
            assert_eq!(detected(E::Sse, start), of_events, "{start:?}");
            assert_eq!(detected(E::Ndjson, start), of_lines, "{start:?}");
        }
        assert_eq!(detect(E::Sse, b"\xef\xbb", 2), None);
    }
}
