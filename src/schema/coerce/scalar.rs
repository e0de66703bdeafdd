//! Coerces strings, numbers, booleans and null into each other if the text means the same.

use serde_json::Value;

use crate::schema::change::{Change, Changes};
use crate::schema::graph::{Node, NodeKind};
use crate::schema::lenient::Json;
use crate::schema::matcher::matches_scalar;

/// Coerces `json` to the scalar kind of `node`.
pub(super) fn coerce<'t>(json: &Json<'t>, node: &Node, changes: &mut Changes) -> Option<Json<'t>> {
    if let Json::Scalar(literal) = json
        && matches_scalar(&node.kind, literal)
    {
        return Some(json.clone());
    }
    let (literal, change) = match &node.kind {
        NodeKind::Null if *json == Json::NotFinite => ("null".to_owned(), Change::NotFiniteToNull),
        NodeKind::Null => (null(&json.as_text()?)?, Change::TextToNull),
        NodeKind::Boolean => (boolean(&json.as_text()?)?, Change::TextToBoolean),
        NodeKind::Number => (decimal(&json.as_text()?)?.to_owned(), Change::TextToNumber),
        NodeKind::Integer => match json.as_number() {
            Some(literal) => (integer(literal)?.to_owned(), Change::FloatToInteger),
            None => (integer(decimal(&json.as_text()?)?)?.to_owned(), Change::TextToNumber),
        },
        // A format or a pattern requires more than digits.
        NodeKind::String if ["pattern", "format"].iter().any(|keyword| node.constraints.contains_key(*keyword)) => {
            return None;
        }
        NodeKind::String => (format!("\"{}\"", json.as_number()?), Change::NumberToText),
        NodeKind::Enum(values) => return enumerated(json, values, changes),
        _ => return None,
    };
    changes.note(change);
    Some(Json::Scalar(literal.into()))
}

/// Returns the letters and digits of a name in lower case: equal for `novelty_score`, `noveltyScore` and `Novelty
/// Score`.
pub(super) fn letters(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Returns the one of `values` that `json` spells differently.
fn enumerated<'t>(json: &Json<'t>, values: &[Value], changes: &mut Changes) -> Option<Json<'t>> {
    let has_text = values.iter().any(Value::is_string);
    if *json == Json::NotFinite {
        changes.note(Change::NotFiniteToNull);
        return values.contains(&Value::Null).then(|| Json::Scalar("null".into()));
    }
    if let Some(number) = json.as_number() {
        let mut matches = values.iter().filter(|value| value.as_str() == Some(number));
        let (Some(only), None) = (matches.next(), matches.next()) else { return None };
        changes.note(Change::NumberToText);
        return Some(Json::Scalar(only.to_string().into()));
    }
    let text = json.as_text()?;
    let spelling = words(&text);
    let is_same = |value: &&Value| value.as_str().is_some_and(|value| words(value) == spelling);
    let mut matches = values.iter().filter(is_same);
    if let Some(only) = matches.next() {
        changes.note(Change::EnumSpelling);
        return matches.next().is_none().then(|| Json::Scalar(only.to_string().into()));
    }
    if has_text {
        return None;
    }
    let (literal, change) = [
        (decimal(&text).map(str::to_owned), Change::TextToNumber),
        (boolean(&text), Change::TextToBoolean),
        (null(&text), Change::TextToNull),
    ]
    .into_iter()
    .find_map(|(literal, change)| literal.map(|literal| (literal, change)))?;
    changes.note(change);
    let value: Value = serde_json::from_str(&literal).ok()?;
    values.contains(&value).then(|| Json::Scalar(literal.into()))
}

/// Returns the words of a text in lower case, joined by `_`.
fn words(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c == '_').filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

/// Returns `text` if it is a plain decimal number: no plus sign, leading zeros, exponent or separators.
fn decimal(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_canonical = are_digits(whole) && are_digits(fraction) && (whole == "0" || !whole.starts_with('0'));
    // An integer cannot represent minus zero.
    let is_negative_zero = text.starts_with('-') && digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    (is_canonical && !is_negative_zero).then_some(text)
}

/// Returns the digits before the point if only zeros follow it.
fn integer(literal: &str) -> Option<&str> {
    let literal = decimal(literal)?;
    match literal.split_once('.') {
        None => Some(literal),
        Some((whole, fraction)) => fraction.bytes().all(|byte| byte == b'0').then_some(whole),
    }
}

fn boolean(text: &str) -> Option<String> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match () {
        () if is("true") || is("yes") => Some("true".to_owned()),
        () if is("false") || is("no") => Some("false".to_owned()),
        () => None,
    }
}

fn null(text: &str) -> Option<String> {
    let is_null = text.is_empty() || ["null", "none"].iter().any(|word| text.eq_ignore_ascii_case(word));
    is_null.then(|| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimals_are_numbers() {
        for text in ["0", "8", "-8", "1.10", "-0.5", "0.0", "12345678901234567890"] {
            assert_eq!(decimal(text), Some(text));
        }
        for text in [
            "", "-", "-0", "-0.0", "+8", "08", "1,000", "1 000", "1_000", ".5", "5.", "1e3", "8%", " 8", "0x8", "٣",
            "1.2.3",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn integers_lose_only_trailing_zeros() {
        assert_eq!(integer("8.0"), Some("8"));
        assert_eq!(integer("12345678901234567890.00"), Some("12345678901234567890"));
        assert_eq!(integer("8.01"), None);
        assert_eq!(integer("1e3"), None);
    }

    #[test]
    fn spellings_ignore_case_and_spacing() {
        assert_eq!(letters("novelty_score"), letters("Novelty Score"));
        assert_eq!(letters("novelty-score"), letters("noveltyScore"));
        assert_ne!(letters("score1"), letters("score_2"));
        assert_eq!(words(" Low  RISK "), words("low_risk"));
        assert_ne!(words("lowrisk"), words("low_risk"));
    }
}
