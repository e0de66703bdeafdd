//! The choice of a provider and a model tier, and settings with a list of names as values.

use std::str::FromStr;

use super::Provider;
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

/// Returns the one of `choices` whose name is `name`.
///
/// # Errors
///
/// The names as a part of a sentence, with the nearest one if `name` is a misspelling of it.
pub(super) fn choose<T>(name: &str, choices: impl IntoIterator<Item = (&'static str, T)>) -> Result<T, String> {
    let mut names = Vec::new();
    for (known, choice) in choices {
        if known == name {
            return Ok(choice);
        }
        names.push(known);
    }
    let list = match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    match nearest(name, names) {
        Some(nearest) => Err(format!("{list}; did you mean {nearest}?")),
        None => Err(list),
    }
}

/// Returns every one of `all` with its name.
pub(super) fn named<T: Copy, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl Iterator<Item = (&'static str, T)> {
    all.into_iter().map(move |choice| (name(choice), choice))
}

/// Returns the one of `known` that `name` is most likely a misspelling of, or a misspelt beginning of.
fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    /// Shorter texts are the beginning of too many names.
    const MIN_BEGINNING: usize = 4;
    let name = name.trim().to_lowercase();
    let length = name.chars().count();
    let distance = |known: &str| {
        let edits = edits(&name, known);
        let beginning = edits.iter().min().map_or(usize::MAX, |edits| edits + 1);
        let whole = edits.last().copied().unwrap_or(usize::MAX);
        if length < MIN_BEGINNING { whole } else { whole.min(beginning) }
    };
    let near = known.into_iter().map(|known| (distance(known), known));
    let near = near.filter(|(edits, known)| *edits <= length.min(known.len()).div_ceil(3));
    near.min_by_key(|(edits, _)| *edits).map(|(_, known)| known)
}

/// Returns, for each beginning of `to`, how many characters have to be added, dropped, replaced or swapped with the next one to
/// turn `from` into it.
fn edits(from: &str, to: &str) -> Vec<usize> {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(MAX_NAME).collect(), to.chars().collect());
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, &own) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &other) in to.iter().enumerate() {
            let kept = above[column] + usize::from(own != other);
            let mut least = kept.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && own == to[column - 1] && from[row - 1] == other {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above
}

/// A longer text is no misspelling of a name.
const MAX_NAME: usize = 32;

impl FromStr for Provider {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        choose(name, named(Self::ALL, Self::as_str))
            .map_err(|names| Error::invalid_input(format!("unknown provider {name:?}: use {names}")))
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

    /// Returns every choice with its name.
    pub(super) fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let pinned = Provider::ALL.map(Self::Pinned);
        [Self::Auto].into_iter().chain(pinned).map(|choice| (choice.as_str(), choice))
    }
}

impl FromStr for ProviderChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        choose(name, Self::all())
            .map_err(|names| Error::invalid_input(format!("unknown provider {name:?}: use {names}")))
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
        choose(name, named(Self::ALL, Self::as_str))
            .map_err(|names| Error::invalid_input(format!("unknown model tier {name:?}: use {names}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised() {
        for (name, expected) in [
            ("olama", Some("ollama")),
            ("ollma", Some("ollama")),
            ("lolama", Some("ollama")),
            ("Gemini", Some("gemini")),
            ("gemnii", Some("gemini")),
            ("open-ai", Some("openai")),
            ("antropic", Some("anthropic")),
            ("atuo", Some("auto")),
            ("moc", Some("mock")),
            ("claude", None),
            ("", None),
            ("o", None),
            ("anth", Some("anthropic")),
            ("sk-pasted-here-0123456789-0123456789-0123456789", None),
        ] {
            let error = name.parse::<ProviderChoice>().unwrap_err();
            let hint = error.message().split_once("did you mean ").map(|(_, hint)| hint.trim_end_matches('?'));
            assert_eq!(hint, expected, "{error}");
            assert!(error.message().contains("use auto, ollama, gemini, openai, anthropic or mock"), "{error}");
        }
        assert!("balance".parse::<ModelTier>().unwrap_err().message().ends_with("did you mean balanced?"));
    }
}
