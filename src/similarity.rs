//! The similarity of texts in every script, and the search for near-duplicates.

use std::collections::HashMap;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::steps;

/// The characters of a text that are compared. Ideas are far shorter; a profile of a text of megabytes would take seconds.
const MAX_TEXT: usize = 16 * 1024;

/// A text that is too similar to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Duplicate {
    /// The index of the text.
    pub index: usize,
    /// The index of the most similar earlier text, which is not a duplicate itself.
    pub of: usize,
    /// The similarity of the two, at least the threshold.
    pub similarity: f64,
}

/// Returns the texts that are at least `threshold` similar to an earlier text that is not a duplicate itself, in order.
pub fn duplicates<'a>(texts: impl IntoIterator<Item = &'a str>, threshold: f64) -> Vec<Duplicate> {
    let mut kept: Vec<(usize, Profile)> = Vec::new();
    let mut found = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        let profile = Profile::of(text);
        let mut closest: Option<Duplicate> = None;
        for (of, other) in &kept {
            let similarity = profile.similarity(other);
            if similarity >= threshold && closest.is_none_or(|closest| similarity > closest.similarity) {
                closest = Some(Duplicate { index, of: *of, similarity });
            }
        }
        match closest {
            Some(duplicate) => found.push(duplicate),
            None => kept.push((index, profile)),
        }
    }
    found
}

/// Removes the [`duplicates`] from `items`.
pub(crate) fn filter<T>(items: Vec<T>, text: impl Fn(&T) -> &str, threshold: f64) -> Vec<T> {
    let found = duplicates(items.iter().map(text), threshold);
    let is_duplicate = |index: usize| found.iter().any(|duplicate| duplicate.index == index);
    items.into_iter().enumerate().filter(|(index, _)| !is_duplicate(*index)).map(|(_, item)| item).collect()
}

/// Returns the similarity of two texts: 1.0 for the same words, 0.0 for no common part.
///
/// This is the Sørensen–Dice coefficient over the parts of the texts: words and letter trigrams in scripts that separate
/// words by spaces, character bigrams in scripts that do not (Chinese, Japanese, Thai and others). Case, full-width forms,
/// composed forms and punctuation are ignored.
pub fn similarity(one: &str, two: &str) -> f64 {
    Profile::of(one).similarity(&Profile::of(two))
}

/// A text as the multiset of its parts.
struct Profile {
    normal: String,
    parts: HashMap<String, u32>,
    size: u32,
}

impl Profile {
    fn of(text: &str) -> Self {
        let text = text.char_indices().nth(MAX_TEXT).map_or(text, |(end, _)| &text[..end]);
        let normal = normalized(text);
        let mut profile = Self { normal: String::new(), parts: HashMap::new(), size: 0 };
        let mut run = Vec::new();
        let mut kind = Kind::Other;
        for c in normal.chars() {
            let next = Kind::of(c);
            let joins = is_combining_mark(c) && kind != Kind::Other;
            if next != kind && !joins {
                profile.add_run(kind, &run);
                run.clear();
                kind = next;
            }
            run.push(c);
        }
        profile.add_run(kind, &run);
        profile.normal = normal;
        profile
    }

    fn add_run(&mut self, kind: Kind, run: &[char]) {
        match kind {
            Kind::Other => {}
            Kind::Dense if run.len() == 1 => self.add(run.iter().collect()),
            Kind::Dense => run.windows(2).for_each(|pair| self.add(pair.iter().collect())),
            Kind::Word => {
                let padded: Vec<char> = std::iter::once(' ').chain(run.iter().copied()).chain([' ']).collect();
                padded.windows(3).for_each(|three| self.add(three.iter().collect()));
                // Four spaces distinguish whole words from trigrams.
                self.add(format!("    {}", run.iter().collect::<String>()));
            }
        }
    }

    fn add(&mut self, part: String) {
        steps::count(1);
        *self.parts.entry(part).or_default() += 1;
        self.size += 1;
    }

    fn similarity(&self, other: &Self) -> f64 {
        if self.normal == other.normal {
            return 1.0;
        }
        let total = self.size + other.size;
        if self.size == 0 || other.size == 0 {
            return 0.0;
        }
        let common: u32 =
            self.parts.iter().map(|(part, count)| other.parts.get(part).map_or(0, |other| *count.min(other))).sum();
        f64::from(2 * common) / f64::from(total)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters and digits of a script that separates words by spaces.
    Word,
    /// Characters of a script that does not.
    Dense,
    /// Spaces, punctuation, symbols.
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        if is_dense(c) {
            Self::Dense
        } else if c.is_alphanumeric() {
            Self::Word
        } else {
            Self::Other
        }
    }
}

/// Thai, Lao, Myanmar, Khmer, kana and Han.
fn is_dense(c: char) -> bool {
    matches!(c,
        '\u{0e01}'..='\u{0edf}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

/// Returns one form for texts that readers consider the same: compatibility forms are composed, case is folded (through
/// upper case, which turns ß into ss), Arabic and Hebrew vowel marks and Arabic tatweel are removed, and interchangeable
/// Arabic letters are unified.
fn normalized(text: &str) -> String {
    text.nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\u{0640}' | '\u{064b}'..='\u{0652}' | '\u{0670}' | '\u{0591}'..='\u{05c7}'))
        .map(|c| match c {
            'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
            'ى' => 'ي',
            'ة' => 'ه',
            _ => c,
        })
        .nfkc()
        .collect()
}

#[cfg(test)]
mod tests;
