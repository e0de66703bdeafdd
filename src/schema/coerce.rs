//! Coerces a value to the types of a schema, if exactly one lossless way exists.
//!
//! Values that match are never changed. Nothing is dropped, invented, truncated or rounded: a comma-separated list in a
//! string remains a string, and a number keeps its digits.

mod scalar;

use std::borrow::Cow;

use super::change::{Change, Changes};
use super::graph::{Additional, Graph, Node, NodeKind, Property};
use super::lenient::{Json, Member, Parser};
use super::matcher::{Matcher, satisfies};
use crate::steps::Steps;

/// Steps per byte of the reply before coercion fails. Only nested unions reach this limit.
const STEPS_PER_BYTE: usize = 16;

/// Limits how far the result may be from the reply. In a schema of lists of itself every value could be wrapped without
/// end.
const MAX_BRACKET_CHANGES: usize = 3;

/// Returns `json` coerced to `graph` and the changes that were made; `None` if that is not possible. `length` is that
/// of its text.
pub(super) fn coerce<'t>(json: &Json<'t>, graph: &Graph, length: usize) -> Option<(Json<'t>, Changes)> {
    let steps = Steps::per_byte(STEPS_PER_BYTE, length);
    let mut coercer =
        Coercer { matcher: Matcher::caching(graph), changes: Changes::default(), steps, bracket_changes: 0 };
    let json = coercer.coerce(json, &graph.root)?;
    Some((json, coercer.changes))
}

/// One possible coercion of a value.
type Alternative<'a, 'g, 't> = Box<dyn FnOnce(&mut Coercer<'g>) -> Option<Json<'t>> + 'a>;

struct Coercer<'g> {
    matcher: Matcher<'g>,
    changes: Changes,
    steps: Steps,
    /// The brackets added or removed around the current value.
    bracket_changes: usize,
}

impl<'g> Coercer<'g> {
    /// Coerces `json` to `node`.
    fn coerce<'t>(&mut self, json: &Json<'t>, node: &'g Node) -> Option<Json<'t>> {
        self.spend(1)?;
        let node = self.matcher.graph.resolve(node);
        let coerced = match (&node.kind, json) {
            (NodeKind::Any | NodeKind::AnyOf(_) | NodeKind::Enum(_), _) if self.matcher.matches(json, node) => {
                self.copy(json)
            }
            (NodeKind::AnyOf(branches), _) => {
                self.unique(branches.iter().map(|branch| move |coercer: &mut Self| coercer.coerce(json, branch)))
            }
            (NodeKind::Array { prefix, additional }, Json::Array(items)) => {
                self.coerce_items(items, prefix, additional)
            }
            (NodeKind::Object { properties, additional }, Json::Object(members)) => {
                self.coerce_members(members, properties, additional)
            }
            (NodeKind::Array { prefix, additional }, _) => {
                self.coerce_to_list(json, node, prefix.first().or(additional.node()))
            }
            (NodeKind::Object { properties, .. }, Json::Array(items)) => {
                self.coerce_list_to_object(json, items, node, properties)
            }
            (NodeKind::Object { .. }, _) => self.coerce_parsed(json, node),
            (_, Json::Array(items)) => self.coerce_only_item(items, node),
            _ => scalar::coerce(json, node, &mut self.changes),
        };
        coerced.filter(|json| satisfies(&node.constraints, json))
    }

    /// Takes `steps` from those that are left; `None` if none are left then.
    fn spend(&mut self, steps: usize) -> Option<()> {
        self.steps.spend(steps);
        (!self.steps.is_exhausted()).then_some(())
    }

