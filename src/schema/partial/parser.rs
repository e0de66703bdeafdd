//! An incremental parser that emits the closed part of a JSON document.

use std::collections::HashSet;

use super::expected::{Expected, Step, Wrapping};
use super::search::Certainty;
use crate::schema::lenient::{MAX_DEPTH, unquoted};
use crate::schema::restore::is_position;
use crate::schema::scan;
use crate::steps;

/// Python parses no longer numbers.
const MAX_NUMBER: usize = 4300;

/// The result of parsing a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of it was read, and the document continues.
    Incomplete,
    /// The document is complete.
    Complete,
    /// The byte at this position is not part of the document. It may be read as something else.
    Invalid(usize),
}

/// Parses a document that starts with a bracket.
#[derive(Debug, Default)]
pub(super) struct IncrementalParser {
    certainty: Certainty,
    open: Vec<Container>,
    expect: Expect,
    /// The current or last scalar, as the model wrote it.
    literal: String,
    token: Token,
    /// The closed part, without white space. Includes the opening brackets of the first `emitted` containers.
    output: String,
    emitted: usize,
    /// The number of emitted values. Closing brackets are not counted because they add no information.
    values: usize,
    /// Whether the first container is the wrapper of the root.
    is_wrapped: bool,
}

#[derive(Debug)]
struct Container {
    is_object: bool,
    /// Whether it is an object that stands for a list.
    is_tuple: bool,
    /// The names of the members so far, including the current one.
    names: HashSet<String>,
    /// The name of the current member, and its literal.
    name: String,
    quoted: String,
    /// The index of the current item.
    index: usize,
    /// Whether a closed value inside it was emitted.
    has_emitted: bool,
}

impl Container {
    /// Returns the step from it to its current value.
    fn step(&self) -> Step<'_> {
        if self.is_object { Step::Member(&self.name) } else { Step::Item(self.index) }
    }

    /// Returns the brackets of its output.
    fn brackets(&self) -> (char, char) {
        if self.is_object && !self.is_tuple { ('{', '}') } else { ('[', ']') }
    }
}

/// The tokens that are valid next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expect {
    #[default]
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    /// After a scalar, which the next byte closes.
    AfterScalar,
    AfterContainer,
}

/// The state inside a token.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Token {
    #[default]
    None,
    String {
        is_escaped: bool,
    },
    /// A number, `true`, `false` or `null`.
    Bare,
}

/// The byte at this position of a piece is not part of the document. After a token that is invalid as a whole it is the one
/// that follows, so that the position does not depend on the pieces.
#[derive(Debug)]
struct Invalid(usize);

impl IncrementalParser {
    /// Creates a parser that expects an opening bracket.
    pub(super) fn new(certainty: Certainty) -> Self {
        Self { certainty, ..Self::default() }
    }

    /// Reads `text`, up to the end of the document.
    pub(super) fn push(&mut self, text: &str, expected: &Expected) -> Progress {
        let mut at = 0;
        while at < text.len() {
            let read = match self.token {
                Token::None => self.push_structural(text.as_bytes()[at], expected).map(|()| 1),
                Token::String { is_escaped } => self.push_string(&text[at..], is_escaped, expected),
                Token::Bare => self.push_bare(&text[at..]),
            };
            match read {
                Ok(read) => {
                    steps::count(1 + read);
                    at += read;
                }
                Err(Invalid(offset)) => return Progress::Invalid(at + offset),
            }
            if self.open.is_empty() {
                return Progress::Complete;
            }
        }
        Progress::Incomplete
    }

    /// Returns the approximate size of a snapshot.
    pub(super) fn size(&self) -> usize {
        self.output.len()
    }

    /// Returns the number of values in a snapshot.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// Returns whether the first bracket may belong to the prose, because nothing inside it so far is specific to JSON.
    pub(super) fn may_be_prose(&self) -> bool {
        let has_name = self.open.first().is_some_and(|container| !container.names.is_empty());
        self.certainty == Certainty::Likely && self.open.len() == 1 && self.output.is_empty() && !has_name
    }

