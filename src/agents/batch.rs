//! What a batch still has to request: ideas without an item, in ever smaller portions.

use std::collections::{BTreeMap, VecDeque};

use super::bounds::Length;
use crate::error::{Error, ErrorKind, Result};

/// The state of one batch. Ideas wait in portions until they have an item or no further request promises one.
///
/// - Ideas that a reply omits are requested together, without the others.
/// - After a reply that is unusable as a whole, each of its ideas is requested alone. A single idea whose reply was truncated
///   is requested once more, for a shorter answer.
/// - After any other failure, which the router has already retried, the ideas are requested once more if other ideas of the
///   batch have items, because the target works then.
#[derive(Debug)]
pub(super) struct BatchState<T> {
    waiting: VecDeque<Portion>,
    /// The items, and the reasons why ideas have none.
    items: Vec<Result<T, String>>,
    first_error: Option<Error>,
    /// The portions that failed for a reason other than their content.
    unlucky: Vec<Portion>,
}

/// Ideas to request in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Portion {
    pub(super) indices: Vec<usize>,
    pub(super) length: Length,
    /// The number of earlier requests about these ideas.
    pub(super) earlier: u32,
}

impl<T> BatchState<T> {
    /// Returns the state of a batch of the ideas in `portions`, each of which is requested together first, in this order.
    pub(super) fn new(portions: Vec<Vec<usize>>) -> Self {
        let count = portions.iter().map(Vec::len).sum();
        let first = portions.into_iter().map(|indices| Portion { indices, length: Length::Usual, earlier: 0 });
        Self {
            waiting: first.collect(),
            items: (0..count).map(|_| Err(String::new())).collect(),
            first_error: None,
            unlucky: Vec::new(),
        }
    }

    /// Returns the next portion to request.
    pub(super) fn next(&mut self) -> Option<Portion> {
        if self.waiting.is_empty() && self.items.iter().any(Result::is_ok) {
            self.waiting.extend(std::mem::take(&mut self.unlucky));
        }
        self.waiting.pop_front()
    }

    /// Stores the items of a reply about `group`, a part of `portion`. An item that `is_own` rejects is about another idea.
    pub(super) fn answered(
        &mut self,
        portion: &Portion,
        group: &[usize],
        items: BTreeMap<usize, Result<T, String>>,
        is_own: &impl Fn(usize, &T) -> bool,
    ) {
        let (mut omitted, mut confused) = (Vec::new(), Vec::new());
        for (index, item) in items {
            match item {
                Ok(item) if is_own(index, &item) => self.items[index] = Ok(item),
                Ok(_) => {
                    confused.push(index);
                    self.items[index] = Err("the answer was about another idea".to_owned());
                }
                Err(reason) => {
                    omitted.push(index);
                    self.items[index] = Err(reason);
                }
            }
        }
        if !omitted.is_empty() && omitted.len() < group.len() {
            self.waiting.push_back(portion.again(omitted, portion.length));
        } else if group.len() > 1 {
            confused.extend(omitted);
        }
        if group.len() > 1 {
            self.waiting.extend(confused.into_iter().map(|index| portion.again(vec![index], portion.length)));
        }
    }

    /// Records that the request about `group`, a part of `portion`, failed.
    pub(super) fn failed(&mut self, portion: &Portion, group: &[usize], error: Error) {
        for &index in group {
            self.items[index] = Err(match &self.items[index] {
                Err(first) if portion.earlier > 0 && !first.is_empty() => {
                    let which = if portion.earlier == 1 { "the second" } else { "a later" };
                    format!("{first}; {which} request failed: {error}")
                }
                _ => error.to_string(),
            });
        }
        if is_about_content(&error) && group.len() > 1 {
            self.waiting.extend(group.iter().map(|index| portion.again(vec![*index], portion.length)));
        } else if is_too_long(&error) && portion.length == Length::Usual {
            self.waiting.push_back(portion.again(group.to_vec(), Length::Short));
        } else if portion.earlier == 0 && !is_final(&error) {
            self.unlucky.push(portion.again(group.to_vec(), portion.length));
        }
        self.first_error.get_or_insert(error);
    }

    /// Returns the items in the order of the ideas, or the first error if there is none.
    pub(super) fn finish(self) -> Result<Vec<Result<T, String>>> {
        match self.first_error {
            Some(error) if self.items.iter().all(Result::is_err) => Err(error),
            _ => Ok(self.items),
        }
    }
}

impl Portion {
    fn again(&self, indices: Vec<usize>, length: Length) -> Self {
        Self { indices, length, earlier: self.earlier + 1 }
    }
}

