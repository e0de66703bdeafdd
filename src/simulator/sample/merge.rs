//! Merges schemas: `allOf`, and keywords next to a reference.

use serde_json::{Map, Value, json};

/// Whether a keyword does not constrain the value.
pub(super) fn is_annotation(keyword: &str) -> bool {
    matches!(
        keyword,
        "title"
            | "description"
            | "default"
            | "examples"
            | "example"
            | "deprecated"
            | "readOnly"
            | "writeOnly"
            | "discriminator"
            | "nullable"
            | "propertyOrdering"
            | "$comment"
            | "$schema"
            | "$id"
            | "$anchor"
            | "$defs"
            | "definitions"
    )
}

/// Whether the schema has no constraint.
pub(super) fn is_bare(keywords: &Map<String, Value>) -> bool {
    keywords.keys().all(|keyword| is_annotation(keyword))
}

/// The keywords except `excluded`.
pub(super) fn without(keywords: &Map<String, Value>, excluded: &[&str]) -> Map<String, Value> {
    keywords
        .iter()
        .filter(|(keyword, _)| !excluded.contains(&keyword.as_str()))
        .map(|(keyword, value)| (keyword.clone(), value.clone()))
        .collect()
}

/// Merges one branch of `if`/`then`/`else` into the schema. Even turns use `then`.
pub(super) fn conditional(keywords: &Map<String, Value>, turn: u64) -> (Value, Value) {
    let part = |keyword: &str| keywords.get(keyword).cloned().unwrap_or(Value::Bool(true));
    let branch = if turn.is_multiple_of(2) {
        both(&part("if"), &part("then"))
    } else {
        both(&json!({"not": part("if")}), &part("else"))
    };
    (branch, Value::Object(without(keywords, &["if", "then", "else"])))
}

/// A schema whose instances fit `left` and `right`, as far as keywords can be merged individually.
pub(super) fn both(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Object(left), Value::Object(right)) => merged(left, right),
        (Value::Object(_), _) => left.clone(),
        _ => right.clone(),
    }
}

fn merged(left: &Map<String, Value>, right: &Map<String, Value>) -> Value {
    let mut whole = left.clone();
    for (keyword, value) in right {
        let Some(present) = whole.get(keyword) else {
            whole.insert(keyword.clone(), value.clone());
            continue;
        };
        if present == value {
            continue;
        }
        let combined = match keyword.as_str() {
            "type" => common_types(present, value),
            "properties" | "patternProperties" | "$defs" | "definitions" => each(present, value),
            "required" => union(present, value),
            "enum" => intersection(present, value),
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "minContains" => {
                extreme(present, value, |left, right| left >= right)
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" | "maxContains" => {
                extreme(present, value, |left, right| left <= right)
            }
            "multipleOf" => common_multiple(present, value),
            "items" | "additionalProperties" | "propertyNames" | "contains" => both(present, value),
            "uniqueItems" => Value::Bool(present == &Value::Bool(true) || value == &Value::Bool(true)),
            // These cannot be merged: the second stays in `allOf` until the first is resolved.
            "anyOf" | "oneOf" | "$ref" | "not" | "if" => {
                defer(&mut whole, json!({ keyword: value }));
                continue;
            }
            "allOf" => {
                let parts = value.as_array().cloned().unwrap_or_default();
                if let Some(Value::Array(all)) = whole.get_mut("allOf") {
                    all.extend(parts);
                }
                continue;
            }
            _ => continue,
        };
        whole.insert(keyword.clone(), combined);
    }
    Value::Object(whole)
}

fn defer(whole: &mut Map<String, Value>, part: Value) {
    if let Value::Array(all) = whole.entry("allOf").or_insert_with(|| Value::Array(Vec::new())) {
        all.push(part);
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn common_types(left: &Value, right: &Value) -> Value {
    let right = list(right);
    let mut common: Vec<Value> = Vec::new();
    for name in list(left) {
        if right.contains(&name) {
            common.push(name);
        } else if name == "number" && right.contains(&json!("integer")) {
            common.push(json!("integer"));
        } else if name == "integer" && right.contains(&json!("number")) {
            common.push(name);
        }
    }
    if common.len() == 1 { common.remove(0) } else { Value::Array(common) }
}

fn each(left: &Value, right: &Value) -> Value {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else { return left.clone() };
    let mut whole = left.clone();
    for (name, schema) in right {
        let combined = whole.get(name).map_or_else(|| schema.clone(), |present| both(present, schema));
        whole.insert(name.clone(), combined);
    }
    Value::Object(whole)
}

fn union(left: &Value, right: &Value) -> Value {
    let mut all = list(left);
    for value in list(right) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    Value::Array(all)
}

fn intersection(left: &Value, right: &Value) -> Value {
    let right = list(right);
    Value::Array(list(left).into_iter().filter(|value| right.contains(value)).collect())
}

fn extreme(left: &Value, right: &Value, left_wins: impl Fn(f64, f64) -> bool) -> Value {
    match (left.as_f64(), right.as_f64()) {
        (Some(left_number), Some(right_number)) if !left_wins(left_number, right_number) => right.clone(),
        _ => left.clone(),
    }
}

fn common_multiple(left: &Value, right: &Value) -> Value {
    match (left.as_u64(), right.as_u64()) {
        (Some(left), Some(right)) if left > 0 && right > 0 => {
            let (mut low, mut high) = (left, right);
            while low != 0 {
                (low, high) = (high % low, low);
            }
            (left / high).checked_mul(right).map_or_else(|| json!(left), |multiple| json!(multiple))
        }
        _ => left.clone(),
    }
}
