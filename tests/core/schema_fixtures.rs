//! Schemas as pydantic and schemars generate them, each with valid values.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A file in `fixtures/schemas/`.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) schema: Value,
    pub(crate) valid: Vec<Value>,
}

/// Returns all fixtures, in order of their names.
pub(crate) fn all() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/schemas");
    let mut fixtures: Vec<Fixture> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let mut content: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let Value::Array(valid) = content["valid"].take() else { panic!("{name}: no values") };
            assert!(!valid.is_empty(), "{name}: no values");
            Fixture { name, schema: content["schema"].take(), valid }
        })
        .collect();
    fixtures.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(fixtures.len() >= 40, "only {} fixtures", fixtures.len());
    fixtures
}

/// Panics with the reason unless `value` is valid for `schema`.
pub(crate) fn assert_valid(name: &str, schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap_or_else(|error| panic!("{name}: {error}\n{schema:#}"));
    if let Err(error) = validator.validate(value) {
        panic!("{name}: {error} at {}\nvalue: {value:#}\nschema: {schema:#}", error.instance_path());
    }
}
