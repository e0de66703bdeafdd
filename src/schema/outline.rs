//! Outlines a schema for a model: names, types, bounds and descriptions, in a fraction of the tokens of its document.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::graph::{Additional, DefinitionId, Graph, Node, NodeKind, Property};
use super::lower::{Lowering, WRAPPER};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 200;

/// The maximum number of values of an enumeration.
const MAX_VALUES: usize = 50;

/// Returns the outline of the values that match `lowering`, which is that of `graph`.
pub(super) fn outline(graph: &Graph, lowering: &Lowering) -> String {
    let uses = uses(graph);
    let recursive: Vec<bool> = graph.recursive().collect();
    let is_named = uses.into_iter().zip(recursive).map(|(uses, is_recursive)| uses > 1 || is_recursive).collect();
    let mut writer = Writer { graph, lowering, is_named, named: Vec::new(), text: String::new() };
    let root = graph.resolve(&graph.root);
    if lowering.wrapped {
        writer.open('{', 1);
        let _ = write!(writer.text, "\"{WRAPPER}\": ");
        writer.node(root, 1);
        writer.comment(root.description.as_deref(), false);
        writer.line(0);
        writer.text.push('}');
    } else {
        writer.node(root, 0);
    }
    let mut written = 0;
    while let Some(id) = writer.named.get(written).copied() {
        let definition = &graph.definitions[id];
        let _ = write!(writer.text, "\n{} = ", definition.name);
        writer.node(&definition.node, 0);
        writer.comment(definition.node.description.as_deref(), false);
        written += 1;
    }
    writer.text
}

/// Returns how often each definition is referred to.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.definitions.len()];
    for root in graph.roots() {
        root.for_each(&mut |node| {
            if let NodeKind::Ref(id) = node.kind {
                uses[id] += 1;
            }
        });
    }
    uses
}

struct Writer<'g> {
    graph: &'g Graph,
    lowering: &'g Lowering,
    /// Which definitions are written once, under their name.
    is_named: Vec<bool>,
    /// The named definitions, in the order of first use.
    named: Vec<DefinitionId>,
    text: String,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node, level: usize) {
        match &node.kind {
            NodeKind::Any => self.text.push_str("any value"),
            NodeKind::Null => self.text.push_str("null"),
            NodeKind::Boolean => self.text.push_str("boolean"),
            NodeKind::Integer => self.text.push_str("integer"),
            NodeKind::Number => self.text.push_str("number"),
            NodeKind::String => self.text.push_str("string"),
            NodeKind::Enum(values) => {
                let shown: Vec<String> = values.iter().take(MAX_VALUES).map(Value::to_string).collect();
                self.text.push_str(&shown.join(" | "));
                if values.len() > MAX_VALUES {
                    self.text.push_str(" | ...");
                }
            }
            NodeKind::Array { prefix, additional } => self.array(node, prefix, additional, level),
            NodeKind::Object { properties, additional } => self.object(properties, additional, level),
            NodeKind::AnyOf(branches) => {
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        self.text.push_str(" | ");
                    }
                    self.node(branch, level);
                }
            }
            NodeKind::Ref(id) if self.is_named[*id] => {
                if !self.named.contains(id) {
                    self.named.push(*id);
                }
                self.text.push_str(&self.graph.definitions[*id].name);
            }
            NodeKind::Ref(id) => self.node(&self.graph.definitions[*id].node, level),
        }
        let bounds = bounds(&node.constraints);
        if !bounds.is_empty() {
            let _ = write!(self.text, " ({})", bounds.join(", "));
        }
    }

    fn array(&mut self, node: &Node, prefix: &[Node], additional: &Additional, level: usize) {
        let is_positional = self.lowering.positional && node.is_fixed_tuple();
        self.text.push(if is_positional { '{' } else { '[' });
        for (index, item) in prefix.iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            if is_positional {
                let _ = write!(self.text, "\"{index}\": ");
            }
            self.node(item, level);
        }
        let gap = if prefix.is_empty() { "" } else { ", " };
        match additional {
            Additional::Forbidden => {}
            Additional::Schema(item) => {
                self.text.push_str(gap);
                self.node(item, level);
                self.text.push_str(", ...");
            }
            Additional::Any | Additional::Unspecified => {
                self.text.push_str(gap);
                self.text.push_str("...");
            }
        }
        self.text.push(if is_positional { '}' } else { ']' });
    }

    fn object(&mut self, properties: &[Property], additional: &Additional, level: usize) {
        let others = match additional {
            Additional::Schema(values) => Some(Some(&**values)),
            Additional::Any => Some(None),
            Additional::Unspecified | Additional::Forbidden => None,
        };
        if properties.is_empty() && others.is_none() {
            self.text.push_str("{}");
            return;
        }
        self.text.push('{');
        for (index, property) in properties.iter().enumerate() {
            self.line(level + 1);
            let _ = write!(self.text, "{}: ", Value::from(property.name.as_str()));
            self.node(&property.node, level + 1);
            let is_nullable = self.lowering.nullable && self.graph.null_is_absence(property);
            if is_nullable {
                self.text.push_str(" | null");
            }
            if index + 1 < properties.len() || others.is_some() {
                self.text.push(',');
            }
            let inlined = match property.node.kind {
                NodeKind::Ref(id) if !self.is_named[id] => self.graph.definitions[id].node.description.as_deref(),
                _ => None,
            };
            let description = property.node.description.as_deref().or(inlined);
            self.comment(description, !property.required && !is_nullable);
        }
        if let Some(values) = others {
            self.line(level + 1);
            self.text.push_str("any name: ");
            match values {
                Some(values) => self.node(values, level + 1),
                None => self.text.push_str("any value"),
            }
            self.text.push_str(", ...");
        }
        self.line(level);
        self.text.push('}');
    }

    fn open(&mut self, bracket: char, level: usize) {
        self.text.push(bracket);
        self.line(level);
    }

    fn line(&mut self, level: usize) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", level));
    }

    fn comment(&mut self, description: Option<&str>, is_optional: bool) {
        let description = description.map(shortened);
        let parts: Vec<&str> = is_optional.then_some("optional").into_iter().chain(description.as_deref()).collect();
        if !parts.is_empty() {
            let _ = write!(self.text, " // {}", parts.join("; "));
        }
    }
}

/// Returns `text` on one line of at most [`MAX_DESCRIPTION`] characters.
fn shortened(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_DESCRIPTION) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Returns the constraints in words.
fn bounds(constraints: &Map<String, Value>) -> Vec<String> {
    let mut words = Vec::new();
    for (least, most, unit) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
        ("minimum", "maximum", ""),
    ] {
        words.extend(match (constraints.get(least), constraints.get(most)) {
            (None, None) => None,
            (Some(least), None) => Some(format!("at least {least}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (Some(least), Some(most)) if least == most => Some(format!("exactly {least}{unit}")),
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        });
    }
    for (keyword, word) in [
        ("exclusiveMinimum", "more than"),
        ("exclusiveMaximum", "less than"),
        ("multipleOf", "a multiple of"),
        ("format", "format"),
        ("pattern", "matches"),
    ] {
        words.extend(constraints.get(keyword).map(|value| match value {
            Value::String(text) => format!("{word} {text}"),
            value => format!("{word} {value}"),
        }));
    }
    if constraints.get("uniqueItems") == Some(&Value::Bool(true)) {
        words.push("no duplicates".to_owned());
    }
    words
}
