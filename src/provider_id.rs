//! Identifies a provider.

use std::fmt;

/// Where a model is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// Ollama's native API.
    Ollama,
    /// The Gemini Developer API.
    Gemini,
    /// Any server that speaks OpenAI's chat completions.
    OpenAi,
    /// Anthropic's messages API.
    Anthropic,
    /// Generated text without any server; only when asked for by name.
    Mock,
}

impl Provider {
    /// Every provider, in the order they are documented.
    pub const ALL: [Self; 5] = [Self::Ollama, Self::Gemini, Self::OpenAi, Self::Anthropic, Self::Mock];

    /// The name users write.
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
