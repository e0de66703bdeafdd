//! Deterministic instances of a schema.

use serde_json::Value;

/// A valid, deterministic, plausible instance of `schema`, its words drawn from `prompt`.
pub fn sample(_schema: &Value, _prompt: &str) -> Value {
    Value::Null
}
