//! What a configuration sets for one target beyond model, address and key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};

/// The settings of one target; a provider's protocol reads those it has a field for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    /// The context window to ask for, in tokens; `None` fits it to the prompt. Ollama.
    pub num_ctx: Option<u32>,
    /// How long the model stays in memory after a call; `None` leaves it to the server. Ollama.
    pub keep_alive: Option<KeepAlive>,
    /// How long the model may take to load, where targets load their models. Ollama.
    pub load_timeout: Option<Duration>,
    /// How much the model may think; `None` leaves it to the model. Gemini.
    pub thinking: Option<Thinking>,
}

/// How long Ollama keeps a model in memory.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepAlive {
    /// Seconds; none unloads the model at once, fewer than none keeps it for good.
    Seconds(f64),
    /// A duration in Go's notation, such as `10m` or `1h30m`.
    Text(Arc<str>),
}

/// How much a model may think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thinking {
    /// At most this many tokens of thoughts: 0 for none, -1 for as many as the model wants.
    Budget(i32),
    /// About this much.
    Level(ThinkingLevel),
}

/// A coarse measure of thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThinkingLevel {
    /// As good as none.
    Minimal,
    /// A little.
    Low,
    /// More.
    Medium,
    /// As much as the model can.
    High,
}

impl KeepAlive {
    /// Fails with `InvalidInput` unless Ollama can parse it.
    pub(super) fn validate(&self) -> Result<()> {
        let is_valid = match self {
            Self::Seconds(seconds) => seconds.is_finite(),
            Self::Text(text) => is_go_duration(text),
        };
        if is_valid {
            return Ok(());
        }
        Err(Error::invalid_input(
            "ollama_keep_alive must be a number of seconds or a duration such as \"10m\" or \"1h30m\"",
        ))
    }

    /// The seconds, where they are a whole number.
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 alone")]
    pub fn whole_seconds(&self) -> Option<i64> {
        match self {
            Self::Seconds(seconds) if seconds.fract() == 0.0 && seconds.abs() < 9e15 => Some(*seconds as i64),
            Self::Seconds(_) | Self::Text(_) => None,
        }
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

impl ThinkingLevel {
    /// The name users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for ThinkingLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ThinkingLevel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Minimal, Self::Low, Self::Medium, Self::High]
            .into_iter()
            .find(|level| level.as_str() == name)
            .ok_or_else(|| {
                Error::invalid_input(format!(
                    "unknown gemini_thinking_level {name:?}: use minimal, low, medium or high"
                ))
            })
    }
}

/// Whether Go's `time.ParseDuration` takes `text`: signed numbers with units, or a bare 0.
fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut pieces = 0;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - unit.len()];
        let after = unit.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
        let unit = &unit[..unit.len() - after.len()];
        // Rust reads a superset of Go's plain decimals here: digits and points are all there can be.
        if number.parse::<f64>().is_err() || !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return false;
        }
        (rest, pieces) = (after, pieces + 1);
    }
    pieces > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for text in ["10m", "1h30m", "-1s", "0", "1.5h", ".5s", "300ms", "2µs", "+3s"] {
            assert!(is_go_duration(text), "{text}");
        }
        for text in ["", "-", "10", "-1", "m", "10 m", "1d", "forever", "1.2.3s", "1h30", "1e3s", "é"] {
            assert!(!is_go_duration(text), "{text}");
        }
    }
}
