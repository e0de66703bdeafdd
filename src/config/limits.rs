//! Rate limits and prices.

use super::{Provider, check_text};
use crate::error::{Error, Result};

/// The limits of a provider's rate; `None` disables a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Concurrent requests.
    pub concurrent: Option<u32>,
    /// Requests started per minute.
    pub requests_per_minute: Option<u32>,
    /// Input and output tokens per minute.
    pub tokens_per_minute: Option<u64>,
}

impl Limits {
    pub(super) fn validate(&self, provider: Provider) -> Result<()> {
        let limits = [
            ("concurrent", self.concurrent.map(u64::from)),
            ("requests_per_minute", self.requests_per_minute.map(u64::from)),
            ("tokens_per_minute", self.tokens_per_minute),
        ];
        match limits.iter().find(|(_, limit)| *limit == Some(0)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid_input(format!("limits: {name} of {provider} must be at least 1"))),
        }
    }
}

/// The price of a model, in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Prompt tokens, including pages that a tool read.
    pub input: f64,
    /// Prompt tokens that the provider read from its cache.
    pub cached_input: f64,
    /// Tokens of the answer and of thoughts.
    pub output: f64,
}

impl Price {
    /// Creates a price from its three amounts.
    pub const fn new(input: f64, cached_input: f64, output: f64) -> Self {
        Self { input, cached_input, output }
    }

    pub(super) fn validate(&self, model: &str) -> Result<()> {
        check_text("prices: the name of a model", model)?;
        let is_amount = |amount: f64| amount.is_finite() && amount >= 0.0;
        if [self.input, self.cached_input, self.output].into_iter().all(is_amount) {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "prices: those of {model:?} must be US dollars per million tokens, 0 or more"
        )))
    }
}
