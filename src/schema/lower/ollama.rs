//! Ollama's `format`, which llama.cpp turns into a grammar without showing it to the model.
//!
//! The grammar supports only anchored patterns, grows with every bounded repetition, reads `{}` as "an object", fails
//! on nodes without a type, and resolves references late. Therefore references are inlined, length limits are dropped,
//! and every node has a type. The validation of the reply checks what is dropped here.

use serde_json::{Value, json};

use super::{Lowering, References, Writer, any_of, enumeration, inline_size, required, root, write_integer_bounds};
use crate::schema::graph::{Additional, Graph, Node, NodeKind};

/// Longer repetitions make grammars that take seconds to build or are rejected.
const MAX_ITEMS: u64 = 100;
/// The formats that the grammar supports.
const FORMATS: [&str; 8] = ["date", "time", "date-time", "uuid", "uuid1", "uuid3", "uuid4", "uuid5"];

pub(super) fn lower(graph: &Graph) -> Lowering {
    let mut inline: Vec<bool> = graph.recursive().map(|recurs| !recurs).collect();
    if !inline_size::is_acceptable(graph, &inline) {
        inline.fill(false);
    }
    let mut writer = Ollama { inline, references: References::new(graph) };
    let root = writer.node(&root(graph));
    Lowering { document: writer.document(root), strict: false, wrapped: false, nullable: false }
}

struct Ollama<'g> {
    /// Which definitions are inlined.
    inline: Vec<bool>,
    references: References<'g>,
}

impl<'g> Writer<'g> for Ollama<'g> {
    fn references(&mut self) -> &mut References<'g> {
        &mut self.references
    }

    fn node(&mut self, node: &Node) -> Value {
        let mut schema = match &node.kind {
            NodeKind::Any => any(),
            NodeKind::Null => json!({"type": "null"}),
            NodeKind::Boolean => json!({"type": "boolean"}),
            NodeKind::Number => json!({"type": "number"}),
            NodeKind::Integer => {
                let mut schema = json!({"type": "integer"});
                write_integer_bounds(&mut schema, node);
                schema
            }
            NodeKind::String => match node.constraints.get("format") {
                Some(format) if FORMATS.iter().any(|known| format == known) => {
                    json!({"type": "string", "format": format})
                }
                _ => json!({"type": "string"}),
            },
            NodeKind::Enum(values) => any_of(enumeration(values)),
            NodeKind::Array { prefix, additional } => self.array(node, prefix, additional),
            NodeKind::Object { properties, additional } => {
                let members = self.members(properties);
                let mut schema = json!({"type": "object"});
                if !members.is_empty() || matches!(additional, Additional::Unspecified | Additional::Forbidden) {
                    schema["properties"] = Value::Object(members);
                    schema["required"] = json!(required(properties, |_| true));
                }
                self.write_rest(&mut schema, additional);
                schema
            }
            NodeKind::AnyOf(branches) => any_of(branches.iter().map(|branch| self.node(branch)).collect()),
            NodeKind::Ref(id) if self.inline[*id] => self.definition(*id),
            NodeKind::Ref(id) => self.references.to(*id),
        };
        // Replaces the description of the definition. The model sees neither.
        if let Some(description) = &node.description {
            schema["description"] = json!(description);
        }
        schema
    }
}

impl Ollama<'_> {
    fn array(&mut self, node: &Node, prefix: &[Node], additional: &Additional) -> Value {
        let length = prefix.len() as u64;
        let least = node.constraints.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let mut items: Vec<Value> = prefix.iter().map(|item| self.node(item)).collect();
        if !prefix.is_empty() && *additional == Additional::Forbidden && least == length {
            return json!({"type": "array", "prefixItems": items, "minItems": length, "maxItems": length});
        }
        match additional {
            // The grammar has no tuples with additional items: the items may come in any order.
            Additional::Schema(additional) => items.push(self.node(additional)),
            Additional::Any | Additional::Unspecified => items = vec![any()],
            Additional::Forbidden if prefix.is_empty() => {
                return json!({"type": "array", "items": any(), "maxItems": 0});
            }
            Additional::Forbidden => {}
        }
        items.dedup();
        let mut schema = json!({"type": "array", "items": any_of(items)});
        for keyword in ["minItems", "maxItems"] {
            if let Some(limit) =
                node.constraints.get(keyword).filter(|limit| limit.as_u64().is_some_and(|n| n <= MAX_ITEMS))
            {
                schema[keyword] = limit.clone();
            }
        }
        schema
    }
}

fn any() -> Value {
    json!({"type": ["string", "number", "boolean", "null", "array", "object"]})
}
