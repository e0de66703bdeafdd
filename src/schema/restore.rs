//! Restores a reply that matches a lowered schema to the form of the original schema.
//!
//! Parts of the text are removed, and brackets of objects that stand for tuples replaced. Nothing else is rewritten: order,
//! white space and number literals stay as the model wrote them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

use super::graph::{Additional, Graph, Node, NodeKind, Property};
use super::lenient::unquoted;
use super::lower::{Lowering, WRAPPER};
use super::matcher::{is_literal, is_within, length, matches_scalar};
use super::scan;
use crate::steps;

/// Deeper replies are returned unchanged; no reader accepts them either.
const MAX_DEPTH: usize = 256;

/// Removes the wrapper of the root, and each `null` that stands for an absent property, and makes a list of each object
/// that stands for a tuple. Text that is not JSON is returned unchanged.
pub(super) fn restore(graph: &Graph, lowering: &Lowering, text: String) -> String {
    let Some(document) = parse(&text) else { return text };
    let Lowering { wrapped, nullable, positional, .. } = *lowering;
    let mut restorer = Restorer { graph, nullable, positional, cache: HashMap::new() };
    let value = if wrapped { restorer.unwrap(&document) } else { &document };
    let mut edits = Vec::new();
    if nullable || positional {
        restorer.collect_edits(value, &graph.root, &mut edits);
    }
    let Range { start, end } = value.span;
    if edits.is_empty() && end - start == text.len() {
        return text;
    }
    let unwrapped = !std::ptr::eq(value, &raw const document);
    if edits.is_empty() && !unwrapped {
        return text;
    }
    let mut out = String::with_capacity(end - start);
    let mut at = start;
    for Edit { span, replacement } in edits {
        out.push_str(&text[at..span.start]);
        out.push_str(replacement);
        at = span.end;
    }
    out.push_str(&text[at..end]);
    out
}

/// A part of the text and what replaces it.
struct Edit {
    span: Range<usize>,
    replacement: &'static str,
}

/// A JSON value and its position in the text.
struct Json<'t> {
    text: &'t str,
    span: Range<usize>,
    kind: JsonKind<'t>,
}

enum JsonKind<'t> {
    Scalar,
    Array(Vec<Json<'t>>),
    Object(Vec<Member<'t>>),
}

struct Member<'t> {
    /// The position of the quoted name.
    start: usize,
    name: Cow<'t, str>,
    value: Json<'t>,
}

impl Json<'_> {
    fn literal(&self) -> &str {
        &self.text[self.span.clone()]
    }

    fn is_null(&self) -> bool {
        self.literal() == "null"
    }
}

/// How to read `null` as the value of an optional property that is not nullable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum NullMeaning {
    Value,
    Absent,
}

/// Decides which parts of the text to replace.
struct Restorer<'g> {
    graph: &'g Graph,
    nullable: bool,
    positional: bool,
    /// Results by position of the value, node and reading of nulls. Keeps nested unions linear.
    cache: HashMap<(usize, *const Node, NullMeaning), bool>,
}

impl<'g> Restorer<'g> {
    /// Returns the value inside the wrapper, or `document` if the model omitted the wrapper.
    fn unwrap<'j, 't>(&mut self, document: &'j Json<'t>) -> &'j Json<'t> {
        let JsonKind::Object(members) = &document.kind else { return document };
        let [Member { name, value, .. }] = members.as_slice() else { return document };
        let root = &self.graph.root;
        let is_wrapper = name == WRAPPER
            && (!self.matches(document, root, NullMeaning::Absent) || self.matches(value, root, NullMeaning::Absent));
        if is_wrapper { value } else { document }
    }

