//! A scanner of JSON tokens (RFC 8259): functions from the position of a token to its end.
//!
//! They allocate nothing, so that callers can cut pieces out of a text without rewriting the rest.

use crate::steps;

/// Why a token is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanError {
    /// The text ends inside the token.
    UnexpectedEnd,
    /// The byte at this position is not part of a token.
    UnexpectedByte(usize),
}

/// Returns the first position at or after `at` that is not white space.
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Returns the end of the string whose opening quote is at `at`.
pub(super) fn string(text: &[u8], at: usize) -> Result<usize, ScanError> {
    let end = end_of_string(text, at);
    steps::count(match end {
        Ok(end) | Err(ScanError::UnexpectedByte(end)) => end - at,
        Err(ScanError::UnexpectedEnd) => text.len() - at,
    });
    end
}

fn end_of_string(text: &[u8], at: usize) -> Result<usize, ScanError> {
    let mut at = at + 1;
    loop {
        match *text.get(at).ok_or(ScanError::UnexpectedEnd)? {
            b'"' => return Ok(at + 1),
            b'\\' => match *text.get(at + 1).ok_or(ScanError::UnexpectedEnd)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    for digit in at + 2..at + 6 {
                        if !text.get(digit).ok_or(ScanError::UnexpectedEnd)?.is_ascii_hexdigit() {
                            return Err(ScanError::UnexpectedByte(digit));
                        }
                    }
                    at += 6;
                }
                _ => return Err(ScanError::UnexpectedByte(at + 1)),
            },
            0..0x20 => return Err(ScanError::UnexpectedByte(at)),
            _ => at += 1,
        }
    }
}

/// Returns the end of the string, number, `true`, `false` or `null` that starts at `at`.
pub(super) fn scalar(text: &[u8], at: usize) -> Result<usize, ScanError> {
    match *text.get(at).ok_or(ScanError::UnexpectedEnd)? {
        b'"' => string(text, at),
        b't' => word(text, at, b"true"),
        b'f' => word(text, at, b"false"),
        b'n' => word(text, at, b"null"),
        b'-' | b'0'..=b'9' => number(text, at),
        _ => Err(ScanError::UnexpectedByte(at)),
    }
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, ScanError> {
    for (offset, expected) in word.iter().enumerate() {
        if text.get(at + offset).ok_or(ScanError::UnexpectedEnd)? != expected {
            return Err(ScanError::UnexpectedByte(at + offset));
        }
    }
    Ok(at + word.len())
}

fn number(text: &[u8], mut at: usize) -> Result<usize, ScanError> {
    if text[at] == b'-' {
        at += 1;
    }
    at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Ok(at)
}

/// Returns the end of a sequence of at least one digit.
fn digits(text: &[u8], start: usize) -> Result<usize, ScanError> {
    let mut at = start;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    match at > start {
        true => Ok(at),
        false if at >= text.len() => Err(ScanError::UnexpectedEnd),
        false => Err(ScanError::UnexpectedByte(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_agree_with_serde_json() {
        let texts = [
            "0",
            "-0",
            "12",
            "1.10",
            "1e5",
            "1E-5",
            "-1.5e+10",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "true",
            "tru",
            "truth",
            "null",
            "nul",
            "NaN",
            r#""""#,
            r#""a\"b""#,
            r#""\u00e9""#,
            r#""\u00g9""#,
            r#""\x""#,
            "\"a\nb\"",
            "\"a",
            "\"\\",
        ];
        for text in texts {
            let ours = scalar(text.as_bytes(), 0) == Ok(text.len());
            assert_eq!(ours, serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn truncated_tokens_are_distinguished_from_invalid_ones() {
        assert_eq!(scalar(b"\"abc", 0), Err(ScanError::UnexpectedEnd));
        assert_eq!(scalar(b"tru", 0), Err(ScanError::UnexpectedEnd));
        assert_eq!(scalar(b"trux", 0), Err(ScanError::UnexpectedByte(3)));
        assert_eq!(scalar(b"1.x", 0), Err(ScanError::UnexpectedByte(2)));
    }
}
