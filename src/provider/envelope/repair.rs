//! Repairs bytes that are almost JSON: what encoders of other languages write, and what transport damaged.

use std::borrow::Cow;

const BYTE_ORDER_MARK: char = '\u{feff}';

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The first code point of the marks for halves of surrogate pairs, one for each of U+D800 to U+DFFF. They are the last ones
/// of a private use plane.
const MARKS: u32 = 0x0010_F800;

const SURROGATES: u32 = 0xD800;

/// A half of a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) enum Half {
    /// The first half.
    High(u32),
    /// The second half.
    Low(u32),
}

impl Half {
    /// Returns the character of the pair of a high and a low half.
    pub(in crate::provider) fn join(high: u32, low: u32) -> char {
        let code = 0x10000 + ((high - SURROGATES) << 10) + (low - 0xDC00);
        char::from_u32(code).unwrap_or(REPLACEMENT)
    }
}

/// Returns the half that `mark` stands for in a text of [`repair_event`].
pub(in crate::provider) fn half(mark: char) -> Option<Half> {
    let unit = u32::from(mark).checked_sub(MARKS)? + SURROGATES;
    Some(if unit < 0xDC00 { Half::High(unit) } else { Half::Low(unit) })
}

/// Repairs the bytes of a whole reply: removes a byte order mark, replaces broken UTF-8 and halves of surrogate pairs by
/// U+FFFD, and numbers that JSON does not know by null; escapes control characters and stray backslashes in strings.
pub(super) fn repair(bytes: &[u8]) -> String {
    Repair { marks: false, is_marked: false }.run(&readable(bytes))
}

/// Repairs the bytes of an event like [`repair`], but marks halves of surrogate pairs: the other half may be in the next
/// event. The second value is whether there is a mark.
pub(super) fn repair_event(bytes: &[u8]) -> (String, bool) {
    let text = readable(bytes);
    // A text may itself contain the characters that serve as marks, also escaped: as a high half from U+DBFE on.
    let has_marks = text.chars().any(|character| half(character).is_some());
    let is_ambiguous = has_marks || text.to_ascii_lowercase().contains("\\udbf");
    let mut repair = Repair { marks: !is_ambiguous, is_marked: false };
    let text = repair.run(&text);
    (text, repair.is_marked)
}

fn readable(bytes: &[u8]) -> Cow<'_, str> {
    let is_blank = |character: char| character == BYTE_ORDER_MARK || character.is_whitespace();
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches(is_blank)),
        Cow::Owned(text) => Cow::Owned(text.trim_start_matches(is_blank).to_owned()),
    }
}

#[derive(Debug)]
struct Repair {
    marks: bool,
    is_marked: bool,
}

impl Repair {
    fn run(&mut self, text: &str) -> String {
        let mut repaired = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|character: char| character == '"' || is_in_word(character)) {
            let (between, next) = rest.split_at(start);
            repaired.push_str(between);
            rest = if let Some(string) = next.strip_prefix('"') {
                repaired.push('"');
                self.string(string, &mut repaired)
            } else {
                let end = next.find(|character| !is_in_word(character)).unwrap_or(next.len());
                let (word, next) = next.split_at(end);
                repaired.push_str(if is_no_number(word) { "null" } else { word });
                next
            };
        }
        repaired.push_str(rest);
        repaired
    }

    /// Repairs the rest of a string, and returns what follows it.
    fn string<'a>(&mut self, text: &'a str, repaired: &mut String) -> &'a str {
        let mut rest = text;
        while let Some(index) = rest.find(|character: char| character == '"' || character == '\\' || character < ' ') {
            repaired.push_str(&rest[..index]);
            let (special, next) = (rest.as_bytes()[index], &rest[index + 1..]);
            rest = match special {
                b'"' => {
                    repaired.push('"');
                    return next;
                }
                b'\\' => self.escape(next, repaired),
                control => {
                    let escape = format!("\\u{control:04x}");
                    repaired.push_str(&escape);
                    next
                }
            };
        }
        repaired.push_str(rest);
        ""
    }

    /// Repairs the escape whose backslash is before `text`, and returns what follows it.
    fn escape<'a>(&mut self, text: &'a str, repaired: &mut String) -> &'a str {
        let Some(unit) = text.strip_prefix('u').and_then(code_unit) else {
            let is_valid = text.starts_with(['"', '\\', '/', 'b', 'f', 'n', 'r', 't']);
            // A backslash that escapes nothing is one.
            let (escape, rest) = if is_valid { text.split_at(1) } else { ("\\", text) };
            repaired.push('\\');
            repaired.push_str(escape);
            return rest;
        };
        let (escape, rest) = text.split_at(5);
        let low = rest.strip_prefix("\\u").and_then(code_unit).filter(|unit| (0xDC00..0xE000).contains(unit));
        match unit {
            0xD800..0xDC00 if low.is_some() => {
                let (low, rest) = rest.split_at(6);
                repaired.extend(["\\", escape, low]);
                rest
            }
            0xD800..0xE000 => {
                self.is_marked |= self.marks;
                let mark = char::from_u32(MARKS + (unit - SURROGATES)).filter(|_| self.marks);
                repaired.push(mark.unwrap_or(REPLACEMENT));
                rest
            }
            _ => {
                repaired.extend(["\\", escape]);
                rest
            }
        }
    }
}

