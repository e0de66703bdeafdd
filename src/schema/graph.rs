//! A schema document in normal form: a graph of nodes, each of one kind. All lowerings start from it.
//!
//! JSON Schema has many notations for one thing: `allOf` with sibling keywords, `$ref` with siblings, lists of types,
//! `const` or an `enum` of one value. The graph has one notation for each, so that a lowering is one `match`. Keywords
//! that the graph cannot represent (`not`, `if`, `dependentRequired`) are dropped: the graph accepts every value that
//! the document accepts, and possibly more.

mod build;
mod flatten;
mod merge;

use std::collections::HashSet;

use serde_json::{Map, Value};

/// A root and the definitions that references name. Every reference resolves, and none leads back to itself without
/// passing through an object or an array.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) root: Node,
    pub(super) definitions: Vec<Definition>,
}

/// A named part of the schema.
#[derive(Debug)]
pub(super) struct Definition {
    /// Unique; consists of letters, digits, `_`, `.` and `-`.
    pub(super) name: String,
    pub(super) node: Node,
}

/// An index into [`Graph::definitions`].
pub(super) type DefinitionId = usize;

/// A subschema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) description: Option<String>,
    pub(super) kind: NodeKind,
    /// Keywords that constrain the kind: bounds, `pattern`, `format`, `uniqueItems`, …
    pub(super) constraints: Map<String, Value>,
}

/// The kind of value that a node accepts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeKind {
    Any,
    Null,
    Boolean,
    Integer,
    Number,
    String,
    /// One of these values. Never empty.
    Enum(Vec<Value>),
    /// The items in `prefix`, followed by `additional` ones.
    Array {
        prefix: Vec<Node>,
        additional: Additional,
    },
    Object {
        properties: Vec<Property>,
        additional: Additional,
    },
    /// At least two branches. None is an `AnyOf` without a description.
    AnyOf(Vec<Node>),
    Ref(DefinitionId),
}

/// A named property of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) node: Node,
}

/// The items of an array after its prefix, or the properties of an object that are not named.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Additional {
    /// The document names some members and says nothing about others.
    Unspecified,
    Forbidden,
    Any,
    Schema(Box<Node>),
}

impl Graph {
    /// Follows references until a node that is not one.
    pub(super) fn resolve<'a>(&'a self, mut node: &'a Node) -> &'a Node {
        while let NodeKind::Ref(id) = node.kind {
            node = &self.definitions[id].node;
        }
        node
    }

    /// Returns whether `null` matches `node`.
    pub(super) fn admits_null(&self, node: &Node) -> bool {
        match &self.resolve(node).kind {
            NodeKind::Any | NodeKind::Null => true,
            NodeKind::Enum(values) => values.contains(&Value::Null),
            NodeKind::AnyOf(_) => self.kinds(node).into_iter().any(|kind| match kind {
                NodeKind::Enum(values) => values.contains(&Value::Null),
                kind => matches!(kind, NodeKind::Any | NodeKind::Null),
            }),
            _ => false,
        }
    }

    /// Returns whether a `null` as the value of `property` means that the property is absent.
    pub(super) fn null_is_absence(&self, property: &Property) -> bool {
        !property.required && !self.admits_null(&property.node)
    }

    /// Returns the kinds of values that `node` accepts, with references and unions resolved.
    pub(super) fn kinds<'a>(&'a self, node: &'a Node) -> Vec<&'a NodeKind> {
        match &self.resolve(node).kind {
            NodeKind::AnyOf(branches) => self.kinds_of(branches),
            kind => vec![kind],
        }
    }

    /// Returns the kinds of values that one of `nodes` accepts, with references and unions resolved, each node once: unions of
    /// references to unions would have exponentially many.
    pub(super) fn kinds_of<'a>(&'a self, nodes: impl IntoIterator<Item = &'a Node>) -> Vec<&'a NodeKind> {
        let mut seen = HashSet::new();
        let mut kinds = Vec::new();
        let mut left: Vec<&Node> = nodes.into_iter().collect();
        left.reverse();
        while let Some(node) = left.pop() {
            let node = self.resolve(node);
            if !seen.insert(std::ptr::from_ref(node)) {
                continue;
            }
            match &node.kind {
                NodeKind::AnyOf(branches) => left.extend(branches.iter().rev()),
                kind => kinds.push(kind),
            }
        }
        kinds
    }

