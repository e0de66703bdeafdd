//! Translates `OpenAPI`'s `nullable` to JSON Schema, for independent validators.

use serde_json::{Map, Value, json};

/// Returns `schema` with each `nullable` flag replaced by the type `null`.
pub(crate) fn without_flag(schema: &Value) -> Value {
    let mut plain = schema.clone();
    let Some(node) = plain.as_object_mut() else { return plain };
    for child in node.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        *child = without_flag(child);
    }
    for child in node.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        *child = without_flag(child);
    }
    if let Some(child) = node.get_mut("items") {
        *child = without_flag(child);
    }
    if node.remove("nullable").is_some() { json!({"anyOf": [plain, {"type": "null"}]}) } else { plain }
}
