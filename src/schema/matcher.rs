//! Whether a value is what a place in the schema asks for, as far as the graph says.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::graph::{Additional, Graph, Node, NodeKind};
use super::lenient::Json;

/// Tells what fits, caching what it found out inside unions, which ask about one value many times.
pub(super) struct Matcher<'g> {
    pub(super) graph: &'g Graph,
    known: HashMap<(*const (), *const Node), bool>,
    /// Around this value.
    unions: usize,
}

impl<'g> Matcher<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self { graph, known: HashMap::new(), unions: 0 }
    }

    /// One that is asked about one value many times from the start.
    pub(super) fn caching(graph: &'g Graph) -> Self {
        Self { unions: 1, ..Self::new(graph) }
    }

    /// Forgets what was found out: to be called before a value dies whose address another may take.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// True where `json` is what `node` asks for. Patterns, formats and multiples are not looked at.
    pub(super) fn matches(&mut self, json: &Json<'_>, node: &'g Node) -> bool {
        let node = self.graph.resolve(node);
        if self.unions == 0 || matches!(json, Json::Scalar(_) | Json::NotFinite) {
            return self.matches_uncached(json, node);
        }
        let key = (std::ptr::from_ref(json).cast::<()>(), std::ptr::from_ref(node));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let fits = self.matches_uncached(json, node);
        self.known.insert(key, fits);
        fits
    }

    fn matches_uncached(&mut self, json: &Json<'_>, node: &'g Node) -> bool {
        if !satisfies(&node.constraints, json) {
            return false;
        }
        match (&node.kind, json) {
            (NodeKind::Any, _) => json.is_finite(),
            (NodeKind::AnyOf(branches), _) => {
                self.unions += 1;
                let fits = branches.iter().any(|branch| self.matches(json, branch));
                self.unions -= 1;
                fits
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
            (shape, Json::Scalar(literal)) => matches_scalar(shape, literal),
            (NodeKind::Enum(values), _) => {
                let text = json.to_text().and_then(|text| serde_json::from_str::<Value>(&text).ok());
                text.is_some_and(|value| values.contains(&value))
            }
            _ => false,
        }
    }
}

/// True where the scalar `literal` is of `shape`.
pub(super) fn matches_scalar(shape: &NodeKind, literal: &str) -> bool {
    let first = literal.as_bytes()[0];
    let is_number = matches!(first, b'-' | b'0'..=b'9');
    match shape {
        NodeKind::Null => first == b'n',
        NodeKind::Boolean => matches!(first, b't' | b'f'),
        NodeKind::String => first == b'"',
        NodeKind::Number => is_number,
        NodeKind::Integer => is_number && is_integer(literal),
        NodeKind::Enum(values) => values.iter().any(|value| is_literal(value, literal)),
        _ => false,
    }
}

/// True where a number has no fraction and is not written with one: `8.0` is the same number as `8`, but readers of
/// integers refuse it.
fn is_integer(literal: &str) -> bool {
    if !literal.contains(['.', 'e', 'E']) {
        return true;
    }
    let number: f64 = literal.parse().unwrap_or(f64::NAN);
    literal.contains(['e', 'E']) && (number.is_infinite() || number.fract() == 0.0)
}

/// True where `json` keeps to the bounds and lengths in `constraints`.
pub(super) fn satisfies(constraints: &Map<String, Value>, json: &Json<'_>) -> bool {
    if constraints.is_empty() {
        return true;
    }
    let measure = match json {
        Json::Array(items) => count(items.len()),
        Json::Object(members) => count(members.len()),
        _ => match (json.as_number(), json.as_text()) {
            (Some(literal), _) => literal.parse().unwrap_or(f64::NAN),
            (_, Some(text)) => count(text.chars().count()),
            _ => return true,
        },
    };
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

/// More than a `u32` holds is more than any limit.
pub(super) fn count(length: usize) -> f64 {
    u32::try_from(length).map_or(f64::MAX, f64::from)
}

/// True where `literal` is `value` written as JSON; 1 and 1.0 are the same.
pub(super) fn is_literal(value: &Value, literal: &str) -> bool {
    match serde_json::from_str::<Value>(literal) {
        Ok(Value::Number(number)) => value.is_number() && value.as_f64() == number.as_f64(),
        Ok(other) => other == *value,
        Err(_) => false,
    }
}
