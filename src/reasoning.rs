//! Splits a model's reasoning from its answer, where a server sends both as one text.
//!
//! Markup is recognised by its shape: tags such as `<think>`, `<mm:think>`, `[THINK]` and `◁think▷`, channels as gpt-oss and
//! Gemma write them, and the phrases that remain of channels if a server drops their special tokens. The result is the same for
//! every split of a text into pieces. Text is held back only while it may be the start of markup.
//!
//! Markup may also be the subject of an answer. A tag within JSON or code is text, and so is a tag that an answer mentions in a
//! sentence. A block after the start of a free text is reasoning only once it has ended; else it is text.

mod context;
mod token;

#[cfg(test)]
mod tests;

use memchr::{memchr3, memchr3_iter};

use crate::steps;
use context::Context;
use token::{Phrase, PhraseMatch, Token, TokenMatch, ends_reasoning, match_phrase, match_token};

/// How the text of a reply is used, which decides what is done with markup that may be text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It contains JSON; text around the JSON has no meaning.
    Json,
    /// It is the answer.
    Text,
    /// It is the answer and is shown while it arrives, so that nothing can be taken back.
    #[default]
    ShownText,
}

/// Splits `text`. Returns the answer and the reasoning; `None` if there is no markup of reasoning.
pub(crate) fn split(text: &str, purpose: Purpose) -> Option<(String, String)> {
    if !may_have_markup(text) {
        return None;
    }
    let (mut answer, mut reasoning) = (String::with_capacity(text.len()), String::new());
    let mut splitter = ReasoningSplitter::new(purpose);
    splitter.push(text, &mut answer, &mut reasoning);
    splitter.finish(&mut answer, &mut reasoning);
    splitter.has_split.then_some((answer, reasoning))
}

/// Splits a text that arrives in pieces.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the text so far")]
pub(crate) struct ReasoningSplitter {
    purpose: Purpose,
    /// The block of reasoning around the current position.
    block: Option<Block>,
    /// The end of the text so far, which may be the start of markup.
    held: String,
    /// What surrounds the end of the answer.
    context: Context,
    /// Whether the answer so far contains more than white space.
    has_content: bool,
    /// Whether white space is dropped: it follows a block.
    drops_space: bool,
    /// Whether there was any markup of reasoning.
    has_split: bool,
    /// Whether there were channels.
    has_channels: bool,
    /// Whether the answer has a tag as a part of its text.
    has_mention: bool,
    /// The answers so far that have become reasoning.
    retracted: Vec<String>,
}

/// A block of reasoning.
#[derive(Debug)]
struct Block {
    end: BlockEnd,
    /// The number of blocks of tags within each other.
    depth: usize,
    /// The text of the block with its opening tag, if the block is text unless it ends.
    tentative: Option<Tentative>,
    /// The start of its content in the reasoning.
    start: usize,
    /// The position in the reasoning after the last inner closing tag.
    inner_end: Option<usize>,
}

#[derive(Debug)]
struct Tentative {
    text: String,
    /// The length of the opening tag.
    opening: usize,
}

/// What ends a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockEnd {
    Tag,
    /// The end of a message or the header of the next one.
    Message,
    Phrase(&'static str),
}

/// The two parts of a text.
struct Parts<'a> {
    answer: &'a mut String,
    reasoning: &'a mut String,
}

