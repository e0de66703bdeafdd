//! The identity of a provider.

use crate::named_enum::named_enum;

named_enum! {
    /// A provider of models.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum Provider {
        /// Ollama, over its native API.
        Ollama = "ollama",
        /// Google, over the Gemini Developer API.
        Gemini = "gemini",
        /// Any server with the API of OpenAI's chat completions.
        OpenAi = "openai",
        /// Anthropic, over its messages API.
        Anthropic = "anthropic",
        /// Generates text without a server. Only used if it is named.
        Mock = "mock",
    }
}
