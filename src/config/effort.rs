//! How much a model works on its answer.

use super::choice::{choose, named};
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

named_enum! {
    /// How much a model reasons or works on its answer. Each model takes only some of the values.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum Effort {
        None = "none",
        Minimal = "minimal",
        Low = "low",
        Medium = "medium",
        High = "high",
        XHigh = "xhigh",
        Max = "max",
    }
}

impl Effort {
    /// The values that Anthropic's models take.
    pub(super) const ANTHROPIC: [Self; 5] = [Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    /// Parses the value `name` of the setting `field`.
    pub fn parse(field: &str, name: &str) -> Result<Self> {
        choose(name, named(Self::ALL, Self::as_str))
            .map_err(|names| Error::invalid_input(format!("{field} is {name:?}: use {names}")))
    }
}

named_enum! {
    /// Whether and how much an Ollama model thinks. Only some models take a level.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum Think {
        Off = "false",
        On = "true",
        Low = "low",
        Medium = "medium",
        High = "high",
        Max = "max",
    }
}

impl Think {
    /// Returns the level with the name `name`; `None` if there is none.
    pub fn level(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|think| think.as_str() == name && !matches!(think, Self::On | Self::Off))
    }
}
