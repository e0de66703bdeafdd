//! What the name of a model says about the parameters that it takes.
//!
//! Source: OpenAI's guides "Reasoning models" and "Using the latest model", November 2026. The o-series and GPT from 5 on take
//! `max_completion_tokens` in place of `max_tokens`. They take a temperature only without reasoning: GPT 5.1 to 5.4 do not
//! reason unless asked to, and no other one is without reasoning by default. A model whose name is not known here is asked:
//! its refusal says what it does not take.

use crate::config::Effort;
use crate::parameter::{Adjustments, Parameter};

/// A model that may reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasoning {
    /// A model of the o-series.
    Series,
    /// A GPT of this version.
    Gpt(u32, u32),
}

impl Reasoning {
    /// The family of `model`, also behind the prefix of a gateway: `openai/gpt-5-mini`. `None` if it does not reason or is
    /// unknown.
    pub(super) fn of(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next()?;
        if let Some(rest) = name.strip_prefix('o') {
            let (number, _) = rest.split_once('-').unwrap_or((rest, ""));
            return is_number(number).then_some(Self::Series);
        }
        let rest = name.strip_prefix("gpt-")?;
        let (version, variant) = rest.split_once('-').unwrap_or((rest, ""));
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        // The chat variants do not reason.
        (major >= 5 && !variant.starts_with("chat")).then_some(Self::Gpt(major, minor))
    }

    /// The parameters that a model does not take if it is asked for `effort`.
    pub(super) fn adjustments(self, model: &str, effort: Option<Effort>) -> Adjustments {
        let reasons_by_default = match self {
            Self::Gpt(5, minor @ 1..=4) => minor == 3 || ["codex", "pro"].iter().any(|name| model.contains(name)),
            Self::Series | Self::Gpt(..) => true,
        };
        let reasons = effort.map_or(reasons_by_default, |effort| effort != Effort::None);
        if reasons {
            Adjustments::implied(&[Parameter::Temperature, Parameter::MaxTokens])
        } else {
            Adjustments::implied(&[Parameter::MaxTokens])
        }
    }

    /// The least effort that every model of the family takes.
    pub(super) const fn least_effort(self) -> Effort {
        match self {
            Self::Gpt(5, 0) => Effort::Minimal,
            Self::Gpt(5, _) => Effort::None,
            Self::Series | Self::Gpt(..) => Effort::Low,
        }
    }
}

fn is_number(text: &str) -> bool {
    matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_models_take_no_temperature_and_the_newer_limit() {
        for (model, effort, omitted) in [
            ("o1", None, "temperature, max_tokens"),
            ("o3-mini-2025-01-31", None, "temperature, max_tokens"),
            ("openai/o4-mini", None, "temperature, max_tokens"),
            ("gpt-5", None, "temperature, max_tokens"),
            ("gpt-5-nano-2025-08-07", None, "temperature, max_tokens"),
            ("gpt-5.1", None, "max_tokens"),
            ("gpt-5.1-codex-mini", None, "temperature, max_tokens"),
            ("gpt-5.4-mini", None, "max_tokens"),
            ("gpt-5.4-mini", Some(Effort::Low), "temperature, max_tokens"),
            ("gpt-5.5", None, "temperature, max_tokens"),
            ("gpt-5.6-luna", Some(Effort::None), "max_tokens"),
            ("gpt-6.1-sol", None, "temperature, max_tokens"),
        ] {
            let family = Reasoning::of(model).unwrap();
            assert_eq!(family.adjustments(model, effort).to_string(), omitted, "{model} {effort:?}");
        }
    }

    #[test]
    fn other_models_have_no_family() {
        for model in [
            "gpt-4.1",
            "gpt-4o",
            "gpt-oss-120b",
            "gpt-5-chat-latest",
            "chatgpt-4o-latest",
            "o",
            "openchat-3.5",
            "olmo2:7b",
            "o200k",
            "qwen3:4b",
            "the-model",
        ] {
            assert_eq!(Reasoning::of(model), None, "{model}");
        }
    }
}