    /// Returns a copy of `json`, which takes a step for each of its parts.
    fn copy<'t>(&mut self, json: &Json<'t>) -> Option<Json<'t>> {
        self.spend(json.size())?;
        Some(json.clone())
    }

    /// Returns the result of the only alternative that succeeds. Equal results count as one.
    fn unique<'t, F>(&mut self, alternatives: impl Iterator<Item = F>) -> Option<Json<'t>>
    where
        F: FnOnce(&mut Self) -> Option<Json<'t>>,
    {
        let mut only: Option<(Json<'t>, Changes)> = None;
        let mut agree = true;
        for alternative in alternatives {
            match (self.attempt(alternative), &only) {
                (None, _) => {}
                (Some(outcome), None) => only = Some(outcome),
                (Some((json, _)), Some((other, _))) => agree &= json == *other,
            }
        }
        only.filter(|_| agree).map(|outcome| self.apply(outcome))
    }

    /// Runs `alternative` and returns its changes separately.
    fn attempt<'t>(&mut self, alternative: impl FnOnce(&mut Self) -> Option<Json<'t>>) -> Option<(Json<'t>, Changes)> {
        let before = std::mem::take(&mut self.changes);
        let outcome = alternative(self);
        let changes = std::mem::replace(&mut self.changes, before);
        outcome.map(|json| (json, changes))
    }

    fn apply<'t>(&mut self, (json, changes): (Json<'t>, Changes)) -> Json<'t> {
        changes.kinds().for_each(|change| self.changes.note(change));
        json
    }

    /// Coerces `json` to `node` after brackets were added or removed, which is recorded as `change`.
    fn coerce_rebracketed<'t>(&mut self, json: &Json<'t>, node: &'g Node, change: Change) -> Option<Json<'t>> {
        if self.bracket_changes == MAX_BRACKET_CHANGES {
            return None;
        }
        self.bracket_changes += 1;
        let coerced = self.coerce(json, node);
        self.bracket_changes -= 1;
        self.changes.note(change);
        coerced
    }

    fn coerce_items<'t>(
        &mut self,
        items: &[Json<'t>],
        prefix: &'g [Node],
        additional: &'g Additional,
    ) -> Option<Json<'t>> {
        let mut coerced = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            coerced.push(match prefix.get(index).or(additional.node()) {
                Some(node) => {
                    let coerced_item = self.coerce(item, node)?;
                    // `[7, 8]` may be one row or two, and `[[7, 8], 9]` lacks a bracket.
                    if items.len() > 1 && matches!(coerced_item, Json::Array(_)) && !matches!(item, Json::Array(_)) {
                        return None;
                    }
                    coerced_item
                }
                None if *additional == Additional::Forbidden || !item.is_finite() => return None,
                None => self.copy(item)?,
            });
        }
        Some(Json::Array(coerced))
    }

    fn coerce_members<'t>(
        &mut self,
        members: &[Member<'t>],
        properties: &'g [Property],
        additional: &'g Additional,
    ) -> Option<Json<'t>> {
        let names: Vec<_> = members.iter().map(Member::name).collect();
        let respelled = respelled_properties(&names, properties);
        let mut coerced = Vec::with_capacity(members.len());
        for (index, (member, name)) in members.iter().zip(&names).enumerate() {
            let mut quoted = member.quoted.clone();
            let mut property = properties.iter().find(|property| property.name == *name);
            if let Some((_, respelled)) = respelled.iter().find(|(position, _)| *position == index) {
                property = Some(respelled);
                quoted = serde_json::to_string(&respelled.name).ok()?.into();
                self.changes.note(Change::PropertyName);
            }
            let value = match property.map(|property| &property.node).or(additional.node()) {
                Some(node) => self.coerce(&member.value, node)?,
                None if *additional == Additional::Forbidden || !member.value.is_finite() => return None,
                None => self.copy(&member.value)?,
            };
            coerced.push(Member { quoted, value });
        }
        let is_present = |property: &Property| {
            names.iter().any(|name| *name == property.name)
                || respelled.iter().any(|(_, respelled)| respelled.name == property.name)
        };
        let mut required = properties.iter().filter(|property| property.required);
        required.all(is_present).then_some(Json::Object(coerced))
    }

    /// Coerces to a list: the list in an object that has nothing else, the list in a string, or a list of the value
    /// itself.
    fn coerce_to_list<'t>(&mut self, json: &Json<'t>, node: &'g Node, item: Option<&'g Node>) -> Option<Json<'t>> {
        let inside = match json {
            Json::Object(members) => match members.as_slice() {
                [Member { value: list @ Json::Array(_), .. }] => Some(list),
                _ => None,
            },
            _ => None,
        };
        let alternatives: [Alternative<'_, 'g, 't>; 3] = [
            Box::new(|coercer| coercer.coerce_rebracketed(inside?, node, Change::WrapperRemoved)),
            Box::new(|coercer| coercer.coerce_parsed(json, node)),
            Box::new(|coercer| {
                if json.is_null() || json.as_text().is_some_and(|text| is_list_like(&text)) {
                    return None;
                }
                coercer.coerce_rebracketed(json, item?, Change::ItemToList).map(|only| Json::Array(vec![only]))
            }),
        ];
        self.unique(alternatives.into_iter())
    }

    /// Coerces to an object: the only item of the list, or an object whose only required property is the list.
    fn coerce_list_to_object<'t>(
        &mut self,
        json: &Json<'t>,
        items: &[Json<'t>],
        node: &'g Node,
        properties: &'g [Property],
    ) -> Option<Json<'t>> {
        let alternatives: [Alternative<'_, 'g, 't>; 2] = [
            Box::new(|coercer| coercer.coerce_only_item(items, node)),
            Box::new(|coercer| {
                let mut required = properties.iter().filter(|property| property.required);
                let (Some(property), None) = (required.next(), required.next()) else { return None };
                if !matches!(coercer.matcher.graph.resolve(&property.node).kind, NodeKind::Array { .. }) {
                    return None;
                }
                let value = coercer.coerce_rebracketed(json, &property.node, Change::WrapperAdded)?;
                let quoted = serde_json::to_string(&property.name).ok()?.into();
                Some(Json::Object(vec![Member { quoted, value }]))
            }),
        ];
        self.unique(alternatives.into_iter())
    }

    fn coerce_only_item<'t>(&mut self, items: &[Json<'t>], node: &'g Node) -> Option<Json<'t>> {
        let [item] = items else { return None };
        self.coerce_rebracketed(item, node, Change::ListToItem)
    }

    /// Coerces the object or list that a string contains as JSON text.
    fn coerce_parsed<'t>(&mut self, json: &Json<'t>, node: &'g Node) -> Option<Json<'t>> {
        let text = json.as_text()?;
        let text = text.trim();
        if !text.starts_with(['{', '[']) {
            return None;
        }
        self.spend(text.len())?;
        let inner = Parser::strict(text)?;
        self.matcher.clear_cache();
        let coerced = self.coerce_rebracketed(&inner, node, Change::TextToValue).map(Json::into_owned);
        self.matcher.clear_cache();
        coerced
    }
}

