//! Merges two sets of keywords that apply to the same value.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// Returns keywords that accept every value that both sets accept. Descriptions of `base` take precedence.
///
/// If both sets have an `anyOf`, that of `base` is kept: the result may accept more than both, never less.
pub(super) fn merge(mut base: Map<String, Value>, other: &Map<String, Value>) -> Map<String, Value> {
    merge_properties(&mut base, other);
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
                    let known: HashSet<&str> = ours.iter().filter_map(Value::as_str).collect();
                    let is_new = |name: &&Value| !name.as_str().is_some_and(|name| known.contains(name));
                    let new: Vec<Value> = theirs.iter().filter(is_new).cloned().collect();
                    ours.extend(new);
                }
            }
            "type" => *ours = common_types(ours, theirs),
            "enum" => {
                if let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs) {
                    ours.retain(|value| theirs.contains(value));
                }
            }
            "additionalProperties" | "items" => *ours = both(ours.take(), theirs),
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

/// Merges the properties of `theirs` into `ours`. A property that only one side names must also match the other's
/// `additionalProperties`. Takes no more time than `theirs` is long, unless it constrains other properties.
fn merge_properties(ours: &mut Map<String, Value>, theirs: &Map<String, Value>) {
    let others = |keywords: &Map<String, Value>| {
        keywords.get("additionalProperties").filter(|_| !keywords.contains_key("patternProperties")).cloned()
    };
    let no_names = Map::new();
    let their_names = theirs.get("properties").and_then(Value::as_object);
    if their_names.is_none() && !ours.get("properties").is_some_and(Value::is_object) {
        return;
    }
    let their_names = their_names.unwrap_or(&no_names);
    let (our_others, their_others) = (others(ours), others(theirs));
    let properties = ours.entry("properties").or_insert(Value::Null);
    if !properties.is_object() {
        *properties = Value::Object(Map::new());
    }
    let Value::Object(properties) = properties else { return };
    if let Some(others) = their_others {
        for (_, schema) in properties.iter_mut().filter(|(name, _)| !their_names.contains_key(*name)) {
            *schema = both(schema.take(), &others);
        }
    }
    for (name, schema) in their_names {
        match (properties.get_mut(name), &our_others) {
            (Some(own), _) => *own = both(own.take(), schema),
            (None, Some(others)) => {
                properties.insert(name.clone(), both(schema.clone(), others));
            }
            (None, None) => {
                properties.insert(name.clone(), schema.clone());
            }
        }
    }
}

/// Returns a schema of the values that match both.
fn both(ours: Value, theirs: &Value) -> Value {
    match (ours, theirs) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), schema) => schema.clone(),
        (schema, Value::Bool(true)) => schema,
        (ours, theirs) if ours == *theirs => ours,
        // Pairs within pairs would nest as deeply as an `allOf` is long.
        (Value::Object(mut map), theirs) if map.len() == 1 && map.get("allOf").is_some_and(Value::is_array) => {
            if let Some(Value::Array(parts)) = map.get_mut("allOf") {
                parts.push(theirs.clone());
            }
            Value::Object(map)
        }
        (ours, theirs) => json!({"allOf": [ours, theirs]}),
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
