//! The types of an envelope's fields. A value of an unexpected type costs no other field.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::visitor::{DetailsVisitor, ListVisitor, ObjectVisitor, ScalarVisitor};

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
pub(super) enum Scalar<'a> {
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
