//! Deserializes an envelope from the JSON text of its fields, so that each field is read by itself.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

use super::fields::Object;
use super::text;
use super::visitor::ListVisitor;

/// Deserializes the JSON object in `json`. Of fields with the same name the last one counts. A list of one object is that
/// object.
pub(super) fn from_str<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
    let value: &RawValue = serde_json::from_str(json)?;
    if !value.get().starts_with('[') {
        return T::deserialize(RawField::new(value));
    }
    let mut items: Vec<&RawValue> = serde_json::from_str(value.get())?;
    match (items.pop(), items.is_empty()) {
        (Some(item), true) => T::deserialize(RawField::new(item)),
        _ => Err(serde::de::Error::custom("a list in place of an object")),
    }
}

/// Deserializes the objects of the JSON list in `json`.
pub(super) fn items<T: Object>(json: &str) -> serde_json::Result<Vec<T>> {
    let list: &RawValue = serde_json::from_str(json)?;
    RawField::new(list).deserialize_any(ListVisitor(PhantomData)).map(Option::unwrap_or_default)
}

/// The depth to which values are read.
const MAX_DEPTH: u32 = 64;

/// The JSON text of a value.
#[derive(Clone, Copy)]
struct RawField<'de> {
    json: &'de RawValue,
    depth: u32,
}

/// The fields of an object.
struct Fields<'de>(HashMap<String, &'de RawValue>);

impl<'de> RawField<'de> {
    fn new(json: &'de RawValue) -> Self {
        Self { json, depth: 0 }
    }
}

impl<'de> Deserializer<'de> for RawField<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        let json = self.json.get();
        let depth = self.depth + 1;
        match json.as_bytes().first() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => Err(serde::de::Error::custom("values are nested too deep")),
            Some(b'{') => {
                let Fields(fields) = serde_json::from_str(json)?;
                let fields = fields.into_iter().map(|(name, json)| (name, Self { json, depth }));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json)?;
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(|json| Self { json, depth })))
            }
            Some(b'-' | b'0'..=b'9') => match (json.parse(), json.parse()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                // Not by serde_json, which rejects numbers beyond the range of `f64`.
                _ => visitor.visit_f64(json.parse().unwrap_or(f64::NAN)),
            },
            _ => serde_json::Deserializer::from_str(json).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        if self.json.get() == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// A [`text::Text`] that is neither a string nor null is visited as the bytes of its JSON. Other types are deserialized by
    /// `serde_json`, which limits their depth.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        let json = self.json.get();
        if name == text::NAME && !json.starts_with(['"', 'n']) {
            return visitor.visit_bytes(json.as_bytes());
        }
        serde_json::Deserializer::from_str(json).deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for RawField<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}
