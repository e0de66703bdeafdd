//! What surrounds a position in an answer: JSON, code, quotes or a sentence.

use crate::steps;

/// The marks around a quotation.
pub(super) const QUOTES: [char; 9] = ['"', '\'', '`', '“', '”', '‘', '’', '«', '»'];

/// The surroundings of the end of a text that grows. Reads each byte once.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one position")]
pub(super) struct Context {
    /// The number of bytes read.
    read: usize,
    /// The number of open brackets of JSON.
    depth: usize,
    /// The quote of the open string of JSON.
    quote: Option<char>,
    is_escaped: bool,
    is_in_fence: bool,
    is_in_code: bool,
    /// Whether the text starts with a tag.
    is_xml: bool,
    last: Option<char>,
    /// The last character that is no white space.
    last_word: Option<char>,
    /// Whether the last line has more than white space.
    is_inside_line: bool,
}

impl Context {
    /// Reads what follows the last position in `text`.
    pub(super) fn read(&mut self, text: &str) {
        let mut at = self.read;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at + c.len_utf8()..];
            at += c.len_utf8();
            if !self.is_inside_line && (c == '`' && rest.starts_with("``") || c == '~' && rest.starts_with("~~")) {
                self.is_in_fence = !self.is_in_fence;
                (self.depth, self.quote) = (0, None);
                at += 2;
            } else if self.depth > 0 {
                self.read_json(c, rest);
            } else if c == '`' {
                self.is_in_code = !self.is_in_code;
            } else if opens_json(c, rest) {
                self.depth = 1;
            }
            self.is_in_code &= c != '\n';
            self.is_inside_line = c != '\n' && (self.is_inside_line || !c.is_whitespace());
            self.last = Some(c);
            if !c.is_whitespace() {
                self.is_xml |= self.last_word.is_none() && c == '<';
                self.last_word = Some(c);
            }
        }
        steps::count(at - self.read);
        self.read = at;
    }

    fn read_json(&mut self, c: char, rest: &str) {
        match (self.quote, c) {
            _ if self.is_escaped => self.is_escaped = false,
            (Some(_), '\\') => self.is_escaped = true,
            (Some(quote), _) if quote == c && (c == '"' || ends_string(rest)) => self.quote = None,
            (None, '"') => self.quote = Some('"'),
            (None, '\'') if matches!(self.last_word, Some('{' | '[' | ',' | ':')) => self.quote = Some('\''),
            (None, '{' | '[') => self.depth += 1,
            (None, '}' | ']') => self.depth -= 1,
            _ => {}
        }
    }

    /// Whether markup at the end of the text is content: of JSON or, in prose, of code. A closing tag may follow reasoning with
    /// a bracket that is never closed, so it is content only of a string.
    pub(super) fn is_protected(&self, is_closing: bool, is_prose: bool) -> bool {
        let is_in_json = if is_closing { self.quote.is_some() } else { self.depth > 0 };
        is_in_json || (is_prose && (self.is_in_fence || self.is_in_code || self.is_in_xml()))
    }

    fn is_in_xml(&self) -> bool {
        self.is_xml && self.last_word == Some('>')
    }

    /// Whether a tag between the end of the text and `next` is in quotes.
    pub(super) fn is_quoted(&self, next: Option<char>) -> bool {
        are_quotes(self.last, next)
    }

    /// Whether a tag at the end of the text is a part of a sentence.
    pub(super) fn is_mention(&self) -> bool {
        self.is_inside_line && is_mid_sentence(self.last, self.last_word)
    }

    /// Whether a closing tag between the end of the text and `next` ends a block, rather than being named in a sentence.
    pub(super) fn is_boundary(&self, next: Option<char>) -> bool {
        let is_spaced = self.last.is_some_and(char::is_whitespace) && self.is_inside_line;
        let continues = next.is_some_and(|next| next != '\n' && (next.is_whitespace() || next.is_ascii_punctuation()));
        !(is_spaced && continues)
    }
}

/// Whether a tag between `before` and `next` is in quotes.
pub(super) fn is_quoted(before: &str, next: Option<char>) -> bool {
    are_quotes(before.chars().next_back(), next)
}

/// Whether `content` only joins two tags that a sentence names: `<think> and </think>`.
pub(super) fn joins_tags(content: &str) -> bool {
    matches!(content, "" | "and" | "or" | "to" | "/" | "," | "&" | "..." | "…" | "und" | "et" | "y")
}

fn are_quotes(last: Option<char>, next: Option<char>) -> bool {
    last.zip(next).is_some_and(|(last, next)| QUOTES.contains(&last) && QUOTES.contains(&next))
}

fn is_mid_sentence(last: Option<char>, last_word: Option<char>) -> bool {
    let ends_sentence = |c: char| matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '}' | ']' | '>' | '*' | ')');
    match (last, last_word) {
        (Some(last), Some(word)) if last.is_whitespace() => !ends_sentence(word),
        (Some(last), _) => matches!(last, '(' | '/') || QUOTES.contains(&last),
        _ => false,
    }
}

fn trimmed(rest: &str) -> &str {
    let trimmed = rest.trim_start();
    steps::count(rest.len() - trimmed.len());
    trimmed
}

/// Whether a single quote before `rest` ends a string rather than being an apostrophe.
fn ends_string(rest: &str) -> bool {
    trimmed(rest).starts_with([',', ':', '}', ']'])
}

/// Whether `bracket` before `rest` opens JSON rather than prose in brackets. The JSON may be damaged or escaped.
fn opens_json(bracket: char, rest: &str) -> bool {
    let rest = trimmed(rest);
    let Some(next) = rest.chars().next() else { return false };
    match bracket {
        '{' => next.is_alphanumeric() || matches!(next, '_' | '}' | '\\') || QUOTES.contains(&next),
        '[' => {
            next.is_ascii_digit()
                || matches!(next, '{' | '[' | '-' | '\\')
                || QUOTES.contains(&next)
                || ["null", "true", "false"].iter().any(|word| rest.starts_with(word))
        }
        _ => false,
    }
}
