//! Bringing a value into the schema's types, where exactly one alternative of doing so loses nothing.
//!
//! What fits is never touched. Nothing is dropped, made up, cut or rounded; a list separated by commas inside a string
//! stays a string, and a number keeps its digits.

mod scalar;

use std::borrow::Cow;

use super::change::{Change, Changes};
use super::graph::{Additional, Graph, Node, NodeKind, Property};
use super::lenient::{Json, Member, Parser};
use super::matcher::{Matcher, satisfies};

/// Steps for each byte of the reply before a value counts as unfit. Only unions inside unions get there.
const STEPS_PER_BYTE: usize = 16;

/// A value further from the schema than this is another value. A schema of lists of itself has no end of alternatives.
const MAX_BRACKET_CHANGES: usize = 3;

/// `json` made to fit `graph`, and the changes that took; `None` where it cannot be. `length` is that of its text.
pub(super) fn coerce<'t>(json: &Json<'t>, graph: &Graph, length: usize) -> Option<(Json<'t>, Changes)> {
    let steps = STEPS_PER_BYTE * length + 1024;
    let mut coercer =
        Coercer { matcher: Matcher::caching(graph), changes: Changes::default(), steps, bracket_changes: 0 };
    let json = coercer.coerce(json, &graph.root)?;
    Some((json, coercer.changes))
}

/// One reading of a value.
type Alternative<'w, 'g, 't> = Box<dyn FnOnce(&mut Coercer<'g>) -> Option<Json<'t>> + 'w>;

struct Coercer<'g> {
    matcher: Matcher<'g>,
    changes: Changes,
    /// Steps left.
    steps: usize,
    /// Moves into and out of brackets around this value.
    bracket_changes: usize,
}

impl<'g> Coercer<'g> {
    /// `json` in a form that fits `node`.
    fn coerce<'t>(&mut self, json: &Json<'t>, node: &'g Node) -> Option<Json<'t>> {
        self.steps = self.steps.checked_sub(1)?;
        let node = self.matcher.graph.resolve(node);
        let coerced = match (&node.kind, json) {
            (NodeKind::Any | NodeKind::AnyOf(_) | NodeKind::Enum(_), _) if self.matcher.matches(json, node) => {
                Some(json.clone())
            }
            (NodeKind::AnyOf(branches), _) => {
                self.unique(branches.iter().map(|branch| move |own: &mut Self| own.coerce(json, branch)))
            }
            (NodeKind::Array { prefix, additional }, Json::Array(items)) => self.array(items, prefix, additional),
            (NodeKind::Object { properties, additional }, Json::Object(members)) => {
                self.object(members, properties, additional)
            }
            (NodeKind::Array { prefix, additional }, _) => {
                self.to_list(json, node, prefix.first().or(additional.node()))
            }
            (NodeKind::Object { properties, .. }, Json::Array(items)) => {
                self.list_into_object(json, items, node, properties)
            }
            (NodeKind::Object { .. }, _) => self.parse_text(json, node),
            (_, Json::Array(items)) => self.only_item(items, node),
            _ => scalar::coerce(json, node, &mut self.changes),
        };
        coerced.filter(|json| satisfies(&node.constraints, json))
    }

    /// What the only successful one of `alternatives` gives; several that agree count as one.
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

    /// What `alternative` gives, with its changes noted apart.
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

    /// `json` for `node`, into or out of brackets, which is `change`.
    fn rebracketed<'t>(&mut self, json: &Json<'t>, node: &'g Node, change: Change) -> Option<Json<'t>> {
        if self.bracket_changes == MAX_BRACKET_CHANGES {
            return None;
        }
        self.bracket_changes += 1;
        let coerced = self.coerce(json, node);
        self.bracket_changes -= 1;
        self.changes.note(change);
        coerced
    }