    /// Adds the edits of the text to `edits`, in order.
    fn collect_edits(&mut self, json: &Json<'_>, node: &'g Node, edits: &mut Vec<Edit>) {
        let node = self.graph.resolve(node);
        match (&node.kind, &json.kind) {
            (NodeKind::AnyOf(branches), JsonKind::Array(_) | JsonKind::Object(_)) => {
                // If the value matches a branch as it is, its nulls are values.
                let exact = branches.iter().find(|branch| self.matches(json, branch, NullMeaning::Value));
                if exact.is_some() && !self.positional {
                    return;
                }
                let branch =
                    exact.or_else(|| branches.iter().find(|branch| self.matches(json, branch, NullMeaning::Absent)));
                if let Some(branch) = branch {
                    self.collect_edits(json, branch, edits);
                }
            }
            (NodeKind::Array { prefix, additional }, JsonKind::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(node) = prefix.get(index).or(additional.node()) {
                        self.collect_edits(item, node, edits);
                    }
                }
            }
            (NodeKind::Array { prefix, .. }, JsonKind::Object(members)) if self.stands_for_tuple(members, node) => {
                let Range { start, end } = json.span;
                edits.push(Edit { span: start..start + 1, replacement: "[" });
                for (member, node) in members.iter().zip(prefix) {
                    edits.push(Edit { span: member.start..member.value.span.start, replacement: "" });
                    self.collect_edits(&member.value, node, edits);
                }
                edits.push(Edit { span: end - 1..end, replacement: "]" });
            }
            (NodeKind::Object { properties, additional }, JsonKind::Object(members)) => {
                let mut kept = None;
                for (index, Member { start, name, value }) in members.iter().enumerate() {
                    let property = properties.iter().find(|property| property.name == *name);
                    if property.is_some_and(|property| self.stands_for_absent(value, property)) {
                        // Includes a comma: the one before the member, or the one after it if no earlier member is
                        // kept.
                        let next = members.get(index + 1).map_or(value.span.end, |next| next.start);
                        let span = kept.map_or(*start..next, |end| end..value.span.end);
                        edits.push(Edit { span, replacement: "" });
                        kept = kept.map(|_| value.span.end);
                        continue;
                    }
                    kept = Some(value.span.end);
                    if let Some(node) = property.map(|property| &property.node).or(additional.node()) {
                        self.collect_edits(value, node, edits);
                    }
                }
            }
            _ => {}
        }
    }

    fn stands_for_absent(&self, value: &Json<'_>, property: &Property) -> bool {
        self.nullable && value.is_null() && self.graph.null_is_absence(property)
    }

    /// Returns whether an object with `members` stands for a list that `node` accepts: one member for each position, in order.
    fn stands_for_tuple(&self, members: &[Member<'_>], node: &Node) -> bool {
        let NodeKind::Array { prefix, .. } = &node.kind else { return false };
        self.positional
            && members.len() == prefix.len()
            && node.is_fixed_tuple()
            && members.iter().enumerate().all(|(position, member)| is_position(&member.name, position))
    }

    /// Returns whether `json` matches `node`. Does not check patterns, formats and multiples.
    fn matches(&mut self, json: &Json<'_>, node: &'g Node, nulls: NullMeaning) -> bool {
        steps::count(1);
        let key = (json.span.start, std::ptr::from_ref(node), nulls);
        if let Some(matches) = self.cache.get(&key) {
            return *matches;
        }
        let matches = self.matches_uncached(json, node, nulls);
        self.cache.insert(key, matches);
        matches
    }

    fn matches_uncached(&mut self, json: &Json<'_>, node: &'g Node, nulls: NullMeaning) -> bool {
        let node = self.graph.resolve(node);
        if !satisfies(&node.constraints, json) {
            return false;
        }
        match (&node.kind, &json.kind) {
            (NodeKind::Any, _) => true,
            (NodeKind::AnyOf(branches), _) => branches.iter().any(|branch| self.matches(json, branch, nulls)),
            (NodeKind::Enum(values), _) => values.iter().any(|value| is_literal(value, json.literal())),
            (NodeKind::Integer, JsonKind::Scalar) => {
                json.literal().parse().is_ok_and(|number: f64| number.fract() == 0.0)
            }
            (kind, JsonKind::Scalar) => matches_scalar(kind, json.literal()),
            (NodeKind::Array { prefix, additional }, JsonKind::Array(items)) => {
                items.iter().enumerate().all(|(index, item)| match prefix.get(index).or(additional.node()) {
                    Some(node) => self.matches(item, node, nulls),
                    None => *additional != Additional::Forbidden,
                })
            }
            (NodeKind::Array { prefix, .. }, JsonKind::Object(members)) => {
                self.stands_for_tuple(members, node)
                    && members.iter().zip(prefix).all(|(member, node)| self.matches(&member.value, node, nulls))
            }
            (NodeKind::Object { properties, additional }, JsonKind::Object(members)) => {
                let is_complete = properties
                    .iter()
                    .filter(|property| property.required)
                    .all(|property| members.iter().any(|member| member.name == property.name));
                is_complete
                    && members.iter().all(|Member { name, value, .. }| {
                        let property = properties.iter().find(|property| property.name == *name);
                        let is_absent = |property| self.stands_for_absent(value, property);
                        (nulls == NullMeaning::Absent && property.is_some_and(is_absent))
                            || match property.map(|property| &property.node).or(additional.node()) {
                                Some(node) => self.matches(value, node, nulls),
                                None => *additional != Additional::Forbidden,
                            }
                    })
            }
            _ => false,
        }
    }
}

