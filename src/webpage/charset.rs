//! The text in a page's bytes.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How much of a page is searched for the charset it names, as browsers do.
const HEAD: usize = 1024;

/// The text of `bytes`: in the encoding of a byte order mark, else in that of `charset`, the label the server told, else in
/// that the page names, else in UTF-8, and where it is not that, in the encoding of old pages that name none. What cannot be
/// decoded becomes U+FFFD.
pub(super) fn text<'a>(bytes: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let told = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = told
        .or_else(|| named(bytes))
        .unwrap_or_else(|| if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 });
    encoding.decode(bytes).0
}

/// The encoding that a page names in its head: `charset=` within a `meta` tag or an XML declaration's `encoding=`.
fn named(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes[..bytes.len().min(HEAD)].to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let after = |mark: &str, tag: &str| {
        let (before, after) = head.split_once(mark)?;
        before.rsplit('<').next().is_some_and(|open| open.starts_with(tag) && !open.contains('>')).then_some(after)
    };
    let after = after("charset", "meta").or_else(|| after("encoding", "?xml"))?;
    let value = after.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let label = value.split(['"', '\'', ';', '/', '>', '?']).next()?.split_whitespace().next()?;
    let encoding = Encoding::for_label(label.as_bytes())?;
    // The tag was read as ASCII, so the page cannot be in what it says.
    Some(if encoding.is_ascii_compatible() { encoding } else { UTF_8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_found_where_it_is_told() {
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
            assert_eq!(text(&bytes, charset), expected);
        }
        for label in [
            "charset=\"Shift_JIS\"",
            "CHARSET = shift_jis",
            "http-equiv=content-type content='text/html; charset=Shift_JIS'",
        ] {
            assert!(text(&meta(label, b"\x93\xfa\x96{"), None).ends_with("日本"), "{label}");
        }
        assert!(text(&meta("charset=utf-16", "é".as_bytes()), None).ends_with('é'));
        assert!(text(b"<?xml version='1.0' encoding='Shift_JIS'?>\x93\xfa", None).ends_with('日'));
        assert!(text(&meta("charset=", "é".as_bytes()), None).ends_with('é'));
        assert!(text("charset=Shift_JIS é".as_bytes(), None).ends_with('é'), "no tag");
    }
}
