//! For any schema: every lowered form accepts all valid values, and strict replies are restored to the original form.

use crate::schema_nullable::without_flag;
use crate::schema_strict::as_strict;
use madspark::schema::{Dialect, Schema};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// Few names, so that schemas and values share them; the name of the wrapper is not among them.
const NAMES: [&str; 3] = ["a", "b", "c"];

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "string", "minLength": 2, "title": "T", "default": "x"})),
        Just(json!({"type": "integer", "exclusiveMinimum": 0})),
        Just(json!({"type": "number", "maximum": 1.5})),
        Just(json!({"type": ["integer", "null"], "minimum": 1})),
        Just(json!({"type": "string", "pattern": r"^[\w]+$", "maxLength": 5000})),
        Just(json!({"type": "string", "pattern": "(?=x)", "maxLength": 3})),
        Just(json!({"type": "integer", "minimum": 2, "maximum": 1})),
        Just(json!({"type": "array", "minItems": 4000, "items": {"type": "string"}})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        Just(json!({"const": "x"})),
        Just(json!({"enum": ["x", 1, null]})),
        Just(json!({"enum": [true, 2]})),
        select(vec!["#", "#/$defs/A", "#/$defs/B"]).prop_map(|target| json!({"$ref": target, "description": "D."})),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            4 => any_object(inner.clone()),
            2 => inner.clone().prop_map(|items| json!({"type": "array", "items": items, "maxItems": 2})),
            1 => vec(inner.clone(), 1..3).prop_map(|items| {
                json!({"type": "array", "minItems": items.len(), "maxItems": items.len(), "prefixItems": items})
            }),
            2 => (select(vec!["anyOf", "oneOf"]), vec(inner.clone(), 1..4)).prop_map(|(key, branches)| json!({key: branches})),
            1 => (any_object(inner.clone()), vec(inner.clone(), 1..3)).prop_map(|(mut object, branches)| {
                object["anyOf"] = json!(branches);
                object
            }),
            1 => (any_object(inner.clone()), inner.clone()).prop_map(|(mut object, part)| {
                object["allOf"] = json!([part]);
                object
            }),
            1 => vec(inner, 1..3).prop_map(|parts| json!({"allOf": parts})),
        ]
    })
}

fn any_object(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    let properties = vec(inner.clone(), 3).prop_flat_map(|schemas| {
        subsequence(NAMES.into_iter().map(str::to_owned).zip(schemas).collect::<Vec<_>>(), 0..=3)
    });
    let rest = prop_oneof![4 => Just(None), 2 => Just(Some(json!(false))), 1 => inner.prop_map(Some)];
    (properties, subsequence(NAMES.to_vec(), 0..=2), rest).prop_map(|(properties, required, rest)| {
        let required: Vec<&str> =
            required.into_iter().filter(|name| properties.iter().any(|(other, _)| other == name)).collect();
        let properties: Map<String, Value> = properties.into_iter().collect();
        let mut schema = json!({"type": "object", "properties": properties, "required": required});
        if let Some(rest) = rest {
            schema["additionalProperties"] = rest;
        }
        schema
    })
}

fn any_document() -> impl Strategy<Value = Value> {
    (any_schema(), any_object(any_schema().boxed()), any_schema()).prop_map(|(mut root, a, b)| {
        root["$defs"] = json!({"A": a, "B": b});
        root
    })
}

/// Lists nest no deeper than in Gemini's form of an arbitrary value.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![select(vec![
        json!("x"),
        json!("long"),
        json!(0),
        json!(1),
        json!(2),
        json!(0.5),
        json!(true),
        Value::Null
    ]),];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..3).prop_map(Value::from),
            3 => (subsequence(NAMES.to_vec(), 0..=3), vec(inner, 3)).prop_map(|(names, values)| {
                names.into_iter().map(str::to_owned).zip(values).collect::<Map<String, Value>>().into()
            }),
        ]
    })
}

fn list_depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(list_depth).max().unwrap_or(0),
        Value::Object(members) => members.values().map(list_depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Opens every object of `document`. Closed objects are the only narrowing in Anthropic's form.
fn with_open_objects(document: &Value) -> Value {
    match document {
        Value::Object(members) => members
            .iter()
            .filter(|(name, member)| *name != "additionalProperties" || **member != json!(false))
            .map(|(name, member)| (name.clone(), with_open_objects(member)))
            .collect(),
        Value::Array(items) => items.iter().map(with_open_objects).collect(),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lowering_accepts_all_valid_values_and_strict_replies_are_restored(document in any_document(), values in vec(any_value(), 12)) {
        let Ok(original) = jsonschema::validator_for(&document) else { return Ok(()) };
        let schema = match Schema::new("S", document.clone()) {
            Ok(schema) => schema,
            Err(error) => {
                // A definition that no value matches is rejected even if it is not needed.
                if error.message().contains("at #: ") {
                    let fitting = values.iter().find(|value| original.is_valid(value));
                    prop_assert_eq!(fitting, None, "{}", error);
                }
                return Ok(());
            }
        };
        let openai = schema.lower(Dialect::OpenAiStrict);
        let anthropic = schema.lower(Dialect::Anthropic);
        let is_wrapped = openai.document()["properties"].get("value").is_some();
        for value in values {
            if !original.is_valid(&value) {
                continue;
            }
            for dialect in [Dialect::Ollama, Dialect::OllamaUnbounded, Dialect::Gemini] {
                if dialect == Dialect::Gemini && list_depth(&value) > 2 {
                    continue;
                }
                let lowered = schema.lower(dialect);
                prop_assert!(
                    jsonschema::is_valid(lowered.document(), &value),
                    "{dialect:?}: {value} does not fit {}", lowered.document()
                );
            }
            let older = schema.lower(Dialect::GeminiOlder);
            if older.is_strict() {
                prop_assert!(
                    jsonschema::is_valid(&without_flag(older.document()), &value),
                    "{value} does not fit {}", older.document()
                );
            }
            let reply = if is_wrapped { json!({"value": value}) } else { value.clone() };
            prop_assert!(
                jsonschema::is_valid(&with_open_objects(anthropic.document()), &reply),
                "{reply} does not fit {}", anthropic.document()
            );
            prop_assert_eq!(anthropic.restore(reply.to_string()), value.to_string());
            // The graph does not distinguish branches that only `oneOf` makes exclusive.
            if document.to_string().contains("\"oneOf\"") {
                continue;
            }
            for dialect in [Dialect::OpenAi, Dialect::OpenAiGrammar, Dialect::OpenAiStrict] {
                let lowered = schema.lower(dialect);
                let written = if lowered.is_strict() {
                    as_strict(lowered.document(), lowered.document(), &reply)
                } else {
                    Some(reply.clone())
                };
                let Some(written) = written else { continue };
                let restored: Value = serde_json::from_str(&lowered.restore(written.to_string())).unwrap();
                prop_assert!(
                    original.is_valid(&restored),
                    "{dialect:?}: {value} was written as {written}, restored to {restored}; lowered {}", lowered.document()
                );
                prop_assert!(!lowered.outline().is_empty());
            }
        }
    }
}
