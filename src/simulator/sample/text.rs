//! Texts with the words and the script of a prompt.

use std::collections::HashSet;

use super::lexicon;
use super::{mix, pick};

/// The largest number of distinct words of a prompt.
const MAX_WORDS: usize = 400;
/// The number of words below which the lexicon of the language is used.
const RICH: usize = 40;

/// The words of generated texts.
pub(super) struct Words {
    own: Vec<String>,
    common: Vec<String>,
    /// Whether the script separates words by spaces.
    is_spaced: bool,
    stop: char,
    comma: char,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    /// Whether the script is Han or kana.
    Dense,
    Other,
}

impl Words {
    /// The words of `texts`. If the data is not fenced, words in a script other than Latin are the data, and common words of
    /// instructions are excluded.
    pub(super) fn of(texts: &[&str], is_fenced: bool) -> Self {
        let mut letters = [0_usize; 3];
        for c in texts.iter().flat_map(|text| text.chars()) {
            if let Some(script) = script(c) {
                letters[script as usize] += 1;
            }
        }
        let [latin, dense, other] = letters;
        let wanted = |count: usize| if is_fenced { count > 0 && count * 3 >= latin } else { count >= 4 };
        let main = match dense.max(other) {
            most if !wanted(most) => Script::Latin,
            most if most == dense => Script::Dense,
            _ => Script::Other,
        };
        let mut own: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for text in texts {
            collect(text, main, is_fenced, &mut own, &mut seen);
        }
        let language = lexicon::language(&own, texts, main == Script::Latin);
        let mut common: Vec<String> = Vec::new();
        if own.len() < RICH {
            common.extend(lexicon::words(language).map(str::to_owned).filter(|word| !seen.contains(word)));
            if common.is_empty() {
                common = crossed(&own);
            }
        }
        let is_spaced = main != Script::Dense;
        let (stop, comma) = match (is_spaced, language) {
            (true, _) => ('.', ','),
            (false, Some(whatlang::Lang::Cmn)) => ('。', '，'),
            (false, _) => ('。', '、'),
        };
        Self { own, common, is_spaced, stop, comma }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Generates a text of about `count` words and `least` to `most` characters.
    pub(super) fn text(&self, seed: u64, count: usize, least: usize, most: usize) -> String {
        let count = if self.is_spaced { count } else { count.max(3) };
        // The few words of a short prompt would make all texts similar, so most words are taken from the lexicon.
        let own = match self.own.len() {
            0 => 0,
            few if few < RICH && !self.common.is_empty() => count.div_ceil(3).min(few),
            _ => count,
        };
        let mut text = String::new();
        let (mut own_walk, mut common_walk) = (Walk::new(&self.own, seed), Walk::new(&self.common, mix(seed, 0xc0)));
        let (mut length, mut written, mut own_written) = (0, 0, 0);
        while (written < count || length < least) && length < most {
            // The position of the prompt's words varies between texts.
            let is_turn = (pick(mix(seed, 0x1f), 3) + written).is_multiple_of(3) && own_written < own;
            let is_own = own >= count || self.common.is_empty() || is_turn || (own > 0 && written >= count.max(32));
            own_written += usize::from(is_own);
            let word = if is_own { own_walk.next() } else { common_walk.next() };
            let Some(word) = word.or_else(|| own_walk.next()) else { break };
            if written > 0 {
                length += self.separate(&mut text, written);
            }
            text.push_str(word);
            length += word.chars().count();
            written += 1;
        }
        if text.is_empty() {
            text.push_str("sample");
        }
        self.finish(&text, count, least, most)
    }

    fn separate(&self, text: &mut String, written: usize) -> usize {
        if self.is_spaced {
            text.push(' ');
            1
        } else if written.is_multiple_of(4) {
            text.push(self.comma);
            1
        } else {
            0
        }
    }

    fn finish(&self, text: &str, count: usize, least: usize, most: usize) -> String {
        let mut text = capitalised(text);
        if count > 5 {
            text.push(self.stop);
        }
        let length = text.chars().count();
        if length > most {
            let cut = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
            text.truncate(cut);
            // Not in the middle of a word, if the minimum allows.
            if let Some(space) = text.rfind(' ').filter(|space| text[..*space].chars().count() >= least.max(1)) {
                text.truncate(space);
            }
        }
        while text.ends_with([' ', self.comma]) && text.chars().count() > least {
            text.pop();
        }
        let missing = least.saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n(self.stop, missing));
        text
    }
}

