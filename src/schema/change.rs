//! The repairs and coercions applied to one reply.

pub use crate::attempt::Change;

/// The kinds of changes, each once, in the order of first use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn note(&mut self, change: Change) {
        if !self.has(change) {
            self.0.push(change);
        }
    }

    pub(super) fn has(&self, change: Change) -> bool {
        self.0.contains(&change)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Change> {
        self.0
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = Change> {
        self.0.iter().copied()
    }
}
