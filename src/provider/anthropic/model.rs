//! What the name of a model says about the parameters that it takes.
//!
//! Source: Anthropic's pages "Migration guide", "Effort" and "Adaptive thinking", November 2026. Models newer than 4.6 take no
//! temperature. Opus 4.5 and everything from 4.6 on take an effort, and think as much as it says. Older models think only
//! if a request says so, and no request does.

use super::super::Target;
use crate::config::Effort;

/// The last version of the Claude models that accepts a temperature.
const LAST_WITH_TEMPERATURE: (u32, u32) = (4, 6);

/// The first version whose models all take an effort.
const FIRST_WITH_EFFORT: (u32, u32) = (4, 6);

/// Whether a request to `model` may contain a temperature. Claude models without a version are newer than
/// [`LAST_WITH_TEMPERATURE`]; models of other makers, on compatible servers, accept it.
pub(super) fn accepts_temperature(model: &str) -> bool {
    let Some(name) = claude(model) else { return true };
    version(name).is_some_and(|version| version <= LAST_WITH_TEMPERATURE)
}

/// The effort of a request: as configured, or the least if the model has to think less.
pub(super) fn effort(target: &Target, less_thinking: bool) -> Option<Effort> {
    let configured = target.options.effort;
    if less_thinking && takes_effort(&target.model) { Some(Effort::Low) } else { configured }
}

/// Whether a request can switch the thinking of `model` off. Some Claude models reject that, and they take an effort; models
/// of other makers, on compatible servers, accept it.
pub(super) fn can_disable_thinking(model: &str) -> bool {
    claude(model).is_none()
}

fn takes_effort(model: &str) -> bool {
    let Some(name) = claude(model) else { return false };
    version(name).is_none_or(|version| version >= FIRST_WITH_EFFORT || (version == (4, 5) && name.contains("opus")))
}

/// The name of a Claude model after `claude`; `None` for another model.
fn claude(model: &str) -> Option<&str> {
    model.split_once("claude").map(|(_, name)| name)
}

/// The version in the name of a Claude model.
fn version(name: &str) -> Option<(u32, u32)> {
    // Longer numbers are dates.
    let mut numbers = name
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| (1..=2).contains(&digits.len()))
        .filter_map(|digits| digits.parse().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_think_by_effort_take_one() {
        for (model, takes) in [
            ("claude-3-5-haiku-20241022", false),
            ("claude-sonnet-4-5-20250929", false),
            ("claude-opus-4-5-20251101", true),
            ("anthropic/claude-sonnet-4.6", true),
            ("claude-opus-4-7", true),
            ("claude-sonnet-5", true),
            ("claude-next", true),
            ("qwen3:4b", false),
        ] {
            assert_eq!(takes_effort(model), takes, "{model}");
        }
    }
}
