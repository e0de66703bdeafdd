//! The JSON itself, read byte by byte, and the text of what is closed in it.

use std::collections::HashSet;

use super::expected::{Expected, Step, Wrapping};
use super::search::Certainty;
use crate::schema::lenient::{MAX_DEPTH, unquoted};
use crate::schema::scan;

/// No longer number is read by Python.
const MAX_NUMBER: usize = 4300;

/// What became of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of it was read, and the document goes on.
    Incomplete,
    /// The document is whole.
    Complete,
    /// The byte at this position is none of the document; it may be read as something else.
    Invalid(usize),
}

/// A JSON document that begins with a bracket.
#[derive(Debug, Default)]
pub(super) struct IncrementalParser {
    certainty: Certainty,
    open: Vec<Container>,
    expect: Expect,
    /// The scalar being read, or the last one, as the model wrote it.
    literal: String,
    token: Token,
    /// What is output, without white space. The brackets of the first `emitted` containers are in it, unclosed.
    output: String,
    emitted: usize,
    /// How many values have been emitted; the brackets that close a emitted container say nothing new.
    values: usize,
    /// Whether the first container only wraps the root.
    wrapper: bool,
}

#[derive(Debug)]
struct Container {
    is_object: bool,
    /// Names of the members so far, the present one included.
    names: HashSet<String>,
    /// The name of the present member, and as the model wrote it.
    name: String,
    quoted: String,
    /// The place of the present item.
    index: usize,
    /// Whether a closed value inside it is emitted.
    has_emitted: bool,
}

/// What may come next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expect {
    #[default]
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    /// The last value was a scalar: it is closed by what comes.
    AfterScalar,
    AfterContainer,
}

/// Where the reader is inside a token.
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

/// The byte at hand is none of the document.
#[derive(Debug)]
struct Invalid;

impl IncrementalParser {
    /// One before its first bracket.
    pub(super) fn new(certainty: Certainty) -> Self {
        Self { certainty, ..Self::default() }
    }

    /// Reads `text` on, up to the end of the document.
    pub(super) fn push(&mut self, text: &str, expected: &Expected) -> Progress {
        let mut at = 0;
        while at < text.len() {
            let read = match self.token {
                Token::None => self.structure(text.as_bytes()[at], expected).map(|()| 1),
                Token::String { is_escaped } => self.string(&text[at..], is_escaped, expected),
                Token::Bare => self.bare(&text[at..]),
            };
            match read {
                Ok(read) => at += read,
                Err(Invalid) => return Progress::Invalid(at),
            }
            if self.open.is_empty() {
                return Progress::Complete;
            }
        }
        Progress::Incomplete
    }

    /// How long a snapshot is, about.
    pub(super) fn size(&self) -> usize {
        self.output.len()
    }

    /// How many values a snapshot shows.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// Whether its first bracket may be one of the prose: it has held nothing yet that only JSON does.
    pub(super) fn may_be_prose(&self) -> bool {
        let has_name = self.open.first().is_some_and(|container| !container.names.is_empty());
        self.certainty == Certainty::Likely && self.open.len() == 1 && self.output.is_empty() && !has_name
    }

    /// What is output, as a document.
    pub(super) fn snapshot(&self) -> String {
        let mut text = String::with_capacity(self.output.len() + self.emitted);
        text.push_str(&self.output);
        let emitted = self.open.get(self.root()..self.emitted).unwrap_or_default();
        text.extend(emitted.iter().rev().map(|container| if container.is_object { '}' } else { ']' }));
        text
    }

    /// A byte between tokens.
    fn structure(&mut self, byte: u8, expected: &Expected) -> Result<(), Invalid> {
        let is_object = self.open.last().is_some_and(|container| container.is_object);
        match (byte, self.expect) {
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            (b'}', Expect::KeyOrClose) | (b']', Expect::ValueOrClose) => self.close(),
            (b'}' | b']', Expect::AfterScalar | Expect::AfterContainer) if is_object == (byte == b'}') => {
                self.close_scalar(expected);
                self.close();
            }
            (b',', Expect::AfterScalar | Expect::AfterContainer) => {
                self.close_scalar(expected);
                if self.wrapper && self.open.len() == 1 {
                    // It is more than a wrapper.
                    return Err(Invalid);
                }
                if let Some(container) = self.open.last_mut() {
                    container.index += 1;
                }
                self.expect = if is_object { Expect::Key } else { Expect::Value };
            }
            (b':', Expect::Colon) => self.expect = Expect::Value,
            (b'"', Expect::Key | Expect::KeyOrClose) => self.begin(Token::String { is_escaped: false }),
            (_, Expect::Value | Expect::ValueOrClose) => {
                let is_first_item = self.open.len() == 1 && self.expect == Expect::ValueOrClose;
                if is_first_item && self.certainty == Certainty::Likely && !expected.may_list(byte) {
                    return Err(Invalid);
                }
                match byte {
                    b'{' | b'[' => self.open(byte == b'{')?,
                    b'"' => self.begin(Token::String { is_escaped: false }),
                    b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                        self.begin(Token::Bare);
                        self.literal.push(char::from(byte));
                    }
                    _ => return Err(Invalid),
                }
            }
            _ => return Err(Invalid),
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool) -> Result<(), Invalid> {
        if self.open.len() == MAX_DEPTH {
            return Err(Invalid);
        }
        self.open.push(Container {
            is_object,
            names: HashSet::new(),
            name: String::new(),
            quoted: String::new(),
            index: 0,
            has_emitted: false,
        });
        self.expect = if is_object { Expect::KeyOrClose } else { Expect::ValueOrClose };
        Ok(())
    }

