//! Checks whether the schema determines the nesting of text with missing brackets.
//!
//! In `{"a": {"b": 1, "c": 2}` the missing bracket may be the last one or the one before `"c"`. Only the schema can
//! rule one of them out.

use std::collections::{HashMap, HashSet};

use super::graph::{Additional, Graph, Node, NodeKind, Property};
use super::lenient::{Json, Member};
use crate::steps;

/// Returns whether no member or item of `json` could also belong to an enclosing value. Runs in linear time.
pub(super) fn is_unambiguous(json: &Json<'_>, graph: &Graph) -> bool {
    let mut check = NestingCheck { graph, enclosing: Vec::new() };
    check.check(json, &[&graph.root], 0)
}

struct NestingCheck<'g> {
    graph: &'g Graph,
    /// For each object around the current value: the properties that it may have and does not have.
    enclosing: Vec<HashSet<&'g str>>,
}

impl<'g> NestingCheck<'g> {
    fn check(&mut self, json: &Json<'_>, nodes: &[&'g Node], depth: usize) -> bool {
        let kinds = self.graph.kinds_of(nodes.iter().copied());
        steps::count(1 + kinds.len());
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
                let mut properties: HashMap<&str, Vec<&'g Node>> = HashMap::new();
                let mut others = Vec::new();
                for kind in kinds {
                    if let NodeKind::Object { properties: named, additional } = kind {
                        for Property { name, node, .. } in named {
                            properties.entry(name).or_default().push(node);
                        }
                        others.extend(Additional::node(additional));
                    }
                }
                let names: HashSet<_> = members.iter().map(Member::name).collect();
                let may_belong_further_out = names.iter().any(|name| {
                    steps::count(1 + self.enclosing.len());
                    (depth > 0 && !properties.contains_key(&**name))
                        || self.enclosing.iter().any(|missing| missing.contains(&**name))
                });
                if may_belong_further_out {
                    return false;
                }
                self.enclosing.push(properties.keys().copied().filter(|name| !names.contains(*name)).collect());
                let is_unambiguous = members.iter().all(|member| {
                    let nodes = properties.get(&*member.name()).unwrap_or(&others);
                    self.check(&member.value, nodes, depth + 1)
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