    /// Returns the closed part as a complete document.
    pub(super) fn snapshot(&self) -> String {
        steps::count(self.output.len());
        let mut text = String::with_capacity(self.output.len() + self.emitted);
        text.push_str(&self.output);
        let emitted = self.open.get(self.root()..self.emitted).unwrap_or_default();
        text.extend(emitted.iter().rev().map(|container| container.brackets().1));
        text
    }

    /// Reads a byte between tokens.
    fn push_structural(&mut self, byte: u8, expected: &Expected) -> Result<(), Invalid> {
        let is_object = self.open.last().is_some_and(|container| container.is_object);
        match (byte, self.expect) {
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            (b'}', Expect::KeyOrClose) | (b']', Expect::ValueOrClose) => self.close_container(),
            (b'}' | b']', Expect::AfterScalar | Expect::AfterContainer) if is_object == (byte == b'}') => {
                self.close_scalar(expected);
                self.close_container();
            }
            (b',', Expect::AfterScalar | Expect::AfterContainer) => {
                self.close_scalar(expected);
                if self.is_wrapped && self.open.len() == 1 {
                    // An object with a second member is not a wrapper.
                    return Err(Invalid(0));
                }
                if let Some(container) = self.open.last_mut() {
                    container.index += 1;
                }
                self.expect = if is_object { Expect::Key } else { Expect::Value };
            }
            (b':', Expect::Colon) => self.expect = Expect::Value,
            (b'"', Expect::Key | Expect::KeyOrClose) => self.begin_token(Token::String { is_escaped: false }),
            (_, Expect::Value | Expect::ValueOrClose) => {
                let is_first_item = self.open.len() == 1 && self.expect == Expect::ValueOrClose;
                if is_first_item && self.certainty == Certainty::Likely && !expected.may_list(byte) {
                    return Err(Invalid(0));
                }
                match byte {
                    b'{' | b'[' => self.open_container(byte == b'{', expected)?,
                    b'"' => self.begin_token(Token::String { is_escaped: false }),
                    b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                        self.begin_token(Token::Bare);
                        self.literal.push(char::from(byte));
                    }
                    _ => return Err(Invalid(0)),
                }
            }
            _ => return Err(Invalid(0)),
        }
        Ok(())
    }

    fn open_container(&mut self, is_object: bool, expected: &Expected) -> Result<(), Invalid> {
        if self.open.len() == MAX_DEPTH {
            return Err(Invalid(0));
        }
        // The outermost object wraps a root that is not one.
        let around = self.open.get(self.root()..).unwrap_or_default().iter().map(Container::step);
        let is_tuple = is_object && !self.open.is_empty() && expected.is_tuple(around);
        self.open.push(Container {
            is_object,
            is_tuple,
            names: HashSet::new(),
            name: String::new(),
            quoted: String::new(),
            index: 0,
            has_emitted: false,
        });
        self.expect = if is_object { Expect::KeyOrClose } else { Expect::ValueOrClose };
        Ok(())
    }

    /// Closes the innermost container.
    fn close_container(&mut self) {
        let depth = self.open.len();
        let is_wrapper = self.is_wrapped && depth == 1;
        if !is_wrapper && self.emitted < depth {
            // A container without an emitted value has not been emitted either.
            self.emit_containers(depth);
            self.values += 1;
        }
        if let Some(container) = self.open.pop()
            && !is_wrapper
        {
            self.output.push(container.brackets().1);
        }
        self.emitted = self.open.len();
        self.expect = Expect::AfterContainer;
    }

    fn begin_token(&mut self, token: Token) {
        self.token = token;
        self.literal.clear();
        if token != Token::Bare {
            self.literal.push('"');
        }
    }

    /// Reads the inside of a string. Returns the number of bytes read.
    fn push_string(&mut self, text: &str, is_escaped: bool, expected: &Expected) -> Result<usize, Invalid> {
        let special = text.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        let (read, ends) = match (is_escaped, special) {
            // Only the character after the backslash.
            (true, _) => (text.chars().next().map_or(0, char::len_utf8), false),
            (false, None) => (text.len(), false),
            (false, Some(at)) if text.as_bytes()[at] < 0x20 => return Err(Invalid(at)),
            (false, Some(at)) => (at + 1, text.as_bytes()[at] == b'"'),
        };
        self.literal.push_str(&text[..read]);
        if !ends {
            let is_escaped = !is_escaped && special.is_some_and(|at| at + 1 == read);
            self.token = Token::String { is_escaped };
            return Ok(read);
        }
        self.token = Token::None;
        let is_valid = scan::string(self.literal.as_bytes(), 0) == Ok(self.literal.len())
            && match self.expect {
                Expect::Key | Expect::KeyOrClose => self.complete_name(expected).is_some(),
                // Readers reject lone surrogates.
                _ => unquoted(&self.literal).map(|_| self.expect = Expect::AfterScalar).is_some(),
            };
        if is_valid { Ok(read) } else { Err(Invalid(read)) }
    }

    /// Reads a number or a word. Returns the number of bytes read.
    fn push_bare(&mut self, text: &str) -> Result<usize, Invalid> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let read = text.bytes().take_while(|byte| is_part(byte)).count();
        self.literal.push_str(&text[..read]);
        if read < text.len() {
            self.token = Token::None;
            let is_scalar = scan::scalar(self.literal.as_bytes(), 0) == Ok(self.literal.len());
            if !is_scalar || self.literal.len() > MAX_NUMBER {
                return Err(Invalid(read));
            }
            self.expect = Expect::AfterScalar;
        }
        Ok(read)
    }

    /// Completes the name of a member. Returns `None` if the document has no such member.
    fn complete_name(&mut self, expected: &Expected) -> Option<()> {
        let is_first = self.open.len() == 1 && self.expect == Expect::KeyOrClose;
        let container = self.open.last_mut()?;
        container.name = unquoted(&self.literal)?.into_owned();
        std::mem::swap(&mut container.quoted, &mut self.literal);
        // Readers use the last of two members with one name, which would change what was emitted.
        let is_new = container.names.insert(container.name.clone());
        if !is_new || (is_first && self.certainty == Certainty::Likely && !expected.is_plausible(&container.name)) {
            return None;
        }
        if container.is_tuple && !is_position(&container.name, container.index) {
            return None;
        }
        if is_first {
            match expected.wrapping(&container.name) {
                Wrapping::None => {}
                Wrapping::Wrapper => self.is_wrapped = true,
                Wrapping::Ambiguous => return None,
            }
        }
        self.expect = Expect::Colon;
        Some(())
    }

    /// Emits the last value if it is a scalar.
    fn close_scalar(&mut self, expected: &Expected) {
        // A scalar in the wrapper is the whole answer and therefore never partial.
        let is_root = self.open.len() == self.root();
        if self.expect != Expect::AfterScalar || is_root || self.is_absent(expected) {
            return;
        }
        self.emit_containers(self.open.len());
        if let Some(container) = self.open.last_mut() {
            Self::emit_member(container, &mut self.output);
        }
        self.output.push_str(&self.literal);
        self.values += 1;
    }

    /// Returns whether the current scalar is a null that may stand for an absent property.
    fn is_absent(&self, expected: &Expected) -> bool {
        let open = self.open.get(self.root()..).unwrap_or_default();
        let Some((container, around)) = open.split_last() else { return false };
        let steps = around.iter().map(Container::step);
        self.literal == "null" && container.is_object && expected.may_be_absent(steps, &container.name)
    }

    /// Emits the missing opening brackets of the first `depth` containers.
    fn emit_containers(&mut self, depth: usize) {
        for at in self.emitted.max(self.root())..depth {
            let bracket = self.open[at].brackets().0;
            if at > self.root() {
                Self::emit_member(&mut self.open[at - 1], &mut self.output);
            }
            self.output.push(bracket);
        }
        self.emitted = depth;
    }

    /// Emits the comma and the name before a value of `container`.
    fn emit_member(container: &mut Container, output: &mut String) {
        if std::mem::replace(&mut container.has_emitted, true) {
            output.push(',');
        }
        if container.is_object && !container.is_tuple {
            output.push_str(&container.quoted);
            output.push(':');
        }
    }

    /// Returns the index of the root's container.
    fn root(&self) -> usize {
        usize::from(self.is_wrapped)
    }
}
