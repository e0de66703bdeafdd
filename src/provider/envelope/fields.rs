//! The types of an envelope's fields. A value of an unexpected type costs no other field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Above it, a number is no count. The sum of many counts stays within 64 bits.
const MAX_COUNT: u64 = 1 << 40;

/// A count. A fraction is cut off, and a number in a string is read. Any other value is zero: malformed accounting must not
/// cost the reply.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct Count(pub(in crate::provider) u64);

/// A truth value; any value but `true`, 1 and `"true"` is false.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct Flag(pub(in crate::provider) bool);

/// A scalar of any type.
enum Scalar<'a> {
    Word(&'a str),
    Integer(u64),
    Number(f64),
    Bool(bool),
    /// Null, a list or an object.
    None,
}

impl From<Scalar<'_>> for Count {
    fn from(scalar: Scalar<'_>) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates")]
        let whole = |number: f64| number as u64;
        let count = match scalar {
            Scalar::Word(word) => word.trim().parse().map_or(0, whole),
            Scalar::Integer(number) => number,
            Scalar::Number(number) => whole(number),
            Scalar::Bool(_) | Scalar::None => 0,
        };
        Self(if count > MAX_COUNT { 0 } else { count })
    }
}

impl From<Scalar<'_>> for Flag {
    fn from(scalar: Scalar<'_>) -> Self {
        Self(match scalar {
            Scalar::Word(word) => word.eq_ignore_ascii_case("true"),
            Scalar::Integer(number) => number == 1,
            Scalar::Bool(value) => value,
            Scalar::Number(_) | Scalar::None => false,
        })
    }
}

/// A name, without the surrounding white space; `None` for no name.
struct Word(Option<String>);

impl From<Scalar<'_>> for Word {
    fn from(scalar: Scalar<'_>) -> Self {
        Self(match scalar {
            Scalar::Word(word) => {
                let word = word.trim();
                let is_none = word.is_empty() || ["null", "none"].iter().any(|name| word.eq_ignore_ascii_case(name));
                (!is_none).then(|| word.to_owned())
            }
            Scalar::Integer(number) => Some(number.to_string()),
            Scalar::Number(number) => Some(number.to_string()),
            Scalar::Bool(_) | Scalar::None => None,
        })
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

/// Deserializes a name, such as that of a model or of a finish reason. A number is its digits; any other type, an empty string
/// and the words "null" and "none" are `None`.
pub(in crate::provider) fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(ScalarVisitor(PhantomData)).map(|Word(word)| word)
}

/// Deserializes an object without text; `None` for a value of another type.
pub(in crate::provider) fn details<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    deserializer.deserialize_any(DetailsVisitor(PhantomData))
}

/// An object that may have text.
pub(in crate::provider) trait Object: DeserializeOwned {
    /// Returns the object for a string in its place; `None` if it has no text of its own.
    fn from_text(_text: String) -> Option<Self> {
        None
    }
}

/// Deserializes an object that may have text; `None` for values without text.
///
/// # Errors
/// Fails for a string if the object has no text of its own, and for a list that is not empty.
pub(in crate::provider) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Object,
{
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

/// Deserializes a list of objects that may have text; null is `None`, and a value of another type a list of one.
///
/// # Errors
/// Fails like [`object`], also in the list.
pub(in crate::provider) fn list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Object,
{
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

/// Deserializes an error; `None` for a value that says nothing, such as null, `false`, `""` and `{"message": null}`.
pub(in crate::provider) fn fault<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    // As a newtype: see `RawField::deserialize_newtype_struct`.
    #[derive(Deserialize)]
    struct Fault(Value);
    let Fault(value) = Fault::deserialize(deserializer)?;
    Ok(Some(value).filter(|value| !is_blank(value)))
}

/// Whether `value` says nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(fields) => fields.values().all(is_blank),
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<'de, T: for<'a> From<Scalar<'a>>> Visitor<'de> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
        Ok(Scalar::Word(word).into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(Scalar::Integer(number).into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Ok(u64::try_from(number).map_or(Scalar::None, Scalar::Integer).into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Ok(Scalar::Number(number).into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Ok(Scalar::Bool(value).into())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(Scalar::None.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None.into())
    }
}

struct DetailsVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for DetailsVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        T::from_text(text.to_owned()).map(Some).ok_or_else(|| E::custom("a string in place of an object"))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        Err(E::invalid_type(Unexpected::Unsigned(number), &self))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<T>, E> {
        if value { Err(E::invalid_type(Unexpected::Bool(value), &self)) } else { Ok(None) }
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    /// Some languages write an object without fields as a list.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
        match list.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
            None => Ok(None),
        }
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for ListVisitor<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Item(item)) = list.next_element()? {
            items.extend(item);
        }
        Ok(Some(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|item| Some(vec![item]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let item: Option<T> = ObjectVisitor(PhantomData).visit_str(text)?;
        Ok(item.map(|item| vec![item]))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        if value { Err(E::invalid_type(Unexpected::Bool(value), &self)) } else { Ok(None) }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// An item of a list; null has none.
struct Item<T>(Option<T>);

impl<'de, T: Object> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_leniently() {
        for (json, count) in [
            ("7", 7),
            ("11.0", 11),
            ("\"7\"", 7),
            ("\" 7.9 \"", 7),
            ("\"inf\"", 0),
            ("1e300", 0),
            ("18446744073709551615", 0),
            ("null", 0),
            ("-1", 0),
            ("-1.5", 0),
            ("\"n/a\"", 0),
            ("true", 0),
            ("[1]", 0),
            ("{\"a\":1}", 0),
        ] {
            assert_eq!(serde_json::from_str::<Count>(json).unwrap().0, count, "{json}");
        }
    }

    #[test]
    fn a_fault_that_says_nothing_is_none() {
        let read = |json: &str| fault(&mut serde_json::Deserializer::from_str(json)).unwrap();
        for blank in ["null", "false", "\"\"", "{}", "[]", "0", r#"{"message":"","code":null}"#] {
            assert_eq!(read(blank), None, "{blank}");
        }
        for error in ["true", "\"no\"", r#"{"code":500,"message":""}"#, "[{\"message\":\"no\"}]", "7"] {
            assert!(read(error).is_some(), "{error}");
        }
    }

    #[test]
    fn words_are_scalars() {
        let read = |json: &str| word(&mut serde_json::Deserializer::from_str(json)).unwrap();
        for (json, expected) in [("\" stop \"", Some("stop")), ("1", Some("1")), ("1.5", Some("1.5"))] {
            assert_eq!(read(json).as_deref(), expected, "{json}");
        }
        for none in ["null", "\"\"", "\"null\"", "true", "{\"a\":[1]}", "[\"stop\"]"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn flags_are_true_only_for_truth() {
        let read = |json: &str| serde_json::from_str::<Flag>(json).unwrap().0;
        assert!(read("true") && read("\"True\"") && read("1"));
        assert!(!read("false") && !read("\"no\"") && !read("null") && !read("[true]") && !read("2"));
    }
}