impl ReasoningSplitter {
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { purpose, ..Self::default() }
    }

    /// Reads the next piece. Appends what is decided to `answer` and `reasoning`; nobody else may change `answer`.
    pub(crate) fn push(&mut self, piece: &str, answer: &mut String, reasoning: &mut String) {
        if self.is_plain(piece) {
            answer.push_str(piece);
            return;
        }
        let mut parts = Parts { answer, reasoning };
        if self.held.is_empty() {
            let read = self.read(piece, false, &mut parts);
            self.held.push_str(&piece[read..]);
            return;
        }
        let mut text = std::mem::take(&mut self.held);
        steps::count(text.len());
        text.push_str(piece);
        let read = self.read(&text, false, &mut parts);
        text.drain(..read);
        self.held = text;
    }

    /// Decides what was held back: the text has ended.
    pub(crate) fn finish(&mut self, answer: &mut String, reasoning: &mut String) {
        let mut parts = Parts { answer, reasoning };
        let held = std::mem::take(&mut self.held);
        self.read(&held, true, &mut parts);
        let Some(block) = self.block.take() else { return };
        if let Some(tentative) = block.tentative {
            self.answer(&tentative.text, &mut parts);
        } else if let Some(end) = block.inner_end {
            // More tags were opened than closed.
            let rest = parts.reasoning.split_off(end);
            self.close(&mut parts);
            self.answer(&rest, &mut parts);
        } else {
            self.close(&mut parts);
        }
    }

    /// Whether the answer so far contains more than white space.
    pub(crate) fn has_content(&self) -> bool {
        self.has_content
    }

    /// Whether there was any markup of reasoning.
    pub(crate) fn has_split(&self) -> bool {
        self.has_split
    }

    /// Returns the answers that have become reasoning since the last call, each as it was then.
    pub(crate) fn take_retracted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.retracted)
    }

    /// Whether `piece` is only a part of the answer. A fast check.
    fn is_plain(&self, piece: &str) -> bool {
        self.block.is_none() && self.held.is_empty() && !self.drops_space && self.has_content && !has_mark(piece)
    }

    /// Reads `text`, and all of it if it `is_last`. Returns the number of bytes read.
    fn read(&mut self, text: &str, is_last: bool, parts: &mut Parts<'_>) -> usize {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let read = match &self.block {
                None => self.read_answer(rest, is_last, parts),
                Some(Block { end: BlockEnd::Phrase(phrase), .. }) => self.read_to_phrase(rest, phrase, is_last, parts),
                Some(_) => self.read_block(rest, is_last, parts),
            };
            match read {
                Some(read) => at += read,
                None => break,
            }
            steps::count(1 + read.unwrap_or_default());
        }
        at
    }

    /// Reads text outside blocks. Returns the number of bytes read; `None` if more text is needed.
    fn read_answer(&mut self, text: &str, is_last: bool, parts: &mut Parts<'_>) -> Option<usize> {
        if !self.has_content {
            let blank = text.len() - text.trim_start_matches(is_blank).len();
            if blank > 0 {
                self.answer(&text[..blank], parts);
                return Some(blank);
            }
            // Too many answers start with this letter to hold it back. Servers send the first word of the phrase at once.
            let is_common = self.purpose == Purpose::ShownText && text == "H";
            match match_phrase(text, self.purpose) {
                _ if self.has_split => {}
                PhraseMatch::Incomplete if !is_last && !is_common => return None,
                PhraseMatch::Found(phrase, length) => {
                    self.start_phrase(phrase, &text[..length], parts);
                    return Some(length);
                }
                _ => {}
            }
        }
        let start = find_mark(text);
        if start > 0 {
            self.answer(&text[..start], parts);
            return Some(start);
        }
        let (token, length) = match next_token(text, is_last)? {
            (Some(token), length) => (token, length),
            (None, length) => {
                self.answer(&text[..length], parts);
                return Some(length);
            }
        };
        let next = text[length..].chars().next();
        if next.is_none() && !is_last && self.has_content {
            return None;
        }
        self.context.read(parts.answer);
        let is_prose = self.purpose != Purpose::Json;
        let is_text = self.has_content
            && (self.context.is_protected(token == Token::Close && !self.has_mention, is_prose)
                || (is_prose && self.context.is_quoted(next)));
        let is_markup = !is_text && self.apply(token, &text[..length], next, parts);
        if !is_markup {
            self.has_mention = true;
            self.answer(&text[..length], parts);
        }
        Some(length)
    }

    /// Applies a token outside blocks. Returns false if it is a part of the answer.
    fn apply(&mut self, token: Token, text: &str, next: Option<char>, parts: &mut Parts<'_>) -> bool {
        let is_prose = self.purpose != Purpose::Json;
        match token {
            Token::Open | Token::OpenOrHeading if self.has_content && is_prose && self.context.is_mention() => {
                return false;
            }
            Token::Open | Token::OpenOrHeading if is_prose && (self.has_content || token == Token::OpenOrHeading) => {
                let tentative = Tentative { text: text.to_owned(), opening: text.len() };
                self.open(BlockEnd::Tag, Some(tentative), parts);
            }
            Token::Open | Token::OpenOrHeading => self.open(BlockEnd::Tag, None, parts),
            Token::Empty if self.has_content && is_prose && self.context.is_mention() => return false,
            Token::Empty => self.skip_markup(parts),
            // The opening tag was a part of the prompt.
            Token::Close => match self.purpose {
                _ if !self.has_content => self.skip_markup(parts),
                Purpose::Json => self.retract(parts),
                Purpose::Text if !self.has_split && !self.has_mention && self.context.is_boundary(next) => {
                    self.retract(parts);
                }
                Purpose::Text | Purpose::ShownText => return false,
            },
            Token::Thoughts => {
                self.has_channels = true;
                self.open(BlockEnd::Message, None, parts);
            }
            Token::Answer => {
                if self.has_content && !self.has_channels && self.purpose != Purpose::ShownText {
                    self.retract(parts);
                }
                self.has_channels = true;
                self.skip_markup(parts);
            }
            Token::MessageEnd if self.has_channels => self.skip_markup(parts),
            Token::AnswerBounds if self.has_split => self.skip_markup(parts),
            Token::MessageEnd | Token::AnswerBounds => return false,
        }
        true
    }

    /// Reads text within a block of tags or a channel. Returns the number of bytes read; `None` if more text is needed.
    fn read_block(&mut self, text: &str, is_last: bool, parts: &mut Parts<'_>) -> Option<usize> {
        let Some(block) = &mut self.block else { return None };
        let start = find_mark(text);
        if start > 0 {
            block.think(&text[..start], parts);
            return Some(start);
        }
        let (token, length) = match next_token(text, is_last)? {
            (Some(token), length) => (token, length),
            (None, length) => {
                block.think(&text[..length], parts);
                return Some(length);
            }
        };
        let next = text[length..].chars().next();
        let before = block.content(parts);
        if next.is_none() && !is_last && before.ends_with(context::QUOTES) {
            return None;
        }
        let is_tag = block.end == BlockEnd::Tag && !context::is_quoted(before, next);
        match token {
            Token::Open | Token::OpenOrHeading if is_tag => {
                block.depth += 1;
                block.think(&text[..length], parts);
            }
            Token::Close if is_tag && block.depth > 1 => {
                block.depth -= 1;
                block.think(&text[..length], parts);
                block.inner_end = block.tentative.is_none().then_some(parts.reasoning.len());
            }
            Token::Close if is_tag => self.end_block(&text[..length], parts),
            Token::MessageEnd | Token::Answer if block.end == BlockEnd::Message => self.close(parts),
            Token::Thoughts if block.end == BlockEnd::Message => block.think("\n", parts),
            _ => block.think(&text[..length], parts),
        }
        Some(length)
    }

    /// Reads text within a block that `phrase` ends. Returns the number of bytes read; `None` if more text is needed.
    fn read_to_phrase(&mut self, text: &str, phrase: &str, is_last: bool, parts: &mut Parts<'_>) -> Option<usize> {
        let Some(block) = &mut self.block else { return None };
        if let Some(start) = text.find(phrase) {
            if start > 0 {
                block.think(&text[..start], parts);
                return Some(start);
            }
            let next = text[phrase.len()..].chars().next();
            if next.is_none() && !is_last {
                return None;
            }
            if ends_reasoning(phrase, block.content(parts).chars().next_back(), next) {
                self.end_block(phrase, parts);
            } else {
                block.think(phrase, parts);
            }
            return Some(phrase.len());
        }
        let kept = if is_last {
            0
        } else {
            (1..phrase.len()).rev().find(|length| text.ends_with(&phrase[..*length])).unwrap_or(0)
        };
        let length = text.len() - kept;
        block.think(&text[..length], parts);
        (length > 0).then_some(length)
    }

    fn start_phrase(&mut self, phrase: Phrase, text: &str, parts: &mut Parts<'_>) {
        let tentative = Tentative { text: text.to_owned(), opening: text.len() };
        match phrase {
            Phrase::Thoughts => {
                self.has_channels = true;
                self.open(BlockEnd::Message, None, parts);
            }
            Phrase::Answer => {
                self.has_channels = true;
                self.skip_markup(parts);
            }
            Phrase::Until(end) => self.open(BlockEnd::Phrase(end), Some(tentative), parts),
        }
    }

    fn open(&mut self, end: BlockEnd, tentative: Option<Tentative>, parts: &mut Parts<'_>) {
        if !self.has_content && tentative.is_none() {
            self.clear(parts);
        }
        if !parts.reasoning.is_empty() && tentative.is_none() {
            parts.reasoning.push('\n');
        }
        self.has_split |= tentative.is_none();
        self.block = Some(Block { end, depth: 1, tentative, start: parts.reasoning.len(), inner_end: None });
    }

    /// Ends the block at its closing `tag`.
    fn end_block(&mut self, tag: &str, parts: &mut Parts<'_>) {
        let Some(Tentative { text, opening }) = self.block.as_mut().and_then(|block| block.tentative.take()) else {
            return self.close(parts);
        };
        let content = text[opening..].trim();
        if self.has_content && context::joins_tags(content) {
            // Two tags in one sentence.
            self.block = None;
            self.answer(&text, parts);
            self.answer(tag, parts);
            return;
        }
        if !self.has_content {
            self.clear(parts);
        }
        if !parts.reasoning.is_empty() {
            parts.reasoning.push('\n');
        }
        parts.reasoning.push_str(content);
        self.close(parts);
    }

    /// Ends the block, whose content is reasoning.
    fn close(&mut self, parts: &mut Parts<'_>) {
        self.block = None;
        let end = parts.reasoning.trim_end().len();
        steps::count(parts.reasoning.len() - end);
        parts.reasoning.truncate(end);
        self.skip_markup(parts);
    }

    /// Makes the answer so far reasoning.
    fn retract(&mut self, parts: &mut Parts<'_>) {
        if !parts.reasoning.is_empty() {
            parts.reasoning.push('\n');
        }
        steps::count(parts.answer.len());
        parts.reasoning.push_str(parts.answer.trim());
        self.retracted.push(std::mem::take(parts.answer));
        self.clear(parts);
        self.skip_markup(parts);
    }

    /// Continues the answer after markup.
    fn skip_markup(&mut self, parts: &Parts<'_>) {
        self.has_split = true;
        self.drops_space = parts.answer.is_empty() || parts.answer.ends_with(char::is_whitespace);
    }

    fn clear(&mut self, parts: &mut Parts<'_>) {
        parts.answer.clear();
        self.context = Context::default();
        self.has_content = false;
    }

    /// Appends `text` to the answer.
    fn answer(&mut self, text: &str, parts: &mut Parts<'_>) {
        steps::count(text.len());
        let text = if self.drops_space { text.trim_start_matches(is_blank) } else { text };
        self.drops_space &= text.is_empty();
        self.has_content |= !text.trim_matches(is_blank).is_empty();
        parts.answer.push_str(text);
    }
}

