//! Secrets that `Debug` does not print.

use std::fmt;

/// An API key, or a URL with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text` without surrounding white space: copied keys often end with a line break.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it looks like an API key: at least 20 characters, and no placeholder.
    pub(super) fn is_plausible_key(&self) -> bool {
        const PLACEHOLDERS: [&str; 7] =
            ["your_api_key", "your-api-key", "your_key", "api_key_here", "placeholder", "changeme", "xxxxxxxx"];
        let lower = self.0.to_ascii_lowercase();
        self.0.chars().count() >= 20 && !PLACEHOLDERS.iter().any(|placeholder| lower.contains(placeholder))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
