//! Deterministic instances of a schema.
//!
//! Equal schemas and prompts produce equal values: every choice depends on a hash of the prompt and of the path in the value.
//! Schemas with `not`, `oneOf` or `if` are satisfied by generating and validating several candidates. If no candidate is
//! valid, as for a contradictory schema, the first one is returned.

mod array;
mod check;
mod keywords;
mod lexicon;
mod merge;
mod number;
mod object;
mod pattern;
mod prompt;
mod string;
mod text;

use std::cell::Cell;

use serde_json::{Map, Value};

use self::keywords::{Kind, is_null, kind, limit, needs_check, resolve, weight_of_type};
use self::prompt::Prompt;
use self::text::Words;

/// The number of candidates for a schema that needs validation. The later half omits optional parts.
const TRIES: u64 = 16;
/// The recursion depth of a definition from which optional parts are omitted.
const MAX_RECURSION: usize = 3;
/// The depth at which a value is cut off. Only schemas without a finite instance reach it.
const MAX_DEPTH: usize = 96;
/// The number of values in a sample from which optional parts are omitted everywhere.
const MAX_NODES: usize = 20_000;

/// The largest number of values and characters in a sample.
const MAX_SIZE: usize = 1_000_000;

/// Generates a deterministic, plausible instance of `schema` with the words of `prompt`.
///
/// Texts use the words and the script of the prompt, preferably of its fenced data (`<topic>…</topic>`). The length of a list
/// is that of the schema, the number that the prompt requests, or the number of its labels (`idea_index: 3`), and three
/// otherwise. Every property is present, including optional ones, unless a definition is nested in itself more than three
/// times.
///
/// A sample has at most 100 000 items in a list and a million values and characters in all. It ends there, so that it does not
/// match a schema that requires more.
pub fn sample(schema: &Value, prompt: &str) -> Value {
    let prompt = Prompt::parse(prompt);
    let words = prompt.words();
    let sampler = Sampler { root: schema, prompt: &prompt, nodes: Cell::new(0), size: Cell::new(0) };
    sampler.value(schema, &Place::root(prompt.seed(), &words))
}

/// The state of one sample.
struct Sampler<'s> {
    root: &'s Value,
    prompt: &'s Prompt<'s>,
    nodes: Cell<usize>,
    /// The number of values and characters so far, and of comparisons of items.
    size: Cell<usize>,
}

/// A location in the value.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// A hash of the prompt and the path.
    seed: u64,
    /// The same without the position in the nearest list, to spread the numbers of a list.
    family: u64,
    /// The name of the nearest property.
    name: &'p str,
    /// The position in the nearest list.
    ordinal: usize,
    /// The number of enclosing lists.
    lists: usize,
    depth: usize,
    /// The label of the nearest labelled list item.
    label: Option<i64>,
    words: &'p Words,
    refs: Option<&'p Frame<'p>>,
    /// Whether optional parts are omitted.
    tight: bool,
}

/// A `$ref` on the path from the root.
struct Frame<'p> {
    target: &'p str,
    up: Option<&'p Self>,
}

impl<'p> Place<'p> {
    fn root(seed: u64, words: &'p Words) -> Self {
        Self {
            seed,
            family: seed,
            name: "",
            ordinal: 0,
            lists: 0,
            depth: 0,
            label: None,
            words,
            refs: None,
            tight: false,
        }
    }

    fn property(&self, name: &'p str) -> Self {
        let step = hash(name);
        Self { seed: mix(self.seed, step), family: mix(self.family, step), name, depth: self.depth + 1, ..*self }
    }

    fn item(&self, ordinal: usize) -> Self {
        Self {
            seed: mix(self.seed, ordinal as u64 + 1),
            family: mix(self.seed, 0x17e4),
            ordinal,
            lists: self.lists + 1,
            depth: self.depth + 1,
            label: None,
            ..*self
        }
    }

