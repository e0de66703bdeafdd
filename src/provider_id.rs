//! The identity of a provider.

use std::fmt;

/// A provider of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// Ollama, over its native API.
    Ollama,
    /// Google, over the Gemini Developer API.
    Gemini,
    /// Any server with the API of OpenAI's chat completions.
    OpenAi,
    /// Anthropic, over its messages API.
    Anthropic,
    /// Generates text without a server. Only used if it is named.
    Mock,
}

impl Provider {
    /// Every provider, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Ollama, Self::Gemini, Self::OpenAi, Self::Anthropic, Self::Mock];

    /// Returns the name that users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Gemini => "gemini",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Mock => "mock",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
