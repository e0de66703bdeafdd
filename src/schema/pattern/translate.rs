//! Translates expressions of ECMA-262 to the syntax of `regex-syntax`.
//!
//! Each character is written in a form that has no other meaning there: classes within classes, operators on classes and
//! Unicode digits are unknown to ECMA-262. Some forms of Python that users write are accepted as well.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

const DIGIT: &str = "0-9";
const WORD: &str = "A-Za-z0-9_";
const SPACE: &str = r"\t\n\x0B\f\r\x20\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";

/// Translates `source`. Fails with the reason for which it cannot be matched.
pub(super) fn translate(source: &str) -> Result<String, String> {
    let mut translator = Translator {
        rest: source.chars().peekable(),
        out: String::new(),
        is_repeatable: false,
        dot_reads_lines: false,
    };
    translator.expression()?;
    Ok(translator.out)
}

struct Translator<'s> {
    rest: Peekable<Chars<'s>>,
    out: String,
    /// Whether a repetition may follow.
    is_repeatable: bool,
    /// Whether `.` matches line breaks, as the flag `s` says.
    dot_reads_lines: bool,
}

/// A member of a class.
enum Member {
    Character(char),
    /// The translation of an escape that is itself a class.
    Class(String),
}

impl Translator<'_> {
    fn expression(&mut self) -> Result<(), String> {
        while let Some(character) = self.rest.next() {
            let mut is_repeatable = true;
            match character {
                '\\' => is_repeatable = self.escape()?,
                '[' => self.class()?,
                '(' => is_repeatable = self.group()?,
                '.' if self.dot_reads_lines => self.out.push('.'),
                '.' => self.out.push_str(r"[^\n\r\x{2028}\x{2029}]"),
                '^' | '$' | '|' => {
                    is_repeatable = false;
                    self.out.push(character);
                }
                ')' => self.out.push(')'),
                '*' | '+' | '?' => {
                    self.repetition(&character.to_string())?;
                    is_repeatable = false;
                }
                '{' => match self.counts() {
                    Some(counts) => {
                        self.repetition(&counts)?;
                        is_repeatable = false;
                    }
                    None => self.literal('{'),
                },
                other => self.literal(other),
            }
            self.is_repeatable = is_repeatable;
        }
        Ok(())
    }

    fn literal(&mut self, character: char) {
        if character.is_alphanumeric() {
            self.out.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(self.out, "\\x{{{:X}}}", u32::from(character));
        }
    }

    fn repetition(&mut self, operator: &str) -> Result<(), String> {
        if !self.is_repeatable {
            return Err(format!("there is nothing to repeat before {operator:?}"));
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(())
    }

    /// Reads `2}`, `2,}`, `2,3}` or `,3}`; reads nothing and returns `None` before anything else.
    fn counts(&mut self) -> Option<String> {
        let mut ahead = self.rest.clone();
        let mut counts = String::from("{");
        loop {
            match ahead.next()? {
                digit @ '0'..='9' => counts.push(digit),
                ',' if counts == "{" => counts.push_str("0,"),
                ',' if !counts.contains(',') => counts.push(','),
                '}' if counts.len() > 1 && counts != "{0," => break,
                _ => return None,
            }
        }
        self.rest = ahead;
        counts.push('}');
        Some(counts)
    }

    /// Reads the beginning of a group. Returns whether it may be repeated: flags may not.
    fn group(&mut self) -> Result<bool, String> {
        const LOOK_AROUND: &str = "look-around, such as (?=…) and (?!…), is not supported";
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push_str("(?:");
            return Ok(false);
        }
        self.rest.next_if_eq(&'P');
        match self.rest.next() {
            Some(':') => self.out.push_str("(?:"),
            Some('=' | '!') => return Err(LOOK_AROUND.to_owned()),
            Some('<') => {
                if matches!(self.rest.peek(), Some('=' | '!')) {
                    return Err(LOOK_AROUND.to_owned());
                }
                let is_closed = self.rest.by_ref().any(|character| character == '>');
                if !is_closed {
                    return Err("the name of a group is not closed".to_owned());
                }
                self.out.push_str("(?:");
            }
            Some(flag @ ('i' | 'm' | 's' | '-')) => {
                self.out.push_str("(?");
                let mut next = flag;
                while matches!(next, 'i' | 'm' | 's' | '-') {
                    self.dot_reads_lines |= next == 's';
                    self.out.push(next);
                    next = self.rest.next().ok_or("a group is unclosed")?;
                }
                if !matches!(next, ':' | ')') {
                    return Err(format!("the flag {next:?} is not supported"));
                }
                self.out.push(next);
            }
            other => {
                return Err(format!("the group (?{} is not supported", other.map(String::from).unwrap_or_default()));
            }
        }
        Ok(false)
    }

    /// Reads an escape outside of classes. Returns whether it may be repeated: assertions may not.
    fn escape(&mut self) -> Result<bool, String> {
        match self.rest.peek() {
            Some('1'..='9' | 'k') => return Err("a back reference is not supported".to_owned()),
            Some(assertion @ ('b' | 'B' | 'A' | 'Z' | 'z')) => {
                self.out.push_str(match assertion {
                    'b' => r"(?-u:\b)",
                    'B' => r"(?-u:\B)",
                    'A' => r"\A",
                    _ => r"\z",
                });
                self.rest.next();
                return Ok(false);
            }
            _ => {}
        }
        match self.member_escape()? {
            Member::Character(character) => self.literal(character),
            Member::Class(class) => {
                let _ = write!(self.out, "[{class}]");
            }
        }
        Ok(true)
    }

    /// Reads the rest of an escape that stands for a character or a class, after its backslash.
    fn member_escape(&mut self) -> Result<Member, String> {
        let letter = self.rest.next().ok_or("it ends with a backslash")?;
        Ok(Member::Character(match letter {
            'd' => return Ok(Member::Class(DIGIT.to_owned())),
            'w' => return Ok(Member::Class(WORD.to_owned())),
            's' => return Ok(Member::Class(SPACE.to_owned())),
            'D' => return Ok(Member::Class(format!("[^{DIGIT}]"))),
            'W' => return Ok(Member::Class(format!("[^{WORD}]"))),
            'S' => return Ok(Member::Class(format!("[^{SPACE}]"))),
            'p' | 'P' => return self.property(letter).map(Member::Class),
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            '0' if !matches!(self.rest.peek(), Some('0'..='9')) => '\0',
            'c' => match self.rest.next() {
                Some(letter) if letter.is_ascii_alphabetic() => char::from((letter as u8) % 32),
                _ => return Err("the escape \\c needs a letter".to_owned()),
            },
            'x' => character(self.hexadecimal(2)?)?,
            'u' => self.code_point()?,
            other if other.is_ascii_alphanumeric() => return Err(format!("the escape \\{other} is not supported")),
            other => other,
        }))
    }

    /// Reads `{L}` or `L`, the name of a Unicode property.
    fn property(&mut self, letter: char) -> Result<String, String> {
        let mut name = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=');
            while let Some(part) = self.rest.next_if(is_part) {
                name.push(part);
            }
            if self.rest.next() != Some('}') {
                return Err("the name of a Unicode property is not closed".to_owned());
            }
        } else {
            name.extend(self.rest.next_if(char::is_ascii_alphabetic));
        }
        Ok(format!("\\{letter}{{{name}}}"))
    }

    /// Reads the digits of `\u0041`, `\u{1F600}` or `\ud83d\ude00`.
    fn code_point(&mut self) -> Result<char, String> {
        if self.rest.next_if_eq(&'{').is_some() {
            let mut digits = String::new();
            while let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit) {
                digits.push(digit);
            }
            let code = u32::from_str_radix(&digits, 16).ok().filter(|_| self.rest.next() == Some('}'));
            return character(code.ok_or("the escape \\u{…} needs the number of a character")?);
        }
        let unit = self.hexadecimal(4)?;
        if !(0xD800..0xDC00).contains(&unit) {
            return character(unit);
        }
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('\\') && ahead.next() == Some('u') {
            self.rest = ahead;
            let low = self.hexadecimal(4)?;
            if (0xDC00..0xE000).contains(&low) {
                return character(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
            }
        }
        character(unit)
    }

    fn hexadecimal(&mut self, count: usize) -> Result<u32, String> {
        let digits: String = self.rest.by_ref().take(count).collect();
        let number = u32::from_str_radix(&digits, 16).ok();
        let is_valid = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        number.filter(|_| is_valid).ok_or_else(|| format!("an escape needs {count} hexadecimal digits"))
    }

    /// Reads a class, after its opening bracket.
    fn class(&mut self) -> Result<(), String> {
        let is_negated = self.rest.next_if_eq(&'^').is_some();
        let mut members = String::new();
        loop {
            let first = self.member()?;
            let Some(first) = first else { break };
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && ahead.peek() != Some(&']');
            let Member::Character(start) = first else {
                write_member(&mut members, &first);
                continue;
            };
            if !is_range {
                write_member(&mut members, &first);
                continue;
            }
            self.rest.next();
            match self.member()? {
                Some(Member::Character(end)) if start > end => {
                    return Err(format!("the range {start:?}-{end:?} of a class is empty"));
                }
                Some(end @ Member::Character(_)) => {
                    write_member(&mut members, &first);
                    members.push('-');
                    write_member(&mut members, &end);
                }
                // A class is no end of a range.
                Some(class @ Member::Class(_)) => {
                    write_member(&mut members, &first);
                    write_member(&mut members, &Member::Character('-'));
                    write_member(&mut members, &class);
                }
                None => return Err("a class is not closed".to_owned()),
            }
        }
        match (members.is_empty(), is_negated) {
            (true, true) => self.out.push_str("(?s:.)"),
            (true, false) => self.out.push_str(r"[^\x{0}-\x{10FFFF}]"),
            (false, is_negated) => {
                let mark = if is_negated { "^" } else { "" };
                let _ = write!(self.out, "[{mark}{members}]");
            }
        }
        Ok(())
    }

    /// Reads a member of a class; `None` at its end.
    fn member(&mut self) -> Result<Option<Member>, String> {
        match self.rest.next() {
            None => Err("a class is not closed".to_owned()),
            Some(']') => Ok(None),
            Some('\\') if self.rest.next_if_eq(&'b').is_some() => Ok(Some(Member::Character('\u{8}'))),
            Some('\\') => self.member_escape().map(Some),
            Some(other) => Ok(Some(Member::Character(other))),
        }
    }
}

fn write_member(out: &mut String, member: &Member) {
    match member {
        Member::Character(character) if character.is_ascii_alphanumeric() => out.push(*character),
        Member::Character(character) => {
            let _ = write!(out, "\\x{{{:X}}}", u32::from(*character));
        }
        Member::Class(class) => out.push_str(class),
    }
}

fn character(code: u32) -> Result<char, String> {
    char::from_u32(code).ok_or_else(|| "a lone surrogate is no character".to_owned())
}
