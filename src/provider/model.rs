//! Models: their names, and facts that a server reports about them.

use serde::Deserialize;

/// Facts about a model. A fact that is unknown is `None`; no request fails because of an unknown fact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The longest context that the model supports, in tokens.
    pub context_length: Option<u64>,
    /// The context window that the server uses if a request names none, in tokens.
    pub default_window: Option<u64>,
    /// The model's capabilities.
    pub capabilities: Option<Vec<Capability>>,
    /// Whether the server forwards requests to another host.
    pub is_remote: bool,
}

/// A capability that only some models have. The others are not used by the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Capability {
    /// Text generation.
    Completion,
    /// Image input.
    Vision,
    /// Reasoning before the answer.
    Thinking,
    /// Tool calls.
    Tools,
}

impl ModelFacts {
    /// Whether the model is known to lack `capability`.
    pub fn lacks(&self, capability: Capability) -> bool {
        self.capabilities.as_ref().is_some_and(|known| !known.contains(&capability))
    }
}

/// Whether a provider that lists `listed` serves a request for `requested`. Ollama lists `name:latest` for `name`, Gemini
/// `models/name`, Anthropic `name-20250929`.
pub fn is_same_model(listed: &str, requested: &str) -> bool {
    let listed = listed.strip_prefix("models/").unwrap_or(listed);
    let is_dated = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
    };
    listed == requested
        || listed.strip_suffix(":latest") == Some(requested)
        || (!requested.is_empty() && listed.strip_prefix(requested).is_some_and(is_dated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_matches_the_names_that_its_provider_lists() {
        for (listed, requested, same) in [
            ("gemma3:4b", "gemma3:4b", true),
            ("gemma3:latest", "gemma3", true),
            ("models/gemini-3-pro", "gemini-3-pro", true),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", true),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4", false),
            ("claude-sonnet-4-5", "claude-sonnet-4", false),
            ("-20250929", "", false),
        ] {
            assert_eq!(is_same_model(listed, requested), same, "{listed} {requested}");
        }
    }
}
