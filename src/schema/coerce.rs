//! Bringing a value into the schema's types, where exactly one way of doing so loses nothing.
//!
//! What fits is never touched. Nothing is dropped, made up, cut or rounded; a list separated by commas inside a string
//! stays a string, and a number keeps its digits.

mod scalar;

use std::borrow::Cow;

use super::change::{Change, Changes};
use super::fit::{Judge, is_within};
use super::graph::{Graph, Node, Property, Rest, Shape};
use super::lenient::{Json, Member, Parser};

/// Steps for each byte of the reply before a value counts as unfit. Only unions inside unions get there.
const STEPS_PER_BYTE: usize = 16;

/// A value further from the schema than this is another value. A schema of lists of itself has no end of ways.
const MAX_MOVES: usize = 3;

/// `json` made to fit `graph`, and the changes that took; `None` where it cannot be. `length` is that of its text.
pub(super) fn coerce<'t>(json: &Json<'t>, graph: &Graph, length: usize) -> Option<(Json<'t>, Changes)> {
    let steps = STEPS_PER_BYTE * length + 1024;
    let mut coercer = Coercer { judge: Judge::remembering(graph), changes: Changes::default(), steps, moves: 0 };
    let json = coercer.shaped(json, &graph.root)?;
    Some((json, coercer.changes))
}

/// One reading of a value.
type Way<'w, 'g, 't> = Box<dyn FnOnce(&mut Coercer<'g>) -> Option<Json<'t>> + 'w>;

struct Coercer<'g> {
    judge: Judge<'g>,
    changes: Changes,
    /// Steps left.
    steps: usize,
    /// Moves into and out of brackets around this value.
    moves: usize,
}

impl<'g> Coercer<'g> {
    /// `json` in a form that fits `node`.
    fn shaped<'t>(&mut self, json: &Json<'t>, node: &'g Node) -> Option<Json<'t>> {
        self.steps = self.steps.checked_sub(1)?;
        let node = self.judge.graph.resolve(node);
        let shaped = match (&node.shape, json) {
            (Shape::Any | Shape::AnyOf(_) | Shape::Enum(_), _) if self.judge.fits(json, node) => Some(json.clone()),
            (Shape::AnyOf(branches), _) => {
                self.only(branches.iter().map(|branch| move |own: &mut Self| own.shaped(json, branch)))
            }
            (Shape::Array { prefix, rest }, Json::Array(items)) => self.array(items, prefix, rest),
            (Shape::Object { properties, rest }, Json::Object(members)) => self.object(members, properties, rest),
            (Shape::Array { prefix, rest }, _) => self.list(json, node, prefix.first().or(rest.node())),
            (Shape::Object { properties, .. }, Json::Array(items)) => self.out_of_list(json, items, node, properties),
            (Shape::Object { .. }, _) => self.parsed(json, node),
            (_, Json::Array(items)) => self.item_of(items, node),
            _ => scalar::shaped(json, node, &mut self.changes),
        };
        shaped.filter(|json| is_within(&node.limits, json))
    }

    /// What the only successful one of `ways` gives; several that agree count as one.
    fn only<'t, F>(&mut self, ways: impl Iterator<Item = F>) -> Option<Json<'t>>
    where
        F: FnOnce(&mut Self) -> Option<Json<'t>>,
    {
        let mut only: Option<(Json<'t>, Changes)> = None;
        let mut agree = true;
        for way in ways {
            match (self.attempt(way), &only) {
                (None, _) => {}
                (Some(outcome), None) => only = Some(outcome),
                (Some((json, _)), Some((other, _))) => agree &= json == *other,
            }
        }
        only.filter(|_| agree).map(|outcome| self.keep(outcome))
    }

    /// What `way` gives, with its changes noted apart.
    fn attempt<'t>(&mut self, way: impl FnOnce(&mut Self) -> Option<Json<'t>>) -> Option<(Json<'t>, Changes)> {
        let before = std::mem::take(&mut self.changes);
        let outcome = way(self);
        let changes = std::mem::replace(&mut self.changes, before);
        outcome.map(|json| (json, changes))
    }