/// Visits the words in a permuted order, again and again.
struct Walk<'w> {
    words: &'w [String],
    at: usize,
    stride: usize,
}

impl<'w> Walk<'w> {
    fn new(words: &'w [String], seed: u64) -> Self {
        let count = words.len().max(1);
        let mut stride = 1 + pick(mix(seed, 1), count.saturating_sub(1).max(1));
        while gcd(stride, count) != 1 {
            stride += 1;
        }
        Self { words, at: pick(mix(seed, 2), count), stride }
    }

    fn next(&mut self) -> Option<&'w str> {
        let word = self.words.get(self.at)?;
        self.at = (self.at + self.stride) % self.words.len();
        Some(word)
    }
}

fn gcd(left: usize, right: usize) -> usize {
    if right == 0 { left } else { gcd(right, left % right) }
}

fn script(c: char) -> Option<Script> {
    match c {
        'a'..='z' | 'A'..='Z' => Some(Script::Latin),
        _ if !c.is_alphabetic() => None,
        '\u{aa}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Some(Script::Latin),
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
            Some(Script::Dense)
        }
        _ => Some(Script::Other),
    }
}

fn collect(text: &str, main: Script, is_fenced: bool, own: &mut Vec<String>, seen: &mut HashSet<String>) {
    let mut in_tag = false;
    for token in
        text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == '\'' || c == '’' || is_mark(c)))
    {
        let boundary = token.chars().next_back().filter(|c| !c.is_alphanumeric());
        let word = token.trim_end_matches(|c: char| !c.is_alphanumeric() && !is_mark(c));
        if !in_tag && !word.contains('_') {
            if main == Script::Dense {
                units(word).for_each(|unit| keep(unit, own, seen));
            } else if is_word(word, main) {
                let lower = word.to_lowercase();
                if is_fenced || main != Script::Latin || !lexicon::is_instruction(&lower) {
                    keep(&lower, own, seen);
                }
            }
        }
        match boundary {
            Some('<') => in_tag = true,
            Some('>' | '\n') => in_tag = false,
            _ => {}
        }
        if own.len() >= MAX_WORDS {
            return;
        }
    }
}

fn keep(word: &str, own: &mut Vec<String>, seen: &mut HashSet<String>) {
    if seen.insert(word.to_owned()) {
        own.push(word.to_owned());
    }
}

fn is_word(word: &str, main: Script) -> bool {
    // A syllable of Hangul is a whole morpheme.
    let least = if word.chars().any(|c| ('\u{ac00}'..='\u{d7af}').contains(&c)) { 2 } else { 3 };
    let count = word.chars().count();
    (least..=30).contains(&count)
        && word.chars().all(|c| script(c) == Some(main) || is_mark(c) || c == '\'' || c == '’')
}

/// Vowel signs and other marks that combine with the previous letter.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{65f}' | '\u{93a}'..='\u{94f}' | '\u{e31}'..='\u{e4e}')
}

/// Runs of one kind of character, at most four long: an approximation of words without a dictionary.
fn units(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        loop {
            let first = rest.chars().next()?;
            let class = class(first);
            let longest = if class == 2 { 8 } else { 4 };
            let end = rest
                .char_indices()
                .enumerate()
                .find(|(count, (_, c))| *count >= longest || self::class(*c) != class)
                .map_or(rest.len(), |(_, (at, _))| at);
            let (unit, tail) = rest.split_at(end);
            rest = tail;
            if class > 0 && unit.chars().count() >= 2 {
                return Some(unit);
            }
        }
    })
}

fn class(c: char) -> u8 {
    match c {
        '\u{3041}'..='\u{309f}' => 1,
        '\u{30a1}'..='\u{30ff}' => 2,
        _ if script(c) == Some(Script::Dense) => 3,
        _ => 0,
    }
}

/// New words from the beginnings and ends of the prompt's words, for languages without a lexicon.
fn crossed(own: &[String]) -> Vec<String> {
    let cut = |word: &str, sixths: usize| {
        let at = (word.chars().count() * sixths).div_ceil(6);
        word.char_indices().nth(at).map_or(word.len(), |(at, _)| at)
    };
    let mut words = Vec::new();
    for sixths in [3, 2, 4] {
        for left in own.iter().take(8) {
            for right in own.iter().take(8).filter(|right| *right != left) {
                let word = format!("{}{}", &left[..cut(left, sixths)], &right[cut(right, 6 - sixths)..]);
                if !own.contains(&word) && !words.contains(&word) {
                    words.push(word);
                }
            }
        }
    }
    words
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}
