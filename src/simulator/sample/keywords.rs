//! Keywords of a schema.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::merge;

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Null,
}

/// The type of the sample. Gemini's schemas write types in upper case.
pub(super) fn kind(keywords: &Map<String, Value>, salt: u64) -> Kind {
    const KINDS: [(&str, Kind); 7] = [
        ("object", Kind::Object),
        ("array", Kind::Array),
        ("string", Kind::String),
        ("integer", Kind::Integer),
        ("number", Kind::Number),
        ("boolean", Kind::Boolean),
        ("null", Kind::Null),
    ];
    const HINTS: [(&[&str], Kind); 4] = [
        (&["properties", "required", "additionalProperties", "patternProperties"], Kind::Object),
        (&["items", "prefixItems", "minItems", "contains"], Kind::Array),
        (&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"], Kind::Number),
        (&["minProperties"], Kind::Object),
    ];
    let known = |name: &Value| {
        let name = name.as_str()?;
        KINDS.iter().find(|(kind, _)| kind.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    };
    let turn = usize::try_from(salt).unwrap_or(0);
    match keywords.get("type") {
        Some(Value::Array(names)) => {
            let mut kinds: Vec<_> = names.iter().filter_map(known).filter(|kind| *kind != Kind::Null).collect();
            if kinds.is_empty() || salt > 0 {
                kinds.push(Kind::Null);
            }
            kinds.get(turn % kinds.len()).copied().unwrap_or(Kind::Null)
        }
        Some(name) => known(name).unwrap_or(Kind::String),
        None => match HINTS.iter().find(|(hints, _)| hints.iter().any(|hint| keywords.contains_key(*hint))) {
            Some((_, kind)) => *kind,
            None if salt == 0 => Kind::String,
            None => KINDS.get((turn + 2) % KINDS.len()).map_or(Kind::String, |(_, kind)| *kind),
        },
    }
}

/// The nesting that a type leads to.
pub(super) fn weight_of_type(schema: &Value) -> usize {
    let Some(keywords) = schema.as_object() else { return 1 };
    if keywords.contains_key("const") || keywords.contains_key("enum") {
        return 0;
    }
    if keywords.contains_key("anyOf") || keywords.contains_key("oneOf") || keywords.contains_key("allOf") {
        return 3;
    }
    match kind(keywords, 0) {
        Kind::Array => 1,
        Kind::Object => 2,
        _ => 0,
    }
}

/// Whether null is the only valid value.
pub(super) fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null" || kind == "NULL") || schema.get("const") == Some(&Value::Null)
}

/// Whether a value generated keyword by keyword may violate a combination of keywords.
pub(super) fn needs_check(keywords: &Map<String, Value>) -> bool {
    const HARD: [&str; 9] = [
        "oneOf",
        "allOf",
        "not",
        "if",
        "contains",
        "dependentSchemas",
        "dependentRequired",
        "patternProperties",
        "propertyNames",
    ];
    HARD.iter().any(|keyword| keywords.contains_key(*keyword))
        || (["$ref", "anyOf"].iter().any(|keyword| keywords.contains_key(*keyword))
            && keywords.keys().filter(|keyword| !merge::is_annotation(keyword)).count() > 1)
}

/// The target of a local reference: `#`, `#/json/pointer` or `#anchor`.
pub(super) fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    let fragment = target.strip_prefix('#')?;
    if fragment.is_empty() {
        return Some(root);
    }
    if fragment.starts_with('/') {
        let decoded = || percent_decode_str(fragment).decode_utf8_lossy();
        return root.pointer(fragment).or_else(|| root.pointer(&decoded()));
    }
    ["$defs", "definitions"]
        .iter()
        .filter_map(|key| root.get(*key)?.as_object())
        .flat_map(Map::values)
        .find(|schema| schema.get("$anchor").is_some_and(|anchor| anchor == fragment))
}

/// The largest count that is read: a sample has no more items, entries or characters in one value.
const MAX_COUNT: usize = 100_000;

/// A non-negative integer keyword, [`MAX_COUNT`] at most. Gemini writes its int64 limits as strings.
pub(super) fn limit(keywords: &Map<String, Value>, keyword: &str) -> Option<usize> {
    let value = keywords.get(keyword)?;
    let number = match value {
        Value::String(digits) => digits.parse().ok()?,
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?))?,
        _ => return None,
    };
    Some(usize::try_from(number).map_or(MAX_COUNT, |number| number.min(MAX_COUNT)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole(number: f64) -> Option<u64> {
    ((0.0..9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}
