//! What a prompt says about the requested reply: data, labels and numbers of items.

use std::ops::Range;

use super::hash;
use super::text::Words;

/// Words, or beginnings of words, after a number that is a count of items.
const COUNTED: &str = "idea item suggestion option proposal example evaluation entr element result concept \
    candidate answer question recommendation variant alternative object idé idee ideia идеи идей أفكار фактов fact \
    tip";
/// Words before a number that is a count of items.
const ASKING: &str = "exactly generate create list produce propose suggest brainstorm provide write return give \
    name invent";
/// Units: a number before one is no count of items.
const MEASURES: &str = "word character sentence paragraph token line letter digit percent year day month week hour \
    minute second time step point decimal page star";
/// Counters that follow a number in Chinese, Japanese and Korean.
const COUNTERS: [&str; 12] = ["個", "个", "つ", "件", "案", "条", "項", "种", "種", "개", "가지", "点"];
const NUMERALS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// A parsed prompt.
pub(super) struct Prompt<'t> {
    text: &'t str,
    /// Fenced data. A section precedes the sections inside it.
    sections: Vec<Section>,
    /// The numbers of items that the prompt may request.
    requested: Vec<RequestedCount<'t>>,
}

struct Section {
    /// From the end of the opening tag to the start of the closing tag.
    body: Range<usize>,
    /// Including the tags.
    whole: Range<usize>,
    is_outer: bool,
}

struct RequestedCount<'t> {
    count: usize,
    noun: &'t str,
    /// Whether the wording names no noun.
    is_plain: bool,
}

impl<'t> Prompt<'t> {
    pub(super) fn parse(text: &'t str) -> Self {
        let sections = sections(text);
        let mut requested = Vec::new();
        let mut at = 0;
        for section in sections.iter().filter(|section| section.is_outer) {
            counts(&text[at..section.whole.start.max(at)], &mut requested);
            at = section.whole.end.max(at);
        }
        counts(&text[at..], &mut requested);
        if requested.is_empty() {
            for section in sections.iter().filter(|section| section.is_outer) {
                counts(&text[section.body.clone()], &mut requested);
            }
        }
        Self { text, sections, requested }
    }

    pub(super) fn seed(&self) -> u64 {
        hash(self.text)
    }

    /// The words for generated texts: those of the fenced data, otherwise all but common words of instructions.
    pub(super) fn words(&self) -> Words {
        let data: Vec<&str> = self
            .sections
            .iter()
            .filter(|section| section.is_outer)
            .map(|section| &self.text[section.body.clone()])
            .collect();
        let fenced = Words::of(&data, true);
        if fenced.is_empty() { Words::of(&[self.text], false) } else { fenced }
    }

    /// The words of the section with `label`.
    pub(super) fn words_of(&self, label: i64) -> Option<Words> {
        let section = self.sections.iter().rev().find(|section| {
            let opening = &self.text[section.whole.start..section.body.start];
            let body = &self.text[section.body.clone()];
            let head = &body[..body.char_indices().nth(80).map_or(body.len(), |(at, _)| at)];
            let mut found = Vec::new();
            labels_in(opening, is_label_name, &mut found);
            if found.is_empty() {
                labels_in(head, is_label_name, &mut found);
            }
            if found.is_empty() {
                let line = self.text[..section.whole.start].trim_end().lines().next_back().unwrap_or_default();
                labels_in(line, is_label_name, &mut found);
            }
            found.len() == 1 && found.first().is_some_and(|(_, found)| *found == label)
        })?;
        let words = Words::of(&[&self.text[section.body.clone()]], true);
        (!words.is_empty()).then_some(words)
    }

    /// The distinct integers assigned to `name` in the prompt (`name: 3`, `name="3"`, `"name": 3`), in order. Those in fenced
    /// data take precedence over those in instructions, which may be examples.
    pub(super) fn labels(&self, name: &str) -> Vec<i64> {
        let mut found = Vec::new();
        labels_in(self.text, |candidate| candidate == name, &mut found);
        if found.is_empty() {
            labels_in(self.text, |candidate| candidate == "idea_index", &mut found);
        }
        let is_data = |at: usize| self.sections.iter().any(|section| section.whole.contains(&at));
        if found.iter().any(|(at, _)| is_data(*at)) {
            found.retain(|(at, _)| is_data(*at));
        }
        let mut labels = Vec::new();
        for (_, label) in found {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }

    /// The requested number of items of a list called `name`.
    pub(super) fn requested(&self, name: &str, is_outermost: bool) -> Option<usize> {
        let name = name.to_lowercase();
        let named = self.requested.iter().find(|requested| {
            let stem = stem(requested.noun);
            stem.chars().count() >= 3 && name.split(['_', '-']).any(|part| part.starts_with(&stem))
        });
        let plain = || self.requested.iter().find(|requested| requested.is_plain).filter(|_| is_outermost);
        named.or_else(plain).map(|requested| requested.count)
    }
}

/// Whether an integer property with this name refers an item to an input.
pub(super) fn is_label_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "index" | "id") || name.ends_with("_index") || name.ends_with("_id")
}

/// Code fences and `<name …>…</name>`.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut outer_end = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find(['<', '`']) {
        let start = at + found;
        at = start + 1;
        let Some((body, end)) = fenced(text, start) else { continue };
        at = body.start;
        let is_outer = start >= outer_end;
        if is_outer {
            outer_end = end;
        }
        sections.push(Section { body, whole: start..end, is_outer });
    }
    sections
}