    fn retry(&self, salt: u64) -> Self {
        if salt == 0 {
            return *self;
        }
        Self {
            seed: mix(self.seed, salt),
            family: mix(self.family, salt),
            tight: self.tight || salt >= TRIES / 2,
            ..*self
        }
    }

    fn times_inside(&self, target: &str) -> usize {
        std::iter::successors(self.refs, |frame| frame.up).filter(|frame| frame.target == target).count()
    }
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, place: &Place<'_>) -> Value {
        let Value::Object(keywords) = schema else {
            return if *schema == Value::Bool(false) { Value::Null } else { self.text(string::plain(place)) };
        };
        self.nodes.set(self.nodes.get() + 1);
        if place.depth > MAX_DEPTH {
            return Value::Null;
        }
        let place = Place { tight: place.tight || self.nodes.get() > MAX_NODES, ..*place };
        if !needs_check(keywords) {
            return self.attempt(keywords, &place, 0);
        }
        let mut first = None;
        for salt in 0..TRIES {
            let value = self.attempt(keywords, &place.retry(salt), salt);
            if check::fits(self.root, schema, &value) {
                return value;
            }
            first.get_or_insert(value);
            if self.nodes.get() > 2 * MAX_NODES || self.is_full() {
                break;
            }
        }
        first.unwrap_or(Value::Null)
    }

    fn attempt(&self, keywords: &Map<String, Value>, place: &Place<'_>, salt: u64) -> Value {
        if let Some(Value::String(target)) = keywords.get("$ref") {
            return self.referenced(keywords, target, place);
        }
        if let Some(constant) = keywords.get("const") {
            return constant.clone();
        }
        if let Some(Value::Array(choices)) = keywords.get("enum") {
            return self.choice(keywords, choices, place);
        }
        // The merged schema may refer to itself.
        let place = &Place { depth: place.depth + 1, ..*place };
        if keywords.contains_key("if") {
            let (branch, rest) = merge::conditional(keywords, salt);
            return self.value(&merge::both(&rest, &branch), place);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = keywords.get(key)
                && let Some(branch) = self.branch(branches, place, salt)
            {
                let rest = merge::without(keywords, &[key]);
                return if merge::is_bare(&rest) {
                    self.value(branch, place)
                } else {
                    self.value(&merge::both(&Value::Object(rest), branch), place)
                };
            }
        }
        if let Some(Value::Array(parts)) = keywords.get("allOf") {
            let rest = Value::Object(merge::without(keywords, &["allOf"]));
            let merged = parts.iter().fold(rest, |whole, part| merge::both(&whole, &self.resolved(part, place)));
            return self.value(&merged, place);
        }
        self.typed(keywords, place, salt)
    }

    fn typed(&self, keywords: &Map<String, Value>, place: &Place<'_>, salt: u64) -> Value {
        match kind(keywords, salt) {
            Kind::Object => self.object(keywords, place),
            Kind::Array => self.array(keywords, place),
            Kind::Integer => number::integer(keywords, place, self.prompt),
            Kind::Number => number::number(keywords, place),
            Kind::Boolean => Value::Bool(place.seed & 4 == 0),
            Kind::Null => Value::Null,
            Kind::String if self.is_full() => String::new().into(),
            Kind::String => self.text(string::string(keywords, place)),
        }
    }

    fn text(&self, text: String) -> Value {
        self.grow(text.len());
        text.into()
    }

    /// Adds `size` to the size of the sample.
    fn grow(&self, size: usize) {
        self.size.set(self.size.get().saturating_add(size));
    }

    /// Whether the sample has reached its largest size.
    fn is_full(&self) -> bool {
        self.size.get() >= MAX_SIZE
    }

    fn referenced(&self, keywords: &Map<String, Value>, target: &str, place: &Place<'_>) -> Value {
        let Some(schema) = resolve(self.root, target) else { return string::plain(place).into() };
        let frame = Frame { target, up: place.refs };
        let tight = place.tight || place.times_inside(target) >= MAX_RECURSION;
        // A definition that recurs without optional parts has no finite instance.
        if self.nodes.get() > MAX_NODES && place.times_inside(target) > 2 * MAX_RECURSION {
            return Value::Null;
        }
        let place = Place { refs: Some(&frame), depth: place.depth + 1, tight, ..*place };
        let rest = merge::without(keywords, &["$ref"]);
        if merge::is_bare(&rest) {
            self.value(schema, &place)
        } else {
            self.value(&merge::both(schema, &Value::Object(rest)), &place)
        }
    }

    /// Resolves a part of `allOf` so that it can be merged with its siblings. A definition that is being generated stays a
    /// reference: merging it again would not terminate.
    fn resolved(&self, part: &Value, place: &Place<'_>) -> Value {
        match part.get("$ref").and_then(Value::as_str) {
            Some(target) if place.times_inside(target) == 0 => match resolve(self.root, target) {
                Some(schema) => {
                    let rest = part.as_object().map(|part| merge::without(part, &["$ref"])).unwrap_or_default();
                    merge::both(schema, &Value::Object(rest))
                }
                None => part.clone(),
            },
            _ => part.clone(),
        }
    }

    fn choice(&self, keywords: &Map<String, Value>, choices: &[Value], place: &Place<'_>) -> Value {
        let rest = Value::Object(merge::without(keywords, &["enum"]));
        let fitting: Vec<_> = choices.iter().filter(|choice| check::fits(self.root, &rest, choice)).collect();
        let named: Vec<_> = fitting.iter().copied().filter(|choice| !choice.is_null()).collect();
        let pool = if named.is_empty() { fitting } else { named };
        let at = pick(place.family, pool.len()) + place.ordinal;
        pool.get(at % pool.len().max(1)).map_or(Value::Null, |choice| (*choice).clone())
    }

    fn branch<'b>(&self, branches: &'b [Value], place: &Place<'_>, salt: u64) -> Option<&'b Value> {
        if place.tight {
            let mut ranked: Vec<_> = branches.iter().collect();
            ranked.sort_by_key(|branch| self.weight(branch, place));
            return ranked.get(usize::try_from(salt).unwrap_or(0) % ranked.len().max(1)).copied();
        }
        let mut ranked: Vec<_> = branches.iter().filter(|branch| !is_null(branch)).collect();
        // pydantic's schema of a Decimal: a number, or a string that contains a number, which no keyword states.
        if let [first, second] = ranked[..]
            && first.get("type").is_some_and(|kind| kind == "number")
            && second.get("type").is_some_and(|kind| kind == "string")
        {
            ranked.truncate(1);
        }
        let turn = pick(place.seed, ranked.len()) + usize::try_from(salt).unwrap_or(0);
        if salt > 0 || ranked.is_empty() {
            ranked.extend(branches.iter().filter(|branch| is_null(branch)));
        }
        ranked.get(turn % ranked.len().max(1)).copied()
    }

    /// The nesting of a branch, so that branches that end the value come first.
    fn weight(&self, branch: &Value, place: &Place<'_>) -> usize {
        if let Some(target) = branch.get("$ref").and_then(Value::as_str) {
            if place.times_inside(target) > 0 {
                return 5;
            }
            return resolve(self.root, target).map_or(4, |schema| 1 + weight_of_type(schema));
        }
        weight_of_type(branch)
    }
}

/// FNV-1a: stable across compilers, unlike the standard library's hasher.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `SplitMix64`'s finaliser over two numbers.
fn mix(left: u64, right: u64) -> u64 {
    let mut bits = left ^ right.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// An index below `count`.
fn pick(seed: u64, count: usize) -> usize {
    if count == 0 { 0 } else { usize::try_from(seed % count as u64).unwrap_or(0) }
}