/// Returns whether less to write may avoid `error`.
pub(super) fn is_too_long(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Truncated | ErrorKind::ThinkingTruncated)
}

/// Returns whether a request about fewer ideas may avoid `error`.
fn is_about_content(error: &Error) -> bool {
    is_too_long(error)
        || matches!(error.kind(), ErrorKind::InvalidOutput | ErrorKind::ContextTooLong | ErrorKind::ContextTruncated)
}

/// Returns whether every further request of the run would fail like this.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BudgetReached | ErrorKind::Cancelled | ErrorKind::DeadlineExceeded | ErrorKind::DeadlineReached
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    type State = BatchState<&'static str>;

    fn reply(state: &mut State, given: &[usize]) -> Vec<usize> {
        let portion = state.next().unwrap();
        let item = |index: &usize| {
            let item = if given.contains(index) { Ok("item") } else { Err("no item came back for it".to_owned()) };
            (*index, item)
        };
        let items = portion.indices.iter().map(item).collect();
        state.answered(&portion, &portion.indices, items, &|_, item| *item == "item");
        portion.indices
    }

    fn fail(state: &mut State, kind: ErrorKind) -> (Vec<usize>, Length) {
        let portion = state.next().unwrap();
        state.failed(&portion, &portion.indices, Error::new(kind, "no"));
        (portion.indices, portion.length)
    }

    #[test]
    fn portions_are_requested_one_after_the_other() {
        let mut state = State::new(vec![vec![2, 0], vec![1]]);
        assert_eq!(reply(&mut state, &[0, 2]), [2, 0]);
        assert_eq!(reply(&mut state, &[1]), [1]);
        assert!(state.next().is_none());
        assert_eq!(state.finish().unwrap().len(), 3);
    }

    #[test]
    fn omitted_ideas_are_requested_without_the_others() {
        let mut state = State::new(vec![(0..5).collect()]);
        assert_eq!(reply(&mut state, &[0, 2, 4]), [0, 1, 2, 3, 4]);
        assert_eq!(reply(&mut state, &[3]), [1, 3]);
        assert_eq!(reply(&mut state, &[1]), [1]);
        assert!(state.next().is_none());
        assert!(state.finish().unwrap().iter().all(Result::is_ok));
    }

    #[test]
    fn an_idea_without_an_item_is_requested_alone_last() {
        let mut state = State::new(vec![(0..2).collect()]);
        reply(&mut state, &[1]);
        assert_eq!(reply(&mut state, &[]), [0]);
        assert!(state.next().is_none());
        assert_eq!(state.finish().unwrap(), [Err("no item came back for it".to_owned()), Ok("item")]);
    }

    #[test]
    fn the_ideas_of_an_unusable_reply_are_requested_one_by_one() {
        let mut state = State::new(vec![(0..3).collect()]);
        fail(&mut state, ErrorKind::InvalidOutput);
        assert_eq!(reply(&mut state, &[0]), [0]);
        assert_eq!(fail(&mut state, ErrorKind::InvalidOutput).0, [1]);
        assert_eq!(reply(&mut state, &[2]), [2]);
        assert!(state.next().is_none());
        let items = state.finish().unwrap();
        assert_eq!(items[1].as_ref().unwrap_err(), "no; the second request failed: no");
    }

    #[test]
    fn a_truncated_answer_about_one_idea_is_requested_once_more_and_shorter() {
        let mut state = State::new(vec![(0..1).collect()]);
        assert_eq!(fail(&mut state, ErrorKind::Truncated), (vec![0], Length::Usual));
        assert_eq!(fail(&mut state, ErrorKind::Truncated), (vec![0], Length::Short));
        assert!(state.next().is_none());
        assert_eq!(state.finish().unwrap_err().kind(), ErrorKind::Truncated);
    }

    #[test]
    fn an_unreachable_target_is_not_asked_again() {
        let mut state = State::new(vec![(0..3).collect()]);
        fail(&mut state, ErrorKind::Connect);
        assert!(state.next().is_none());
        assert_eq!(state.finish().unwrap_err().kind(), ErrorKind::Connect);
    }

    #[test]
    fn an_item_about_another_idea_is_requested_alone() {
        let mut state = State::new(vec![(0..2).collect()]);
        let portion = state.next().unwrap();
        let items = BTreeMap::from([(0, Ok("other")), (1, Ok("item"))]);
        state.answered(&portion, &portion.indices, items, &|_, item| *item == "item");
        assert_eq!(reply(&mut state, &[0]), [0]);
        assert!(state.next().is_none());
    }
}
