//! Two sets of keywords that hold at once, as one set.

use serde_json::{Map, Value, json};

/// The keywords of `base` and `other` together. Where both describe the value, `base` does.
///
/// Of two `anyOf` that of `base` is kept: the outcome allows more than both, never less.
pub(super) fn merge(mut base: Map<String, Value>, other: &Map<String, Value>) -> Map<String, Value> {
    for (keyword, theirs) in other {
        let Some(ours) = base.get_mut(keyword) else {
            base.insert(keyword.clone(), theirs.clone());
            continue;
        };
        if ours == theirs {
            continue;
        }
        match keyword.as_str() {
            "properties" => merge_properties(ours, theirs),
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
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                if theirs.as_f64() > ours.as_f64() {
                    *ours = theirs.clone();
                }
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                if theirs.as_f64() < ours.as_f64() {
                    *ours = theirs.clone();
                }
            }
            "uniqueItems" => *ours = Value::Bool(true),
            _ => {}
        }
    }
    base
}

fn merge_properties(ours: &mut Value, theirs: &Value) {
    let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) else { return };
    for (name, theirs) in theirs {
        match ours.get_mut(name) {
            Some(ours) => *ours = both(ours, theirs),
            None => {
                ours.insert(name.clone(), theirs.clone());
            }
        }
    }
}

/// The schema of a value that fits both schemas.
fn both(ours: &Value, theirs: &Value) -> Value {
    match (ours, theirs) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), schema) | (schema, Value::Bool(true)) => schema.clone(),
        _ if ours == theirs => ours.clone(),
        _ => json!({"allOf": [ours, theirs]}),
    }
}

/// The types on both lists; an integer is a number.
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
