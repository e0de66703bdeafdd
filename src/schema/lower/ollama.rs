//! Ollama's `format`: llama.cpp turns it into a grammar, and never shows it to the model.
//!
//! The grammar knows no `pattern` that is not anchored, grows with every bounded repetition, reads `{}` as "an object",
//! fails on a node without a type, and resolves references late. So references are inlined, length limits are dropped,
//! and every node has a type. What is dropped here is judged when the reply is.

use serde_json::{Value, json};

use super::{Lowering, References, Writer, any_of, enumeration, inlined, required, root, write_integer_bounds};
use crate::schema::graph::{Graph, Node, Rest, Shape};

/// Longer repetitions make grammars that take seconds to build or are refused.
const MAX_ITEMS: u64 = 100;
/// The formats the grammar has rules for.
const FORMATS: [&str; 8] = ["date", "time", "date-time", "uuid", "uuid1", "uuid3", "uuid4", "uuid5"];

pub(super) fn lower(graph: &Graph) -> Lowering {
    let mut inline: Vec<bool> = graph.recursion().map(|recurs| !recurs).collect();
    if !inlined::is_sane(graph, &inline) {
        inline.fill(false);
    }
    let mut writer = Ollama { inline, references: References::new(graph) };
    let root = writer.node(&root(graph));
    Lowering { document: writer.document(root), strict: false, wrapped: false, nullable: false }
}

struct Ollama<'g> {
    /// Which definitions are written where they are used.
    inline: Vec<bool>,
    references: References<'g>,
}

impl<'g> Writer<'g> for Ollama<'g> {
    fn references(&mut self) -> &mut References<'g> {
        &mut self.references
    }

    fn node(&mut self, node: &Node) -> Value {
        let mut schema = match &node.shape {
            Shape::Any => any(),
            Shape::Null => json!({"type": "null"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Number => json!({"type": "number"}),
            Shape::Integer => {
                let mut schema = json!({"type": "integer"});
                write_integer_bounds(&mut schema, node);
                schema
            }
            Shape::String => match node.limits.get("format") {
                Some(format) if FORMATS.iter().any(|known| format == known) => {
                    json!({"type": "string", "format": format})
                }
                _ => json!({"type": "string"}),
            },
            Shape::Enum(values) => any_of(enumeration(values)),
            Shape::Array { prefix, rest } => self.array(node, prefix, rest),
            Shape::Object { properties, rest } => {
                let members = self.members(properties);
                let mut schema = json!({"type": "object"});
                if !members.is_empty() || matches!(rest, Rest::Unstated | Rest::Closed) {
                    schema["properties"] = Value::Object(members);
                    schema["required"] = json!(required(properties, |_| true));
                }
                self.write_rest(&mut schema, rest);
                schema
            }
            Shape::AnyOf(branches) => any_of(branches.iter().map(|branch| self.node(branch)).collect()),
            Shape::Ref(id) if self.inline[*id] => self.definition(*id),
            Shape::Ref(id) => self.references.make(*id),
        };
        // A place's own words stand for those of its definition: the model sees neither.
        if let Some(description) = &node.description {
            schema["description"] = json!(description);
        }
        schema
    }
}

impl Ollama<'_> {
    fn array(&mut self, node: &Node, prefix: &[Node], rest: &Rest) -> Value {
        let length = prefix.len() as u64;
        let least = node.limits.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let mut items: Vec<Value> = prefix.iter().map(|item| self.node(item)).collect();
        if !prefix.is_empty() && *rest == Rest::Closed && least == length {
            return json!({"type": "array", "prefixItems": items, "minItems": length, "maxItems": length});
        }
        match rest {
            // The grammar has no tuple with an open end: its items may come in any order.
            Rest::Of(rest) => items.push(self.node(rest)),
            Rest::Any | Rest::Unstated => items = vec![any()],
            Rest::Closed if prefix.is_empty() => return json!({"type": "array", "items": any(), "maxItems": 0}),
            Rest::Closed => {}
        }
        items.dedup();
        let mut schema = json!({"type": "array", "items": any_of(items)});
        for keyword in ["minItems", "maxItems"] {
            if let Some(limit) = node.limits.get(keyword).filter(|limit| limit.as_u64().is_some_and(|n| n <= MAX_ITEMS))
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
