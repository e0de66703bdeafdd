//! What a server tells about a model besides its answers.

/// What is known about a model; unknown is `None`, and nothing is refused because of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The longest context the model was made for, in tokens.
    pub context_length: Option<u64>,
    /// The context window that the model is loaded with where a request names none, in tokens.
    pub default_window: Option<u64>,
    /// What the model can do.
    pub capabilities: Option<Vec<Capability>>,
    /// Whether the server passes requests on to a model that runs elsewhere.
    pub is_remote: bool,
}

/// Something that not every model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Answer in text.
    Completion,
    /// See images.
    Vision,
    /// Think before it answers.
    Thinking,
    /// Call tools.
    Tools,
}

impl Capability {
    const ALL: [Self; 4] = [Self::Completion, Self::Vision, Self::Thinking, Self::Tools];

    /// The name that servers use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::Vision => "vision",
            Self::Thinking => "thinking",
            Self::Tools => "tools",
        }
    }

    /// The capability of that name; `None` for one that nothing here depends on.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == name)
    }
}

impl ModelFacts {
    /// Whether the model is known to lack `capability`.
    pub fn lacks(&self, capability: Capability) -> bool {
        self.capabilities.as_ref().is_some_and(|known| !known.contains(&capability))
    }
}
