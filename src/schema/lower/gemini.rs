//! Gemini's `responseJsonSchema`.
//!
//! Gemini documents the supported keywords. Others, and nodes without a type, are ignored or make it reject the
//! request. Constraints without a keyword go into the description, which the model reads.

use serde_json::{Value, json};

use super::{Lowering, References, Writer, any_of, describe, enumeration, plain, required, root, write_integer_bounds};
use crate::schema::graph::{Additional, DefinitionId, Graph, Node, NodeKind};

const STRING_FORMATS: [&str; 3] = ["date-time", "date", "time"];
const NUMBER_FORMATS: [&str; 4] = ["float", "double", "int32", "int64"];
/// Constraints that go into the description, for every type.
const DESCRIBED: [&str; 9] = [
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
    let mut writer = Gemini { reach: graph.reachability(), within: None, references: References::new(graph) };
    if let NodeKind::Ref(id) = graph.root.kind {
        writer.within = Some(id);
    }
    let root = writer.node(&root(graph));
    Lowering::plain(writer.document(root))
}

struct Gemini<'g> {
    /// For each definition, which definitions it refers to, directly or not.
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
        let mut described: Vec<(&str, &Value)> = node
            .constraints
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| DESCRIBED.contains(key))
            .collect();
        let format = node.constraints.get("format");
        let schema = match &node.kind {
            NodeKind::Any => any(),
            NodeKind::Null => json!({"type": "null"}),
            NodeKind::Boolean => json!({"type": "boolean"}),
            NodeKind::Integer => {
                let mut schema = json!({"type": "integer"});
                write_integer_bounds(&mut schema, node);
                described.retain(|(keyword, _)| !keyword.starts_with("exclusive"));
                keep_format(&mut schema, format, &NUMBER_FORMATS);
                schema
            }
            NodeKind::Number => {
                let mut schema = json!({"type": "number"});
                keep(&mut schema, node, &["minimum", "maximum"]);
                keep_format(&mut schema, format, &NUMBER_FORMATS);
                schema
            }
            NodeKind::String => {
                let mut schema = json!({"type": "string"});
                if !keep_format(&mut schema, format, &STRING_FORMATS) {
                    described.extend(format.map(|format| ("format", format)));
                }
                schema
            }
            NodeKind::Enum(values) => any_of(enumeration(values).into_iter().map(strings_and_numbers).collect()),
            NodeKind::Array { prefix, additional } => {
                let mut schema = json!({"type": "array"});
                if !prefix.is_empty() {
                    schema["prefixItems"] = prefix.iter().map(|item| self.node(item)).collect();
                }
                match additional {
                    Additional::Schema(items) => schema["items"] = self.node(items),
                    Additional::Any | Additional::Unspecified => schema["items"] = any(),
                    Additional::Forbidden => {}
                }
                keep(&mut schema, node, &["minItems", "maxItems"]);
                if *additional == Additional::Forbidden {
                    // The subset has no `"items": false`.
                    schema["items"] = if prefix.is_empty() { any() } else { self.any_of_nodes(prefix) };
                    let most = node.constraints.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
                    schema["maxItems"] = json!(most.min(prefix.len() as u64));
                }
                schema
            }
            NodeKind::Object { properties, additional } => {
                let members = self.members(properties);
                let mut schema = json!({"type": "object"});
                if !members.is_empty() {
                    schema["properties"] = Value::Object(members);
                    schema["required"] = json!(required(properties, |node| !self.leads_back(node)));
                }
                self.write_rest(&mut schema, additional);
                schema
            }
            NodeKind::AnyOf(branches) => self.any_of_nodes(branches),
            NodeKind::Ref(id) => self.references.to(*id),
        };
        describe(schema, node, &described)
    }
}

impl Gemini<'_> {
    fn any_of_nodes(&mut self, nodes: &[Node]) -> Value {
        let mut branches: Vec<Value> = nodes.iter().map(|node| self.node(node)).collect();
        branches.dedup();
        any_of(branches)
    }

    /// Returns whether `node` refers back to the definition being written. Gemini unrolls recursion a few times only,
    /// and therefore rejects it in required properties.
    fn leads_back(&self, node: &Node) -> bool {
        let Some(within) = self.within else { return false };
        let mut found = false;
        node.for_each(&mut |node| {
            if let NodeKind::Ref(id) = node.kind {
                found |= id == within || self.reach[id][within];
            }
        });
        found
    }
}

fn keep(schema: &mut Value, node: &Node, keywords: &[&str]) {
    for keyword in keywords {
        if let Some(value) = node.constraints.get(*keyword) {
            schema[*keyword] = value.clone();
        }
    }
}

/// Writes `format` if it is one of `known`. Returns whether it was written.
fn keep_format(schema: &mut Value, format: Option<&Value>, known: &[&str]) -> bool {
    let format = format.filter(|format| known.iter().any(|known| format == known));
    if let Some(format) = format {
        schema["format"] = format.clone();
    }
    format.is_some()
}

/// `enum` supports only strings and numbers. Values of other types go into the description.
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

/// Returns a union of all types. Recursion is not allowed in required properties, so arrays nest two levels deep.
fn any() -> Value {
    let object = json!({"type": "object", "additionalProperties": true});
    let scalar = json!({"type": ["string", "number", "boolean", "null"]});
    let inner = json!({"type": "array", "items": {"anyOf": [scalar, object]}});
    let outer = json!({"type": "array", "items": {"anyOf": [scalar, object, inner]}});
    json!({"anyOf": [scalar, object, outer]})
}
