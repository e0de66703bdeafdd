//! Limits on thinking, and other differences between generations of Gemini models.
//!
//! Generation 2.5 accepts a budget in tokens, newer models a level; each rejects the field of the other. Source: Google's
//! page "Gemini thinking", November 2026.

use serde::Serialize;

use crate::config::{Thinking, ThinkingLevel};
use crate::parameter::{Adjustments, Parameter};

/// The context length of generations 2.5 and 3, in tokens.
const CONTEXT_LENGTH: u64 = 1_048_576;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
}

/// The thinking of a request: as configured, or the least that `model` supports if it has to think less.
pub(super) fn config(model: &str, configured: Option<Thinking>, adjustments: Adjustments) -> Option<ThinkingConfig> {
    if adjustments.omits(Parameter::ThinkingConfig) {
        return None;
    }
    let thinking = if adjustments.less_thinking { least(model).or(configured) } else { configured };
    Some(match thinking? {
        Thinking::Budget(tokens) => ThinkingConfig { thinking_budget: Some(tokens), thinking_level: None },
        Thinking::Level(level) => ThinkingConfig { thinking_budget: None, thinking_level: Some(name(level)) },
    })
}

/// Whether `model` accepts URLs and a schema in one request. Older models reject the combination.
pub(super) fn reads_pages_with_schema(model: &str) -> bool {
    generation(model).is_some_and(|(major, _)| major >= 3)
}

/// The context length of `model`; `None` if its generation is unknown.
pub(super) fn context_length(model: &str) -> Option<u64> {
    generation(model).filter(|generation| (2, 5) <= *generation && *generation < (4, 0)).map(|_| CONTEXT_LENGTH)
}

/// The least thinking that `model` supports; `None` if it has no setting or is unknown.
fn least(model: &str) -> Option<Thinking> {
    let is_pro = model.contains("-pro");
    Some(match generation(model)? {
        (2, 5) if is_pro => Thinking::Budget(128),
        (2, 5) => Thinking::Budget(0),
        // The pro models and the flash models from 3.7 on reject `MINIMAL`.
        (3, minor) if minor < 7 && model.contains("-flash") => Thinking::Level(ThinkingLevel::Minimal),
        (major, _) if major >= 3 => Thinking::Level(ThinkingLevel::Low),
        _ => return None,
    })
}

/// The major and minor version in a name such as `gemini-2.5-flash`, `models/gemini-3-pro-preview` or
/// `publishers/google/models/gemini-3.1-pro`.
fn generation(model: &str) -> Option<(u32, u32)> {
    let numbers = model.rsplit('/').next()?.strip_prefix("gemini-")?.split('-').next()?;
    let (major, minor) = numbers.split_once('.').unwrap_or((numbers, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn name(level: ThinkingLevel) -> &'static str {
    match level {
        ThinkingLevel::Minimal => "MINIMAL",
        ThinkingLevel::Low => "LOW",
        ThinkingLevel::Medium => "MEDIUM",
        ThinkingLevel::High => "HIGH",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sent(model: &str, configured: Option<Thinking>, less_thinking: bool) -> Value {
        let mut adjustments = Adjustments::default();
        adjustments.less_thinking = less_thinking;
        serde_json::to_value(config(model, configured, adjustments)).unwrap()
    }

    #[test]
    fn configured_thinking_is_sent() {
        for model in ["gemini-2.5-flash", "gemini-3-flash-preview", "tuned"] {
            assert_eq!(sent(model, None, false), Value::Null);
            assert_eq!(sent(model, Some(Thinking::Budget(-1)), false), json!({"thinkingBudget": -1}));
            let level = Some(Thinking::Level(ThinkingLevel::Medium));
            assert_eq!(sent(model, level, false), json!({"thinkingLevel": "MEDIUM"}));
        }
    }

    #[test]
    fn less_thinking_is_the_least_that_the_model_supports() {
        for (model, least) in [
            ("gemini-2.5-flash", json!({"thinkingBudget": 0})),
            ("models/gemini-2.5-flash-lite", json!({"thinkingBudget": 0})),
            ("gemini-2.5-pro", json!({"thinkingBudget": 128})),
            ("gemini-3-flash-preview", json!({"thinkingLevel": "MINIMAL"})),
            ("gemini-3.1-flash-lite-preview", json!({"thinkingLevel": "MINIMAL"})),
            ("publishers/google/models/gemini-3-pro-preview", json!({"thinkingLevel": "LOW"})),
            ("models/gemini-3.1-pro-preview", json!({"thinkingLevel": "LOW"})),
            ("gemini-3.7-flash", json!({"thinkingLevel": "LOW"})),
            ("gemini-4-flash", json!({"thinkingLevel": "LOW"})),
            ("gemini-2.0-flash", json!({"thinkingBudget": 2048})),
            ("gemma-3-27b-it", json!({"thinkingBudget": 2048})),
        ] {
            assert_eq!(sent(model, Some(Thinking::Budget(2048)), true), least, "{model}");
        }
        assert_eq!(sent("gemini-2.0-flash", None, true), Value::Null);
        assert_eq!(sent("gemini-flash-latest", None, true), Value::Null);
    }

    #[test]
    fn generations_differ_in_combinations_and_context_length() {
        for (model, combines, length) in [
            ("gemini-3-flash-preview", true, Some(CONTEXT_LENGTH)),
            ("models/gemini-3.1-pro-preview", true, Some(CONTEXT_LENGTH)),
            ("gemini-2.5-pro", false, Some(CONTEXT_LENGTH)),
            ("gemini-2.0-flash", false, None),
            ("gemini-flash-latest", false, None),
            ("gemini-5-pro", true, None),
            ("the-model", false, None),
        ] {
            assert_eq!((reads_pages_with_schema(model), context_length(model)), (combines, length), "{model}");
        }
    }
}
