//! Parses strings as models write them: in any quotes, with raw line breaks, and with escapes that JSON does not have.
//!
//! A string is accepted only if it has one interpretation. A quote that may be missing or superfluous is an error.

use std::borrow::Cow;

use super::{ParseError, Parser};
use crate::schema::change::Change;
use crate::schema::scan::{self, ScanError};

const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// The role of a string, which decides what may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StringRole {
    Key,
    /// The value of a property. A key may follow if the model omitted the comma.
    Property,
    Item,
}

/// Builds the JSON text of a string.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the string so far")]
struct StringBuilder {
    out: String,
    /// Whether the string has an escape that JSON has as well.
    escaped: bool,
    /// Whether the number of escaped quotes is odd.
    has_odd_quote: bool,
    /// Whether the string has a backslash that JSON does not know, which was kept.
    kept: bool,
    /// Whether the string has a backslash of Markdown, which was dropped.
    dropped: bool,
}

impl<'t> Parser<'t, '_> {
    /// Parses a string and returns its JSON text.
    pub(super) fn string(&mut self, role: StringRole) -> Result<Cow<'t, str>, ParseError> {
        let start = self.at;
        self.quote.get_or_insert(start);
        let Some(open) = self.text[start..].chars().next() else { return Err(ParseError::Truncated) };
        if open == '"' {
            let end = scan::string(self.text.as_bytes(), start);
            if let Ok(end) = end
                && (self.may_end(end) || (role == StringRole::Property && self.is_key_after(end)))
            {
                self.at = end;
                return Ok(Cow::Borrowed(&self.text[start..end]));
            }
            self.steps.spend(self.scanned(start, end));
        }
        let mut builder =
            StringBuilder { out: String::from('"'), escaped: false, has_odd_quote: false, kept: false, dropped: false };
        self.at += open.len_utf8();
        match open {
            '"' => self.straight(&mut builder)?,
            '\'' | '‘' | '’' => self.single(if open == '\'' { '\'' } else { '’' }, &mut builder)?,
            '`' => self.template(&mut builder)?,
            _ => self.typographic(open, &mut builder)?,
        }
        // In "C:\new\Users" the first backslash may start a line break or a folder name.
        // In "say(\"hi\)" the last backslash may have lost its quote.
        if builder.kept && (builder.escaped || builder.dropped) || (builder.dropped && builder.has_odd_quote) {
            return Err(ParseError::Invalid(start));
        }
        builder.out.push('"');
        if open != '"' {
            self.changes.note(Change::Quotes);
        }
        Ok(Cow::Owned(builder.out))
    }

    /// Parses up to a closing `"`. An inner pair of quotes is content if it is unambiguous: `"he said "no" twice"`.
    fn straight(&mut self, builder: &mut StringBuilder) -> Result<(), ParseError> {
        let start = self.at;
        let mut inner = false;
        loop {
            let at = self.at;
            let c = self.next()?;
            if c != '"' {
                self.content(c, builder)?;
                continue;
            }
            let before = self.text[start..at].chars().next_back();
            let after = self.text[self.at..].chars().next();
            let spaced = before.is_none_or(|c| c.is_whitespace() || c == '(');
            if inner {
                let names = self.text[self.at..].trim_start().starts_with(':');
                if spaced || names {
                    return Err(ParseError::Invalid(at));
                }
                inner = false;
            } else if self.may_end(self.at) {
                return Ok(());
            } else if spaced && after.is_some_and(char::is_alphanumeric) {
                inner = true;
            } else {
                return Err(if after.is_none() { ParseError::Truncated } else { ParseError::Invalid(at) });
            }
            builder.out.push_str("\\\"");
            self.changes.note(Change::InnerQuotes);
        }
    }

    /// Parses up to a closing `'` or `’`. Between two letters it is an apostrophe.
    fn single(&mut self, close: char, builder: &mut StringBuilder) -> Result<(), ParseError> {
        let start = self.at;
        loop {
            let at = self.at;
            let c = self.next()?;
            if c != close {
                self.content(c, builder)?;
                continue;
            }
            if self.may_end(self.at) {
                return Ok(());
            }
            let before = self.text[start..at].chars().next_back();
            let after = self.text[self.at..].chars().next();
            if !(before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)) {
                return Err(ParseError::Invalid(at));
            }
            builder.out.push(close);
        }
    }

    fn template(&mut self, builder: &mut StringBuilder) -> Result<(), ParseError> {
        loop {
            let at = self.at;
            match self.next()? {
                '`' if self.may_end(self.at) => return Ok(()),
                '`' => return Err(ParseError::Invalid(at)),
                '$' if self.text[self.at..].starts_with('{') => return Err(ParseError::Invalid(at)),
                c => self.content(c, builder)?,
            }
        }
    }

    /// Parses up to a closing `”`. Inner pairs are content.
    fn typographic(&mut self, open: char, builder: &mut StringBuilder) -> Result<(), ParseError> {
        let mut inner = 0usize;
        loop {
            let at = self.at;
            match self.next()? {
                '“' if open != '”' => {
                    inner += 1;
                    builder.out.push('“');
                }
                '”' if inner > 0 => {
                    inner -= 1;
                    builder.out.push('”');
                }
                '”' if self.may_end(self.at) => return Ok(()),
                '“' | '”' => return Err(ParseError::Invalid(at)),
                '"' if self.may_end(self.at) => return Err(ParseError::Invalid(at)),
                c => self.content(c, builder)?,
            }
        }
    }

    fn next(&mut self) -> Result<char, ParseError> {
        let c = self.text[self.at..].chars().next().ok_or(ParseError::Truncated)?;
        self.at += c.len_utf8();
        Ok(c)
    }

    /// Appends `c`, which precedes the current position, and anything it escapes.
    fn content(&mut self, c: char, builder: &mut StringBuilder) -> Result<(), ParseError> {
        match c {
            '\\' => return self.escape(builder),
            '"' => builder.out.push_str("\\\""),
            '\n' => builder.out.push_str("\\n"),
            '\r' => builder.out.push_str("\\r"),
            '\t' => builder.out.push_str("\\t"),
            // Below U+0020, hence one byte.
            '\0'..' ' => builder.out.extend(["\\u00", HEX[c as usize / 16], HEX[c as usize % 16]]),
            _ => builder.out.push(c),
        }
        if c < ' ' {
            self.changes.note(Change::ControlCharacter);
        }
        Ok(())
    }

    fn escape(&mut self, builder: &mut StringBuilder) -> Result<(), ParseError> {
        let at = self.at - 1;
        let c = self.next()?;
        let rest = &self.text.as_bytes()[self.at..];
        let hex = |count: usize| rest.len() >= count && rest[..count].iter().all(u8::is_ascii_hexdigit);
        match c {
            '/' => {}
            '"' => {
                builder.escaped = true;
                builder.has_odd_quote = !builder.has_odd_quote;
            }
            '\\' | 'b' | 'f' | 'n' | 'r' | 't' => builder.escaped = true,
            'u' if hex(4) => builder.escaped = true,
            '\'' => {
                builder.out.push('\'');
                self.changes.note(Change::Escape);
                return Ok(());
            }
            // Markdown escapes its punctuation: `snake\_case`, `\*`, `\[1\]`.
            c if c.is_ascii_punctuation() => {
                builder.dropped = true;
                builder.out.push(c);
                self.changes.note(Change::Escape);
                return Ok(());
            }
            // Other languages read these as code points.
            'x' | 'N' => return Err(ParseError::Invalid(at)),
            'U' if hex(8) => return Err(ParseError::Invalid(at)),
            'u' if rest.first().is_none_or(|next| next.is_ascii_hexdigit() || !next.is_ascii_alphabetic()) => {
                return Err(if rest.len() < 4 { ParseError::Truncated } else { ParseError::Invalid(at) });
            }
            // No language reads `\d` as `d`: the backslash is content.
            'a'..='z' | 'A'..='Z' => {
                builder.kept = true;
                builder.out.push('\\');
                self.changes.note(Change::Escape);
            }
            _ => return Err(ParseError::Invalid(at)),
        }
        builder.out.push('\\');
        builder.out.push(c);
        Ok(())
    }

    /// Returns whether the text at `end` may follow a complete string.
    fn may_end(&mut self, end: usize) -> bool {
        let rest = self.text[end..].trim_start();
        self.steps.spend(self.text.len() - rest.len() - end);
        let structure = |c: char| matches!(c, ',' | ':' | '}' | ']' | '，' | '：' | '#');
        rest.is_empty() || rest.starts_with(structure) || ["//", "/*", "```"].iter().any(|mark| rest.starts_with(mark))
    }

    /// Returns whether white space and a quoted key follow at `end`.
    fn is_key_after(&mut self, end: usize) -> bool {
        let bytes = self.text.as_bytes();
        let key = scan::skip_space(bytes, end);
        self.steps.spend(key - end);
        if key == end || bytes.get(key) != Some(&b'"') {
            return false;
        }
        let scanned = scan::string(bytes, key);
        self.steps.spend(self.scanned(key, scanned));
        scanned.is_ok_and(|end| bytes.get(scan::skip_space(bytes, end)) == Some(&b':'))
    }

    /// Returns the number of bytes that a scan from `start` has read.
    fn scanned(&self, start: usize, result: Result<usize, ScanError>) -> usize {
        match result {
            Ok(end) | Err(ScanError::UnexpectedByte(end)) => end - start,
            Err(ScanError::UnexpectedEnd) => self.text.len() - start,
        }
    }
}
