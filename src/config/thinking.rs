//! How much a model may think.

use std::str::FromStr;

use super::choice::{choose, named};
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

/// How much a model may think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thinking {
    /// The limit in tokens: 0 disables thinking, -1 leaves the limit to the model.
    Budget(i32),
    /// A level.
    Level(ThinkingLevel),
}

named_enum! {
    /// A level of thinking. Each model has its own budget for a level.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum ThinkingLevel {
        Minimal = "minimal",
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

impl Thinking {
    /// Fails with `InvalidInput` if the budget is no number of tokens.
    pub(super) fn validate(self) -> Result<()> {
        match self {
            Self::Budget(tokens) if tokens < -1 => Err(Error::invalid_input(format!(
                "gemini_thinking_budget must be a number of tokens, 0 for none or -1 for the model's own, not {tokens}"
            ))),
            Self::Budget(_) | Self::Level(_) => Ok(()),
        }
    }
}

impl FromStr for ThinkingLevel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        choose(name, named(Self::ALL, Self::as_str))
            .map_err(|names| Error::invalid_input(format!("unknown gemini_thinking_level {name:?}: use {names}")))
    }
}
