//! How far a run is, and how long it has still to go.

use std::collections::BTreeMap;

use super::resolved_mode::ResolvedMode;
use super::stage::Stage;

/// How far a run is: the mean of how far its ideas are. Never goes backwards.
#[derive(Debug)]
pub(super) struct ProgressEstimate {
    fraction: f64,
    ideas: BTreeMap<usize, f64>,
    /// What each stage still ahead is expected to write on its longest way, in tokens.
    ahead: BTreeMap<Stage, f64>,
    /// What the stages that are done were expected to write, and how long they took together.
    done: f64,
    took: f64,
}

impl ProgressEstimate {
    /// For a run through `plan`, with `generated` ideas of which `kept` are kept.
    pub(super) fn new(plan: &[Stage], shape: ResolvedMode, generated: usize, kept: usize) -> Self {
        let longest = |stage: &Stage| {
            let ideas = match shape {
                _ if *stage == Stage::IdeaGeneration => generated,
                ResolvedMode::Fanout => 1,
                ResolvedMode::Batch if Stage::BEFORE_SELECTION.contains(stage) => generated,
                ResolvedMode::Batch => kept,
            };
            #[expect(clippy::cast_precision_loss, reason = "a handful of ideas")]
            let ideas = ideas as f64;
            let is_aside = shape == ResolvedMode::Fanout && is_aside(*stage, plan);
            (*stage, if is_aside { 0.0 } else { stage.weight() * ideas })
        };
        Self { fraction: 0.0, ideas: BTreeMap::new(), ahead: plan.iter().map(longest).collect(), done: 0.0, took: 0.0 }
    }

    /// `ideas` are those that the run goes on with, and all at `fraction`.
    pub(super) fn place(&mut self, ideas: &[usize], fraction: f64) {
        self.ideas = ideas.iter().map(|idea| (*idea, fraction)).collect();
        self.advance(fraction);
    }

    /// `ideas` are those that the run goes on with; those that it did not know are at `fraction`.
    pub(super) fn keep(&mut self, ideas: &[usize], fraction: f64) {
        self.ideas = ideas.iter().map(|idea| (*idea, self.ideas.get(idea).copied().unwrap_or(fraction))).collect();
    }

    /// `ideas` have come to `fraction`.
    pub(super) fn reach(&mut self, ideas: &[usize], fraction: f64) {
        for idea in ideas {
            if let Some(at) = self.ideas.get_mut(idea) {
                *at = at.max(fraction);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of ideas")]
        let mean = self.ideas.values().sum::<f64>() / self.ideas.len().max(1) as f64;
        // So that equal shares add up to the same share.
        self.advance((mean * 1e4).round() / 1e4);
    }

    /// The run as a whole has come to `fraction`.
    pub(super) fn advance(&mut self, fraction: f64) {
        self.fraction = self.fraction.max(fraction);
    }

    /// The last idea has left `stage`, `now` seconds after the run began.
    pub(super) fn finished(&mut self, stage: Stage, now: f64) {
        self.done += self.ahead.remove(&stage).unwrap_or_default();
        self.took = now;
    }

    /// How many ideas the run goes on with.
    pub(super) fn ideas(&self) -> usize {
        self.ideas.len()
    }

    /// 0.0 to 1.0.
    pub(super) fn fraction(&self) -> f64 {
        self.fraction
    }

    /// About how many seconds are left, `now` seconds after the run began: the stages ahead take as long for each token as
    /// those that are done. `None` before there is one.
    pub(super) fn left(&self, now: f64) -> Option<f64> {
        if self.done <= 0.0 {
            return None;
        }
        let ahead: f64 = self.ahead.values().sum();
        Some((self.took / self.done * ahead - (now - self.took)).max(0.0))
    }
}

/// Whether `stage` is done while a longer way is gone beside it, so that nobody waits for it.
fn is_aside(stage: Stage, plan: &[Stage]) -> bool {
    let length =
        |way: &[Stage]| way.iter().filter(|stage| plan.contains(stage)).map(|stage| stage.weight()).sum::<f64>();
    let step = Stage::SIDE_BY_SIDE.iter().find(|step| step.iter().any(|way| way.contains(&stage)));
    step.is_some_and(|step| {
        let own = step.iter().filter(|way| way.contains(&stage)).map(|way| length(way)).sum::<f64>();
        step.iter().any(|way| length(way) > own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: [Stage; 4] = [Stage::IdeaGeneration, Stage::Evaluation, Stage::Improvement, Stage::ReEvaluation];

    #[test]
    fn a_run_is_as_far_as_its_ideas_are_on_the_average() {
        let mut pace = ProgressEstimate::new(&PLAN, ResolvedMode::Fanout, 5, 3);
        pace.place(&[4, 1, 2], 0.7);
        pace.reach(&[4, 1, 2], 0.78);
        assert_eq!(Some(pace.fraction()), Some(0.78), "no rounding error shows");
        pace.reach(&[4], 0.87);
        assert_eq!(Some(pace.fraction()), Some(0.81));
        pace.reach(&[4], 0.1);
        pace.reach(&[9], 1.0);
        assert_eq!(Some(pace.fraction()), Some(0.81), "never backwards, and not for an idea that takes no part");
        pace.advance(0.9);
        pace.reach(&[1], 0.8);
        assert_eq!(Some(pace.fraction()), Some(0.9));
    }

    #[test]
    fn the_time_left_goes_by_what_the_stages_took_so_far() {
        let mut pace = ProgressEstimate::new(&PLAN, ResolvedMode::Batch, 5, 2);
        assert_eq!(pace.left(3.0), None);
        // 750 tokens in 7.5 s; 550, 700 and 220 are ahead.
        pace.finished(Stage::IdeaGeneration, 7.5);
        assert!((pace.left(7.5).unwrap() - 14.7).abs() < 1e-9);
        assert!((pace.left(10.5).unwrap() - 11.7).abs() < 1e-9);
        assert_eq!(pace.left(60.0), Some(0.0));
        for stage in &PLAN[1..] {
            pace.finished(*stage, 22.0);
        }
        assert_eq!(pace.left(22.0), Some(0.0));
        // One idea for each call: 110, 350 and 110 are ahead.
        let mut fast = ProgressEstimate::new(&PLAN, ResolvedMode::Fanout, 5, 2);
        fast.finished(Stage::IdeaGeneration, 7.5);
        assert!((fast.left(7.5).unwrap() - 5.7).abs() < 1e-9);
    }

    #[test]
    fn what_goes_beside_a_longer_way_takes_no_time() {
        // Advocacy and skepticism are longer than rating and inference, the second rating than the re-evaluation.
        let mut pace = ProgressEstimate::new(&Stage::ALL, ResolvedMode::Fanout, 5, 2);
        pace.finished(Stage::IdeaGeneration, 7.5);
        assert!((pace.left(7.5).unwrap() - (1.1 + 6.0 + 3.5 + 1.2)).abs() < 1e-9);
        let mut pace = ProgressEstimate::new(&Stage::ALL, ResolvedMode::Batch, 5, 1);
        pace.finished(Stage::IdeaGeneration, 7.5);
        assert!((pace.left(7.5).unwrap() - (5.5 + 1.2 + 2.5 + 6.0 + 3.5 + 1.1 + 1.2)).abs() < 1e-9);
    }
}
