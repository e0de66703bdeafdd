//! The usage of requests, and which models answered.

use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Usage};
use crate::router::Response;

/// The usage of a number of requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// Requests sent, including repairs, retries and fallbacks. For a custom router, its answers.
    pub calls: u64,
    /// Tokens of all requests.
    pub tokens: u64,
    /// The tokens by kind; a custom router does not report them.
    pub usage: Usage,
    /// US dollars; `None` if a price is unknown.
    pub cost: Option<f64>,
    /// Whether some tokens are estimated because a request was dropped before the provider reported them.
    pub is_estimated: bool,
}

/// A model and the number of answers used from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedBy {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The number of answers.
    pub answers: u64,
}

impl Default for Spending {
    /// No requests.
    fn default() -> Self {
        Self { calls: 0, tokens: 0, usage: Usage::default(), cost: Some(0.0), is_estimated: false }
    }
}

impl Spending {
    /// The usage of one attempt.
    pub(super) fn of_attempt(attempt: &Attempt, cost: Option<f64>) -> Self {
        Self {
            calls: u64::from(attempt.sent),
            tokens: attempt.usage.total(),
            usage: attempt.usage,
            cost,
            is_estimated: attempt.is_estimated,
        }
    }

    /// The usage of an answer whose attempts were not observed.
    pub(super) fn of_response(response: &Response) -> Self {
        Self { calls: 1, tokens: response.tokens, cost: response.cost, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.usage += other.usage;
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.cost = self.cost.zip(other.cost).map(|(one, other)| one + other);
        self.is_estimated |= other.is_estimated;
    }
}

/// Adds `answers` answers of a model to `served`.
pub(super) fn add_answers(served: &mut Vec<ServedBy>, provider: &str, model: &str, answers: u64) {
    match served.iter_mut().find(|known| known.provider == provider && known.model == model) {
        Some(known) => known.answers += answers,
        None => served.push(ServedBy { provider: provider.to_owned(), model: model.to_owned(), answers }),
    }
}
