//! Text fields that are lists of parts in a good envelope.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::fields::Object;
use super::raw;
use super::text::{NAME, Text};
use super::visitor::ListVisitor;

/// A text field that is a list of parts `T`. The strict pass also accepts strings and null; [`super::raw`] accepts any value.
#[derive(Debug)]
pub(in crate::provider) enum Content<T> {
    /// The parts.
    Parts(Vec<T>),
    /// Any other value.
    Other(Text),
}

impl<T: Object> Content<T> {
    /// Reads a value that the strict pass did not: a list of parts, or a single object that `is_part` by the names of its fields.
    /// An object that is no part, and a list of such, stays its JSON text: it is the answer.
    ///
    /// # Errors
    /// Fails for a list with anything but objects and text.
    pub(in crate::provider) fn into_known(self, is_part: fn(&[&str]) -> bool) -> serde_json::Result<Self> {
        let Self::Other(Text::Json(json)) = self else { return Ok(self) };
        if json.starts_with('[') {
            return match raw::items(&json) {
                Ok(parts) => Ok(Self::Parts(parts)),
                Err(_) if serde_json::from_str::<Vec<Map<String, Value>>>(&json).is_ok() => {
                    Ok(Self::Other(Text::Json(json)))
                }
                Err(error) => Err(error),
            };
        }
        let is_part = serde_json::from_str::<Map<String, Value>>(&json)
            .is_ok_and(|fields| is_part(&fields.keys().map(String::as_str).collect::<Vec<_>>()));
        if is_part { Ok(Self::Parts(vec![raw::from_str(&json)?])) } else { Ok(Self::Other(Text::Json(json))) }
    }
}

impl<T> Default for Content<T> {
    fn default() -> Self {
        Self::Other(Text::None)
    }
}

impl<'de, T: Object> Deserialize<'de> for Content<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, ContentVisitor(PhantomData))
    }
}

struct ContentVisitor<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for ContentVisitor<T> {
    type Value = Content<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of parts")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content<T>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Content<T>, A::Error> {
        ListVisitor(PhantomData).visit_seq(list).map(|parts| Content::Parts(parts.unwrap_or_default()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content<T>, E> {
        Ok(Content::Other(Text::Plain(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Content<T>, E> {
        Ok(Content::default())
    }

    fn visit_bytes<E: Error>(self, json: &[u8]) -> Result<Content<T>, E> {
        String::from_utf8(json.to_vec()).map(|json| Content::Other(Text::Json(json))).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Part {
        text: Text,
    }

    impl Object for Part {}

    #[derive(Deserialize)]
    struct Envelope {
        content: Content<Part>,
    }

    #[test]
    fn a_list_of_parts_is_read_in_the_strict_pass() {
        let read = |json: &str| serde_json::from_str::<Envelope>(json).map(|envelope| envelope.content);
        let parts = read(r#"{"content":[{"text":"a"},null,{"text":"b","x":1}]}"#).unwrap();
        assert!(matches!(parts, Content::Parts(parts) if parts.len() == 2 && parts[1].text == Text::Plain("b".into())));
        assert!(matches!(read(r#"{"content":"a"}"#).unwrap(), Content::Other(Text::Plain(_))));
        assert!(matches!(read(r#"{"content":null}"#).unwrap(), Content::Other(Text::None)));
        assert!(read(r#"{"content":{"a":1}}"#).is_err() && read(r#"{"content":["a"]}"#).is_err());
    }

    #[test]
    fn any_other_value_keeps_its_json() {
        for value in [r#"{"a": 1}"#, r#"["a"]"#, "5.50", r#"[{"text": "a"}]"#] {
            let envelope: Envelope = raw::from_str(&format!(r#"{{"content":{value}}}"#)).unwrap();
            assert!(matches!(envelope.content, Content::Other(Text::Json(json)) if json == value), "{value}");
        }
    }
}