    fn array<'t>(&mut self, items: &[Json<'t>], prefix: &'g [Node], additional: &'g Additional) -> Option<Json<'t>> {
        let mut coerced = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            coerced.push(match prefix.get(index).or(additional.node()) {
                Some(node) => {
                    let whole = self.coerce(item, node)?;
                    // `[7, 8]` may be one row or two, and in `[[7, 8], 9]` a bracket is missing.
                    if items.len() > 1 && matches!(whole, Json::Array(_)) && !matches!(item, Json::Array(_)) {
                        return None;
                    }
                    whole
                }
                None if *additional == Additional::Forbidden || !item.is_finite() => return None,
                None => item.clone(),
            });
        }
        Some(Json::Array(coerced))
    }

    fn object<'t>(
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
                None => member.value.clone(),
            };
            coerced.push(Member { quoted, value });
        }
        let is_there = |property: &Property| {
            names.iter().any(|name| *name == property.name)
                || respelled.iter().any(|(_, respelled)| respelled.name == property.name)
        };
        let mut required = properties.iter().filter(|property| property.required);
        required.all(is_there).then_some(Json::Object(coerced))
    }

    /// Where a list is wanted: the list in an object that holds nothing else, the list in a string, or a list of this one.
    fn to_list<'t>(&mut self, json: &Json<'t>, node: &'g Node, item: Option<&'g Node>) -> Option<Json<'t>> {
        let inside = match json {
            Json::Object(members) => match members.as_slice() {
                [Member { value: list @ Json::Array(_), .. }] => Some(list),
                _ => None,
            },
            _ => None,
        };
        let alternatives: [Alternative<'_, 'g, 't>; 3] = [
            Box::new(|own| own.rebracketed(inside?, node, Change::WrapperRemoved)),
            Box::new(|own| own.parse_text(json, node)),
            Box::new(|own| {
                if json.is_null() || json.as_text().is_some_and(|text| is_list_like(&text)) {
                    return None;
                }
                own.rebracketed(json, item?, Change::ItemToList).map(|only| Json::Array(vec![only]))
            }),
        ];
        self.unique(alternatives.into_iter())
    }

    /// Where an object is wanted: the only item of the list, or the object whose only required property the list is.
    fn list_into_object<'t>(
        &mut self,
        json: &Json<'t>,
        items: &[Json<'t>],
        node: &'g Node,
        properties: &'g [Property],
    ) -> Option<Json<'t>> {
        let alternatives: [Alternative<'_, 'g, 't>; 2] = [
            Box::new(|own| own.only_item(items, node)),
            Box::new(|own| {
                let mut required = properties.iter().filter(|property| property.required);
                let (Some(property), None) = (required.next(), required.next()) else { return None };
                if !matches!(own.matcher.graph.resolve(&property.node).kind, NodeKind::Array { .. }) {
                    return None;
                }
                let value = own.rebracketed(json, &property.node, Change::WrapperAdded)?;
                let quoted = serde_json::to_string(&property.name).ok()?.into();
                Some(Json::Object(vec![Member { quoted, value }]))
            }),
        ];
        self.unique(alternatives.into_iter())
    }

    fn only_item<'t>(&mut self, items: &[Json<'t>], node: &'g Node) -> Option<Json<'t>> {
        let [item] = items else { return None };
        self.rebracketed(item, node, Change::ListToItem)
    }

    /// The object or list that a string holds as JSON text.
    fn parse_text<'t>(&mut self, json: &Json<'t>, node: &'g Node) -> Option<Json<'t>> {
        let text = json.as_text()?;
        let text = text.trim();
        if !text.starts_with(['{', '[']) {
            return None;
        }
        self.steps = self.steps.checked_sub(text.len())?;
        let inner = Parser::strict(text)?;
        self.matcher.forget();
        let coerced = self.rebracketed(&inner, node, Change::TextToValue).map(Json::into_owned);
        self.matcher.forget();
        coerced
    }
}

/// The missing properties that a member spells in another alternative, each with that member's index in `names`. Neither side
/// has a second match.
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
        let twins = missing.iter().filter(|other| scalar::letters(&other.name) == letters).count();
        (twins == 1).then_some((*index, *property))
    });
    respelled.collect()
}

/// True where a string may be several items in one, or none.
fn is_list_like(text: &str) -> bool {
    text.trim().is_empty() || text.contains([',', ';', '|', '/', '\n', '•', '、', '，', '；', '・'])
}
