//! Counts the steps of work on texts that others wrote, so that no text can make it take more than linear time.

use tokio::time::Instant;

/// The steps between two looks at the clock: a millisecond or two of work.
const STEPS_PER_LOOK: usize = 1 << 20;

/// A limit of steps, about one for each byte that is looked at.
#[derive(Debug)]
pub(crate) struct Steps {
    left: usize,
    /// The time at which the work has to end.
    deadline: Option<Instant>,
    until_look: usize,
}

impl Steps {
    /// Returns the limit for `length` bytes: `per_byte` steps for each, and some for a short text.
    pub(crate) const fn per_byte(per_byte: usize, length: usize) -> Self {
        const FOR_SHORT_TEXTS: usize = 4096;
        let left = per_byte.saturating_mul(length).saturating_add(FOR_SHORT_TEXTS);
        Self { left, deadline: None, until_look: STEPS_PER_LOOK }
    }

    /// Ends the work at `deadline` as well; `None` means no deadline.
    pub(crate) const fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Takes `steps` from those that are left.
    pub(crate) fn spend(&mut self, steps: usize) {
        count(steps);
        self.left = self.left.saturating_sub(steps);
        if let Some(left) = self.until_look.checked_sub(steps) {
            self.until_look = left;
            return;
        }
        self.until_look = STEPS_PER_LOOK;
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.left = 0;
        }
    }

    /// Returns whether none are left, or no time.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.left == 0
    }
}

/// Counts `steps` of work that needs no limit, because it is linear. Does nothing outside of tests.
#[cfg_attr(not(test), expect(clippy::missing_const_for_fn, reason = "it counts in tests"))]
#[inline]
pub(crate) fn count(steps: usize) {
    #[cfg(test)]
    testing::add(steps);
    #[cfg(not(test))]
    let _ = steps;
}

#[cfg(test)]
pub(crate) mod testing;
