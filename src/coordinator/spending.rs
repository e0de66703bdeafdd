//! The usage of requests, and which models answered.

use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Usage};
use crate::router::Response;

/// The usage of a number of requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// Requests sent, including repairs, retries and fallbacks. For a custom router, its answers.
    pub calls: u64,
    /// Answers from the response cache, or from an equal call that was in flight. They sent no request of their own.
    pub cached: u64,
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
    /// Those of them that came from the response cache, or from an equal call that was in flight.
    pub cached: u64,
}

impl Default for Spending {
    /// No requests.
    fn default() -> Self {
        Self { calls: 0, cached: 0, tokens: 0, usage: Usage::default(), cost: Some(0.0), is_estimated: false }
    }
}

impl ServedBy {
    /// One answer.
    pub(super) fn of_response(response: &Response) -> Self {
        Self {
            provider: response.provider.to_string(),
            model: response.model.to_string(),
            answers: 1,
            cached: u64::from(response.is_cached),
        }
    }
}

impl Spending {
    /// The usage of one attempt.
    pub(super) fn of_attempt(attempt: &Attempt, cost: Option<f64>) -> Self {
        Self {
            calls: u64::from(attempt.sent),
            cached: 0,
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
        self.cached += other.cached;
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost = self.cost.zip(other.cost).map(|(one, other)| one + other);
        self.is_estimated |= other.is_estimated;
    }
}

/// Adds the answers of a model to `served`.
pub(super) fn add_answers(served: &mut Vec<ServedBy>, more: &ServedBy) {
    match served.iter_mut().find(|known| known.provider == more.provider && known.model == more.model) {
        Some(known) => {
            known.answers += more.answers;
            known.cached += more.cached;
        }
        None => served.push(more.clone()),
    }
}
