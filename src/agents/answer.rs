//! What an agent hands back.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;
use crate::router::Response;

/// A value and what it took to get it.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// Tokens of every call and every attempt together.
    pub tokens: u64,
    /// US dollars of every call together; `None` where one call's price is unknown.
    pub cost: Option<f64>,
    /// Calls made to the router, the failed ones too.
    pub calls: u32,
    /// The replies that were taken, in order.
    pub responses: Vec<Response>,
}

impl<T> Answer<T> {
    /// The same answer about another value.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: change(self.value),
            tokens: self.tokens,
            cost: self.cost,
            calls: self.calls,
            responses: self.responses,
        }
    }

    /// Adds a call that failed: its attempts were paid for all the same, at a price nobody told.
    pub(super) fn failed(&mut self, error: &Error) {
        self.calls += 1;
        let attempts: u64 = error.attempts().iter().map(|attempt| attempt.usage.total()).sum();
        let tokens = attempts.max(error.usage().total());
        self.tokens += tokens;
        if tokens > 0 {
            self.cost = None;
        }
    }
}

impl<T> Answer<Vec<T>> {
    /// Both lists, and what both took.
    pub(super) fn joined(mut self, other: Self) -> Self {
        self.value.extend(other.value);
        self.responses.extend(other.responses);
        self.tokens += other.tokens;
        self.cost = self.cost.zip(other.cost).map(|(one, two)| one + two);
        self.calls += other.calls;
        self
    }
}

impl Answer<()> {
    /// Nothing asked yet, nothing spent.
    pub(super) fn nothing() -> Self {
        Self { value: (), tokens: 0, cost: Some(0.0), calls: 0, responses: Vec::new() }
    }

    /// Adds a call that was answered.
    pub(super) fn answered(&mut self, response: Response) {
        self.calls += 1;
        self.tokens += response.tokens;
        self.cost = self.cost.zip(response.cost).map(|(sum, cost)| sum + cost);
        self.responses.push(response);
    }
}

/// One result per idea asked about, in the order of the question: the item, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T> {
    entries: Vec<Result<T, String>>,
}

impl<T> Batch<T> {
    pub(super) fn new(entries: Vec<Result<T, String>>) -> Self {
        Self { entries }
    }

    /// The item of the idea at `index`; `Err` tells why there is none, `None` that it was not asked for.
    pub fn get(&self, index: usize) -> Option<Result<&T, &str>> {
        self.entries.get(index).map(|entry| entry.as_ref().map_err(String::as_str))
    }

    /// The same entries about other items.
    pub(super) fn map<U>(self, change: impl Fn(T) -> U) -> Batch<U> {
        Batch { entries: self.entries.into_iter().map(|entry| entry.map(&change)).collect() }
    }

    /// How many ideas were asked about.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no idea was asked about.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The items there are, each with the index of its idea, and left out those that are missing.
    pub fn labelled(self) -> impl Iterator<Item = Labelled<T>> {
        (0u32..).zip(self.entries).filter_map(|(idea_index, entry)| Some(Labelled { idea_index, item: entry.ok()? }))
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = Result<T, String>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// An item of a batch with the index of the idea it belongs to: the form in which batches travel as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Labelled<T> {
    /// The number that stands above the idea this item is about, exactly as given.
    pub idea_index: u32,
    /// What was said about the idea.
    #[serde(flatten)]
    pub item: T,
}
