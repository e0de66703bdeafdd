//! What the schema says about the beginning of an answer.

use std::sync::Arc;

use crate::schema::graph::{Additional, Graph, Node, NodeKind};
use crate::schema::lower::WRAPPER;
use crate::steps;

/// The schema in the form that the model received.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) graph: Arc<Graph>,
    /// Whether the root is a property of a wrapper object.
    pub(super) wrapped: bool,
    /// Whether `null` may stand for an absent property.
    pub(super) nullable: bool,
    /// Whether an object may stand for a tuple.
    pub(super) positional: bool,
}

/// A step from a container to a value inside it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

/// Whether an object is a wrapper, by its first member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    None,
    Wrapper,
    /// It may be a wrapper or a value of the schema.
    Ambiguous,
}

impl Expected {
    /// Returns whether the answer may start with `bracket`.
    pub(super) fn may_start_with(&self, bracket: u8) -> bool {
        (self.wrapped && bracket == b'{')
            || self.graph.kinds(&self.graph.root).iter().any(|kind| may_start(kind, bracket))
    }

    /// Returns whether an object with `name` as its first member wraps the answer.
    pub(super) fn wrapping(&self, name: &str) -> Wrapping {
        if !self.wrapped || name != WRAPPER {
            return Wrapping::None;
        }
        if self.may_have(WRAPPER) { Wrapping::Ambiguous } else { Wrapping::Wrapper }
    }

    /// Returns whether an object in the prose with `name` as its first member looks like the answer.
    pub(super) fn is_plausible(&self, name: &str) -> bool {
        self.wrapping(name) != Wrapping::None || self.may_have(name)
    }

    /// Returns whether a list in the prose whose first item starts with `first` looks like the answer.
    pub(super) fn may_list(&self, first: u8) -> bool {
        let mut nodes = Vec::new();
        for kind in self.graph.kinds(&self.graph.root) {
            match kind {
                NodeKind::Array { prefix, additional } => match prefix.first().or(additional.node()) {
                    Some(node) => nodes.push(node),
                    None => return true,
                },
                NodeKind::Any => return true,
                _ => {}
            }
        }
        nodes.into_iter().any(|node| self.graph.kinds(node).iter().any(|kind| may_start(kind, first)))
    }

    /// Returns whether a null as the member `name` of the object at `path` may stand for an absent property.
    pub(super) fn may_be_absent<'a>(&self, path: impl Iterator<Item = Step<'a>>, name: &str) -> bool {
        self.nullable
            && self.kinds_at(path).iter().any(|kind| match kind {
                NodeKind::Object { properties, .. } => {
                    properties.iter().any(|property| property.name == name && self.graph.null_is_absence(property))
                }
                _ => false,
            })
    }

    /// Returns whether an object at `path` stands for a tuple.
    pub(super) fn is_tuple<'a>(&self, path: impl Iterator<Item = Step<'a>>) -> bool {
        if !self.positional {
            return false;
        }
        let kinds = self.kinds_at(path);
        let accepts_tuple = |kind: &&NodeKind| matches!(kind, NodeKind::Array { prefix, .. } if !prefix.is_empty());
        kinds.iter().any(accepts_tuple) && !kinds.iter().any(|kind| may_start(kind, b'{'))
    }

    /// Returns the kinds of values that the schema accepts at `path`.
    fn kinds_at<'a>(&self, path: impl Iterator<Item = Step<'a>>) -> Vec<&NodeKind> {
        let mut kinds = self.graph.kinds(&self.graph.root);
        for step in path {
            kinds = self.graph.kinds_of(kinds.into_iter().filter_map(|kind| child(kind, step)));
            steps::count(1 + kinds.len());
        }
        kinds
    }

    /// Returns whether the schema mentions objects with the member `name`.
    fn may_have(&self, name: &str) -> bool {
        self.graph.kinds(&self.graph.root).iter().any(|kind| match kind {
            NodeKind::Any => true,
            NodeKind::Object { properties, additional } => {
                matches!(additional, Additional::Any | Additional::Schema(_))
                    || properties.iter().any(|property| property.name == name)
            }
            _ => false,
        })
    }
}

fn child<'g>(kind: &'g NodeKind, step: Step<'_>) -> Option<&'g Node> {
    match (kind, step) {
        (NodeKind::Array { prefix, additional }, Step::Item(index)) => prefix.get(index).or(additional.node()),
        (NodeKind::Array { prefix, .. }, Step::Member(name)) => prefix.get(name.parse::<usize>().ok()?),
        (NodeKind::Object { properties, additional }, Step::Member(name)) => {
            let property = properties.iter().find(|property| property.name == name);
            property.map(|property| &property.node).or(additional.node())
        }
        _ => None,
    }
}

/// Returns whether the JSON of a value of `kind`, which is not a reference or a union, may start with `first`.
fn may_start(kind: &NodeKind, first: u8) -> bool {
    let is_number = matches!(first, b'-' | b'0'..=b'9');
    match kind {
        NodeKind::Any => true,
        NodeKind::Null => first == b'n',
        NodeKind::Boolean => matches!(first, b't' | b'f'),
        NodeKind::Integer | NodeKind::Number => is_number,
        NodeKind::String => first == b'"',
        NodeKind::Array { .. } => first == b'[',
        NodeKind::Object { .. } => first == b'{',
        NodeKind::Enum(values) => values.iter().any(|value| {
            let written = value.to_string();
            written.as_bytes().first() == Some(&first) || (value.is_number() && is_number)
        }),
        NodeKind::AnyOf(_) | NodeKind::Ref(_) => false,
    }
}