/// Returns the missing properties that a member spells differently, each with that member's index in `names`. Ambiguous
/// spellings are skipped.
fn respelled_properties<'g>(names: &[Cow<'_, str>], properties: &'g [Property]) -> Vec<(usize, &'g Property)> {
    let is_missing = |property: &&Property| property.required && !names.iter().any(|name| *name == property.name);
    let missing: Vec<&Property> = properties.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let is_unknown = |name: &str| !properties.iter().any(|property| property.name == name);
    let unknown: Vec<(usize, String)> = names
        .iter()
        .enumerate()
        .filter(|(_, name)| is_unknown(name))
        .map(|(index, name)| (index, scalar::letters(name)))
        .collect();
    let respelled = missing.iter().filter_map(|property| {
        let letters = scalar::letters(&property.name);
        let mut indices = unknown.iter().filter(|(_, other)| *other == letters);
        let (Some((index, _)), None) = (indices.next(), indices.next()) else { return None };
        let same_letters = missing.iter().filter(|other| scalar::letters(&other.name) == letters).count();
        (same_letters == 1).then_some((*index, *property))
    });
    respelled.collect()
}

/// Returns whether a string may contain several items, or none.
fn is_list_like(text: &str) -> bool {
    text.trim().is_empty() || text.contains([',', ';', '|', '/', '\n', '•', '、', '，', '；', '・'])
}
