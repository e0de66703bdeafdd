//! The way back: from a reply that fits a lowered schema to one that fits the original.
//!
//! The reply's text is cut, never rewritten: what stays keeps its order, its white space and its number literals.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use super::graph::{Graph, Node, Property, Rest, Shape};
use super::lower::WRAPPER;
use super::scan;

/// Deeper replies come back as they are; no reader of them goes deeper either.
const MAX_DEPTH: usize = 256;

/// Turns `text` back: takes it out of its wrapper, and drops each `null` that stands for an absent property.
/// Text that is not JSON comes back as it is.
pub(super) fn restore(graph: &Graph, wrapped: bool, nullable: bool, text: String) -> String {
    let Some(document) = parse(&text) else { return text };
    let mut judge = Judge { graph, nullable, known: HashMap::new() };
    let value = if wrapped { judge.unwrap(&document) } else { &document };
    let mut cuts = Vec::new();
    if nullable {
        judge.cut(value, &graph.root, &mut cuts);
    }
    let Range { start, end } = value.span;
    if cuts.is_empty() && end - start == text.len() {
        return text;
    }
    let unwrapped = !std::ptr::eq(value, &raw const document);
    if cuts.is_empty() && !unwrapped {
        return text;
    }
    let mut restored = String::with_capacity(end - start);
    let mut at = start;
    for cut in cuts {
        restored.push_str(&text[at..cut.start]);
        at = cut.end;
    }
    restored.push_str(&text[at..end]);
    restored
}

/// A JSON value and where it stands in the text.
struct Json<'t> {
    text: &'t str,
    span: Range<usize>,
    kind: Kind<'t>,
}

enum Kind<'t> {
    Scalar,
    Array(Vec<Json<'t>>),
    Object(Vec<Member<'t>>),
}

struct Member<'t> {
    /// Where the quoted name starts.
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

/// Decides which parts of the schema a value fits.
struct Judge<'g> {
    graph: &'g Graph,
    nullable: bool,
    /// What was found out, by where the value starts and which node was asked; keeps unions of unions linear.
    known: HashMap<(usize, *const Node), bool>,
}

impl<'g> Judge<'g> {
    /// The value inside the wrapper of `document`; `document` where the model left the wrapper out.
    fn unwrap<'j, 't>(&mut self, document: &'j Json<'t>) -> &'j Json<'t> {
        let Kind::Object(members) = &document.kind else { return document };
        let [Member { name, value, .. }] = members.as_slice() else { return document };
        let root = &self.graph.root;
        let is_wrapper = name == WRAPPER && (self.fits(value, root) || !self.fits(document, root));
        if is_wrapper { value } else { document }
    }

