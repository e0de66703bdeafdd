//! Validation of samples. Patterns and formats are not checked: the generator produces matching texts.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::resolve;

const MAX_DEPTH: usize = 128;

/// The checks of one value. Unions of references to each other would take exponentially many; what is left then counts as valid.
const MAX_CHECKS: usize = 1_000_000;

/// Whether `value` fits `schema`, whose references point into `root`.
pub(super) fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    Check { root, checks: Cell::new(0) }.fits(schema, value, 0)
}

struct Check<'r> {
    root: &'r Value,
    checks: Cell<usize>,
}

impl Check<'_> {
    fn fits(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        let Some(keywords) = schema.as_object() else { return *schema != Value::Bool(false) };
        self.checks.set(self.checks.get() + 1);
        if depth > MAX_DEPTH || self.checks.get() > MAX_CHECKS {
            return true;
        }
        let depth = depth + 1;
        let all = |schemas: &Value, wanted: &dyn Fn(usize, usize) -> bool| {
            let schemas = schemas.as_array().map(Vec::as_slice).unwrap_or_default();
            let met = schemas.iter().filter(|schema| self.fits(schema, value, depth)).count();
            wanted(met, schemas.len())
        };
        keywords.iter().all(|(keyword, argument)| match keyword.as_str() {
            "$ref" => argument
                .as_str()
                .and_then(|target| resolve(self.root, target))
                .is_none_or(|schema| self.fits(schema, value, depth)),
            "type" => {
                is_of_type(argument, value) || (value.is_null() && keywords.get("nullable") == Some(&true.into()))
            }
            "const" => same(argument, value),
            "enum" => argument.as_array().is_some_and(|choices| choices.iter().any(|choice| same(choice, value))),
            "allOf" => all(argument, &|met, count| met == count),
            "anyOf" => all(argument, &|met, _| met > 0),
            "oneOf" => all(argument, &|met, _| met == 1),
            "not" => !self.fits(argument, value, depth),
            "if" => {
                let branch = if self.fits(argument, value, depth) { "then" } else { "else" };
                keywords.get(branch).is_none_or(|schema| self.fits(schema, value, depth))
            }
            _ => match value {
                Value::Object(object) => self.object(keyword, argument, keywords, object, value, depth),
                Value::Array(items) => self.array(keyword, argument, keywords, items, depth),
                Value::String(text) => length(keyword, argument, text),
                Value::Number(_) => number(keyword, argument, value),
                Value::Null | Value::Bool(_) => true,
            },
        })
    }

    fn object(
        &self,
        keyword: &str,
        argument: &Value,
        keywords: &Map<String, Value>,
        object: &Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> bool {
        let has_all = |names: &Value| {
            names.as_array().into_iter().flatten().filter_map(Value::as_str).all(|name| object.contains_key(name))
        };
        let map = || argument.as_object().into_iter().flatten();
        match keyword {
            "properties" => {
                map().all(|(name, schema)| object.get(name).is_none_or(|value| self.fits(schema, value, depth)))
            }
            "required" => has_all(argument),
            "minProperties" => argument.as_u64().is_none_or(|least| object.len() as u64 >= least),
            "maxProperties" => argument.as_u64().is_none_or(|most| object.len() as u64 <= most),
            // Names that match a pattern are not additional, and patterns are not evaluated here.
            "additionalProperties" if !keywords.contains_key("patternProperties") => object
                .iter()
                .filter(|(name, _)| keywords.get("properties").is_none_or(|known| known.get(name.as_str()).is_none()))
                .all(|(_, value)| self.fits(argument, value, depth)),
            "propertyNames" => object.keys().all(|name| self.fits(argument, &name.as_str().into(), depth)),
            "dependentRequired" => map().all(|(name, names)| !object.contains_key(name) || has_all(names)),
            "dependentSchemas" => {
                map().all(|(name, schema)| !object.contains_key(name) || self.fits(schema, value, depth))
            }
            _ => true,
        }
    }

    fn array(
        &self,
        keyword: &str,
        argument: &Value,
        keywords: &Map<String, Value>,
        items: &[Value],
        depth: usize,
    ) -> bool {
        let size = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        match keyword {
            "prefixItems" => argument
                .as_array()
                .is_none_or(|first| first.iter().zip(items).all(|(schema, item)| self.fits(schema, item, depth))),
            "items" => match argument {
                Value::Array(first) => first.iter().zip(items).all(|(schema, item)| self.fits(schema, item, depth)),
                schema => {
                    let first = keywords.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                    items.iter().skip(first).all(|item| self.fits(schema, item, depth))
                }
            },
            "minItems" => argument.as_u64().is_none_or(|least| items.len() as u64 >= least),
            "maxItems" => argument.as_u64().is_none_or(|most| items.len() as u64 <= most),
            "uniqueItems" if *argument == Value::Bool(true) => {
                items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
            }
            "contains" => {
                let met = items.iter().filter(|item| self.fits(argument, item, depth)).count() as u64;
                met >= size("minContains").unwrap_or(1) && size("maxContains").is_none_or(|most| met <= most)
            }
            _ => true,
        }
    }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of_type(kind, value)),
        Value::String(kind) => match (kind.to_ascii_lowercase().as_str(), value) {
            ("integer", Value::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
            ("object", Value::Object(_))
            | ("array", Value::Array(_))
            | ("string", Value::String(_))
            | ("number", Value::Number(_))
            | ("boolean", Value::Bool(_))
            | ("null", Value::Null) => true,
            _ => false,
        },
        _ => true,
    }
}

fn length(keyword: &str, argument: &Value, text: &str) -> bool {
    let Some(bound) = argument.as_u64() else { return true };
    match keyword {
        "minLength" => text.chars().count() as u64 >= bound,
        "maxLength" => text.chars().count() as u64 <= bound,
        _ => true,
    }
}

fn number(keyword: &str, argument: &Value, value: &Value) -> bool {
    let (Some(bound), Some(number)) = (argument.as_f64(), value.as_f64()) else { return true };
    match keyword {
        "minimum" => number >= bound,
        "maximum" => number <= bound,
        "exclusiveMinimum" => number > bound,
        "exclusiveMaximum" => number < bound,
        "multipleOf" => {
            let quotient = number / bound;
            (quotient - quotient.round()).abs() < 1e-9
        }
        _ => true,
    }
}

/// JSON Schema compares numbers by value: 1 and 1.0 are the same.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}
