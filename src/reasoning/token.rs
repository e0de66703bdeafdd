//! Recognises markup of reasoning at the start of a text.

use super::Purpose;
use super::context::QUOTES;
use crate::steps;

/// A piece of markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// `<think>`
    Open,
    /// `[Thinking]`, which may be a heading.
    OpenOrHeading,
    /// `</think>`
    Close,
    /// `<think/>`
    Empty,
    /// The header of a message that is reasoning: `<|start|>assistant<|channel|>analysis<|message|>`
    Thoughts,
    /// The header of a message that is an answer: `<|channel|>final<|message|>`
    Answer,
    /// `<|end|>`
    MessageEnd,
    /// The start or the end of an answer next to tags of reasoning: `<|START_RESPONSE|>`
    AnswerBounds,
}

/// Whether a text starts with a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenMatch {
    None,
    /// More text decides.
    Incomplete,
    /// It does, with a token of this length.
    Found(Token, usize),
}

/// What the first words of a reply say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phrase {
    /// `analysis<|message|>`
    Thoughts,
    /// `final<|message|>`
    Answer,
    /// Reasoning up to this phrase, if it follows.
    Until(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PhraseMatch {
    None,
    Incomplete,
    Found(Phrase, usize),
}

/// The longest name of a tag.
const MAX_NAME: usize = 40;

/// The longest attributes of a tag.
const MAX_ATTRIBUTES: usize = 200;

/// The longest header of a message between two of its special tokens.
const MAX_HEADER: usize = 80;

const MESSAGE: &str = "<|message|>";

/// The words for reasoning in the names of tags and channels.
const THOUGHT: [&str; 6] = ["think", "thinking", "thought", "thoughts", "reasoning", "reasoner"];

/// The nouns that may follow such a word in a name.
const THOUGHT_NOUNS: [&str; 5] = ["process", "steps", "block", "content", "trace"];

/// Other names of tags.
const OTHER_TAGS: [&str; 2] = ["scratchpad", "inner_monologue"];

/// The channels of reasoning.
const CHANNELS: [&str; 2] = ["analysis", "commentary"];

/// The channel of the answer.
const FINAL: &str = "final";

/// What remains of the header of the answer's channel without its special tokens.
const STRIPPED_FINAL: &str = "assistantfinal";

/// The first words of reasoning, and the words between it and the answer.
const PHRASES: [(&str, &str); 6] = [
    // What remains of the headers of channels.
    ("analysis", STRIPPED_FINAL),
    ("assistantanalysis", STRIPPED_FINAL),
    ("commentary", STRIPPED_FINAL),
    ("assistantcommentary", STRIPPED_FINAL),
    // The template of Granite.
    ("Here is my thought process:", "Here is my response:"),
    ("Here's my thought process:", "Here's my response:"),
];

/// The first letters of all channels and phrases.
const FIRST_LETTERS: [char; 4] = ['a', 'c', 'f', 'H'];

/// Recognises the token at the start of `text`.
pub(super) fn match_token(text: &str) -> TokenMatch {
    let Some(first) = text.chars().next() else { return TokenMatch::Incomplete };
    let rest = &text[first.len_utf8()..];
    match first {
        '<' if rest.starts_with(BARS) => special(text),
        '<' => tag(rest, 1),
        '[' => bracketed(rest, 1, ']'),
        '◁' => bracketed(rest, first.len_utf8(), '▷'),
        _ => TokenMatch::None,
    }
}

/// Recognises the words at the start of a reply.
///
/// The name of a channel may also be the first word of an answer. A text that is shown while it arrives is not held back for
/// "analysis of …".
pub(super) fn match_phrase(text: &str, purpose: Purpose) -> PhraseMatch {
    // Few replies start with one of these letters.
    if !text.is_empty() && !text.starts_with(FIRST_LETTERS) {
        return PhraseMatch::None;
    }
    let mut is_incomplete = false;
    for channel in CHANNELS.into_iter().chain([FINAL]) {
        let phrase = if channel == FINAL { Phrase::Answer } else { Phrase::Thoughts };
        match text.strip_prefix(channel) {
            Some(rest) if rest.starts_with(MESSAGE) => {
                return PhraseMatch::Found(phrase, channel.len() + MESSAGE.len());
            }
            Some(rest) => is_incomplete |= MESSAGE.starts_with(rest),
            None => is_incomplete |= channel.starts_with(text),
        }
    }
    match text.strip_prefix(STRIPPED_FINAL) {
        Some(rest) if rest.starts_with(MESSAGE) => {
            return PhraseMatch::Found(Phrase::Answer, STRIPPED_FINAL.len() + MESSAGE.len());
        }
        Some(rest) if MESSAGE.starts_with(rest) => is_incomplete = true,
        Some(rest) if purpose == Purpose::Json || !rest.starts_with(' ') => {
            return PhraseMatch::Found(Phrase::Answer, STRIPPED_FINAL.len());
        }
        Some(_) => {}
        None => is_incomplete |= STRIPPED_FINAL.starts_with(text),
    }
    for (start, end) in PHRASES {
        let Some(rest) = text.strip_prefix(start) else {
            is_incomplete |= start.starts_with(text);
            continue;
        };
        let is_sentence = start.contains(' ');
        match rest.chars().next() {
            _ if is_sentence => return PhraseMatch::Found(Phrase::Until(end), start.len()),
            None => is_incomplete = true,
            Some(next) if next.is_whitespace() && next != '\n' && purpose == Purpose::ShownText => {}
            // Decided by what follows the channel.
            Some('<') if MESSAGE.starts_with(rest) => is_incomplete = true,
            Some(_) => return PhraseMatch::Found(Phrase::Until(end), start.len()),
        }
    }
    if is_incomplete { PhraseMatch::Incomplete } else { PhraseMatch::None }
}

/// Whether `phrase` between `before` and `next` ends reasoning. The rest of a header follows the reasoning without a space; in a
/// sentence it is a word, or in quotes.
pub(super) fn ends_reasoning(phrase: &str, before: Option<char>, next: Option<char>) -> bool {
    let is_space = |c: char| c.is_whitespace() && c != '\n';
    let is_word = before.is_some_and(is_space) && next.is_none_or(|next| is_space(next) || next.is_ascii_punctuation());
    phrase != STRIPPED_FINAL || !(is_word || before.is_some_and(|before| QUOTES.contains(&before)))
}

const BARS: [char; 2] = ['|', '｜'];

/// Recognises `<|name|>`, also with full-width bars, and the headers of messages.
fn special(text: &str) -> TokenMatch {
    let (name, length) = match special_name(text) {
        Ok(found) => found,
        Err(other) => return other,
    };
    // Gemma: `<|channel>thought`.
    if !text[..length].ends_with("|>") && !text[..length].ends_with("｜>") {
        return if name == "channel" { gemma_channel(text, length) } else { named(name, length) };
    }
    match name {
        "start" => match header(text, length, "<|channel|>") {
            Ok(end) => channel(text, end),
            Err(TokenMatch::Incomplete) => TokenMatch::Incomplete,
            Err(_) => match header(text, length, MESSAGE) {
                Ok(end) => TokenMatch::Found(Token::Answer, end),
                Err(other) => other,
            },
        },
        "channel" => channel(text, length),
        "end" | "return" | "call" => TokenMatch::Found(Token::MessageEnd, length),
        _ => named(name, length),
    }
}

/// Returns the name and the length of the special token at the start of `text`.
fn special_name(text: &str) -> Result<(&str, usize), TokenMatch> {
    let name = text[1..].trim_start_matches(BARS);
    let start = text.len() - name.len();
    steps::count(start);
    if start > MAX_NAME {
        return Err(TokenMatch::None);
    }
    for (count, (at, c)) in name.char_indices().enumerate() {
        match c {
            _ if count == MAX_NAME => return Err(TokenMatch::None),
            '>' => return Ok((name[..at].trim_end_matches(BARS), start + at + 1)),
            _ if is_name(c) || BARS.contains(&c) || matches!(c, '/' | '▁') => {}
            _ => return Err(TokenMatch::None),
        }
    }
    Err(TokenMatch::Incomplete)
}

/// Recognises the rest of a header, from the name of its channel at `start` on.
fn channel(text: &str, start: usize) -> TokenMatch {
    let end = match header(text, start, MESSAGE) {
        Ok(end) => end,
        Err(other) => return other,
    };
    let name = text[start..].trim_start();
    let name = &name[..name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len())];
    let is_thought = CHANNELS.contains(&name) || THOUGHT.contains(&name);
    TokenMatch::Found(if is_thought { Token::Thoughts } else { Token::Answer }, end)
}

