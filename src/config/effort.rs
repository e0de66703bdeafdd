//! How much a model works on its answer.

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
    /// Parses the value `name` of the setting `field`.
    pub fn parse(field: &str, name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == name).ok_or_else(|| {
            Error::invalid_input(format!(
                "{field} must be none, minimal, low, medium, high, xhigh or max, not {name:?}"
            ))
        })
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