fn code_unit(text: &str) -> Option<u32> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

fn is_in_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.' | '_')
}

/// Whether `word` is how an encoder writes a value that JSON has no number for.
fn is_no_number(word: &str) -> bool {
    let name = word.trim_start_matches(['+', '-']);
    ["nan", "inf", "infinity", "undefined"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn almost_json_is_repaired() {
        for (bytes, repaired) in [
            (&b"\xef\xbb\xbf {\"a\": 1}"[..], "{\"a\": 1}"),
            (b"{\"a\": \"x\xffy\"}", "{\"a\": \"x\u{fffd}y\"}"),
            (br#"{"a": "x\ud83dy"}"#, "{\"a\": \"x\u{fffd}y\"}"),
            (br#"{"a": "\uDE00"}"#, "{\"a\": \"\u{fffd}\"}"),
            (br#"{"a": "\ud83d\ude00\u00e9"}"#, r#"{"a": "\ud83d\ude00\u00e9"}"#),
            (br#"{"a": "\ud83d\ud83d\ude00"}"#, "{\"a\": \"\u{fffd}\\ud83d\\ude00\"}"),
            (br#"{"a": NaN, "b": [-Infinity,inf], "NaN": "NaN"}"#, r#"{"a": null, "b": [null,null], "NaN": "NaN"}"#),
            (br#"{"a": true, "b": -1.5e+3}"#, r#"{"a": true, "b": -1.5e+3}"#),
            (b"{\"a\": \"x\ny\"}", r#"{"a": "x\u000ay"}"#),
            (br#"{"a": "\_ \u12 \\ \""}"#, r#"{"a": "\\_ \\u12 \\ \""}"#),
            (b"{\"a\": \"\\", "{\"a\": \"\\\\"),
            (b"hello", "hello"),
        ] {
            assert_eq!(repair(bytes), repaired);
        }
    }

    #[test]
    fn halves_are_marked_in_events() {
        let (text, is_marked) = repair_event(br#"{"a": "x\ud83d"}"#);
        let mark = text.chars().rev().nth(2).unwrap();
        assert_eq!((half(mark), is_marked), (Some(Half::High(0xD83D)), true));
        assert_eq!(Half::join(0xD83D, 0xDE00), '😀');
        let (text, is_marked) = repair_event("{\"a\": \"\u{10f83d} \\ud83d\"}".as_bytes());
        assert_eq!(
            (text.as_str(), is_marked),
            ("{\"a\": \"\u{10f83d} \u{fffd}\"}", false),
            "the mark is a text of its own"
        );
        assert!(!repair_event(br#"{"a": "\udbfe\udc3d \ud83d"}"#).1, "it is escaped");
        assert_eq!(half('\u{10f7ff}'), None);
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(text in any::<String>(), number in any::<f64>(), key in any::<String>()) {
            let value = serde_json::json!({"a": [text, number, null, true], key: {}});
            for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(serde_json::from_str::<Value>(&repair(written.as_bytes())).unwrap(), value.clone());
                prop_assert_eq!(repair_event(written.as_bytes()), (written, false));
            }
        }

        #[test]
        fn any_bytes_are_repaired_without_a_panic(bytes in any::<Vec<u8>>(), text in r#"[ud83de0"\\{}\[\],:NaNinf \n]{0,40}"#) {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = (repair(bytes), repair_event(bytes));
            }
        }
    }
}
