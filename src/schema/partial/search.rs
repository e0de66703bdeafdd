//! Where the JSON begins in a reply that is still coming.

use crate::schema::extract::{CLOSE, OPEN};

/// How sure it is that a bracket opens the answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It stands at the start of the reply or of a code fence.
    #[default]
    Certain,
    /// It stands in the prose, first on a line or behind a colon.
    Likely,
}

/// Looks for the bracket that opens the answer.
#[derive(Debug, Default)]
pub(super) struct StartSearch {
    context: Context,
    /// How many characters of `</think>` have just been read.
    closing: usize,
}

/// What stands before the next character, blanks aside.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// Nothing, or the model's thoughts.
    #[default]
    Start,
    /// So many characters of `<think>`, at the start.
    Tag(usize),
    Thoughts,
    /// So many back quotes, at the start of a line.
    Line(usize),
    /// A code fence, perhaps with its tag.
    Fence,
    Colon,
    Prose,
}

impl StartSearch {
    /// One that goes on behind a bracket that opened nothing.
    pub(super) fn within_a_line() -> Self {
        Self { context: Context::Prose, closing: 0 }
    }

    /// The position of the bracket in `text`; what stands before it has been read then.
    pub(super) fn push(&mut self, text: &str) -> Option<(usize, Certainty)> {
        for (at, character) in text.char_indices() {
            if matches!(character, '{' | '[') {
                match self.context {
                    Context::Start | Context::Fence => return Some((at, Certainty::Certain)),
                    Context::Line(_) | Context::Colon => return Some((at, Certainty::Likely)),
                    Context::Tag(_) | Context::Thoughts | Context::Prose => {}
                }
            }
            self.pass(character);
        }
        None
    }

    fn pass(&mut self, character: char) {
        let is = |expected: Option<&u8>| expected.is_some_and(|byte| char::from(*byte) == character);
        // Some chat templates put the opening tag into the prompt, so that the reply holds the closing one alone.
        self.closing = match self.closing {
            matched if is(CLOSE.as_bytes().get(matched)) => matched + 1,
            _ => usize::from(character == '<'),
        };
        if self.closing == CLOSE.len() {
            *self = Self::default();
            return;
        }
        self.context = match (self.context, character) {
            (Context::Thoughts, _) => Context::Thoughts,
            (Context::Start, '<') => Context::Tag(1),
            (Context::Tag(matched), _) if is(OPEN.as_bytes().get(matched)) => match matched + 1 {
                all if all == OPEN.len() => Context::Thoughts,
                matched => Context::Tag(matched),
            },
            (Context::Start, '`') => Context::Line(1),
            (Context::Line(2), '`') => Context::Fence,
            (Context::Line(quotes), '`') => Context::Line(quotes + 1),
            (Context::Fence, _) if character.is_alphanumeric() || character.is_whitespace() => Context::Fence,
            (Context::Start, _) if character.is_whitespace() || character == '\u{feff}' => Context::Start,
            // Behind emphasis and the quotes of code it is as before them.
            (_, '\n') | (Context::Start | Context::Line(_), '*') => Context::Line(0),
            (_, ':' | '：') | (Context::Colon, '*' | '`') => Context::Colon,
            (context, _) if character.is_whitespace() => context,
            _ => Context::Prose,
        };
    }
}
