//! The text fields of an envelope.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::fields::word;
use super::raw;

/// The name of [`Text`] for deserializers.
pub(super) const NAME: &str = "Text";

/// The depth to which parts of a text are read; deeper ones are their JSON.
const MAX_DEPTH: u32 = 4;

/// A text field. The strict pass accepts strings and null only; [`raw`] accepts any value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::provider) enum Text {
    /// Null, or no such field.
    #[default]
    None,
    /// A string.
    Plain(String),
    /// The JSON text of a value of another type.
    Json(String),
}

/// The texts in a text field, which may be a list of parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct Pieces {
    /// The text of the answer.
    pub(in crate::provider) text: Option<String>,
    /// The reasoning.
    pub(in crate::provider) reasoning: Option<String>,
    /// The name of the field of the reasoning; empty without reasoning.
    pub(in crate::provider) reasoning_field: &'static str,
    /// The words of a refusal.
    pub(in crate::provider) refusal: Option<String>,
}

/// What a part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartKind {
    Text,
    Reasoning,
    Refusal,
    /// A call, an image, a reference.
    NoText,
    Unknown,
}

/// A part of a text.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Part {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    text: Text,
    thinking: Text,
    reasoning: Text,
    summary: Text,
    refusal: Text,
}

impl Text {
    /// Returns all text in it; `None` if there is none.
    pub(in crate::provider) fn into_string(self) -> Option<String> {
        match self {
            Self::Plain(text) => Some(text),
            other => {
                let Pieces { text, reasoning, refusal, .. } = other.into_pieces();
                [text, reasoning, refusal].into_iter().flatten().reduce(|text, more| text + &more)
            }
        }
    }

    /// Returns all words in it; `None` for a number, a truth value and anything else without a string.
    pub(in crate::provider) fn into_words(self) -> Option<String> {
        let has_words = match &self {
            Self::None => false,
            Self::Plain(_) => true,
            Self::Json(json) => json.contains('"'),
        };
        if has_words { self.into_string() } else { None }
    }

    /// Returns the texts in it. A number or a truth value is its JSON text, and so is a list or an object without parts.
    pub(in crate::provider) fn into_pieces(self) -> Pieces {
        self.pieces(0)
    }

    fn pieces(self, depth: u32) -> Pieces {
        match self {
            Self::None => Pieces::default(),
            Self::Plain(text) => Pieces { text: Some(text), ..Pieces::default() },
            Self::Json(json) => parts(&json, depth).unwrap_or(Pieces { text: Some(json), ..Pieces::default() }),
        }
    }

    /// Appends all text in it to `to`.
    fn append(self, to: &mut Option<String>, depth: u32) {
        let Pieces { text, reasoning, refusal, .. } = self.pieces(depth);
        for text in [text, reasoning, refusal].into_iter().flatten() {
            to.get_or_insert_default().push_str(&text);
        }
    }
}

impl PartKind {
    fn of(name: Option<&str>) -> Self {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return Self::Unknown };
        let contains = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match name.as_str() {
            "text" | "output_text" | "input_text" => Self::Text,
            "refusal" => Self::Refusal,
            _ if contains(&["think", "thought", "reason", "summary"]) => Self::Reasoning,
            _ if contains(&["tool", "function", "image", "audio", "video", "file", "citation", "reference"]) => {
                Self::NoText
            }
            _ => Self::Unknown,
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::Plain(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
        Ok(Text::Plain(text))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text::None)
    }

    fn visit_bytes<E: Error>(self, json: &[u8]) -> Result<Text, E> {
        String::from_utf8(json.to_vec()).map(Text::Json).map_err(E::custom)
    }
}