fn fenced(text: &str, start: usize) -> Option<(Range<usize>, usize)> {
    let rest = &text[start..];
    if let Some(code) = rest.strip_prefix("```") {
        // Only at the start of a line, and not the end of a fence.
        let body = start + 3 + code.find('\n')?;
        let end = body + text[body..].find("```")?;
        return (start == 0 || text[..start].ends_with('\n')).then_some((body..end, end + 3));
    }
    let inner = rest.strip_prefix('<')?;
    let name_end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))?;
    let name = &inner[..name_end];
    let close = inner.find(['>', '\n'])?;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || inner.as_bytes().get(close) != Some(&b'>') {
        return None;
    }
    let body = start + 1 + close + 1;
    let closing = format!("</{name}>");
    let end = body + text[body..].find(&closing)?;
    Some((body..end, end + closing.len()))
}

fn labels_in(text: &str, wanted: impl Fn(&str) -> bool, found: &mut Vec<(usize, i64)>) {
    let mut at = 0;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(offset) = text[at..].find(is_name) {
        let start = at + offset;
        let end = start + text[start..].find(|c| !is_name(c)).unwrap_or(text.len() - start);
        at = end;
        if wanted(&text[start..end])
            && let Some(label) = assigned(&text[end..])
        {
            found.push((start, label));
        }
    }
}

/// The integer after `:` or `=`, with or without quotes.
fn assigned(rest: &str) -> Option<i64> {
    let quotes = ['"', '\'', '\\', '`', '*'];
    let rest = rest.trim_start_matches(quotes).trim_start_matches(' ');
    let rest = rest.strip_prefix([':', '=', '：'])?;
    let rest = rest.trim_start_matches(quotes).trim_start_matches(' ').trim_start_matches(quotes);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    // "3.5" is no label.
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    rest[..end].parse().ok()
}

fn counts<'t>(text: &'t str, requested: &mut Vec<RequestedCount<'t>>) {
    let mut words = text.split_whitespace().peekable();
    let (mut before, mut before_that) = ("", "");
    while let Some(word) = words.next() {
        for (count, after) in numbers(word) {
            let counter = COUNTERS.iter().any(|counter| after.starts_with(counter));
            // "2000, concerns 500": the word after the comma is not the noun of the number.
            let ends_clause = word.ends_with([',', '.', ';', ':', ')']);
            let noun = match after {
                "" if ends_clause => "",
                "" => words.peek().copied().unwrap_or_default(),
                after => after,
            };
            let noun = noun.trim_matches(|c: char| !c.is_alphanumeric());
            let asking = |word: &str| ASKING.split_whitespace().any(|asking| asking.eq_ignore_ascii_case(bare(word)));
            let each_of = before.eq_ignore_ascii_case("the") && before_that.eq_ignore_ascii_case("of");
            let me = before.eq_ignore_ascii_case("me") || before.eq_ignore_ascii_case("us");
            let lower = noun.to_lowercase();
            let is_measure = MEASURES.split_whitespace().any(|measure| lower.starts_with(measure));
            let is_counted = COUNTED.split_whitespace().any(|counted| lower.starts_with(counted));
            let is_plain = counter
                || is_counted
                || (!is_measure && after.is_empty() && (asking(before) || each_of || (me && asking(before_that))));
            if is_plain || (after.is_empty() && !is_measure && !noun.is_empty()) {
                requested.push(RequestedCount { count, noun, is_plain });
            }
        }
        (before_that, before) = (before, word);
    }
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// The integers in a word, each with the text after it. Ranges, decimals and percentages are excluded.
fn numbers(word: &str) -> Vec<(usize, &str)> {
    let lower = bare(word);
    if let Some(at) = NUMERALS.iter().position(|numeral| numeral.eq_ignore_ascii_case(lower)).filter(|at| *at > 0) {
        return vec![(at + 1, "")];
    }
    let mut found = Vec::new();
    let mut rest = word.trim_start_matches(['(', '"', '*', '[', '（', '「']);
    while let Some(start) = rest.find(|c| digit(c).is_some()) {
        let digits = &rest[start..];
        let end = digits.find(|c| digit(c).is_none()).unwrap_or(digits.len());
        let after = &digits[end..];
        let ends_word = after.chars().all(|c| matches!(c, '.' | ',' | ')' | '"' | '*' | ':' | ']'));
        let follows = after.chars().next();
        let precedes = rest[..start].chars().next_back();
        let is_whole = follows.is_none_or(|c| ends_word || c.is_alphabetic())
            && precedes.is_none_or(|c| !c.is_ascii() || c.is_whitespace());
        let count = digits[..end].chars().try_fold(0_usize, |count, c| count.checked_mul(10)?.checked_add(digit(c)?));
        if let Some(count) = count.filter(|count| is_whole && *count > 0) {
            found.push((count, if ends_word { "" } else { after }));
        }
        rest = after;
    }
    found
}

fn digit(c: char) -> Option<usize> {
    let zero = match c {
        '0'..='9' => '0',
        '０'..='９' => '０',
        '٠'..='٩' => '٠',
        _ => return None,
    };
    usize::try_from(u32::from(c) - u32::from(zero)).ok()
}

fn stem(noun: &str) -> String {
    let lower = noun.to_lowercase();
    lower.strip_suffix("ies").or_else(|| lower.strip_suffix('s')).unwrap_or(&lower).to_owned()
}
