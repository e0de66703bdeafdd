//! Damaged replies are mended where they have one reading, and never into another value.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod schema_damage;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use madspark::schema::{Change, Recovery, Schema, recover};
use proptest::prelude::*;
use schema_damage::{Kind, LOSSES, SYNTAX, TYPES};
use serde_json::{Value, json};

/// What schemas the corpus uses, by name.
struct Schemas(HashMap<String, (Schema, jsonschema::Validator)>);

impl Schemas {
    fn read() -> Self {
        let text = fs::read_to_string(replies().join("schemas.json")).unwrap();
        let documents: HashMap<String, Value> = serde_json::from_str(&text).unwrap();
        let entry = |(name, document): (String, Value)| {
            let validator = jsonschema::validator_for(&document).unwrap();
            (name.clone(), (Schema::new(name, document).unwrap(), validator))
        };
        Self(documents.into_iter().map(entry).collect())
    }

    /// What became of `reply`.
    fn outcome(&self, schema: &str, reply: &str) -> Outcome {
        let (schema, validator) = &self.0[schema];
        let (Recovery::Strict(json) | Recovery::Repaired { json, .. }) = recover(reply, schema) else {
            return Outcome::AskAgain;
        };
        let value: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\nfrom: {reply}"));
        if validator.is_valid(&value) { Outcome::Value(value) } else { Outcome::AskAgain }
    }

    fn is_valid(&self, schema: &str, value: &Value) -> bool {
        self.0[schema].1.is_valid(value)
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    /// A value that is valid for the schema.
    Value(Value),
    /// Nothing valid, and known to be.
    AskAgain,
}

/// A damaged reply and what the model meant; `None` where nobody can tell.
struct Case {
    schema: String,
    kind: String,
    reply: String,
    meant: Option<Value>,
}

fn replies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/replies")
}

fn lines(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(replies().join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn values() -> Vec<(String, Value)> {
    lines("values.jsonl").into_iter().map(|mut pair| (pair["schema"].as_str().unwrap().to_owned(), pair["value"].take())).collect()
}

/// The replies written by hand.
fn written() -> Vec<Case> {
    lines("written.jsonl")
        .into_iter()
        .map(|line| Case {
            schema: line["schema"].as_str().unwrap().to_owned(),
            kind: "written by hand".to_owned(),
            reply: line["reply"].as_str().unwrap().to_owned(),
            meant: line.get("value").cloned(),
        })
        .collect()
}

/// Each value with each of `kinds`, as far as it applies. A reply that is valid JSON for its schema is no damage.
fn damaged(schemas: &Schemas, kinds: &[Kind], is_type: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (schema, value) in values() {
        assert!(schemas.is_valid(&schema, &value), "{schema}: {value}");
        for (kind, damage) in kinds {
            let Some(reply) = damage(&value) else { continue };
            let is_valid = serde_json::from_str(&reply).is_ok_and(|other: Value| {
                // `8.0` is valid where an integer is wanted, but no integer for most readers.
                schemas.is_valid(&schema, &other) && (!is_type || *kind != "integers with a fraction")
            });
            if !is_valid {
                cases.push(Case { schema: schema.clone(), kind: (*kind).to_owned(), reply, meant: Some(value.clone()) });
            }
        }
    }
    cases
}

/// Of some replies: how many came back as meant, and which did not.
#[derive(Default)]
struct Tally {
    all: usize,
    recovered: usize,
    changed: Vec<String>,
    missed: BTreeMap<String, Vec<String>>,
}

fn tally(schemas: &Schemas, cases: &[Case]) -> Tally {
    let mut tally = Tally::default();
    for case in cases {
        tally.all += 1;
        match (schemas.outcome(&case.schema, &case.reply), &case.meant) {
            (Outcome::Value(value), Some(meant)) if value == *meant => tally.recovered += 1,
            (Outcome::Value(value), meant) => {
                tally.changed.push(format!("{}\n  {}\n  became {value}\n  not    {meant:?}", case.kind, case.reply));
            }
            (Outcome::AskAgain, _) => tally.missed.entry(case.kind.clone()).or_default().push(case.reply.clone()),
        }
    }
    tally
}

#[test]
fn zz_report() {
    let schemas = Schemas::read();
    for (name, cases) in [("syntax", damaged(&schemas, &SYNTAX, false)), ("types", damaged(&schemas, &TYPES, true)), ("losses", damaged(&schemas, &LOSSES, false)), ("written", written())] {
        let distinct: HashSet<_> = cases.iter().map(|c| (&c.schema, &c.reply)).collect();
        let t = tally(&schemas, &cases);
        println!("== {name}: {} distinct {} recovered {} changed {}", t.all, distinct.len(), t.recovered, t.changed.len());
        for c in &t.changed { println!("CHANGED {c}"); }
        for (k, m) in &t.missed { println!("missed {k}: {}", m.len()); for r in m.iter().take(if name == "losses" { 0 } else { 3 }) { println!("    {r:?}"); } }
    }
}