/// Returns the texts of the parts in `json`: a list with a part, or a part with a type. Empty lists and objects have none.
/// `None` if `json` has no parts.
fn parts(json: &str, depth: u32) -> Option<Pieces> {
    let is_list = json.starts_with('[');
    if depth == MAX_DEPTH || !(is_list || json.starts_with('{')) {
        return None;
    }
    let items: Vec<&RawValue> =
        if is_list { serde_json::from_str(json).ok()? } else { vec![serde_json::from_str(json).ok()?] };
    let mut pieces = Pieces::default();
    let (mut is_empty, mut has_part) = (true, false);
    for item in items {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(item.get()).ok()?;
        if fields.is_empty() {
            continue;
        }
        is_empty = false;
        let part: Part = raw::from_str(item.get()).ok()?;
        let kind = PartKind::of(part.r#type.as_deref());
        // An object with a text among other fields may be data.
        has_part |= match kind {
            PartKind::Text => fields.contains_key("text"),
            PartKind::Unknown => is_list && fields.len() == 1 && fields.contains_key("text"),
            PartKind::Reasoning | PartKind::Refusal | PartKind::NoText => is_list,
        };
        let Part { text, thinking, reasoning, summary, refusal, .. } = part;
        match kind {
            PartKind::Text | PartKind::Unknown => text.append(&mut pieces.text, depth + 1),
            PartKind::Reasoning => {
                pieces.reasoning_field = "thinking parts";
                for text in [text, thinking, reasoning, summary] {
                    text.append(&mut pieces.reasoning, depth + 1);
                }
            }
            PartKind::Refusal => {
                for text in [text, refusal] {
                    text.append(&mut pieces.refusal, depth + 1);
                }
            }
            PartKind::NoText => {}
        }
    }
    (is_empty || has_part).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(json: &str) -> Pieces {
        raw::from_str::<HashMap<String, Text>>(&format!("{{\"a\":{json}}}")).unwrap().remove("a").unwrap().into_pieces()
    }

    fn text(text: &str) -> Pieces {
        Pieces { text: Some(text.to_owned()), ..Pieces::default() }
    }

    #[test]
    fn a_value_of_another_type_is_its_json_text() {
        for json in
            ["17", "5.50", "-0.005", "1e3", "true", "12345678901234567890123", "{\"score\": 7.0}", "[1, 2]", "[\"a\"]"]
        {
            assert_eq!(pieces(json), text(json), "{json}");
        }
        assert_eq!(pieces("\"a\\n\""), text("a\n"));
        for empty in ["null", "[]", "{}", "[{}]"] {
            assert_eq!(pieces(empty), Pieces::default(), "{empty}");
        }
    }

    #[test]
    fn parts_are_joined_by_their_kind() {
        let thinking =
            r#"{"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]}"#;
        let joined = pieces(&format!(
            r#"[{thinking}, {{"type": "text", "text": "a"}}, {{"text": 5.50}}, {{"type": "image_url"}}, {{"type": "x", "text": "b"}}]"#
        ));
        let expected = Pieces {
            text: Some("a5.50b".into()),
            reasoning: Some("hm".into()),
            reasoning_field: "thinking parts",
            refusal: None,
        };
        assert_eq!(joined, expected);
        assert_eq!(pieces(r#"{"type": "text", "text": "a"}"#), text("a"));
        assert_eq!(pieces(r#"[{"text": "a"}]"#), text("a"));
        let refusal = Pieces { refusal: Some("no".into()), ..Pieces::default() };
        assert_eq!(pieces(r#"[{"type": "refusal", "refusal": "no"}]"#), refusal);
    }

    #[test]
    fn data_with_the_fields_of_a_part_stays_data() {
        for data in [r#"{"text": "a"}"#, r#"[{"text": "a", "score": 1}]"#, r#"[{"type": "risk", "name": "a"}]"#] {
            assert_eq!(pieces(data), text(data), "{data}");
        }
    }

    #[test]
    fn the_depth_of_parts_is_limited() {
        let deep = format!("{}1{}", r#"[{"type":"thinking","thinking":"#.repeat(100_000), "}]".repeat(100_000));
        assert!(pieces(&deep).reasoning.is_some_and(|text| text.starts_with('[')));
    }
}
