//! Joins halves of surrogate pairs whose escapes arrive in different events.

use std::borrow::Cow;

use super::envelope::{Half, half};

/// Joins the pieces of a text. A half without its other half is U+FFFD.
#[derive(Debug, Default)]
pub(super) struct HalfJoiner {
    /// The high half at the end of the text so far.
    pending: Option<u32>,
}

impl HalfJoiner {
    /// Returns the text that `piece` adds. `has_halves` is whether it marks halves; see [`half`].
    pub(super) fn join<'a>(&mut self, piece: &'a str, has_halves: bool) -> Cow<'a, str> {
        if piece.is_empty() || (self.pending.is_none() && !has_halves) {
            return Cow::Borrowed(piece);
        }
        let mut text = String::with_capacity(piece.len() + 4);
        for character in piece.chars() {
            let found = if has_halves { half(character) } else { None };
            match (found, self.pending.take()) {
                (Some(Half::Low(low)), Some(high)) => text.push(Half::join(high, low)),
                (found, unpaired) => {
                    text.extend(unpaired.map(|_| char::REPLACEMENT_CHARACTER));
                    match found {
                        Some(Half::High(high)) => self.pending = Some(high),
                        Some(Half::Low(_)) => text.push(char::REPLACEMENT_CHARACTER),
                        None => text.push(character),
                    }
                }
            }
        }
        Cow::Owned(text)
    }

    /// Returns the text that the end of the stream adds.
    pub(super) fn finish(&mut self) -> &'static str {
        if self.pending.take().is_some() { "\u{fffd}" } else { "" }
    }
}
