//! A schema document read into a graph of nodes, each of one kind: what every lowering and the way back start from.
//!
//! JSON Schema says one thing in many ways: `allOf` beside keywords, `$ref` with siblings, lists of types, `const` or a
//! list of one. The graph knows one way for each, so that a dialect is one `match`. Where a document says more than the
//! graph can hold (`not`, `if`, `dependentRequired`), the graph allows more than the document, never less.

mod build;
mod flatten;
mod merge;

use serde_json::{Map, Value};

/// The whole schema: a root, and the definitions its references name. Every reference resolves, and none leads back to
/// itself without passing through an object or an array.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) root: Node,
    pub(super) definitions: Vec<Definition>,
}

/// A part of the schema that is referred to by name.
#[derive(Debug)]
pub(super) struct Definition {
    /// Unique, of letters, digits, `_`, `.` and `-`.
    pub(super) name: String,
    pub(super) node: Node,
}

/// An index into [`Graph::definitions`].
pub(super) type DefinitionId = usize;

/// One place in the schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) description: Option<String>,
    pub(super) kind: NodeKind,
    /// Keywords that narrow the shape without changing it: bounds, `pattern`, `format`, `uniqueItems`, …
    pub(super) constraints: Map<String, Value>,
}

/// What kind of value stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeKind {
    Any,
    Null,
    Boolean,
    Integer,
    Number,
    String,
    /// One of these values; never empty.
    Enum(Vec<Value>),
    /// `prefix` first, then `additional`.
    Array {
        prefix: Vec<Node>,
        additional: Additional,
    },
    Object {
        properties: Vec<Property>,
        additional: Additional,
    },
    /// At least two branches, none of which is an `AnyOf` without a description.
    AnyOf(Vec<Node>),
    Ref(DefinitionId),
}

/// A named member of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) node: Node,
}

/// What an array or an object may hold beside what is named.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Additional {
    /// The document does not say, beside members that it does name.
    Unspecified,
    Forbidden,
    Any,
    Schema(Box<Node>),
}

impl Graph {
    /// The node `node` stands for, behind its references.
    pub(super) fn resolve<'a>(&'a self, mut node: &'a Node) -> &'a Node {
        while let NodeKind::Ref(id) = node.kind {
            node = &self.definitions[id].node;
        }
        node
    }

    /// True where `null` is a value of `node`.
    pub(super) fn admits_null(&self, node: &Node) -> bool {
        match &self.resolve(node).kind {
            NodeKind::Any | NodeKind::Null => true,
            NodeKind::Enum(values) => values.contains(&Value::Null),
            NodeKind::AnyOf(branches) => branches.iter().any(|branch| self.admits_null(branch)),
            _ => false,
        }
    }

    /// True where a `null` in the place of `property` says that it is absent.
    pub(super) fn null_is_absence(&self, property: &Property) -> bool {
        !property.required && !self.admits_null(&property.node)
    }

    /// The shapes that a value of `node` may have, behind references and unions.
    pub(super) fn shapes<'a>(&'a self, node: &'a Node) -> Vec<&'a NodeKind> {
        match &self.resolve(node).kind {
            NodeKind::AnyOf(branches) => branches.iter().flat_map(|branch| self.shapes(branch)).collect(),
            shape => vec![shape],
        }
    }

    /// The root, and each definition.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.root).chain(self.definitions.iter().map(|definition| &definition.node))
    }

    /// For each definition, whether it leads back to itself.
    pub(super) fn recursive(&self) -> impl Iterator<Item = bool> {
        self.reachability().into_iter().enumerate().map(|(id, reached)| reached[id])
    }

    /// For each definition, which definitions it reaches over references.
    pub(super) fn reachability(&self) -> Vec<Vec<bool>> {
        let direct: Vec<Vec<DefinitionId>> = self
            .definitions
            .iter()
            .map(|definition| {
                let mut ids = Vec::new();
                definition.node.visit(&mut |node| {
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

    /// One node for all of `branches`; `None` where there is none.
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

    /// One of those of `values` that are of one of `types`; `None` where none is.
    pub(super) fn one_of(values: &[Value], types: Option<&Value>) -> Option<Self> {
        let fits = |value: &&Value| match types {
            None => true,
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_of_type(value, name)),
            Some(name) => name.as_str().is_some_and(|name| is_of_type(value, name)),
        };
        let values: Vec<Value> = values.iter().filter(fits).cloned().collect();
        match values.as_slice() {
            [] => None,
            [Value::Null] => Some(Self::new(NodeKind::Null)),
            _ => Some(Self::new(NodeKind::Enum(values))),
        }
    }

    /// Calls `see` with this node and every node inside it. References are not followed.
    pub(super) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        self.children().for_each(|child| child.visit(see));
    }

    /// The nodes directly inside this one.
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
