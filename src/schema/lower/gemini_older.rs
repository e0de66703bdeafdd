//! Gemini's `responseSchema`: the subset of `OpenAPI` 3.0 that it took before it read JSON Schema.
//!
//! A node has one type or is an `anyOf` with nothing beside it, `null` is a flag, only strings have an `enum`, and there
//! are no references. It is what a schema is sent in that was refused in the newer form, mostly because it needs "too many
//! states": so it holds structure alone, and bounds, lengths and formats are told in the description.
//!
//! The subset has no objects with free keys, none without members, and no recursion. Cutting recursion at some depth would
//! make valid values invalid; so such a schema is not said here at all: `strict` is false, and it can be told in words.

use serde_json::{Map, Value, json};

use super::{Lowering, describe, enumeration, inlined, is_closed, is_null, openai, plain, required, root};
use crate::schema::graph::{Graph, Node, Property, Shape};

pub(super) fn lower(graph: &Graph) -> Lowering {
    if !is_sayable(graph) {
        return openai::loose(graph);
    }
    let document = write(graph, &root(graph));
    Lowering { document, strict: true, wrapped: false, nullable: false }
}

fn is_sayable(graph: &Graph) -> bool {
    let has_members = |tree: &Node| {
        let mut has_members = true;
        tree.visit(&mut |node| {
            has_members &= !matches!(&node.shape, Shape::Object { properties, .. } if properties.is_empty());
        });
        has_members
    };
    graph.trees().all(|tree| is_closed(tree) && has_members(tree))
        && !graph.recursion().any(|recurs| recurs)
        && inlined::is_sane(graph, &vec![true; graph.definitions.len()])
}

/// `node`, with the definitions it refers to in their places.
fn write(graph: &Graph, node: &Node) -> Value {
    let schema = match &node.shape {
        Shape::Null => union(vec![null()]),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Integer => json!({"type": "integer"}),
        Shape::Number => json!({"type": "number"}),
        // No schema with a value of any type is written here.
        Shape::String | Shape::Any => json!({"type": "string"}),
        Shape::Enum(values) => union(enumeration(values).into_iter().map(strings_alone).collect()),
        Shape::Array { prefix, rest } => {
            // There are no tuples: the kinds of items are known, their places are not.
            let items = prefix.iter().chain(rest.node()).map(|item| branch(graph, item)).collect();
            json!({"type": "array", "items": union(items)})
        }
        Shape::Object { properties, .. } => object(graph, properties),
        Shape::AnyOf(branches) => union(branches.iter().map(|node| branch(graph, node)).collect()),
        Shape::Ref(id) => write(graph, &graph.definitions[*id].node),
    };
    let told: Vec<(&str, &Value)> = node
        .limits
        .iter()
        .filter(|(keyword, _)| *keyword != "format" || node.shape == Shape::String)
        .map(|(keyword, value)| (keyword.as_str(), value))
        .collect();
    tell(schema, node, &told)
}

/// `node` as a part of a union: `null` is not yet a flag.
fn branch(graph: &Graph, node: &Node) -> Value {
    if node.shape == Shape::Null { null() } else { write(graph, node) }
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

/// One schema for all of `branches`. What may be `null` says so in its first branch: nothing may stand beside `anyOf`.
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

/// `enum` is for strings that are not empty: other values are told.
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

/// `schema` with the description of `node` and its limits; of a union, its first branch.
fn tell(mut schema: Value, node: &Node, limits: &[(&str, &Value)]) -> Value {
    if let Some(first) = schema.get_mut("anyOf").and_then(|branches| branches.get_mut(0)) {
        *first = describe(first.take(), node, limits);
        return schema;
    }
    describe(schema, node, limits)
}