/// Returns the end of `token`, which has to follow within a header that continues at `start`.
fn header(text: &str, start: usize, token: &str) -> Result<usize, TokenMatch> {
    let mut at = start;
    loop {
        let rest = &text[at..];
        if rest.starts_with(token) {
            return Ok(at + token.len());
        }
        if rest.is_empty() || token.starts_with(rest) || CONSTRAIN.starts_with(rest) {
            return Err(TokenMatch::Incomplete);
        }
        steps::count(1);
        // The type of the content: `final <|constrain|>json<|message|>`.
        if rest.starts_with(CONSTRAIN) && at - start < MAX_HEADER {
            at += CONSTRAIN.len();
            continue;
        }
        match rest.chars().next() {
            Some(c) if c != '<' && at - start < MAX_HEADER => at += c.len_utf8(),
            _ => return Err(TokenMatch::None),
        }
    }
}

const CONSTRAIN: &str = "<|constrain|>";

/// Recognises the name of a channel as Gemma writes it, at `start`.
fn gemma_channel(text: &str, start: usize) -> TokenMatch {
    let name = &text[start..];
    let length = name.find(|c: char| !is_name(c)).unwrap_or(name.len()).min(MAX_NAME);
    // The name may go on.
    if length == name.len() && length < MAX_NAME {
        return TokenMatch::Incomplete;
    }
    let words = ["thoughts", "thought", "thinking"].into_iter().chain(CHANNELS);
    match words.into_iter().find(|word| name.starts_with(word)) {
        Some(word) => TokenMatch::Found(Token::Open, start + word.len()),
        None => TokenMatch::Found(Token::AnswerBounds, start + length),
    }
}