    /// The innermost container is output.
    fn close(&mut self) {
        let depth = self.open.len();
        let is_wrapper = self.wrapper && depth == 1;
        if !is_wrapper && self.emitted < depth {
            // One without a emitted value has not appeared yet.
            self.emit_containers(depth);
            self.values += 1;
        }
        if let Some(container) = self.open.pop()
            && !is_wrapper
        {
            self.output.push(if container.is_object { '}' } else { ']' });
        }
        self.emitted = self.open.len();
        self.expect = Expect::AfterContainer;
    }

    fn begin(&mut self, token: Token) {
        self.token = token;
        self.literal.clear();
        if token != Token::Bare {
            self.literal.push('"');
        }
    }

    /// The inside of a string; how much of `text` was read.
    fn string(&mut self, text: &str, is_escaped: bool, expected: &Expected) -> Result<usize, Invalid> {
        let special = text.bytes().position(|byte| matches!(byte, b'"' | b'\\'));
        let (read, ends) = match (is_escaped, special) {
            // The character behind a backslash, however long it is, and no more.
            (true, _) => (text.chars().next().map_or(0, char::len_utf8), false),
            (false, None) => (text.len(), false),
            (false, Some(at)) => (at + 1, text.as_bytes()[at] == b'"'),
        };
        self.literal.push_str(&text[..read]);
        if !ends {
            let is_escaped = !is_escaped && special.is_some_and(|at| at + 1 == read);
            self.token = Token::String { is_escaped };
            return Ok(read);
        }
        self.token = Token::None;
        if scan::string(self.literal.as_bytes(), 0) != Ok(self.literal.len()) {
            return Err(Invalid);
        }
        match self.expect {
            Expect::Key | Expect::KeyOrClose => self.name(expected)?,
            // A lone surrogate is an escape that no reader takes.
            _ => unquoted(&self.literal).map(|_| self.expect = Expect::AfterScalar).ok_or(Invalid)?,
        }
        Ok(read)
    }

    /// A number or a word; how much of `text` was read.
    fn bare(&mut self, text: &str) -> Result<usize, Invalid> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let read = text.bytes().take_while(|byte| is_part(byte)).count();
        self.literal.push_str(&text[..read]);
        if read < text.len() {
            self.token = Token::None;
            let is_scalar = scan::scalar(self.literal.as_bytes(), 0) == Ok(self.literal.len());
            if !is_scalar || self.literal.len() > MAX_NUMBER {
                return Err(Invalid);
            }
            self.expect = Expect::AfterScalar;
        }
        Ok(read)
    }

    /// The name of a member is complete.
    fn name(&mut self, expected: &Expected) -> Result<(), Invalid> {
        let is_first = self.open.len() == 1 && self.expect == Expect::KeyOrClose;
        let container = self.open.last_mut().ok_or(Invalid)?;
        container.name = unquoted(&self.literal).ok_or(Invalid)?.into_owned();
        std::mem::swap(&mut container.quoted, &mut self.literal);
        // Of two members with one name readers take the last: what was emitted would change.
        let is_new = container.names.insert(container.name.clone());
        if !is_new || (is_first && self.certainty == Certainty::Likely && !expected.knows(&container.name)) {
            return Err(Invalid);
        }
        if is_first {
            match expected.wrapping(&container.name) {
                Wrapping::None => {}
                Wrapping::Wrapper => self.wrapper = true,
                Wrapping::Unclear => return Err(Invalid),
            }
        }
        self.expect = Expect::Colon;
        Ok(())
    }

    /// Shows the last value, where that was a scalar.
    fn close_scalar(&mut self, expected: &Expected) {
        // A scalar in the wrapper is the whole answer: nothing about it is partial.
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

    /// Whether the scalar at hand is a null that may stand for an absent property.
    fn is_absent(&self, expected: &Expected) -> bool {
        let open = self.open.get(self.root()..).unwrap_or_default();
        let Some((container, around)) = open.split_last() else { return false };
        let steps = around.iter().map(|container| {
            if container.is_object { Step::Member(&container.name) } else { Step::Item(container.index) }
        });
        self.literal == "null" && container.is_object && expected.may_be_absent(steps, &container.name)
    }

    /// Writes the brackets of the first `depth` containers, as far as they are not there yet.
    fn emit_containers(&mut self, depth: usize) {
        for at in self.emitted.max(self.root())..depth {
            let bracket = if self.open[at].is_object { '{' } else { '[' };
            if at > self.root() {
                Self::emit_member(&mut self.open[at - 1], &mut self.output);
            }
            self.output.push(bracket);
        }
        self.emitted = depth;
    }

    /// Writes what stands before a value of `container`.
    fn emit_member(container: &mut Container, output: &mut String) {
        if std::mem::replace(&mut container.has_emitted, true) {
            output.push(',');
        }
        if container.is_object {
            output.push_str(&container.quoted);
            output.push(':');
        }
    }

    /// The place of the root's container.
    fn root(&self) -> usize {
        usize::from(self.wrapper)
    }
}
