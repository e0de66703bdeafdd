//! Anthropic's `output_config.format`.
//!
//! The subset is compiled to a grammar: closed objects, no recursion, no bounds or lengths, and a limited number of
//! optional properties and unions. Properties may be optional. Constraints without a keyword go into the description,
//! which the model reads. The API rejects schemas beyond the subset; for these the document is the permissive one and
//! `strict` is false, so that the schema goes into the prompt.

use serde_json::{Map, Value, json};

use super::{
    Lowering, References, Writer, any_of, as_object, describe, enumeration, is_closed, openai, required, root,
};
use crate::schema::graph::{Graph, Node, NodeKind};

const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// Documented limits of the subset.
const MAX_OPTIONAL: usize = 24;
const MAX_UNIONS: usize = 16;

pub(super) fn lower(graph: &Graph) -> Lowering {
    if graph.roots().all(is_closed) && !graph.recursive().any(|recurs| recurs) {
        let lowering = closed(graph);
        if Usage::of(&lowering.document).is_allowed() {
            return lowering;
        }
    }
    openai::permissive(graph)
}

fn closed(graph: &Graph) -> Lowering {
    let mut writer = Anthropic { references: References::new(graph) };
    let root = root(graph);
    let (schema, wrapped) = as_object(&root, writer.node(&root));
    Lowering { strict: true, wrapped, ..Lowering::plain(writer.document(schema)) }
}

struct Anthropic<'g> {
    references: References<'g>,
}

impl<'g> Writer<'g> for Anthropic<'g> {
    fn references(&mut self) -> &mut References<'g> {
        &mut self.references
    }

    fn node(&mut self, node: &Node) -> Value {
        let mut described: Vec<(&str, Value)> = Vec::new();
        let mut schema = match &node.kind {
            // A reference has no siblings: its description goes to the enclosing node.
            NodeKind::Ref(id) => return self.references.to(*id),
            // Unreachable, because `closed` accepts no such schema.
            NodeKind::Any => json!({}),
            NodeKind::Null => json!({"type": "null"}),
            NodeKind::Boolean => json!({"type": "boolean"}),
            NodeKind::Integer => json!({"type": "integer"}),
            NodeKind::Number => json!({"type": "number"}),
            NodeKind::String => json!({"type": "string"}),
            NodeKind::Enum(values) => any_of(enumeration(values)),
            NodeKind::Array { prefix, additional } => {
                // The subset has no tuples: only the types of the items are kept, not their positions.
                let nodes = || prefix.iter().chain(additional.node());
                described.extend(nodes().filter_map(|item| reference_description("items", item)));
                let mut items: Vec<Value> = nodes().map(|item| self.node(item)).collect();
                items.dedup();
                json!({"type": "array", "items": any_of(items)})
            }
            NodeKind::Object { properties, .. } => {
                described.extend(
                    properties.iter().filter_map(|property| reference_description(&property.name, &property.node)),
                );
                json!({
                    "type": "object",
                    "properties": self.members(properties),
                    "required": required(properties, |_| true),
                    "additionalProperties": false,
                })
            }
            NodeKind::AnyOf(branches) => any_of(branches.iter().map(|branch| self.node(branch)).collect()),
        };
        for (keyword, value) in &node.constraints {
            let known = match keyword.as_str() {
                "format" if node.kind != NodeKind::String => continue,
                "format" => FORMATS.iter().any(|known| value == known),
                "minItems" if matches!(node.kind, NodeKind::Array { .. }) => {
                    value.as_u64().is_some_and(|least| least <= 1)
                }
                _ => false,
            };
            if known {
                schema[keyword] = value.clone();
            } else {
                described.push((keyword, value.clone()));
            }
        }
        let described: Vec<(&str, &Value)> = described.iter().map(|(keyword, value)| (*keyword, value)).collect();
        describe(schema, node, &described)
    }
}

/// Returns the description next to the reference `node`, under the name of its property.
fn reference_description<'n>(name: &'n str, node: &Node) -> Option<(&'n str, Value)> {
    let description = node.description.as_ref().filter(|_| matches!(node.kind, NodeKind::Ref(_)))?;
    Some((name, Value::String(description.clone())))
}

/// How much of the documented limits a document uses.
#[derive(Debug, Default)]
struct Usage {
    optional: usize,
    unions: usize,
}

impl Usage {
    fn of(schema: &Value) -> Self {
        let mut count = Self::default();
        count.add(schema);
        count
    }

    fn add(&mut self, schema: &Value) {
        let branches = schema.get("anyOf").and_then(Value::as_array);
        self.unions += usize::from(branches.is_some() || schema.get("type").is_some_and(Value::is_array));
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        self.optional += properties.map_or(0, Map::len).saturating_sub(required.map_or(0, Vec::len));
        let definitions = schema.get("$defs").and_then(Value::as_object);
        let members = properties.into_iter().chain(definitions).flat_map(Map::values);
        for child in members.chain(branches.into_iter().flatten()).chain(schema.get("items")) {
            self.add(child);
        }
    }

    fn is_allowed(&self) -> bool {
        self.optional <= MAX_OPTIONAL && self.unions <= MAX_UNIONS
    }
}