impl Block {
    /// Appends `text` to the content of the block.
    fn think(&mut self, text: &str, parts: &mut Parts<'_>) {
        match &mut self.tentative {
            Some(tentative) => tentative.text.push_str(text),
            None if parts.reasoning.len() == self.start => parts.reasoning.push_str(text.trim_start()),
            None => parts.reasoning.push_str(text),
        }
    }

    /// Returns the content of the block so far.
    fn content<'p>(&'p self, parts: &'p Parts<'_>) -> &'p str {
        match &self.tentative {
            Some(tentative) => &tentative.text[tentative.opening..],
            None => &parts.reasoning[self.start..],
        }
    }
}

/// The second byte of `◁`, which is rarer than the first one.
const TRIANGLE: u8 = 0x97;

/// Whether `text`, which is complete, may contain markup of reasoning. A fast check.
fn may_have_markup(text: &str) -> bool {
    let is_token = |at: usize| {
        let start = if text.as_bytes()[at] == TRIANGLE { at - 1 } else { at };
        text.get(start..).is_some_and(|rest| matches!(match_token(rest), TokenMatch::Found(..)))
    };
    memchr3_iter(b'<', b'[', TRIANGLE, text.as_bytes()).any(is_token)
        || !matches!(match_phrase(text.trim_start_matches(is_blank), Purpose::Json), PhraseMatch::None)
}

/// Whether `text` may contain a character with which a token starts. A fast check of every piece.
fn has_mark(text: &str) -> bool {
    memchr3(b'<', b'[', TRIANGLE, text.as_bytes()).is_some()
}

/// Returns the token at the start of `text` and its length; without a token, the length of the first character. `None` if more
/// text decides.
fn next_token(text: &str, is_last: bool) -> Option<(Option<Token>, usize)> {
    match match_token(text) {
        TokenMatch::Found(token, length) => Some((Some(token), length)),
        TokenMatch::Incomplete if !is_last => None,
        TokenMatch::Incomplete | TokenMatch::None => Some((None, text.chars().next().map_or(0, char::len_utf8))),
    }
}

/// Returns the position of the first character with which a token may start, or the length of `text`.
fn find_mark(text: &str) -> usize {
    text.find(['<', '[', '◁']).unwrap_or(text.len())
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}
