//! Merges two sets of keywords that apply to the same value.

use serde_json::{Map, Value, json};

/// Returns keywords that accept every value that both sets accept. Descriptions of `base` take precedence.
///
/// If both sets have an `anyOf`, that of `base` is kept: the result may accept more than both, never less.
pub(super) fn merge(mut base: Map<String, Value>, other: &Map<String, Value>) -> Map<String, Value> {
    if let Some(properties) = merge_properties(&base, other) {
        base.insert("properties".to_owned(), properties);
    }
    for (keyword, theirs) in other {
        let Some(ours) = base.get_mut(keyword) else {
            base.insert(keyword.clone(), theirs.clone());
            continue;
        };
        if ours == theirs || keyword == "properties" {
            continue;
        }
        match keyword.as_str() {
            "required" => {
                if let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs) {
                    ours.extend(theirs.iter().filter(|name| !ours.contains(name)).cloned().collect::<Vec<_>>());
                }
            }
            "type" => *ours = common_types(ours, theirs),
            "enum" => {
                if let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs) {
                    ours.retain(|value| theirs.contains(value));
                }
            }
            "additionalProperties" | "items" => *ours = both(ours, theirs),
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties"
                if theirs.as_f64() > ours.as_f64() =>
            {
                *ours = theirs.clone();
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties"
                if theirs.as_f64() < ours.as_f64() =>
            {
                *ours = theirs.clone();
            }
            "uniqueItems" => *ours = Value::Bool(true),
            _ => {}
        }
    }
    base
}

/// Merges the properties. A property that only one side names must also match the other's `additionalProperties`.
fn merge_properties(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> Option<Value> {
    let named = |keywords: &Map<String, Value>| keywords.get("properties").and_then(Value::as_object).cloned();
    let (our_names, their_names) = (named(ours), named(theirs));
    if our_names.is_none() && their_names.is_none() {
        return None;
    }
    let with_additional = |keywords: &Map<String, Value>, schema: Value| match keywords.get("additionalProperties") {
        Some(others) if !keywords.contains_key("patternProperties") => both(&schema, others),
        _ => schema,
    };
    let (our_names, mut their_names) = (our_names.unwrap_or_default(), their_names.unwrap_or_default());
    let mut merged = Map::new();
    for (name, schema) in our_names {
        let schema = match their_names.shift_remove(&name) {
            Some(other) => both(&schema, &other),
            None => with_additional(theirs, schema),
        };
        merged.insert(name, schema);
    }
    merged.extend(their_names.into_iter().map(|(name, schema)| (name, with_additional(ours, schema))));
    Some(Value::Object(merged))
}

/// Returns a schema of the values that match both.
fn both(ours: &Value, theirs: &Value) -> Value {
    match (ours, theirs) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), schema) | (schema, Value::Bool(true)) => schema.clone(),
        _ if ours == theirs => ours.clone(),
        _ => json!({"allOf": [ours, theirs]}),
    }
}

/// Returns the types in both lists. An integer is also a number.
fn common_types(ours: &Value, theirs: &Value) -> Value {
    let list = |types: &Value| match types {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let (ours, theirs) = (list(ours), list(theirs));
    let is_in =
        |name: &Value, types: &[Value]| types.contains(name) || (name == "integer" && types.contains(&json!("number")));
    let mut common: Vec<Value> = ours.iter().filter(|name| is_in(name, &theirs)).cloned().collect();
    common
        .extend(theirs.iter().filter(|name| *name == "integer" && !ours.contains(name) && is_in(name, &ours)).cloned());
    Value::Array(common)
}
