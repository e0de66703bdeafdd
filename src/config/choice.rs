//! The choice of a provider and a model tier.

use std::str::FromStr;

use super::Provider;
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

impl FromStr for Provider {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name).ok_or_else(|| {
            Error::invalid_input(format!("unknown provider {name:?}: use ollama, gemini, openai, anthropic or mock"))
        })
    }
}

/// The provider that a router tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProviderChoice {
    /// Gemini for the quality tier, Ollama for the others.
    #[default]
    Auto,
    /// The provider that the caller named.
    Pinned(Provider),
}

impl ProviderChoice {
    /// The name in arguments and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pinned(provider) => provider.as_str(),
        }
    }
}

impl FromStr for ProviderChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "auto" {
            return Ok(Self::Auto);
        }
        name.parse().map(Self::Pinned).map_err(|_| {
            Error::invalid_input(format!(
                "unknown provider {name:?}: use auto, ollama, gemini, openai, anthropic or mock"
            ))
        })
    }
}

named_enum! {
    /// The model tier.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum ModelTier {
        /// The small Ollama model.
        Fast = "fast",
        /// The large Ollama model.
        #[default]
        Balanced = "balanced",
        /// Gemini first, unless the caller pinned a provider.
        Quality = "quality",
    }
}

impl FromStr for ModelTier {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == name)
            .ok_or_else(|| Error::invalid_input(format!("unknown model tier {name:?}: use fast, balanced or quality")))
    }
}
