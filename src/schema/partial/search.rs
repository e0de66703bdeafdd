//! Finds the start of the JSON in a reply that is still arriving.

/// How certain it is that a bracket starts the answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// At the start of the reply or of a code fence.
    #[default]
    Certain,
    /// In the prose, at the start of a line or after a colon.
    Likely,
}

/// Searches for the bracket that starts the answer.
#[derive(Debug, Default)]
pub(super) struct StartSearch {
    context: Context,
}

/// The text before the next character, without white space.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// Nothing.
    #[default]
    Start,
    /// This many back quotes, at the start of a line.
    Line(usize),
    /// A code fence, possibly with its language tag.
    Fence,
    Colon,
    Prose,
}

impl StartSearch {
    /// Continues after a bracket that did not start the answer.
    pub(super) fn in_prose() -> Self {
        Self { context: Context::Prose }
    }

    /// Returns the position of the bracket in `text`, after reading the text before it.
    pub(super) fn push(&mut self, text: &str) -> Option<(usize, Certainty)> {
        for (at, character) in text.char_indices() {
            if matches!(character, '{' | '[') {
                match self.context {
                    Context::Start | Context::Fence => return Some((at, Certainty::Certain)),
                    Context::Line(_) | Context::Colon => return Some((at, Certainty::Likely)),
                    Context::Prose => {}
                }
            }
            self.pass(character);
        }
        None
    }

    fn pass(&mut self, character: char) {
        self.context = match (self.context, character) {
            (Context::Start, '`') => Context::Line(1),
            (Context::Line(2), '`') => Context::Fence,
            (Context::Line(quotes), '`') => Context::Line(quotes + 1),
            (Context::Fence, _) if character.is_alphanumeric() || character.is_whitespace() => Context::Fence,
            (Context::Start, _) if character.is_whitespace() || character == '\u{feff}' => Context::Start,
            // Emphasis and code quotes do not change the context.
            (_, '\n') | (Context::Start | Context::Line(_), '*') => Context::Line(0),
            (_, ':' | '：') | (Context::Colon, '*' | '`') => Context::Colon,
            (context, _) if character.is_whitespace() => context,
            _ => Context::Prose,
        };
    }
}
