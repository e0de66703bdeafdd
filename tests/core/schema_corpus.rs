//! The corpus of damaged replies, and the evaluation of their recovery.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use madspark::schema::{Recovery, Schema, recover};
use serde_json::Value;

use crate::schema_damage::{Kind, SYNTAX, TYPES};

/// The schemas of the corpus, by name.
pub(crate) struct Schemas(pub(crate) HashMap<String, (Schema, jsonschema::Validator)>);

impl Schemas {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(replies().join("schemas.json")).unwrap();
        let documents: HashMap<String, Value> = serde_json::from_str(&text).unwrap();
        let entry = |(name, document): (String, Value)| {
            let validator = jsonschema::validator_for(&document).unwrap();
            (name.clone(), (Schema::new(name, document).unwrap(), validator))
        };
        Self(documents.into_iter().map(entry).collect())
    }

    /// Recovers `reply` and validates the result.
    pub(crate) fn outcome(&self, schema: &str, reply: &str) -> Outcome {
        let (schema, validator) = &self.0[schema];
        let (Recovery::Strict(json) | Recovery::Repaired { json, .. }) = recover(reply, schema) else {
            return Outcome::Unrecovered;
        };
        let value: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\nfrom: {reply}"));
        if validator.is_valid(&value) { Outcome::Value(value) } else { Outcome::Unrecovered }
    }

    pub(crate) fn get(&self, schema: &str) -> &Schema {
        &self.0[schema].0
    }

    pub(crate) fn is_valid(&self, schema: &str, value: &Value) -> bool {
        self.0[schema].1.is_valid(value)
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A value that is valid for the schema.
    Value(Value),
    /// No valid value, and reported as such.
    Unrecovered,
}

/// A damaged reply and the intended value; `None` if it is ambiguous.
pub(crate) struct Case {
    pub(crate) schema: String,
    pub(crate) kind: String,
    pub(crate) reply: String,
    pub(crate) intended: Option<Value>,
}

fn replies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/replies")
}

fn lines(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(replies().join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

pub(crate) fn values() -> Vec<(String, Value)> {
    lines("values.jsonl")
        .into_iter()
        .map(|mut pair| (pair["schema"].as_str().unwrap().to_owned(), pair["value"].take()))
        .collect()
}

/// The handwritten replies.
pub(crate) fn handwritten() -> Vec<Case> {
    lines("written.jsonl")
        .into_iter()
        .map(|line| Case {
            schema: line["schema"].as_str().unwrap().to_owned(),
            kind: "written by hand".to_owned(),
            reply: line["reply"].as_str().unwrap().to_owned(),
            intended: line.get("value").cloned(),
        })
        .collect()
}

/// Applies each of `kinds` to each value. Replies that are still valid are skipped.
pub(crate) fn damaged(schemas: &Schemas, kinds: &[Kind]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (schema, value) in values() {
        assert!(schemas.is_valid(&schema, &value), "{schema}: {value}");
        for (kind, damage) in kinds {
            let Some(reply) = damage(&value) else { continue };
            let is_valid = serde_json::from_str(&reply).is_ok_and(|other: Value| {
                // `8.0` is a valid integer, but most readers reject it.
                schemas.is_valid(&schema, &other) && *kind != "integers with a fraction"
            });
            if !is_valid {
                cases.push(Case {
                    schema: schema.clone(),
                    kind: (*kind).to_owned(),
                    reply,
                    intended: Some(value.clone()),
                });
            }
        }
    }
    cases
}

/// The number of replies that were recovered as intended, and the other replies.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) all: usize,
    pub(crate) recovered: usize,
    pub(crate) changed: Vec<String>,
    pub(crate) missed: BTreeMap<String, Vec<String>>,
}

pub(crate) fn tally(schemas: &Schemas, cases: &[Case]) -> Tally {
    let mut tally = Tally::default();
    for case in cases {
        tally.all += 1;
        match (schemas.outcome(&case.schema, &case.reply), &case.intended) {
            (Outcome::Value(value), Some(intended)) if is_same(&value, intended) => tally.recovered += 1,
            (Outcome::Value(value), intended) => {
                tally.changed.push(format!("{}\n  {}\n  became {value}\n  not    {intended:?}", case.kind, case.reply));
            }
            (Outcome::Unrecovered, _) => tally.missed.entry(case.kind.clone()).or_default().push(case.reply.clone()),
        }
    }
    tally
}

/// Returns whether both are equal in JSON: `2` and `2.0` are.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| is_same(value, other)))
        }
        _ => one == other,
    }
}

/// The corpus of damage that preserves the whole value.
pub(crate) fn repairable(schemas: &Schemas) -> Vec<Case> {
    let mut cases = damaged(schemas, &SYNTAX);
    cases.extend(damaged(schemas, &TYPES));
    cases.extend(handwritten().into_iter().filter(|case| case.intended.is_some()));
    cases
}
