//! Builds a [`Graph`] from a document.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::flatten::structural_keywords;
use super::merge::merge;
use super::{Additional, Definition, DefinitionId, Graph, Node, NodeKind, Property};
use crate::error::{Error, Result};

/// Limits the recursion. `serde_json` parses no deeper text either.
pub(super) const MAX_DEPTH: usize = 128;

/// Limits the work on documents that expand exponentially through references. Documents written by people stay far
/// below.
const MAX_STEPS: usize = 50_000;

/// The largest number of definitions, each of which is related to each other one.
const MAX_DEFINITIONS: usize = 4000;

/// The comparisons of two branches that count as one step.
const COMPARISONS_PER_STEP: usize = 4096;

/// The constraints that a node keeps, by type.
const NUMBER_CONSTRAINTS: [&str; 6] =
    ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"];
const STRING_CONSTRAINTS: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];
const ARRAY_CONSTRAINTS: [&str; 3] = ["minItems", "maxItems", "uniqueItems"];
const OBJECT_CONSTRAINTS: [&str; 2] = ["minProperties", "maxProperties"];

impl Graph {
    /// Builds the graph of `document`.
    ///
    /// Returns `InvalidInput` if it is not a JSON Schema, if a reference does not resolve within it, or if no value
    /// matches it or one of its definitions.
    pub(in crate::schema) fn build(document: &Value) -> Result<Self> {
        if !document.is_object() {
            return Err(invalid("#", "a schema must be a JSON object"));
        }
        let mut builder = GraphBuilder {
            document,
            ids: HashMap::new(),
            names: Vec::new(),
            taken: HashSet::new(),
            repeated: HashMap::new(),
            nodes: Vec::new(),
            expanding: Vec::new(),
            expanded: Vec::new(),
            enclosing: Vec::new(),
            steps: 0,
        };
        let root = builder.required_node(document, "#", 0)?;
        // Building a definition may discover further ones.
        while let Some(pointer) = builder.names.get(builder.nodes.len()).map(|(_, pointer)| pointer.clone()) {
            let target = builder.target(&pointer, &pointer)?;
            let node = builder.required_node(target, &pointer, 0)?;
            builder.nodes.push(node);
        }
        let definitions =
            builder.names.into_iter().zip(builder.nodes).map(|((name, _), node)| Definition { name, node }).collect();
        let graph = Self { root, definitions };
        graph.reject_circles()?;
        Ok(graph)
    }

