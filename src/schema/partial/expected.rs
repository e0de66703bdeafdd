//! What the schema lets the reader expect, asked about the beginning of a value.

use std::sync::Arc;

use crate::schema::graph::{Additional, Graph, Node, NodeKind};
use crate::schema::lower::WRAPPER;

/// The schema in the form the model was told.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) graph: Arc<Graph>,
    /// Whether the root stands as a property of an object.
    pub(super) wrapped: bool,
    /// Whether `null` stands for an absent property somewhere.
    pub(super) nullable: bool,
}

/// A way from a container to a value inside it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

/// What the first member of an object says about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    None,
    Wrapper,
    /// It may be a wrapper or a value of the schema.
    Unclear,
}

impl Expected {
    /// Whether the answer may begin with `bracket`.
    pub(super) fn may_open_with(&self, bracket: u8) -> bool {
        (self.wrapped && bracket == b'{')
            || self.graph.shapes(&self.graph.root).iter().any(|shape| starts(shape, bracket))
    }

    /// Whether the object whose first member is `name` wraps the answer.
    pub(super) fn wrapping(&self, name: &str) -> Wrapping {
        if !self.wrapped || name != WRAPPER {
            return Wrapping::None;
        }
        if self.may_hold(WRAPPER) { Wrapping::Unclear } else { Wrapping::Wrapper }
    }

    /// Whether an object in the prose whose first member is `name` looks like the answer.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.wrapping(name) != Wrapping::None || self.may_hold(name)
    }

    /// Whether a list in the prose whose first item begins with `first` looks like the answer.
    pub(super) fn may_list(&self, first: u8) -> bool {
        let mut nodes = Vec::new();
        for shape in self.graph.shapes(&self.graph.root) {
            match shape {
                NodeKind::Array { prefix, additional } => match prefix.first().or(additional.node()) {
                    Some(node) => nodes.push(node),
                    None => return true,
                },
                NodeKind::Any => return true,
                _ => {}
            }
        }
        nodes.into_iter().any(|node| self.graph.shapes(node).iter().any(|shape| starts(shape, first)))
    }

    /// Whether a null as the member `name` of the object at the end of `path` may stand for an absent property.
    pub(super) fn may_be_absent<'a>(&self, path: impl Iterator<Item = Step<'a>>, name: &str) -> bool {
        if !self.nullable {
            return false;
        }
        let mut shapes = self.graph.shapes(&self.graph.root);
        for step in path {
            shapes = shapes
                .iter()
                .filter_map(|shape| inside(shape, step))
                .flat_map(|node| self.graph.shapes(node))
                .collect();
        }
        shapes.iter().any(|shape| match shape {
            NodeKind::Object { properties, .. } => {
                properties.iter().any(|property| property.name == name && self.graph.null_is_absence(property))
            }
            _ => false,
        })
    }

    /// Whether the answer may be an object with the member `name`, as far as the schema cares to say.
    fn may_hold(&self, name: &str) -> bool {
        self.graph.shapes(&self.graph.root).iter().any(|shape| match shape {
            NodeKind::Any => true,
            NodeKind::Object { properties, additional } => {
                matches!(additional, Additional::Any | Additional::Schema(_))
                    || properties.iter().any(|property| property.name == name)
            }
            _ => false,
        })
    }
}

fn inside<'g>(shape: &'g NodeKind, step: Step<'_>) -> Option<&'g Node> {
    match (shape, step) {
        (NodeKind::Array { prefix, additional }, Step::Item(index)) => prefix.get(index).or(additional.node()),
        (NodeKind::Object { properties, additional }, Step::Member(name)) => {
            let property = properties.iter().find(|property| property.name == name);
            property.map(|property| &property.node).or(additional.node())
        }
        _ => None,
    }
}

/// Whether the JSON of a value of `shape`, no reference and no union, may begin with `first`.
fn starts(shape: &NodeKind, first: u8) -> bool {
    let is_number = matches!(first, b'-' | b'0'..=b'9');
    match shape {
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
