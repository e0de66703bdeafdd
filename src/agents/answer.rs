//! The results of agents, with what they cost.

use schemars::JsonSchema;
use serde::Serialize;

use crate::attempt::total_tokens;
use crate::error::Error;
use crate::router::Response;

/// A value and the cost of all calls it took.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The value.
    pub value: T,
    /// Tokens of every attempt of every call.
    pub tokens: u64,
    /// US dollars of every call together. `None` means that the price of a call is unknown.
    pub cost: Option<f64>,
    /// Calls made to the router, including failed ones.
    pub calls: u32,
    /// The accepted replies, in order.
    pub responses: Vec<Response>,
}

impl<T> Answer<T> {
    /// Replaces the value by the result of `change`.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: change(self.value),
            tokens: self.tokens,
            cost: self.cost,
            calls: self.calls,
            responses: self.responses,
        }
    }

    /// Adds a failed call. The provider may bill its attempts, at a price that is not known.
    pub(super) fn failed(&mut self, error: &Error) {
        self.calls += 1;
        let tokens = total_tokens(error.attempts()).max(error.usage().total());
        self.tokens = self.tokens.saturating_add(tokens);
        if tokens > 0 {
            self.cost = None;
        }
    }
}

impl<T> Answer<Vec<T>> {
    /// Concatenates the values of both answers and adds up their costs.
    pub(super) fn joined(mut self, other: Self) -> Self {
        self.value.extend(other.value);
        self.responses.extend(other.responses);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost = self.cost.zip(other.cost).map(|(one, two)| one + two);
        self.calls += other.calls;
        self
    }
}

impl Answer<()> {
    /// Creates an answer without calls.
    pub(super) fn nothing() -> Self {
        Self { value: (), tokens: 0, cost: Some(0.0), calls: 0, responses: Vec::new() }
    }

    /// Adds a successful call.
    pub(super) fn answered(&mut self, response: Response) {
        self.calls += 1;
        self.tokens += response.tokens;
        self.cost = self.cost.zip(response.cost).map(|(sum, cost)| sum + cost);
        self.responses.push(response);
    }
}

/// The results of a request about several ideas, in the order of the ideas: an item, or the reason why it is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T> {
    entries: Vec<Result<T, String>>,
}

impl<T> Batch<T> {
    pub(super) fn new(entries: Vec<Result<T, String>>) -> Self {
        Self { entries }
    }

    /// Returns the item of the idea at `index`, or the reason why it is missing. `None` means that there is no such idea.
    pub fn get(&self, index: usize) -> Option<Result<&T, &str>> {
        self.entries.get(index).map(|entry| entry.as_ref().map_err(String::as_str))
    }

    /// Replaces every item by the result of `change`.
    pub(super) fn map<U>(self, change: impl Fn(T) -> U) -> Batch<U> {
        Batch { entries: self.entries.into_iter().map(|entry| entry.map(&change)).collect() }
    }

    /// Returns the number of ideas.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no ideas.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the items that are not missing, each with the index of its idea.
    pub fn indexed(self) -> impl Iterator<Item = Indexed<T>> {
        (0u32..).zip(self.entries).filter_map(|(idea_index, entry)| Some(Indexed { idea_index, item: entry.ok()? }))
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = Result<T, String>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// An item of a batch with the index of its idea, as batches are sent in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Indexed<T> {
    // This text is part of the schema that models see.
    /// The number that stands above the idea this item is about, exactly as given.
    pub idea_index: u32,
    /// The item.
    #[serde(flatten)]
    pub item: T,
}