    /// Returns an error if a definition consists only of references to itself, which no finite value matches.
    fn reject_circles(&self) -> Result<()> {
        for start in 0..self.definitions.len() {
            let mut seen = vec![false; self.definitions.len()];
            let mut left = vec![&self.definitions[start].node];
            while let Some(node) = left.pop() {
                match &node.kind {
                    NodeKind::Ref(id) if *id == start => {
                        let name = &self.definitions[start].name;
                        return Err(Error::invalid_input(format!(
                            "invalid JSON Schema: {name:?} consists only of references to itself"
                        )));
                    }
                    NodeKind::Ref(id) if !std::mem::replace(&mut seen[*id], true) => {
                        left.push(&self.definitions[*id].node);
                    }
                    NodeKind::AnyOf(branches) => left.extend(branches),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

pub(super) struct GraphBuilder<'a> {
    pub(super) document: &'a Value,
    /// Definitions by JSON pointer.
    ids: HashMap<String, DefinitionId>,
    /// The name and JSON pointer of each discovered definition.
    names: Vec<(String, String)>,
    /// The names of all definitions.
    taken: HashSet<String>,
    /// How often the last part of a pointer occurred, by the name that it leads to.
    repeated: HashMap<String, usize>,
    /// The definitions built so far, in the order of `names`.
    nodes: Vec<Node>,
    /// The references being expanded.
    pub(super) expanding: Vec<String>,
    /// The references expanded since the current node began.
    pub(super) expanded: Vec<String>,
    /// The references expanded in the nodes around the current one.
    pub(super) enclosing: Vec<String>,
    /// The number of keyword sets processed.
    steps: usize,
}

impl GraphBuilder<'_> {
    fn required_node(&mut self, schema: &Value, path: &str, depth: usize) -> Result<Node> {
        self.node(schema, path, depth)?.ok_or_else(|| invalid(path, "no value can match this schema"))
    }

    /// Builds the node of `schema`; `None` if no value matches it. `path` is for error messages.
    fn node(&mut self, schema: &Value, path: &str, depth: usize) -> Result<Option<Node>> {
        if depth > MAX_DEPTH {
            return Err(invalid(path, "nested too deeply"));
        }
        let map = match schema {
            Value::Bool(true) => return Ok(Some(Node::new(NodeKind::Any))),
            Value::Bool(false) => return Ok(None),
            Value::Object(map) => self.flatten(map, path, depth)?,
            _ => return Err(invalid(path, "a schema must be an object or a boolean")),
        };
        let outside = self.enclosing.len();
        self.enclosing.append(&mut self.expanded);
        let node = self.kind(map.clone(), path, depth)?;
        self.enclosing.truncate(outside);
        let Some(mut node) = node else { return Ok(None) };
        if let Some(text) = map.get("description").and_then(Value::as_str).filter(|text| !text.is_empty()) {
            node.description = Some(text.to_owned());
        }
        Ok(Some(node))
    }

    fn kind(&mut self, mut map: Map<String, Value>, path: &str, depth: usize) -> Result<Option<Node>> {
        if let Some(pointer) = map.get("$ref") {
            let pointer = pointer.as_str().ok_or_else(|| invalid(path, "$ref must be a string"))?;
            return Ok(Some(Node::new(NodeKind::Ref(self.definition(pointer, path)?))));
        }
        if map.shift_remove("nullable") == Some(Value::Bool(true)) {
            let branches = [self.kind(map, path, depth)?, Some(Node::new(NodeKind::Null))];
            return Ok(Node::any_of(branches.into_iter().flatten().collect()));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(branches) = map.shift_remove(keyword) {
                // `oneOf` next to `anyOf` is dropped: the graph may accept more than the document.
                map.shift_remove("oneOf");
                return self.branches(list(&branches, keyword, path)?, &map, &format!("{path}/{keyword}"), depth);
            }
        }
        if let Some(value) = map.get("const") {
            return Ok(Node::one_of(std::slice::from_ref(value), map.get("type")));
        }
        if let Some(values) = map.get("enum") {
            let values = values.as_array().ok_or_else(|| invalid(path, "enum must be an array"))?;
            return Ok(Node::one_of(values, map.get("type")));
        }
        let types = match map.get("type") {
            None => inferred_type(&map).into_iter().collect(),
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => {
                let names: Vec<String> = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                if names.is_empty() {
                    return Ok(None);
                }
                names
            }
            Some(_) => return Err(invalid(path, "type must be a string or an array of strings")),
        };
        if types.is_empty() {
            return Ok(Some(Node::new(NodeKind::Any)));
        }
        let mut branches = Vec::new();
        for name in types {
            branches.extend(self.typed(&name, &map, path, depth)?);
        }
        Ok(Node::any_of(branches))
    }

    /// Counts `steps`. Returns an error if the document takes too many.
    pub(super) fn spend(&mut self, steps: usize, path: &str) -> Result<()> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            return Err(invalid(path, "too large after its references are expanded"));
        }
        Ok(())
    }

    /// Builds a union, with the sibling keywords merged into each branch.
    fn branches(
        &mut self,
        branches: &[Value],
        siblings: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Option<Node>> {
        let base: Map<String, Value> =
            structural_keywords(siblings).map(|(key, value)| (key.clone(), value.clone())).collect();
        // A bare type next to a reference adds nothing to its target. Dropping it preserves recursion.
        let narrows = base.keys().any(|keyword| keyword != "type");
        // Each branch is compared with all others.
        self.spend(branches.len() * branches.len() / COMPARISONS_PER_STEP, path)?;
        let mut nodes = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let path = format!("{path}/{index}");
            let merged = match branch {
                Value::Object(branch) if narrows || (!base.is_empty() && !branch.contains_key("$ref")) => {
                    let flat = self.flatten(branch, &path, depth + 1)?;
                    let flat = self.replace_reference(flat, &path, depth + 1)?;
                    Value::Object(merge(base.clone(), &flat))
                }
                Value::Bool(true) => Value::Object(base.clone()),
                other => other.clone(),
            };
            nodes.extend(self.node(&merged, &path, depth + 1)?);
        }
        Ok(Node::any_of(nodes))
    }

    /// Builds a node of one type.
    fn typed(&mut self, name: &str, map: &Map<String, Value>, path: &str, depth: usize) -> Result<Option<Node>> {
        let (kind, constraints): (_, &[&str]) = match name {
            "null" => (NodeKind::Null, &[]),
            "boolean" => (NodeKind::Boolean, &[]),
            "integer" => (NodeKind::Integer, &NUMBER_CONSTRAINTS),
            "number" => (NodeKind::Number, &NUMBER_CONSTRAINTS),
            "string" => (NodeKind::String, &STRING_CONSTRAINTS),
            "array" => (self.array(map, path, depth)?, &ARRAY_CONSTRAINTS),
            "object" => match self.object(map, path, depth)? {
                Some(kind) => (kind, &OBJECT_CONSTRAINTS),
                None => return Ok(None),
            },
            _ => return Err(invalid(path, &format!("{name:?} is not a type"))),
        };
        let constraints = constraints
            .iter()
            .filter_map(|limit| map.get_key_value(*limit))
            .map(|(keyword, value)| (keyword.clone(), value.clone()))
            .collect();
        Ok(Some(Node { description: None, kind, constraints }))
    }

    fn array(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Result<NodeKind> {
        // Before draft 2020-12 a tuple was a list in `items`, followed by `additionalItems`.
        let (tuple, items) = match map.get("items") {
            Some(tuple @ Value::Array(_)) => (Some(tuple), map.get("additionalItems")),
            items => (map.get("prefixItems"), items),
        };
        let mut prefix = Vec::new();
        if let Some(tuple) = tuple {
            for (index, item) in list(tuple, "prefixItems", path)?.iter().enumerate() {
                prefix.push(self.required_node(item, &format!("{path}/prefixItems/{index}"), depth + 1)?);
            }
        }
        let additional = match items {
            None if prefix.is_empty() => Additional::Any,
            None => match map.get("maxItems").and_then(Value::as_u64) {
                Some(most) if most <= prefix.len() as u64 => Additional::Forbidden,
                _ => Additional::Unspecified,
            },
            Some(items) => self.additional(items, &format!("{path}/items"), depth)?,
        };
        Ok(NodeKind::Array { prefix, additional })
    }

    /// Builds an object; `None` if no value matches one of its required properties.
    fn object(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Result<Option<NodeKind>> {
        let no_names = Vec::new();
        let required = match map.get("required") {
            None => &no_names,
            Some(names) => names.as_array().ok_or_else(|| invalid(path, "required must be an array"))?,
        };
        let required: HashSet<&str> = required.iter().filter_map(Value::as_str).collect();
        let mut properties = Vec::new();
        if let Some(named) = map.get("properties") {
            let named = named.as_object().ok_or_else(|| invalid(path, "properties must be an object"))?;
            for (name, schema) in named {
                let required = required.contains(name.as_str());
                match self.node(schema, &format!("{path}/properties/{name}"), depth + 1)? {
                    Some(node) => properties.push(Property { name: name.clone(), required, node }),
                    None if required => return Ok(None),
                    None => {}
                }
            }
        }
        let patterns = map.get("patternProperties").and_then(Value::as_object).filter(|patterns| !patterns.is_empty());
        let additional = match (map.get("additionalProperties"), patterns) {
            (None, None) if map.contains_key("properties") => Additional::Unspecified,
            (None, None) => Additional::Any,
            (Some(schema), None) => self.additional(schema, &format!("{path}/additionalProperties"), depth)?,
            (others, Some(patterns)) => {
                let others = others.filter(|schema| **schema != Value::Bool(false));
                let schemas: Vec<&Value> = patterns.values().chain(others).collect();
                self.additional(&json!({"anyOf": schemas}), &format!("{path}/patternProperties"), depth)?
            }
        };
        Ok(Some(NodeKind::Object { properties, additional }))
    }

    fn additional(&mut self, schema: &Value, path: &str, depth: usize) -> Result<Additional> {
        Ok(match self.node(schema, path, depth + 1)? {
            None => Additional::Forbidden,
            Some(Node { kind: NodeKind::Any, description: None, .. }) => Additional::Any,
            Some(node) => Additional::Schema(Box::new(node)),
        })
    }

    /// Returns the definition that `pointer` names, and queues it if it is new.
    fn definition(&mut self, pointer: &str, path: &str) -> Result<DefinitionId> {
        if let Some(id) = self.ids.get(pointer) {
            return Ok(*id);
        }
        self.target(pointer, path)?;
        if self.names.len() == MAX_DEFINITIONS {
            return Err(invalid(path, &format!("it refers to more than {MAX_DEFINITIONS} definitions")));
        }
        let last = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "_").replace("~0", "_");
        let mut name: String =
            last.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' }).collect();
        if name.chars().all(|c| c == '_') {
            name = if pointer == "#" { "Root".to_owned() } else { format!("Type{name}") };
        }
        let repeated = self.repeated.entry(name.clone()).or_default();
        name.push_str(&"_".repeat(*repeated));
        while self.taken.contains(&name) {
            *repeated += 1;
            name.push('_');
        }
        self.taken.insert(name.clone());
        let id = self.names.len();
        self.names.push((name, pointer.to_owned()));
        self.ids.insert(pointer.to_owned(), id);
        Ok(id)
    }
}

pub(super) fn list<'v>(value: &'v Value, keyword: &str, path: &str) -> Result<&'v [Value]> {
    match value {
        Value::Array(values) if !values.is_empty() => Ok(values),
        _ => Err(invalid(path, &format!("{keyword} must be an array with at least one schema"))),
    }
}

/// Infers the type of a schema without `type` from its other keywords.
fn inferred_type(map: &Map<String, Value>) -> Option<String> {
    const CLUES: [(&str, &str); 10] = [
        ("properties", "object"),
        ("additionalProperties", "object"),
        ("patternProperties", "object"),
        ("required", "object"),
        ("items", "array"),
        ("prefixItems", "array"),
        ("pattern", "string"),
        ("minLength", "string"),
        ("minimum", "number"),
        ("maximum", "number"),
    ];
    CLUES.iter().find(|(keyword, _)| map.contains_key(*keyword)).map(|(_, name)| (*name).to_owned())
}

pub(super) fn invalid(path: &str, reason: &str) -> Error {
    Error::invalid_input(format!("invalid JSON Schema at {path}: {reason}"))
}
