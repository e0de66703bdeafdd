//! A parser of the JSON dialects that models write. It accepts damaged text only if it has one interpretation.
//!
//! Truncated text is distinguished from invalid text: a truncated reply exceeded its length limit, an invalid one is
//! wrong. A truncated value is never completed.

mod candidates;
mod json;
mod number;
mod string;

use crate::schema::change::{Change, Changes};
use crate::steps::Steps;
use string::StringRole;

pub(super) use candidates::{JsonCandidate, Outcome, find_candidates};
pub(super) use json::{Json, Member, unquoted};

/// Limits the recursion. `serde_json` parses no deeper text either.
pub(super) const MAX_DEPTH: usize = 127;

/// The steps for each byte of a text. A text of which every byte is read many times is not damaged JSON.
const STEPS_PER_BYTE: usize = 32;

/// The steps for each byte of a comment, in which words are looked for.
const COMMENT_STEPS: usize = 4;

/// Why parsing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParseError {
    /// The text ends inside the value.
    Truncated,
    /// The text at this position has no interpretation, or more than one.
    Invalid(usize),
    TooDeep,
    /// The text takes too many steps.
    Exhausted,
}

/// Parses one value at a position in a text.
pub(super) struct Parser<'t, 's> {
    text: &'t str,
    at: usize,
    changes: Changes,
    /// The brackets around the current position.
    open: Vec<u8>,
    /// The position of the first quote.
    quote: Option<usize>,
    /// Whether more than flat numbers or one string were parsed, so that the text is JSON rather than prose in
    /// brackets.
    is_json: bool,
    steps: &'s mut Steps,
}

/// Returns the limit of steps for parsing `text` and everything in it.
pub(super) const fn steps(text: &str) -> Steps {
    Steps::per_byte(STEPS_PER_BYTE, text.len())
}

impl<'t, 's> Parser<'t, 's> {
    /// Creates a parser that takes `steps` for each byte that it looks at more than once.
    pub(super) fn new(text: &'t str, at: usize, steps: &'s mut Steps) -> Self {
        Self { text, at, changes: Changes::default(), open: Vec::new(), quote: None, is_json: false, steps }
    }

    /// Parses all of `text` as strict JSON.
    pub(super) fn strict(text: &'t str) -> Option<Json<'t>> {
        let mut steps = steps(text);
        let mut parser = Parser::new(text, 0, &mut steps);
        let value = parser.value(StringRole::Item).ok()?;
        parser.skip_space().ok()?;
        (parser.at == text.len() && parser.changes.is_empty()).then_some(value)
    }

    fn value(&mut self, role: StringRole) -> Result<Json<'t>, ParseError> {
        let at = self.at;
        let Some(first) = self.peek() else { return Err(ParseError::Truncated) };
        if self.steps.is_exhausted() {
            return Err(ParseError::Exhausted);
        }
        match first {
            b'{' | b'[' => {
                if self.open.len() == MAX_DEPTH {
                    return Err(ParseError::TooDeep);
                }
                self.open.push(first);
                self.at += 1;
                let value = if first == b'{' { self.object()? } else { self.array()? };
                self.open.pop();
                self.is_json |= !self.open.is_empty();
                Ok(value)
            }
            b'-' | b'+' | b'.' | b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' => self.word(),
            _ if self.is_quote() => Ok(Json::Scalar(self.string(role)?)),
            _ => Err(ParseError::Invalid(at)),
        }
    }

