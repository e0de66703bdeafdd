//! Decides whether a value matches a node of the graph.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::graph::{Additional, Graph, Node, NodeKind};
use super::lenient::Json;
use crate::steps;

/// Matches values against nodes. Caches results inside unions, which match one value against many nodes.
pub(super) struct Matcher<'g> {
    pub(super) graph: &'g Graph,
    cache: HashMap<(*const (), *const Node), bool>,
    /// The number of unions around the current value.
    unions: usize,
}

impl<'g> Matcher<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self { graph, cache: HashMap::new(), unions: 0 }
    }

    /// Creates a matcher that caches from the start, for callers that match one value many times.
    pub(super) fn caching(graph: &'g Graph) -> Self {
        Self { unions: 1, ..Self::new(graph) }
    }

    /// Clears the cache. Has to be called before a value is dropped, because another may take its address.
    pub(super) fn clear_cache(&mut self) {
        self.cache.clear();
    }

    /// Returns whether `json` matches `node`. Does not check patterns, formats and multiples.
    pub(super) fn matches(&mut self, json: &Json<'_>, node: &'g Node) -> bool {
        let node = self.graph.resolve(node);
        steps::count(1);
        // A scalar is cheap to match, except against unions of unions.
        let is_scalar = matches!(json, Json::Scalar(_) | Json::NotFinite);
        if self.unions == 0 || is_scalar && !matches!(node.kind, NodeKind::AnyOf(_)) {
            return self.matches_uncached(json, node);
        }
        let key = (std::ptr::from_ref(json).cast::<()>(), std::ptr::from_ref(node));
        if let Some(matches) = self.cache.get(&key) {
            return *matches;
        }
        let matches = self.matches_uncached(json, node);
        self.cache.insert(key, matches);
        matches
    }

    fn matches_uncached(&mut self, json: &Json<'_>, node: &'g Node) -> bool {
        if !satisfies(&node.constraints, json) {
            return false;
        }
        match (&node.kind, json) {
            (NodeKind::Any, _) => json.is_finite(),
            (NodeKind::AnyOf(branches), _) => {
                self.unions += 1;
                let matches = branches.iter().any(|branch| self.matches(json, branch));
                self.unions -= 1;
                matches
            }
            (NodeKind::Array { prefix, additional }, Json::Array(items)) => {
                items.iter().enumerate().all(|(index, item)| match prefix.get(index).or(additional.node()) {
                    Some(node) => self.matches(item, node),
                    None => *additional != Additional::Forbidden && item.is_finite(),
                })
            }
            (NodeKind::Object { properties, additional }, Json::Object(members)) => {
                let names: Vec<Cow<'_, str>> = members.iter().map(super::lenient::Member::name).collect();
                let is_complete = properties
                    .iter()
                    .filter(|property| property.required)
                    .all(|property| names.iter().any(|name| *name == property.name));
                is_complete
                    && members.iter().zip(&names).all(|(member, name)| {
                        let property = properties.iter().find(|property| property.name == *name);
                        match property.map(|property| &property.node).or(additional.node()) {
                            Some(node) => self.matches(&member.value, node),
                            None => *additional != Additional::Forbidden && member.value.is_finite(),
                        }
                    })
            }
            (kind, Json::Scalar(literal)) => matches_scalar(kind, literal),
            (NodeKind::Enum(values), _) => {
                let text = json.to_text().and_then(|text| serde_json::from_str::<Value>(&text).ok());
                text.is_some_and(|value| values.contains(&value))
            }
            _ => false,
        }
    }
}

/// Returns whether the scalar `literal` is of `kind`.
pub(super) fn matches_scalar(kind: &NodeKind, literal: &str) -> bool {
    let first = literal.as_bytes()[0];
    let is_number = matches!(first, b'-' | b'0'..=b'9');
    match kind {
        NodeKind::Null => first == b'n',
        NodeKind::Boolean => matches!(first, b't' | b'f'),
        NodeKind::String => first == b'"',
        NodeKind::Number => is_number,
        NodeKind::Integer => is_number && is_integer(literal),
        NodeKind::Enum(values) => values.iter().any(|value| is_literal(value, literal)),
        _ => false,
    }
}

/// Returns whether the literal is that of an integer. `8.0` is not: it has the same value as `8`, but readers of
/// integers reject it.
fn is_integer(literal: &str) -> bool {
    if !literal.contains(['.', 'e', 'E']) {
        return true;
    }
    let number: f64 = literal.parse().unwrap_or(f64::NAN);
    literal.contains(['e', 'E']) && (number.is_infinite() || number.fract() == 0.0)
}

/// Returns whether `json` satisfies the bounds and lengths in `constraints`.
pub(super) fn satisfies(constraints: &Map<String, Value>, json: &Json<'_>) -> bool {
    if constraints.is_empty() {
        return true;
    }
    let measure = match json {
        Json::Array(items) => length(items.len()),
        Json::Object(members) => length(members.len()),
        _ => match (json.as_number(), json.as_text()) {
            (Some(literal), _) => literal.parse().unwrap_or(f64::NAN),
            (_, Some(text)) => length(text.chars().count()),
            _ => return true,
        },
    };
    is_within(constraints, measure)
}

/// Returns whether `measure`, a number or a length, is within the bounds in `constraints`.
pub(super) fn is_within(constraints: &Map<String, Value>, measure: f64) -> bool {
    constraints.iter().all(|(keyword, limit)| {
        let Some(limit) = limit.as_f64() else { return true };
        match keyword.as_str() {
            "minimum" | "minLength" | "minItems" | "minProperties" => measure >= limit,
            "maximum" | "maxLength" | "maxItems" | "maxProperties" => measure <= limit,
            "exclusiveMinimum" => measure > limit,
            "exclusiveMaximum" => measure < limit,
            _ => true,
        }
    })
}

/// A length beyond `u32` exceeds every limit.
pub(super) fn length(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Returns whether `literal` is a JSON literal of `value`. `1` and `1.0` are equal.
pub(super) fn is_literal(value: &Value, literal: &str) -> bool {
    match serde_json::from_str::<Value>(literal) {
        Ok(Value::Number(number)) => value.is_number() && value.as_f64() == number.as_f64(),
        Ok(other) => other == *value,
        Err(_) => false,
    }
}
