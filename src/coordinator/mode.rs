//! How the ideas of a stage are grouped into calls.

use serde::{Deserialize, Serialize};

use super::ideas::Ideas;
use crate::message::Request;
use crate::router::Generate;

/// How the calls of a run are grouped, as requested by the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One call per stage for all ideas.
    Batch,
    /// One concurrent call per stage and idea; an idea enters its next stage when it is ready.
    Fanout,
    /// `Fanout` if the first target serves requests concurrently, otherwise `Batch`.
    #[default]
    Auto,
}

/// How the calls of a run are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResolvedMode {
    /// One call per stage for all ideas: the fewest calls, for servers that process one request at a time.
    Batch,
    /// One call per stage and idea: the shortest time, for servers that process requests concurrently.
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

    /// Splits `ideas` into the groups that go through the stages together.
    pub(super) fn groups(self, ideas: &[usize]) -> impl Iterator<Item = &[usize]> {
        ideas.chunks(match self {
            Self::Batch => ideas.len().max(1),
            Self::Fanout => 1,
        })
    }
}

/// Splits `group` into as few calls as possible with about `max_tokens` tokens of ideas each. A larger idea gets a call of
/// its own.
pub(super) fn batches(ideas: &Ideas, group: &[usize], max_tokens: u64) -> Vec<Vec<usize>> {
    let sizes =
        ideas.map(group, |candidate| candidate.texts().map(|text| Request::new(text).estimated_tokens()).sum::<u64>());
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut remaining = 0;
    for (&idea, size) in group.iter().zip(sizes) {
        match batches.last_mut() {
            Some(batch) if size <= remaining => batch.push(idea),
            _ => {
                batches.push(vec![idea]);
                remaining = max_tokens;
            }
        }
        remaining = remaining.saturating_sub(size);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_includes_at_most_max_tokens() {
        let mut all = Ideas::default();
        // 100, 100, 300, 50 and 50 tokens.
        let ideas: Vec<usize> = [400, 400, 1200, 200, 200].map(|length| all.add("x".repeat(length))).to_vec();
        assert_eq!(batches(&all, &ideas, 1000), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(batches(&all, &ideas, 200), [vec![0, 1], vec![2], vec![3, 4]]);
        assert_eq!(batches(&all, &ideas, 1).len(), 5);
        assert!(batches(&all, &[], 10).is_empty());
        // In a script with one token per character, the same number of characters is four times as many tokens.
        let dense = [all.add("屋".repeat(150)), all.add("屋".repeat(150))];
        assert_eq!(batches(&all, &dense, 200).len(), 2);
    }

    #[test]
    fn modes_group_the_ideas() {
        let groups =
            |mode: ResolvedMode, ideas: &[usize]| mode.groups(ideas).map(<[usize]>::to_vec).collect::<Vec<_>>();
        assert_eq!(groups(ResolvedMode::Batch, &[4, 2, 7]), [vec![4, 2, 7]]);
        assert_eq!(groups(ResolvedMode::Fanout, &[4, 2, 7]), [vec![4], vec![2], vec![7]]);
        assert!(groups(ResolvedMode::Batch, &[]).is_empty());
    }
}
