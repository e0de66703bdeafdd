//! Ollama's `format`, which llama.cpp turns into a grammar without showing it to the model.
//!
//! The grammar supports few patterns, grows with every bounded repetition, reads `{}` as "an object", fails on nodes
//! without a type, and resolves references late. Therefore references are inlined, only the [`bounds`] that it holds are
//! written, and every node has a type. The outline in the prompt states the others, and the validation of the reply checks
//! them.

use serde_json::{Value, json};

use super::bounds::{self, GrammarBounds};
use super::{Lowering, References, Writer, any_of, as_object, enumeration, inline_size, required, root};
use crate::schema::graph::{Additional, Graph, Node, NodeKind};

/// The formats that the grammar supports.
const FORMATS: [&str; 8] = ["date", "time", "date-time", "uuid", "uuid1", "uuid3", "uuid4", "uuid5"];

pub(super) fn lower(graph: &Graph) -> Lowering {
    GrammarBounds::fitted(|bounds| Lowering::plain(document(graph, Some(bounds), false).0))
}

/// Writes the structure alone.
pub(super) fn unbounded(graph: &Graph) -> Lowering {
    Lowering::plain(document(graph, None, false).0)
}

/// Writes the document with an object at its root, for servers that accept no other.
pub(super) fn lower_as_object(graph: &Graph) -> Lowering {
    GrammarBounds::fitted(|bounds| {
        let (document, wrapped) = document(graph, Some(bounds), true);
        Lowering { wrapped, ..Lowering::plain(document) }
    })
}

/// Returns the document, and whether its root is wrapped.
fn document(graph: &Graph, bounds: Option<&mut GrammarBounds>, is_object: bool) -> (Value, bool) {
    let mut inline: Vec<bool> = graph.recursive().map(|recurs| !recurs).collect();
    if !inline_size::is_acceptable(graph, &inline) {
        inline.fill(false);
    }
    let mut writer = Ollama { inline, bounds, references: References::new(graph) };
    let root = root(graph);
    let schema = writer.node(&root);
    let (schema, wrapped) = if is_object { as_object(&root, schema) } else { (schema, false) };
    (writer.document(schema), wrapped)
}

struct Ollama<'g, 'b> {
    /// Which definitions are inlined.
    inline: Vec<bool>,
    /// Writes the bounds; `None` omits all.
    bounds: Option<&'b mut GrammarBounds>,
    references: References<'g>,
}

impl<'g> Writer<'g> for Ollama<'g, '_> {
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
                if self.bounds.is_some() {
                    bounds::write_integer(&mut schema, node);
                }
                schema
            }
            NodeKind::String => {
                let mut schema = json!({"type": "string"});
                let format =
                    node.constraints.get("format").filter(|format| FORMATS.iter().any(|known| *format == known));
                match (&mut self.bounds, format) {
                    (Some(_), Some(format)) => schema["format"] = format.clone(),
                    (Some(bounds), None) => bounds.write_string(&mut schema, node),
                    (None, _) => {}
                }
                schema
            }
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

impl Ollama<'_, '_> {
    fn array(&mut self, node: &Node, prefix: &[Node], additional: &Additional) -> Value {
        let length = prefix.len();
        let mut items: Vec<Value> = prefix.iter().map(|item| self.node(item)).collect();
        if node.is_fixed_tuple() {
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
        if let Some(bounds) = &mut self.bounds {
            bounds.write_items(&mut schema, node);
        }
        schema
    }
}

fn any() -> Value {
    json!({"type": ["string", "number", "boolean", "null", "array", "object"]})
}
