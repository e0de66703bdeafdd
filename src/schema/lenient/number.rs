//! Parses numbers and words: `+1`, `.5`, `True`, `None`, `NaN`.

use std::borrow::Cow;

use super::{Json, ParseError, Parser};
use crate::schema::change::Change;
use crate::schema::scan;

/// JSON's words, each with its other spellings.
const WORDS: [(&str, &[&str]); 3] =
    [("true", &["True", "TRUE"]), ("false", &["False", "FALSE"]), ("null", &["None", "NULL", "Null"])];
const NOT_FINITE: [&str; 4] = ["NaN", "nan", "Infinity", "inf"];

impl<'t> Parser<'t, '_> {
    /// Parses a number. A number at the end of the text may have lost digits.
    pub(super) fn number(&mut self) -> Result<Json<'t>, ParseError> {
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let literal = &rest[..end];
        if end == rest.len() && !self.open.is_empty() {
            return Err(ParseError::Truncated);
        }
        let value = if is_number(literal) {
            Json::Scalar(Cow::Borrowed(literal))
        } else if NOT_FINITE.contains(&literal.trim_start_matches(['-', '+'])) {
            Json::NotFinite
        } else {
            let number = completed(literal).filter(|number| is_number(number)).ok_or(ParseError::Invalid(self.at))?;
            self.changes.note(Change::NumberForm);
            Json::Scalar(Cow::Owned(number))
        };
        self.at += end;
        Ok(value)
    }

    /// Parses `true`, `None`, `NaN` and the like.
    pub(super) fn word(&mut self) -> Result<Json<'t>, ParseError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = &rest[..end];
        let value = if let Some((literal, _)) =
            WORDS.iter().find(|(literal, others)| *literal == word || others.contains(&word))
        {
            if *literal != word {
                self.changes.note(Change::Literal);
            }
            Json::Scalar(Cow::Borrowed(*literal))
        } else if NOT_FINITE.contains(&word) {
            Json::NotFinite
        } else {
            let known = WORDS.iter().flat_map(|(literal, others)| others.iter().chain([literal])).chain(&NOT_FINITE);
            let is_truncated = end == rest.len() && known.into_iter().any(|known| known.starts_with(word));
            return Err(if is_truncated { ParseError::Truncated } else { ParseError::Invalid(self.at) });
        };
        self.at += end;
        Ok(value)
    }
}

fn is_number(literal: &str) -> bool {
    scan::scalar(literal.as_bytes(), 0) == Ok(literal.len())
}

/// Returns the number without a plus sign, and with a digit on both sides of its point.
fn completed(literal: &str) -> Option<String> {
    let (sign, digits) = match literal.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", literal.strip_prefix('+').unwrap_or(literal)),
    };
    let (whole, fraction) = match digits.split_once('.') {
        None => return Some(format!("{sign}{digits}")),
        Some(("", "")) => return None,
        Some(parts) => parts,
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    Some(format!("{sign}{whole}.{fraction}"))
}
