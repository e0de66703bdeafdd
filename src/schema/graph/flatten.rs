//! Expands the keywords that include other schemas: `allOf`, and `$ref` with siblings.

use serde_json::{Map, Value, json};

use super::build::{GraphBuilder, MAX_DEPTH, invalid, list};
use super::merge::merge;
use crate::error::Result;

/// Keywords that constrain a value. Other keywords only describe it.
const STRUCTURAL_KEYWORDS: [&str; 29] = [
    "type",
    "enum",
    "const",
    "nullable",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
];

impl<'a> GraphBuilder<'a> {
    /// Returns `map` with `allOf` merged, and with a `$ref` expanded if a sibling keyword constrains it.
    pub(super) fn flatten(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Result<Map<String, Value>> {
        if depth > MAX_DEPTH {
            return Err(invalid(path, "nested too deeply"));
        }
        self.spend(1, path)?;
        let mut rest = map.clone();
        let Some(parts) = rest.shift_remove("allOf") else { return self.flatten_reference(rest, path, depth) };
        let parts = list(&parts, "allOf", path)?;
        let mut whole = self.flatten_reference(rest, path, depth)?;
        for part in parts {
            let mut part = match part {
                Value::Bool(true) => continue,
                Value::Bool(false) => return Ok(unsatisfiable()),
                Value::Object(part) => self.flatten(part, path, depth + 1)?,
                _ => return Err(invalid(path, "a schema must be an object or a boolean")),
            };
            if structural_keywords(&whole).next().is_none() {
                whole = merge(whole, &part);
                continue;
            }
            if structural_keywords(&part).next().is_none() {
                continue;
            }
            whole = self.replace_reference(whole, path, depth)?;
            part = self.replace_reference(part, path, depth)?;
            whole = merge(whole, &part);
        }
        Ok(whole)
    }

    fn flatten_reference(&mut self, map: Map<String, Value>, path: &str, depth: usize) -> Result<Map<String, Value>> {
        let narrowed = map.contains_key("$ref") && structural_keywords(&map).count() > 1;
        if narrowed { self.replace_reference(map, path, depth) } else { Ok(map) }
    }

    /// Returns `map` with its `$ref`, if any, replaced by the target's keywords.
    pub(super) fn replace_reference(
        &mut self,
        mut map: Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        let Some(pointer) = map.get("$ref") else { return Ok(map) };
        let pointer = pointer.as_str().ok_or_else(|| invalid(path, "$ref must be a string"))?.to_owned();
        if self.expanding.contains(&pointer) || self.enclosing.contains(&pointer) {
            // Recursion ends here: the constraints next to the reference are dropped.
            map.retain(|keyword, _| keyword == "$ref" || !STRUCTURAL_KEYWORDS.contains(&keyword.as_str()));
            return Ok(map);
        }
        map.shift_remove("$ref");
        let target = self.target(&pointer, path)?;
        self.expanding.push(pointer.clone());
        let target = match target {
            Value::Object(target) => {
                let target = self.flatten(target, &pointer, depth + 1)?;
                self.replace_reference(target, &pointer, depth + 1)?
            }
            Value::Bool(false) => unsatisfiable(),
            _ => Map::new(),
        };
        self.expanded.extend(self.expanding.pop());
        Ok(merge(map, &target))
    }

    /// Returns the schema that `pointer` refers to.
    pub(super) fn target(&self, pointer: &str, path: &str) -> Result<&'a Value> {
        let Some(fragment) = pointer.strip_prefix('#') else {
            return Err(invalid(path, &format!("$ref {pointer:?} points outside the document")));
        };
        let decoded = percent_decoded(fragment);
        self.document
            .pointer(&decoded)
            .ok_or_else(|| invalid(path, &format!("$ref {pointer:?} does not exist in the document")))
    }
}

/// Returns the keywords of `map` that constrain a value.
pub(super) fn structural_keywords(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.iter().filter(|(keyword, _)| STRUCTURAL_KEYWORDS.contains(&keyword.as_str()))
}

/// Returns keywords that no value matches.
fn unsatisfiable() -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), json!([]))])
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        let code = rest.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let (byte, after) = code.filter(|_| *first == b'%').map_or((*first, rest), |code| (code, &rest[2..]));
        bytes.push(byte);
        left = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
