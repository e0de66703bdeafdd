//! The order of the candidates in a result.

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;

/// The score by which a result is sorted, the highest first. Unscored candidates come last, and equal scores in the order of
/// the ideas' indices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// [`Candidate::final_score`].
    #[default]
    Final,
    /// [`Candidate::initial_score`], which also decides the selection.
    Initial,
}

impl Order {
    /// Sorts `ideas`, the indices of candidates that `candidate` returns.
    pub(super) fn sort<'a>(self, ideas: &mut [usize], candidate: impl Fn(usize) -> &'a Candidate) {
        let score = |idea: usize| {
            let score = match self {
                Self::Final => candidate(idea).final_score,
                Self::Initial => candidate(idea).initial_score,
            };
            // The addition turns -0.0 into 0.0, which is the same score.
            score.map_or(f64::NEG_INFINITY, |score| score + 0.0)
        };
        ideas.sort_by(|&one, &other| score(other).total_cmp(&score(one)).then(one.cmp(&other)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score() -> impl Strategy<Value = Option<f64>> {
        let tenth = (0..=100_u8).prop_map(|tenths| Some(f64::from(tenths) / 10.0));
        prop_oneof![4 => tenth, 2 => Just(Some(5.0)), 1 => Just(Some(-0.0)), 1 => Just(Some(0.0)), 1 => Just(None)]
    }

    proptest! {
        #[test]
        fn the_highest_score_comes_first_and_ties_keep_the_order_of_the_indices(
            scores in prop::collection::vec((score(), score()), 0..12),
            shuffled in any::<u64>(),
        ) {
            let candidates: Vec<Candidate> = scores
                .iter()
                .map(|&(initial_score, final_score)| Candidate { initial_score, final_score, ..Candidate::default() })
                .collect();
            let mut ideas: Vec<usize> = (0..candidates.len()).collect();
            fastrand::Rng::with_seed(shuffled).shuffle(&mut ideas);
            for order in [Order::Final, Order::Initial] {
                order.sort(&mut ideas, |idea| &candidates[idea]);
                let score = |idea: usize| match order {
                    Order::Final => scores[idea].1,
                    Order::Initial => scores[idea].0,
                };
                for pair in ideas.windows(2) {
                    let (first, second) = (score(pair[0]), score(pair[1]));
                    prop_assert!(first > second || (first == second && pair[0] < pair[1]), "{first:?} before {second:?}");
                }
                let mut all = ideas.clone();
                all.sort_unstable();
                prop_assert_eq!(all, (0..candidates.len()).collect::<Vec<_>>());
            }
        }
    }
}
