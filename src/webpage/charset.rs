//! Decodes the bytes of a page to text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The length of the head in which a page may name its charset, in bytes, as in browsers.
const HEAD: usize = 1024;

/// Decodes `bytes` with the encoding of a byte order mark, of `charset` (the label that the server sent), or of the label in the
/// page, in this order. Without any of them the page is UTF-8 if it is valid UTF-8, else Windows-1252. Invalid bytes become U+FFFD.
pub(super) fn decode<'a>(bytes: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let encoding = charset
        .and_then(|label| Encoding::for_label(label.as_bytes()))
        .or_else(|| declared(bytes))
        .unwrap_or_else(|| if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 });
    encoding.decode(bytes).0
}

/// Returns the encoding that a page declares in its head: `charset=` in a `meta` tag or `encoding=` in an XML declaration.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes[..bytes.len().min(HEAD)].to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let after = |attribute: &str, tag: &str| {
        let (before, after) = head.split_once(attribute)?;
        before.rsplit('<').next().is_some_and(|open| open.starts_with(tag) && !open.contains('>')).then_some(after)
    };
    let after = after("charset", "meta").or_else(|| after("encoding", "?xml"))?;
    let value = after.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let label = value.split(['"', '\'', ';', '/', '>', '?']).next()?.split_whitespace().next()?;
    let encoding = Encoding::for_label(label.as_bytes())?;
    // The tag was read as ASCII, so a declared encoding that is not ASCII-compatible is wrong.
    Some(if encoding.is_ascii_compatible() { encoding } else { UTF_8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_comes_from_the_mark_the_server_or_the_page() {
        let meta = |label: &str, bytes: &[u8]| [format!("<meta {label}>").as_bytes(), bytes].concat();
        for (bytes, charset, expected) in [
            ("Grüße".as_bytes().to_vec(), None, "Grüße"),
            (b"Gr\xfc\xdfe".to_vec(), Some("iso-8859-1"), "Grüße"),
            (b"Gr\xfc\xdfe".to_vec(), None, "Grüße"),
            (b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe".to_vec(), Some("iso-8859-1"), "Grüße"),
            (b"\xff\xfeG\x00r\x00".to_vec(), None, "Gr"),
            (b"\x93\xfa\x96{\x8c\xea".to_vec(), Some("Shift_JIS"), "日本語"),
            (b"\xd6\xd0\xce\xc4".to_vec(), Some("gb2312"), "中文"),
            (b"\xe3\xd1\xcd\xc8\xc7".to_vec(), Some("windows-1256"), "مرحبا"),
            ("Grüße".as_bytes().to_vec(), Some("no-such-charset"), "Grüße"),
            (b"Gr\xff\xc3".to_vec(), Some("utf-8"), "Gr\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(decode(&bytes, charset), expected);
        }
        for label in [
            "charset=\"Shift_JIS\"",
            "CHARSET = shift_jis",
            "http-equiv=content-type content='text/html; charset=Shift_JIS'",
        ] {
            assert!(decode(&meta(label, b"\x93\xfa\x96{"), None).ends_with("日本"), "{label}");
        }
        assert!(decode(&meta("charset=utf-16", "é".as_bytes()), None).ends_with('é'));
        assert!(decode(b"<?xml version='1.0' encoding='Shift_JIS'?>\x93\xfa", None).ends_with('日'));
        assert!(decode(&meta("charset=", "é".as_bytes()), None).ends_with('é'));
        assert!(decode("charset=Shift_JIS é".as_bytes(), None).ends_with('é'), "not in a tag");
    }
}