    /// Notes in `cuts` the parts of the text to leave out, in their order.
    fn cut(&mut self, json: &Json<'_>, node: &'g Node, cuts: &mut Vec<Range<usize>>) {
        match (&self.graph.resolve(node).shape, &json.kind) {
            (Shape::AnyOf(branches), Kind::Array(_) | Kind::Object(_)) => {
                if let Some(branch) = branches.iter().find(|branch| self.fits(json, branch)) {
                    self.cut(json, branch, cuts);
                }
            }
            (Shape::Array { prefix, rest }, Kind::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(node) = prefix.get(index).or(rest.node()) {
                        self.cut(item, node, cuts);
                    }
                }
            }
            (Shape::Object { properties, rest }, Kind::Object(members)) => {
                let mut kept = None;
                for (index, Member { start, name, value }) in members.iter().enumerate() {
                    let property = properties.iter().find(|property| property.name == *name);
                    if property.is_some_and(|property| self.stands_for_absent(value, property)) {
                        // With a comma: the one before the member, or behind it where no member stays before it.
                        let next = members.get(index + 1).map_or(value.span.end, |next| next.start);
                        cuts.push(kept.map_or(*start..next, |end| end..value.span.end));
                        kept = kept.map(|_| value.span.end);
                        continue;
                    }
                    kept = Some(value.span.end);
                    if let Some(node) = property.map(|property| &property.node).or(rest.node()) {
                        self.cut(value, node, cuts);
                    }
                }
            }
            _ => {}
        }
    }

    fn stands_for_absent(&self, value: &Json<'_>, property: &Property) -> bool {
        self.nullable && !property.required && value.is_null() && !self.graph.admits_null(&property.node)
    }

    /// True where `json` has the types, values and members that `node` asks for. Bounds, lengths and patterns are not
    /// looked at.
    fn fits(&mut self, json: &Json<'_>, node: &'g Node) -> bool {
        let key = (json.span.start, std::ptr::from_ref(node));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let fits = self.fits_anew(json, node);
        self.known.insert(key, fits);
        fits
    }

    fn fits_anew(&mut self, json: &Json<'_>, node: &'g Node) -> bool {
        let first = json.text.as_bytes()[json.span.start];
        match (&self.graph.resolve(node).shape, &json.kind) {
            (Shape::Any, _) => true,
            (Shape::AnyOf(branches), _) => branches.iter().any(|branch| self.fits(json, branch)),
            (Shape::Enum(values), _) => values.iter().any(|value| is_literal(value, json.literal())),
            (Shape::Null, Kind::Scalar) => first == b'n',
            (Shape::Boolean, Kind::Scalar) => matches!(first, b't' | b'f'),
            (Shape::String, Kind::Scalar) => first == b'"',
            (Shape::Number, Kind::Scalar) => matches!(first, b'-' | b'0'..=b'9'),
            (Shape::Integer, Kind::Scalar) => json.literal().parse().is_ok_and(|number: f64| number.fract() == 0.0),
            (Shape::Array { prefix, rest }, Kind::Array(items)) => {
                items.iter().enumerate().all(|(index, item)| match prefix.get(index).or(rest.node()) {
                    Some(node) => self.fits(item, node),
                    None => *rest != Rest::Closed,
                })
            }
            (Shape::Object { properties, rest }, Kind::Object(members)) => {
                let is_complete = properties
                    .iter()
                    .filter(|property| property.required)
                    .all(|property| members.iter().any(|member| member.name == property.name));
                is_complete
                    && members.iter().all(|Member { name, value, .. }| {
                        match properties.iter().find(|property| property.name == *name) {
                            Some(property) => {
                                self.stands_for_absent(value, property) || self.fits(value, &property.node)
                            }
                            None => match rest {
                                Rest::Of(node) => self.fits(value, node),
                                Rest::Closed => false,
                                Rest::Any | Rest::Unstated => true,
                            },
                        }
                    })
            }
            _ => false,
        }
    }
}

/// True where `literal` is `value` written as JSON; 1 and 1.0 are the same.
fn is_literal(value: &Value, literal: &str) -> bool {
    match serde_json::from_str::<Value>(literal) {
        Ok(Value::Number(number)) => value.is_number() && value.as_f64() == number.as_f64(),
        Ok(other) => other == *value,
        Err(_) => false,
    }
}

/// The whole of `text` as JSON; `None` where it is not, or is nested too deeply.
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
            return Some(Json { text, span: start..end, kind: Kind::Scalar });
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
    let kind = if close == b']' { Kind::Array(items) } else { Kind::Object(members) };
    Some(Json { text, span: start..at + 1, kind })
}

fn parse_member(text: &str, start: usize, depth: usize) -> Option<Member<'_>> {
    let bytes = text.as_bytes();
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let end = scan::string(bytes, start).ok()?;
    let quoted = &text[start..end];
    let name = match quoted.contains('\\') {
        true => Cow::Owned(serde_json::from_str(quoted).ok()?),
        false => Cow::Borrowed(&text[start + 1..end - 1]),
    };
    let colon = scan::skip_space(bytes, end);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    let value = parse_value(text, scan::skip_space(bytes, colon + 1), depth + 1)?;
    Some(Member { start, name, value })
}
