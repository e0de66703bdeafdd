//! Simulates a model that is constrained by a strict schema.

use serde_json::{Map, Value, json};

/// Returns what a model constrained by the strict `schema` writes for `value`: every property, with null for absent
/// ones. Reads only the lowered document.
pub(crate) fn as_strict(document: &Value, schema: &Value, value: &Value) -> Option<Value> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return as_strict(document, document.pointer(&reference[1..]).unwrap(), value);
    }
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        return branches.iter().find_map(|branch| as_strict(document, branch, value));
    }
    let written = match (value, schema["type"].as_str()) {
        (Value::Object(members), Some("object")) => {
            let properties = schema["properties"].as_object().unwrap();
            if members.keys().any(|name| !properties.contains_key(name)) {
                return None;
            }
            let mut written = Map::new();
            for (name, schema) in properties {
                let member = members.get(name).unwrap_or(&Value::Null);
                written.insert(name.clone(), as_strict(document, schema, member)?);
            }
            Value::Object(written)
        }
        (Value::Array(items), Some("object")) => {
            let properties = schema["properties"].as_object().unwrap();
            let positions = (0..items.len()).map(|position| position.to_string());
            if !properties.keys().cloned().eq(positions) {
                return None;
            }
            let items = properties.iter().zip(items);
            items
                .map(|((name, schema), item)| Some((name.clone(), as_strict(document, schema, item)?)))
                .collect::<Option<Map<String, Value>>>()?
                .into()
        }
        (Value::Array(items), Some("array")) if schema.get("prefixItems").is_some() => {
            let schemas = schema["prefixItems"].as_array().unwrap();
            schemas
                .iter()
                .zip(items)
                .map(|(schema, item)| as_strict(document, schema, item))
                .collect::<Option<Value>>()?
        }
        (Value::Array(items), Some("array")) => {
            items.iter().map(|item| as_strict(document, &schema["items"], item)).collect::<Option<Value>>()?
        }
        _ => value.clone(),
    };
    let mut alone = schema.clone();
    alone["$defs"] = document.get("$defs").cloned().unwrap_or_else(|| json!({}));
    jsonschema::is_valid(&alone, &written).then_some(written)
}
