//! Gemini's `responseJsonSchema`.
//!
//! Gemini documents the keywords it takes; others are ignored or make it refuse the whole request, as a node without a
//! type does. What it takes no keyword for is told in the description, which the model reads.

use serde_json::{Value, json};

use super::{Lowering, References, Writer, any_of, describe, enumeration, plain, required, root, write_integer_bounds};
use crate::schema::graph::{DefinitionId, Graph, Node, Rest, Shape};

const STRING_FORMATS: [&str; 3] = ["date-time", "date", "time"];
const NUMBER_FORMATS: [&str; 4] = ["float", "double", "int32", "int64"];
/// Limits the description tells, whatever the type.
const TOLD: [&str; 9] = [
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

pub(super) fn lower(graph: &Graph) -> Lowering {
    let mut writer = Gemini { reach: graph.reach(), within: None, references: References::new(graph) };
    if let Shape::Ref(id) = graph.root.shape {
        writer.within = Some(id);
    }
    let root = writer.node(&root(graph));
    Lowering { document: writer.document(root), strict: false, wrapped: false, nullable: false }
}

struct Gemini<'g> {
    /// For each definition, which ones it reaches.
    reach: Vec<Vec<bool>>,
    /// The definition being written.
    within: Option<DefinitionId>,
    references: References<'g>,
}

impl<'g> Writer<'g> for Gemini<'g> {
    fn references(&mut self) -> &mut References<'g> {
        &mut self.references
    }

    fn definition(&mut self, id: DefinitionId) -> Value {
        self.within = Some(id);
        self.node(&self.references.graph.definitions[id].node)
    }

    fn node(&mut self, node: &Node) -> Value {
        let mut told: Vec<(&str, &Value)> = node
            .limits
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| TOLD.contains(key))
            .collect();
        let format = node.limits.get("format");
        let schema = match &node.shape {
            Shape::Any => any(),
            Shape::Null => json!({"type": "null"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Integer => {
                let mut schema = json!({"type": "integer"});
                write_integer_bounds(&mut schema, node);
                told.retain(|(keyword, _)| !keyword.starts_with("exclusive"));
                keep_format(&mut schema, format, &NUMBER_FORMATS);
                schema
            }
            Shape::Number => {
                let mut schema = json!({"type": "number"});
                keep(&mut schema, node, &["minimum", "maximum"]);
                keep_format(&mut schema, format, &NUMBER_FORMATS);
                schema
            }
            Shape::String => {
                let mut schema = json!({"type": "string"});
                if !keep_format(&mut schema, format, &STRING_FORMATS) {
                    told.extend(format.map(|format| ("format", format)));
                }
                schema
            }
            Shape::Enum(values) => any_of(enumeration(values).into_iter().map(strings_and_numbers).collect()),
            Shape::Array { prefix, rest } => {
                let mut schema = json!({"type": "array"});
                if !prefix.is_empty() {
                    schema["prefixItems"] = prefix.iter().map(|item| self.node(item)).collect();
                }
                match rest {
                    Rest::Of(items) => schema["items"] = self.node(items),
                    Rest::Any | Rest::Unstated => schema["items"] = any(),
                    Rest::Closed => {}
                }
                keep(&mut schema, node, &["minItems", "maxItems"]);
                if *rest == Rest::Closed {
                    // The subset has no `"items": false`.
                    schema["items"] = if prefix.is_empty() { any() } else { self.any_of_nodes(prefix) };
                    let most = node.limits.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
                    schema["maxItems"] = json!(most.min(prefix.len() as u64));
                }
                schema
            }
            Shape::Object { properties, rest } => {
                let members = self.members(properties);
                let mut schema = json!({"type": "object"});
                if !members.is_empty() {
                    schema["properties"] = Value::Object(members);
                    schema["required"] = json!(required(properties, |node| !self.leads_back(node)));
                }
                self.write_rest(&mut schema, rest);
                schema
            }
            Shape::AnyOf(branches) => self.any_of_nodes(branches),
            Shape::Ref(id) => self.references.make(*id),
        };
        describe(schema, node, &told)
    }
}

impl Gemini<'_> {
    fn any_of_nodes(&mut self, nodes: &[Node]) -> Value {
        let mut branches: Vec<Value> = nodes.iter().map(|node| self.node(node)).collect();
        branches.dedup();
        any_of(branches)
    }

    /// True where `node` refers back to the definition being written. Gemini unrolls recursion a few times only, and
    /// therefore refuses it in a required property.
    fn leads_back(&self, node: &Node) -> bool {
        let Some(within) = self.within else { return false };
        let mut found = false;
        node.visit(&mut |node| {
            if let Shape::Ref(id) = node.shape {
                found |= id == within || self.reach[id][within];
            }
        });
        found
    }
}

fn keep(schema: &mut Value, node: &Node, keywords: &[&str]) {
    for keyword in keywords {
        if let Some(value) = node.limits.get(*keyword) {
            schema[*keyword] = value.clone();
        }
    }
}

/// Writes `format` where it is one of `known`; false where it is not.
fn keep_format(schema: &mut Value, format: Option<&Value>, known: &[&str]) -> bool {
    let format = format.filter(|format| known.iter().any(|known| format == known));
    if let Some(format) = format {
        schema["format"] = format.clone();
    }
    format.is_some()
}

/// `enum` is for strings and numbers alone: values of other types are told.
fn strings_and_numbers(mut group: Value) -> Value {
    match group["type"].as_str() {
        Some("string" | "integer" | "number" | "null") => group,
        name => {
            let mut schema = match name {
                Some("object") => json!({"type": "object", "additionalProperties": true}),
                Some("array") => json!({"type": "array", "items": any()}),
                _ => json!({"type": group["type"].take()}),
            };
            let values: Vec<String> = group["enum"].as_array().into_iter().flatten().map(plain).collect();
            schema["description"] = json!(format!("(one of: {})", values.join(", ")));
            schema
        }
    }
}

/// Any value, as a union of types. Recursion is not for required places, so that arrays nest two deep and no deeper.
fn any() -> Value {
    let object = json!({"type": "object", "additionalProperties": true});
    let scalar = json!({"type": ["string", "number", "boolean", "null"]});
    let inner = json!({"type": "array", "items": {"anyOf": [scalar, object]}});
    let outer = json!({"type": "array", "items": {"anyOf": [scalar, object, inner]}});
    json!({"anyOf": [scalar, object, outer]})
}