/// Returns the token with the `name` of a special token.
fn named(name: &str, length: usize) -> TokenMatch {
    let name = name.replace('▁', "_").to_ascii_lowercase();
    let (is_closing, name) = match name.strip_prefix('/') {
        Some(name) => (true, name.to_owned()),
        None => (name.starts_with("end"), name),
    };
    let last = name.rsplit(['_', '-']).next().unwrap_or_default();
    if is_thought(&name) {
        return TokenMatch::Found(if is_closing { Token::Close } else { Token::Open }, length);
    }
    let is_bounds = name.contains(['_', '-']) && ["response", "answer", "solution", "text"].contains(&last);
    if is_bounds { TokenMatch::Found(Token::AnswerBounds, length) } else { TokenMatch::None }
}

/// Recognises the tag whose `rest` follows `<`; `skipped` bytes precede the rest.
fn tag(rest: &str, skipped: usize) -> TokenMatch {
    let (is_closing, name) = match rest.strip_prefix('/') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    let start = skipped + rest.len() - name.len();
    let length = name.find(|c: char| !is_name(c)).unwrap_or(name.len());
    steps::count(length);
    if length > MAX_NAME {
        return TokenMatch::None;
    }
    let after = &name[length..];
    if after.is_empty() {
        return TokenMatch::Incomplete;
    }
    let name = &name[..length];
    // Gemma ends a channel with `<channel|>`.
    if let Some(after) = after.strip_prefix('|') {
        let is_end = name == "channel" || is_thought(name);
        return match after.chars().next() {
            _ if !is_end => TokenMatch::None,
            None => TokenMatch::Incomplete,
            Some('>') => TokenMatch::Found(Token::Close, start + length + 2),
            Some(_) => TokenMatch::None,
        };
    }
    if !is_thought(name) {
        return TokenMatch::None;
    }
    match attributes(after) {
        Ok((end, _)) if is_closing => TokenMatch::Found(Token::Close, start + length + end),
        Ok((end, true)) => TokenMatch::Found(Token::Empty, start + length + end),
        Ok((end, false)) => TokenMatch::Found(Token::Open, start + length + end),
        Err(other) => other,
    }
}

/// Returns the end of the tag whose name `rest` follows, and whether the tag closes itself.
fn attributes(rest: &str) -> Result<(usize, bool), TokenMatch> {
    if !rest.starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace()) {
        return Err(TokenMatch::None);
    }
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        steps::count(1);
        match c {
            _ if at > MAX_ATTRIBUTES => return Err(TokenMatch::None),
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            '>' if quote.is_none() => {
                let inside = rest[..at].trim();
                let attributes = inside.strip_suffix('/').unwrap_or(inside);
                // `<think about it>` has words, not attributes.
                let is_valid = attributes.is_empty() || attributes.contains('=');
                return if is_valid { Ok((at + 1, inside.ends_with('/'))) } else { Err(TokenMatch::None) };
            }
            '<' | '\n' => return Err(TokenMatch::None),
            _ => {}
        }
    }
    Err(TokenMatch::Incomplete)
}

/// Recognises the tag whose `rest` follows an opening bracket of `skipped` bytes; `close` is the other bracket.
fn bracketed(rest: &str, skipped: usize, close: char) -> TokenMatch {
    let (is_closing, name) = match rest.strip_prefix('/') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    let length = name.find(|c: char| !(c.is_ascii_alphabetic() || c == '_')).unwrap_or(name.len());
    steps::count(length);
    if length > MAX_NAME {
        return TokenMatch::None;
    }
    match name[length..].chars().next() {
        None => TokenMatch::Incomplete,
        Some(next) if next == close && is_thought(&name[..length]) => {
            let token = match &name[..length] {
                _ if is_closing => Token::Close,
                "THINK" | "think" => Token::Open,
                _ if close == '▷' => Token::Open,
                _ => Token::OpenOrHeading,
            };
            TokenMatch::Found(token, skipped + rest.len() - name.len() + length + close.len_utf8())
        }
        Some(_) => TokenMatch::None,
    }
}

/// Whether `name`, with or without a namespace, is a name for reasoning: `think`, `mm:think`, `chain_of_thought`.
fn is_thought(name: &str) -> bool {
    let name = name.rsplit(':').next().unwrap_or(name).to_ascii_lowercase();
    let name = name.as_str();
    let mut words = name.rsplit(['_', '-', '.']);
    let last = words.next().unwrap_or_default();
    let mut is_compound = || THOUGHT_NOUNS.contains(&last) && words.next().is_some_and(|word| THOUGHT.contains(&word));
    THOUGHT.contains(&last) || OTHER_TAGS.contains(&name) || is_compound()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_starts_with_one_of_the_letters() {
        let phrases = PHRASES.into_iter().map(|(start, _)| start);
        assert!(phrases.chain(CHANNELS).chain([FINAL, STRIPPED_FINAL]).all(|phrase| phrase.starts_with(FIRST_LETTERS)));
    }
}
