//! Where the JSON begins in a reply that is still coming.

use super::super::extract::{CLOSE, OPEN};

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
pub(super) struct Search {
    place: Place,
    /// How many characters of `</think>` have just been read.
    closing: usize,
}

/// What stands before the next character, blanks aside.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
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

impl Search {
    /// One that goes on behind a bracket that opened nothing.
    pub(super) fn within_a_line() -> Self {
        Self { place: Place::Prose, closing: 0 }
    }

    /// The position of the bracket in `text`; what stands before it has been read then.
    pub(super) fn push(&mut self, text: &str) -> Option<(usize, Certainty)> {
        for (at, character) in text.char_indices() {
            if matches!(character, '{' | '[') {
                match self.place {
                    Place::Start | Place::Fence => return Some((at, Certainty::Certain)),
                    Place::Line(_) | Place::Colon => return Some((at, Certainty::Likely)),
                    Place::Tag(_) | Place::Thoughts | Place::Prose => {}
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
        self.place = match (self.place, character) {
            (Place::Thoughts, _) => Place::Thoughts,
            (Place::Start, '<') => Place::Tag(1),
            (Place::Tag(matched), _) if is(OPEN.as_bytes().get(matched)) => match matched + 1 {
                all if all == OPEN.len() => Place::Thoughts,
                matched => Place::Tag(matched),
            },
            (Place::Start, '`') => Place::Line(1),
            (Place::Line(2), '`') => Place::Fence,
            (Place::Line(quotes), '`') => Place::Line(quotes + 1),
            (Place::Fence, _) if character.is_alphanumeric() || character.is_whitespace() => Place::Fence,
            (Place::Start, _) if character.is_whitespace() || character == '\u{feff}' => Place::Start,
            // Behind emphasis and the quotes of code it is as before them.
            (_, '\n') | (Place::Start | Place::Line(_), '*') => Place::Line(0),
            (_, ':' | '：') | (Place::Colon, '*' | '`') => Place::Colon,
            (place, _) if character.is_whitespace() => place,
            _ => Place::Prose,
        };
    }
}
