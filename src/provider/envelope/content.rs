//! Text fields that are lists of parts in a good envelope.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fields::Object;
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