    fn keep<'t>(&mut self, (json, changes): (Json<'t>, Changes)) -> Json<'t> {
        changes.kinds().for_each(|change| self.changes.note(change));
        json
    }

    /// `json` for `node`, into or out of brackets, which is `change`.
    fn moved<'t>(&mut self, json: &Json<'t>, node: &'g Node, change: Change) -> Option<Json<'t>> {
        if self.moves == MAX_MOVES {
            return None;
        }
        self.moves += 1;
        let shaped = self.shaped(json, node);
        self.moves -= 1;
        self.changes.note(change);
        shaped
    }

    fn array<'t>(&mut self, items: &[Json<'t>], prefix: &'g [Node], rest: &'g Rest) -> Option<Json<'t>> {
        let mut shaped = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            shaped.push(match prefix.get(index).or(rest.node()) {
                Some(node) => {
                    let whole = self.shaped(item, node)?;
                    // `[7, 8]` may be one row or two, and in `[[7, 8], 9]` a bracket is missing.
                    if items.len() > 1 && matches!(whole, Json::Array(_)) && !matches!(item, Json::Array(_)) {
                        return None;
                    }
                    whole
                }
                None if *rest == Rest::Closed || !item.is_finite() => return None,
                None => item.clone(),
            });
        }
        Some(Json::Array(shaped))
    }

    fn object<'t>(&mut self, members: &[Member<'t>], properties: &'g [Property], rest: &'g Rest) -> Option<Json<'t>> {
        let names: Vec<_> = members.iter().map(Member::name).collect();
        let meant = meant_properties(&names, properties);
        let mut shaped = Vec::with_capacity(members.len());
        for (index, (member, name)) in members.iter().zip(&names).enumerate() {
            let mut quoted = member.quoted.clone();
            let mut property = properties.iter().find(|property| property.name == *name);
            if let Some((_, meant)) = meant.iter().find(|(place, _)| *place == index) {
                property = Some(meant);
                quoted = serde_json::to_string(&meant.name).ok()?.into();
                self.changes.note(Change::PropertyName);
            }
            let value = match property.map(|property| &property.node).or(rest.node()) {
                Some(node) => self.shaped(&member.value, node)?,
                None if *rest == Rest::Closed || !member.value.is_finite() => return None,
                None => member.value.clone(),
            };
            shaped.push(Member { quoted, value });
        }
        let is_there = |property: &Property| {
            names.iter().any(|name| *name == property.name)
                || meant.iter().any(|(_, meant)| meant.name == property.name)
        };
        let mut required = properties.iter().filter(|property| property.required);
        required.all(is_there).then_some(Json::Object(shaped))
    }

    /// Where a list is wanted: the list in an object that holds nothing else, the list in a string, or a list of this one.
    fn list<'t>(&mut self, json: &Json<'t>, node: &'g Node, item: Option<&'g Node>) -> Option<Json<'t>> {
        let inside = match json {
            Json::Object(members) => match members.as_slice() {
                [Member { value: list @ Json::Array(_), .. }] => Some(list),
                _ => None,
            },
            _ => None,
        };
        let ways: [Way<'_, 'g, 't>; 3] = [
            Box::new(|own| own.moved(inside?, node, Change::WrapperRemoved)),
            Box::new(|own| own.parsed(json, node)),
            Box::new(|own| {
                if json.is_null() || json.as_text().is_some_and(|text| is_list_like(&text)) {
                    return None;
                }
                own.moved(json, item?, Change::ItemToList).map(|only| Json::Array(vec![only]))
            }),
        ];
        self.only(ways.into_iter())
    }

    /// Where an object is wanted: the only item of the list, or the object whose only required property the list is.
    fn out_of_list<'t>(
        &mut self,
        json: &Json<'t>,
        items: &[Json<'t>],
        node: &'g Node,
        properties: &'g [Property],
    ) -> Option<Json<'t>> {
        let ways: [Way<'_, 'g, 't>; 2] = [
            Box::new(|own| own.item_of(items, node)),
            Box::new(|own| {
                let mut required = properties.iter().filter(|property| property.required);
                let (Some(property), None) = (required.next(), required.next()) else { return None };
                if !matches!(own.judge.graph.resolve(&property.node).shape, Shape::Array { .. }) {
                    return None;
                }
                let value = own.moved(json, &property.node, Change::WrapperAdded)?;
                let quoted = serde_json::to_string(&property.name).ok()?.into();
                Some(Json::Object(vec![Member { quoted, value }]))
            }),
        ];
        self.only(ways.into_iter())
    }

    fn item_of<'t>(&mut self, items: &[Json<'t>], node: &'g Node) -> Option<Json<'t>> {
        let [item] = items else { return None };
        self.moved(item, node, Change::ListToItem)
    }

    /// The object or list that a string holds as JSON text.
    fn parsed<'t>(&mut self, json: &Json<'t>, node: &'g Node) -> Option<Json<'t>> {
        let text = json.as_text()?;
        let text = text.trim();
        if !text.starts_with(['{', '[']) {
            return None;
        }
        self.steps = self.steps.checked_sub(text.len())?;
        let inner = Parser::strict(text)?;
        self.judge.forget();
        let shaped = self.moved(&inner, node, Change::TextToValue).map(Json::into_owned);
        self.judge.forget();
        shaped
    }
}

/// The missing properties that a member spells in another way, each with that member's place in `names`. Neither side
/// has a second match.
fn meant_properties<'g>(names: &[Cow<'_, str>], properties: &'g [Property]) -> Vec<(usize, &'g Property)> {
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
        .map(|(place, name)| (place, scalar::letters(name)))
        .collect();
    let meant = missing.iter().filter_map(|property| {
        let letters = scalar::letters(&property.name);
        let mut places = unknown.iter().filter(|(_, other)| *other == letters);
        let (Some((place, _)), None) = (places.next(), places.next()) else { return None };
        let twins = missing.iter().filter(|other| scalar::letters(&other.name) == letters).count();
        (twins == 1).then_some((*place, *property))
    });
    meant.collect()
}

/// True where a string may be several items in one, or none.
fn is_list_like(text: &str) -> bool {
    text.trim().is_empty() || text.contains([',', ';', '|', '/', '\n', '•', '、', '，', '；', '・'])
}