    /// Returns the root and the root of each definition.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.root).chain(self.definitions.iter().map(|definition| &definition.node))
    }

    /// Returns for each definition whether it refers to itself, directly or not.
    pub(super) fn recursive(&self) -> impl Iterator<Item = bool> {
        self.reachability().into_iter().enumerate().map(|(id, reached)| reached[id])
    }

    /// Returns for each definition which definitions it refers to, directly or not.
    pub(super) fn reachability(&self) -> Vec<Vec<bool>> {
        let direct: Vec<Vec<DefinitionId>> = self
            .definitions
            .iter()
            .map(|definition| {
                let mut ids = Vec::new();
                definition.node.for_each(&mut |node| {
                    if let NodeKind::Ref(id) = node.kind {
                        ids.push(id);
                    }
                });
                ids
            })
            .collect();
        direct
            .iter()
            .map(|first| {
                let mut reached = vec![false; direct.len()];
                let mut left = first.clone();
                while let Some(id) = left.pop() {
                    if !std::mem::replace(&mut reached[id], true) {
                        left.extend(&direct[id]);
                    }
                }
                reached
            })
            .collect()
    }
}

impl Node {
    pub(super) fn new(kind: NodeKind) -> Self {
        Self { description: None, kind, constraints: Map::new() }
    }

    /// Returns a union of `branches`, or the only branch; `None` if there are no branches.
    pub(super) fn any_of(branches: Vec<Self>) -> Option<Self> {
        let mut flat: Vec<Self> = Vec::new();
        for branch in branches {
            let parts = match branch {
                Self { kind: NodeKind::AnyOf(parts), description: None, .. } => parts,
                one => vec![one],
            };
            for part in parts {
                if !flat.contains(&part) {
                    flat.push(part);
                }
            }
        }
        match flat.len() {
            0 | 1 => flat.pop(),
            _ => Some(Self::new(NodeKind::AnyOf(flat))),
        }
    }

    /// Returns an enumeration of those `values` that are of one of `types`; `None` if no value is.
    pub(super) fn one_of(values: &[Value], types: Option<&Value>) -> Option<Self> {
        let has_type = |value: &&Value| match types {
            None => true,
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_of_type(value, name)),
            Some(name) => name.as_str().is_some_and(|name| is_of_type(value, name)),
        };
        let values: Vec<Value> = values.iter().filter(has_type).cloned().collect();
        match values.as_slice() {
            [] => None,
            [Value::Null] => Some(Self::new(NodeKind::Null)),
            _ => Some(Self::new(NodeKind::Enum(values))),
        }
    }

    /// Returns whether it accepts lists of one length alone, whose items have types of their own.
    pub(super) fn is_fixed_tuple(&self) -> bool {
        let NodeKind::Array { prefix, additional: Additional::Forbidden } = &self.kind else { return false };
        let bound = |keyword: &str| self.constraints.get(keyword).and_then(Value::as_u64);
        let length = prefix.len() as u64;
        !prefix.is_empty() && bound("minItems") == Some(length) && bound("maxItems").is_none_or(|most| most >= length)
    }

    /// Calls `visitor` with this node and every node inside it. Does not follow references.
    pub(super) fn for_each<'a>(&'a self, visitor: &mut impl FnMut(&'a Self)) {
        visitor(self);
        self.children().for_each(|child| child.for_each(visitor));
    }

    /// Returns the nodes directly inside this one.
    pub(super) fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.kind {
            NodeKind::Array { prefix, additional } => Box::new(prefix.iter().chain(additional.node())),
            NodeKind::Object { properties, additional } => {
                Box::new(properties.iter().map(|property| &property.node).chain(additional.node()))
            }
            NodeKind::AnyOf(branches) => Box::new(branches.iter()),
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl Additional {
    pub(super) fn node(&self) -> Option<&Node> {
        match self {
            Self::Schema(node) => Some(node),
            _ => None,
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => {
            name == "number" || (name == "integer" && number.as_f64().is_some_and(|number| number.fract() == 0.0))
        }
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}
