//! Samples of texts that match a regular expression.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::mix;

/// The longest text that is generated to reach a minimum length.
const MAX_LENGTH: usize = 4096;

/// Generates a text of `least` to `most` characters that matches `pattern`. Returns `None` if the pattern is not supported
/// (look-around, back-references) or no such text was found.
pub(super) fn matching(pattern: &str, seed: u64, least: usize, most: usize) -> Option<String> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    let fits = |text: &str| (least..=most).contains(&text.chars().count());
    let mut extra = 2;
    for round in 0..48 {
        let mut writer = Writer { text: String::new(), seed: mix(seed, round), extra };
        writer.write(&hir)?;
        let length = writer.text.chars().count();
        if fits(&writer.text) {
            return Some(writer.text);
        }
        extra = if length > most { extra / 2 } else { (extra.max(1) * 2).min(least.clamp(2, MAX_LENGTH)) };
    }
    // A pattern without anchors may match anywhere in a longer text.
    let mut writer = Writer { text: String::new(), seed, extra: 0 };
    writer.write(&hir)?;
    let missing = least.saturating_sub(writer.text.chars().count());
    if missing > 0 && !pattern.ends_with('$') {
        writer.text.extend(std::iter::repeat_n('a', missing));
    }
    fits(&writer.text).then_some(writer.text)
}

struct Writer {
    text: String,
    seed: u64,
    /// How many repetitions may exceed the minimum.
    extra: usize,
}

impl Writer {
    fn write(&mut self, hir: &Hir) -> Option<()> {
        if self.text.len() > 16 * MAX_LENGTH {
            return None;
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => {
                let choice = self.character(class)?;
                self.text.push(choice);
            }
            HirKind::Repetition(repetition) => {
                let least = usize::try_from(repetition.min).ok()?;
                let most = repetition.max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
                let room = most.saturating_sub(least).min(self.extra);
                // Close to the limit, so that a higher limit makes the text longer.
                let more = room - super::pick(self.next(), room / 4 + 1);
                for _ in 0..(least + more).min(MAX_LENGTH) {
                    self.write(&repetition.sub)?;
                }
            }
            HirKind::Capture(capture) => self.write(&capture.sub)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.write(part))?,
            HirKind::Alternation(parts) => {
                let at = super::pick(self.next(), parts.len());
                self.write(parts.get(at)?)?;
            }
        }
        Some(())
    }

    fn next(&mut self) -> u64 {
        self.seed = mix(self.seed, 0x9a77);
        self.seed
    }

    /// A member of the class: preferably a letter or digit, otherwise printable ASCII, otherwise any character.
    fn character(&mut self, class: &Class) -> Option<char> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
            Class::Bytes(class) => {
                class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
            }
        };
        let within = |character: &char| ranges.iter().any(|(start, end)| (start..=end).contains(&character));
        let preferred: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').filter(within).collect();
        let pool = if preferred.is_empty() { (' '..='~').filter(within).collect() } else { preferred };
        let at = super::pick(self.next(), pool.len());
        pool.get(at).copied().or_else(|| ranges.first().map(|(start, _)| *start))
    }
}
