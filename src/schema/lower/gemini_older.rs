//! Gemini's `responseSchema`: the subset of `OpenAPI` 3.0 from before `responseJsonSchema`.
//!
//! A node has one type, or is an `anyOf` without siblings. `null` is a flag, only strings have an `enum`, and there are
//! no references. This form is the fallback for schemas that the newer one rejects, mostly for "too many states". It
//! therefore has only the structure; bounds, lengths and formats go into the description.
//!
//! The subset has no objects with arbitrary keys or without members, and no recursion. Cutting recursion at some depth
//! would reject valid values, so `strict` is false for such schemas, and they go into the prompt.

use serde_json::{Map, Value, json};

use super::{Lowering, describe, enumeration, inline_size, is_closed, is_null, openai, plain, required, root};
use crate::schema::graph::{Graph, Node, NodeKind, Property};

pub(super) fn lower(graph: &Graph) -> Lowering {
    if !is_representable(graph) {
        return openai::permissive(graph);
    }
    let document = write(graph, &root(graph));
    Lowering { strict: true, ..Lowering::plain(document) }
}

fn is_representable(graph: &Graph) -> bool {
    let has_members = |tree: &Node| {
        let mut has_members = true;
        tree.for_each(&mut |node| {
            has_members &= !matches!(&node.kind, NodeKind::Object { properties, .. } if properties.is_empty());
        });
        has_members
    };
    graph.roots().all(|tree| is_closed(tree) && has_members(tree))
        && !graph.recursive().any(|recurs| recurs)
        && inline_size::is_acceptable(graph, &vec![true; graph.definitions.len()])
}

/// Writes `node` with its references inlined.
fn write(graph: &Graph, node: &Node) -> Value {
    let schema = match &node.kind {
        NodeKind::Null => union(vec![null()]),
        NodeKind::Boolean => json!({"type": "boolean"}),
        NodeKind::Integer => json!({"type": "integer"}),
        NodeKind::Number => json!({"type": "number"}),
        // `Any` is unreachable, because `is_representable` rejects it.
        NodeKind::String | NodeKind::Any => json!({"type": "string"}),
        NodeKind::Enum(values) => union(enumeration(values).into_iter().map(strings_alone).collect()),
        NodeKind::Array { prefix, additional } => {
            // The subset has no tuples: only the types of the items are kept, not their positions.
            let items = prefix.iter().chain(additional.node()).map(|item| branch(graph, item)).collect();
            json!({"type": "array", "items": union(items)})
        }
        NodeKind::Object { properties, .. } => object(graph, properties),
        NodeKind::AnyOf(branches) => union(branches.iter().map(|node| branch(graph, node)).collect()),
        NodeKind::Ref(id) => write(graph, &graph.definitions[*id].node),
    };
    let described: Vec<(&str, &Value)> = node
        .constraints
        .iter()
        .filter(|(keyword, _)| *keyword != "format" || node.kind == NodeKind::String)
        .map(|(keyword, value)| (keyword.as_str(), value))
        .collect();
    describe_union(schema, node, &described)
}

/// Writes `node` as a branch of a union, where `null` is not yet a flag.
fn branch(graph: &Graph, node: &Node) -> Value {
    if node.kind == NodeKind::Null { null() } else { write(graph, node) }
}

fn object(graph: &Graph, properties: &[Property]) -> Value {
    let members: Map<String, Value> =
        properties.iter().map(|property| (property.name.clone(), write(graph, &property.node))).collect();
    let names: Vec<&String> = members.keys().collect();
    let mut schema = json!({"type": "object", "properties": members, "propertyOrdering": names});
    let required = required(properties, |_| true);
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn null() -> Value {
    json!({"type": "null"})
}

/// Returns a union of `branches`. Its first branch is flagged as nullable, because `anyOf` has no siblings.
fn union(branches: Vec<Value>) -> Value {
    let mut flat: Vec<Value> = Vec::new();
    let mut nullable = false;
    for mut branch in branches {
        let parts = match branch.get_mut("anyOf").map(Value::take) {
            Some(Value::Array(parts)) => parts,
            _ => vec![branch],
        };
        for part in parts {
            if is_null(&part) {
                nullable = true;
            } else if !flat.contains(&part) {
                flat.push(part);
            }
        }
    }
    match flat.first_mut() {
        None => return json!({"type": "string", "nullable": true, "description": "(one of: null)"}),
        Some(first) if nullable => first["nullable"] = json!(true),
        Some(_) => {}
    }
    if flat.len() == 1 { flat.remove(0) } else { json!({ "anyOf": flat }) }
}

/// `enum` supports only non-empty strings. Other values go into the description.
fn strings_alone(mut group: Value) -> Value {
    let values = group.get("enum").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if values.iter().all(|value| value.as_str().is_some_and(|text| !text.is_empty())) {
        return group;
    }
    let values: Vec<String> = values.iter().map(|value| value.as_str().map_or_else(|| plain(value), quoted)).collect();
    json!({"type": group["type"].take(), "description": format!("(one of: {})", values.join(", "))})
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Adds the description and constraints of `node` to `schema`, or to the first branch of a union.
fn describe_union(mut schema: Value, node: &Node, constraints: &[(&str, &Value)]) -> Value {
    if let Some(first) = schema.get_mut("anyOf").and_then(|branches| branches.get_mut(0)) {
        *first = describe(first.take(), node, constraints);
        return schema;
    }
    describe(schema, node, constraints)
}