/// Returns whether `name` is that of the item at `position`.
pub(super) fn is_position(name: &str, position: usize) -> bool {
    name.parse() == Ok(position) && !(name.len() > 1 && name.starts_with(['0', '+']))
}

/// Returns whether `json` satisfies the bounds and lengths in `constraints`.
fn satisfies(constraints: &Map<String, Value>, json: &Json<'_>) -> bool {
    if constraints.is_empty() {
        return true;
    }
    let literal = json.literal();
    let measure = match &json.kind {
        JsonKind::Array(items) => Some(length(items.len())),
        JsonKind::Object(_) => None,
        JsonKind::Scalar => match serde_json::from_str::<Value>(literal) {
            Ok(Value::Number(number)) => number.as_f64(),
            Ok(Value::String(text)) => Some(length(text.chars().count())),
            _ => None,
        },
    };
    measure.is_none_or(|measure| is_within(constraints, measure))
}

/// Parses all of `text`; `None` if it is not JSON or nests too deeply.
fn parse(text: &str) -> Option<Json<'_>> {
    let json = parse_value(text, scan::skip_space(text.as_bytes(), 0), 0)?;
    let end = scan::skip_space(text.as_bytes(), json.span.end);
    (end == text.len()).then_some(json)
}

fn parse_value(text: &str, start: usize, depth: usize) -> Option<Json<'_>> {
    let bytes = text.as_bytes();
    if depth > MAX_DEPTH {
        return None;
    }
    let close = match bytes.get(start)? {
        b'{' => b'}',
        b'[' => b']',
        _ => {
            let end = scan::scalar(bytes, start).ok()?;
            return Some(Json { text, span: start..end, kind: JsonKind::Scalar });
        }
    };
    let (mut items, mut members) = (Vec::new(), Vec::new());
    let mut at = scan::skip_space(bytes, start + 1);
    let mut is_first = true;
    while *bytes.get(at)? != close || !is_first {
        let value_end = if close == b']' {
            let item = parse_value(text, at, depth + 1)?;
            let end = item.span.end;
            items.push(item);
            end
        } else {
            let member = parse_member(text, at, depth)?;
            let end = member.value.span.end;
            members.push(member);
            end
        };
        at = scan::skip_space(bytes, value_end);
        is_first = false;
        match *bytes.get(at)? {
            b',' => at = scan::skip_space(bytes, at + 1),
            byte if byte == close => break,
            _ => return None,
        }
    }
    let kind = if close == b']' { JsonKind::Array(items) } else { JsonKind::Object(members) };
    Some(Json { text, span: start..at + 1, kind })
}

fn parse_member(text: &str, start: usize, depth: usize) -> Option<Member<'_>> {
    let bytes = text.as_bytes();
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let end = scan::string(bytes, start).ok()?;
    let name = unquoted(&text[start..end])?;
    let colon = scan::skip_space(bytes, end);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    let value = parse_value(text, scan::skip_space(bytes, colon + 1), depth + 1)?;
    Some(Member { start, name, value })
}
