//! Checks whether the schema determines the nesting of text with missing brackets.
//!
//! In `{"a": {"b": 1, "c": 2}` the missing bracket may be the last one or the one before `"c"`. Only the schema can
//! rule one of them out.

use std::borrow::Cow;

use super::graph::{Additional, Graph, Node, NodeKind, Property};
use super::lenient::Json;

/// Returns whether no member or item of `json` could also belong to an enclosing value.
pub(super) fn is_unambiguous(json: &Json<'_>, graph: &Graph) -> bool {
    let mut check = NestingCheck { graph, enclosing: Vec::new() };
    check.check(json, &[&graph.root], 0)
}

struct NestingCheck<'g, 't> {
    graph: &'g Graph,
    /// For each object around the current value: the properties it may have, and the members it has.
    enclosing: Vec<(Vec<&'g Property>, Vec<Cow<'t, str>>)>,
}

impl<'g, 't> NestingCheck<'g, 't> {
    fn check(&mut self, json: &'t Json<'_>, nodes: &[&'g Node], depth: usize) -> bool {
        let kinds: Vec<&NodeKind> = nodes.iter().flat_map(|node| self.graph.kinds(node)).collect();
        match json {
            Json::Scalar(_) | Json::NotFinite => true,
            Json::Array(items) => {
                let rows: Vec<_> = kinds
                    .iter()
                    .filter_map(|kind| match kind {
                        NodeKind::Array { prefix, additional } => Some((prefix, additional)),
                        _ => None,
                    })
                    .collect();
                let is_known = !rows.is_empty() || depth == 0;
                is_known
                    && items.iter().enumerate().all(|(index, item)| {
                        let nodes: Vec<_> = rows
                            .iter()
                            .filter_map(|(prefix, additional)| prefix.get(index).or(additional.node()))
                            .collect();
                        self.check(item, &nodes, depth + 1)
                    })
            }
            Json::Object(members) => {
                let mut properties = Vec::new();
                let mut others = Vec::new();
                for kind in kinds {
                    if let NodeKind::Object { properties: named, additional } = kind {
                        properties.extend(named);
                        others.extend(Additional::node(additional));
                    }
                }
                let names: Vec<_> = members.iter().map(super::lenient::Member::name).collect();
                let may_belong_further_out = names.iter().any(|name| {
                    (depth > 0 && !properties.iter().any(|property| property.name == *name))
                        || self.enclosing.iter().any(|(properties, members)| {
                            properties.iter().any(|property| property.name == *name) && !members.contains(name)
                        })
                });
                if may_belong_further_out {
                    return false;
                }
                self.enclosing.push((properties.clone(), names));
                let is_unambiguous = members.iter().all(|member| {
                    let name = member.name();
                    let matching: Vec<_> = properties
                        .iter()
                        .filter(|property| property.name == name)
                        .map(|property| &property.node)
                        .collect();
                    self.check(&member.value, if matching.is_empty() { &others } else { &matching }, depth + 1)
                });
                self.enclosing.pop();
                is_unambiguous
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::lenient::Parser;

    fn unambiguous(schema: &Value, text: &str) -> bool {
        is_unambiguous(&Parser::strict(text).unwrap(), &Graph::build(schema).unwrap())
    }

    #[test]
    fn a_member_that_may_belong_to_an_enclosing_object_is_ambiguous() {
        let text = json!({"type": "string"});
        let inner = json!({"type": "object", "properties": {"b": text, "c": text}, "required": ["b"]});
        let both = json!({"type": "object", "properties": {"a": inner, "c": text}});
        assert!(!unambiguous(&both, r#"{"a": {"b": "x", "c": "y"}}"#));
        assert!(unambiguous(&both, r#"{"a": {"b": "x", "c": "y"}, "c": "z"}"#));
        assert!(unambiguous(&both, r#"{"a": {"b": "x"}}"#));
        let one = json!({"type": "object", "properties": {"a": inner}});
        assert!(unambiguous(&one, r#"{"a": {"b": "x", "c": "y"}}"#));
        assert!(!unambiguous(&one, r#"{"a": {"b": "x", "d": "y"}}"#));
    }

    #[test]
    fn nested_values_are_ambiguous_without_a_schema() {
        let anything = json!({});
        assert!(unambiguous(&anything, r#"{"a": 1, "b": "x"}"#));
        assert!(!unambiguous(&anything, r#"{"a": {"b": 1}}"#));
        assert!(!unambiguous(&anything, "[[1]]"));
    }
}
