//! How long Ollama keeps a model in memory.

use std::sync::Arc;

use crate::error::{Error, Result};

/// How long Ollama keeps a model in memory after a request.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepAlive {
    /// Seconds; zero unloads the model at once, a negative number keeps it loaded.
    Seconds(f64),
    /// A duration in Go's notation, such as `10m` or `1h30m`.
    Text(Arc<str>),
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

    /// The number of seconds if it is a whole number.
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 only")]
    pub fn whole_seconds(&self) -> Option<i64> {
        match self {
            Self::Seconds(seconds) if seconds.fract() == 0.0 && seconds.abs() < 9e15 => Some(*seconds as i64),
            Self::Seconds(_) | Self::Text(_) => None,
        }
    }
}

/// Whether Go's `time.ParseDuration` accepts `text`: signed numbers with units, or a bare 0.
fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - unit.len()];
        let after = unit.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
        let unit = &unit[..unit.len() - after.len()];
        // `number` has only digits and points, so Rust's wider syntax of numbers makes no difference.
        if number.parse::<f64>().is_err() || !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return false;
        }
        (rest, parts) = (after, parts + 1);
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_go() {
        for text in ["10m", "1h30m", "-1s", "0", "1.5h", ".5s", "300ms", "2µs", "+3s"] {
            assert!(is_go_duration(text), "{text}");
        }
        for text in ["", "-", "10", "-1", "m", "10 m", "1d", "forever", "1.2.3s", "1h30", "1e3s", "é"] {
            assert!(!is_go_duration(text), "{text}");
        }
    }
}
