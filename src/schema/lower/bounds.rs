//! The bounds that a grammar holds, as llama.cpp's converter writes them for itself, Ollama and servers built on them.
//!
//! Each repetition becomes as many rules as its bound: more than 2 000 stop the server's process, and thousands make it
//! slow. A minimum above its maximum never ends the conversion. Bounds that are not written here are stated in words.

use serde_json::{Value, json};

use super::{integer_bounds, pattern};
use crate::schema::graph::Node;

/// The largest bound of one repetition.
const MAX_REPETITIONS: u64 = 1000;

/// The largest sum of the bounds of a document.
const MAX_SUM: u64 = 50_000;

/// Integers of more digits are cut by the converter.
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// Writes bounds and adds up their size.
#[derive(Debug)]
pub(super) struct GrammarBounds {
    max: u64,
    sum: u64,
}

impl GrammarBounds {
    /// Returns the document that `write` makes, with larger bounds omitted until the sum of all is small enough.
    pub(super) fn fitted<T>(mut write: impl FnMut(&mut Self) -> T) -> T {
        let mut bounds = Self { max: MAX_REPETITIONS, sum: 0 };
        loop {
            let document = write(&mut bounds);
            if bounds.sum <= MAX_SUM || bounds.max == 0 {
                return document;
            }
            bounds = Self { max: bounds.max / 2, sum: 0 };
        }
    }

    /// Returns a writer that writes nothing.
    pub(super) fn none() -> Self {
        Self { max: 0, sum: 0 }
    }

    /// Writes the pattern of a string, or its lengths. A grammar holds only one of them.
    pub(super) fn write_string(&mut self, schema: &mut Value, node: &Node) {
        if let Some(pattern) = pattern::of(node) {
            schema["pattern"] = json!(pattern);
            self.sum += MAX_REPETITIONS / 10;
        } else {
            self.write_counts(schema, node, ["minLength", "maxLength"]);
        }
    }

    /// Writes the bounds of the number of items.
    pub(super) fn write_items(&mut self, schema: &mut Value, node: &Node) {
        self.write_counts(schema, node, ["minItems", "maxItems"]);
    }

    fn write_counts(&mut self, schema: &mut Value, node: &Node, keywords: [&str; 2]) {
        let [least, most] = keywords.map(|keyword| node.constraints.get(keyword).and_then(Value::as_u64));
        if least.zip(most).is_some_and(|(least, most)| least > most) {
            return;
        }
        let mut size = 0;
        for (keyword, bound) in keywords.into_iter().zip([least, most]) {
            if let Some(bound) = bound.filter(|bound| *bound <= self.max && (*bound > 0 || keyword.starts_with("max")))
            {
                schema[keyword] = json!(bound);
                size = bound;
            }
        }
        self.sum = self.sum.saturating_add(size);
    }
}

/// Writes the bounds of an integer.
pub(super) fn write_integer(schema: &mut Value, node: &Node) {
    let (least, most) = integer_bounds(node);
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        return;
    }
    for (keyword, bound) in [("minimum", least), ("maximum", most)] {
        if let Some(bound) = bound.filter(|bound| bound.unsigned_abs() <= MAX_INTEGER) {
            schema[keyword] = json!(bound);
        }
    }
}