    fn array(&mut self) -> Result<Json<'t>, ParseError> {
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            self.skip_space()?;
            match self.peek() {
                None => return Err(ParseError::Truncated),
                Some(b']') => {
                    self.at += 1;
                    if comma {
                        self.changes.note(Change::TrailingComma);
                    }
                    return Ok(Json::Array(items));
                }
                Some(b'}') if !comma && self.open.contains(&b'{') => {
                    self.changes.note(Change::MissingCloser);
                    return Ok(Json::Array(items));
                }
                Some(_) => items.push(self.value(StringRole::Item)?),
            }
            self.skip_space()?;
            comma = match self.peek() {
                Some(b']') => false,
                Some(b'}') if self.open.contains(&b'{') => false,
                None => {
                    self.changes.note(Change::MissingCloser);
                    return Ok(Json::Array(items));
                }
                // Two adjacent strings may also be one string in two parts.
                Some(byte @ (b'{' | b'[')) if byte == b'{' && matches!(items.last(), Some(Json::Object(_))) => {
                    self.changes.note(Change::MissingComma);
                    true
                }
                Some(_) => {
                    self.comma()?;
                    self.is_json |= self.quote.is_some();
                    true
                }
            };
        }
    }

    fn object(&mut self) -> Result<Json<'t>, ParseError> {
        let mut members = Vec::new();
        let mut comma = false;
        loop {
            self.skip_space()?;
            match self.peek() {
                None => return Err(ParseError::Truncated),
                Some(b'}') => {
                    self.at += 1;
                    if comma {
                        self.changes.note(Change::TrailingComma);
                    }
                    return Ok(Json::Object(members));
                }
                // Unlike in an array, no value can be missing between two commas.
                Some(b',') if comma => {
                    self.at += 1;
                    self.changes.note(Change::RepeatedComma);
                    continue;
                }
                Some(b']') if !comma && !members.is_empty() && self.open.contains(&b'[') => {
                    self.changes.note(Change::MissingCloser);
                    return Ok(Json::Object(members));
                }
                Some(_) => members.push(self.member()?),
            }
            self.skip_space()?;
            comma = match self.peek() {
                Some(b'}') => false,
                Some(b']') if self.open.contains(&b'[') => false,
                None => {
                    self.changes.note(Change::MissingCloser);
                    return Ok(Json::Object(members));
                }
                // The next iteration fails unless this is a key.
                Some(byte) if byte.is_ascii_alphabetic() || self.is_quote() => {
                    self.changes.note(Change::MissingComma);
                    true
                }
                Some(_) => {
                    self.comma()?;
                    true
                }
            };
        }
    }

    fn member(&mut self) -> Result<Member<'t>, ParseError> {
        let quoted = if self.is_quote() { self.string(StringRole::Key)? } else { self.bare_key()? };
        self.skip_space()?;
        match self.text[self.at..].chars().next() {
            Some(':') => self.at += 1,
            Some(wide @ '：') => {
                self.at += wide.len_utf8();
                self.changes.note(Change::WidePunctuation);
            }
            None => return Err(ParseError::Truncated),
            Some(_) => return Err(ParseError::Invalid(self.at)),
        }
        self.is_json = true;
        self.skip_space()?;
        let value = self.value(StringRole::Property)?;
        Ok(Member { quoted, value })
    }

    /// Parses a key without quotes: an identifier, or a number as in Python.
    fn bare_key(&mut self) -> Result<std::borrow::Cow<'t, str>, ParseError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '-'))).unwrap_or(rest.len());
        let key = &rest[..end];
        let is_number = key == "0" || (key.bytes().all(|byte| byte.is_ascii_digit()) && !key.starts_with('0'));
        let is_name = key.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$'));
        if key.is_empty() || !(is_name || is_number) {
            return Err(ParseError::Invalid(self.at));
        }
        if end == rest.len() {
            return Err(ParseError::Truncated);
        }
        self.at += end;
        self.changes.note(Change::UnquotedKey);
        Ok(format!("\"{key}\"").into())
    }

    fn comma(&mut self) -> Result<(), ParseError> {
        match self.text[self.at..].chars().next() {
            Some(',') => self.at += 1,
            Some(wide @ '，') => {
                self.at += wide.len_utf8();
                self.changes.note(Change::WidePunctuation);
            }
            _ => return Err(ParseError::Invalid(self.at)),
        }
        Ok(())
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = &self.text[self.at..];
            let Some(c) = rest.chars().next() else { return Ok(()) };
            match c {
                ' ' | '\n' | '\r' | '\t' => self.at += 1,
                _ if c.is_whitespace() || c == '\u{feff}' => {
                    self.at += c.len_utf8();
                    self.changes.note(Change::WhiteSpace);
                }
                '#' => self.comment(1, "\n")?,
                '/' if rest.starts_with("//") => self.comment(2, "\n")?,
                '/' if rest.starts_with("/*") => self.comment(2, "*/")?,
                _ => return Ok(()),
            }
        }
    }

    /// Skips a comment, unless it stands for data that the model omitted.
    fn comment(&mut self, mark: usize, close: &str) -> Result<(), ParseError> {
        const ELISION: [&str; 16] = [
            "...",
            "…",
            "etc",
            "and so on",
            "omit",
            "remain",
            "rest",
            "more",
            "other",
            "same",
            "similar",
            "truncat",
            "continu",
            "repeat",
            "省略",
            "同様",
        ];
        let start = self.at;
        let rest = &self.text[start + mark..];
        let found = rest.find(close);
        self.steps.spend(COMMENT_STEPS * found.unwrap_or(rest.len()));
        if self.steps.is_exhausted() {
            return Err(ParseError::Exhausted);
        }
        let Some(length) = found else { return Err(ParseError::Truncated) };
        let words = rest[..length].to_lowercase();
        // The comment mark may be inside a string whose quotes were not escaped.
        let quotes: &[char] = if self.changes.has(Change::Quotes) { &['"', '\'', '`', '”', '’'] } else { &['"'] };
        if words.contains(quotes) || ELISION.iter().any(|elision| words.contains(elision)) {
            return Err(ParseError::Invalid(start));
        }
        self.at += mark + length + close.len();
        self.changes.note(Change::Comment);
        Ok(())
    }

    fn is_quote(&self) -> bool {
        self.text[self.at..].starts_with(['"', '\'', '`', '“', '”', '‘', '’'])
    }

    /// Returns the next byte; `None` at the end of the text or of its code fence.
    fn peek(&self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(b"```") { None } else { rest.first().copied() }
    }
}
