//! How the ideas of a stage are put into calls.

use serde::{Deserialize, Serialize};

use super::ideas::Board;
use crate::message::Request;
use crate::router::Generate;

/// How the calls of a run are made, as a caller chooses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One call per stage for all ideas.
    Batch,
    /// One call per stage for each idea, at the same time; an idea goes to its next stage when it is ready.
    Fanout,
    /// `Fanout` where who is asked first takes many requests at a time, otherwise `Batch`.
    #[default]
    Auto,
}

/// How the calls of a run are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResolvedMode {
    /// One call per stage for all ideas: the fewest calls, for servers that answer one at a time.
    Batch,
    /// One call per stage for each idea: the shortest time, for servers that answer many at a time.
    Fanout,
}

impl ResolvedMode {
    pub(super) fn new(mode: Mode, router: &dyn Generate) -> Self {
        match mode {
            Mode::Fanout => Self::Fanout,
            Mode::Auto if router.supports_concurrency() => Self::Fanout,
            Mode::Batch | Mode::Auto => Self::Batch,
        }
    }

    /// The ideas that go through the stages together.
    pub(super) fn groups(self, ideas: &[usize]) -> impl Iterator<Item = &[usize]> {
        ideas.chunks(match self {
            Self::Batch => ideas.len().max(1),
            Self::Fanout => 1,
        })
    }
}

/// The ideas of `group` in as few calls as tell about `limit` tokens each; an idea of more has a call of its own.
pub(super) fn portions(board: &Board, group: &[usize], limit: u64) -> Vec<Vec<usize>> {
    let sizes =
        board.read(group, |candidate| candidate.texts().map(|text| Request::new(text).estimated_tokens()).sum::<u64>());
    let mut portions: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (&idea, size) in group.iter().zip(sizes) {
        match portions.last_mut() {
            Some(portion) if size <= room => portion.push(idea),
            _ => {
                portions.push(vec![idea]);
                room = limit;
            }
        }
        room = room.saturating_sub(size);
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_tells_no_more_than_its_share() {
        let board = Board::default();
        // 100, 100, 300, 50 and 50 tokens.
        let ideas: Vec<usize> = [400, 400, 1200, 200, 200].map(|length| board.add("x".repeat(length))).to_vec();
        assert_eq!(portions(&board, &ideas, 1000), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(portions(&board, &ideas, 200), [vec![0, 1], vec![2], vec![3, 4]]);
        assert_eq!(portions(&board, &ideas, 1).len(), 5);
        assert!(portions(&board, &[], 10).is_empty());
        // In a script of one token a sign, the same number of signs is four times as much.
        let dense = [board.add("屋".repeat(150)), board.add("屋".repeat(150))];
        assert_eq!(portions(&board, &dense, 200).len(), 2);
    }

    #[test]
    fn shapes_group_the_ideas() {
        let groups =
            |shape: ResolvedMode, ideas: &[usize]| shape.groups(ideas).map(<[usize]>::to_vec).collect::<Vec<_>>();
        assert_eq!(groups(ResolvedMode::Batch, &[4, 2, 7]), [vec![4, 2, 7]]);
        assert_eq!(groups(ResolvedMode::Fanout, &[4, 2, 7]), [vec![4], vec![2], vec![7]]);
        assert!(groups(ResolvedMode::Batch, &[]).is_empty());
    }
}
