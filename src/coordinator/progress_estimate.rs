//! The progress of a run and its estimated remaining time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mode::ResolvedMode;
use super::stage::Stage;

/// The progress of a run: the mean progress of its ideas. Never decreases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ProgressEstimate {
    fraction: f64,
    ideas: BTreeMap<usize, f64>,
    /// The expected output tokens of each pending stage, on the critical path of the run.
    pending: BTreeMap<Stage, f64>,
    /// The expected output tokens of the finished stages.
    finished: f64,
    /// Seconds from the start of the run to the end of the last finished stage.
    finished_at: f64,
}

impl ProgressEstimate {
    /// The initial estimate of a run through `plan` that generates `generated` ideas and selects `selected`.
    pub(super) fn new(plan: &[Stage], mode: ResolvedMode, generated: usize, selected: usize) -> Self {
        let expected = |stage: &Stage| {
            let ideas = match mode {
                _ if *stage == Stage::IdeaGeneration => generated,
                ResolvedMode::Fanout => 1,
                ResolvedMode::Batch if Stage::BEFORE_SELECTION.contains(stage) => generated,
                ResolvedMode::Batch => selected,
            };
            #[expect(clippy::cast_precision_loss, reason = "a handful of ideas")]
            let ideas = ideas as f64;
            let is_hidden = mode == ResolvedMode::Fanout && is_off_critical_path(*stage, plan);
            (*stage, if is_hidden { 0.0 } else { stage.output_tokens() * ideas })
        };
        Self {
            fraction: 0.0,
            ideas: BTreeMap::new(),
            pending: plan.iter().map(expected).collect(),
            finished: 0.0,
            finished_at: 0.0,
        }
    }

    /// Continues the run with `ideas`, all at `fraction`.
    pub(super) fn restart(&mut self, ideas: &[usize], fraction: f64) {
        self.ideas = ideas.iter().map(|idea| (*idea, fraction)).collect();
        self.advance(fraction);
    }

    /// Continues the run with `ideas`; new ones are at `fraction`.
    pub(super) fn keep(&mut self, ideas: &[usize], fraction: f64) {
        self.ideas = ideas.iter().map(|idea| (*idea, self.ideas.get(idea).copied().unwrap_or(fraction))).collect();
    }

    /// Moves `ideas` forward to `fraction`.
    pub(super) fn reach(&mut self, ideas: &[usize], fraction: f64) {
        for idea in ideas {
            if let Some(at) = self.ideas.get_mut(idea) {
                *at = at.max(fraction);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of ideas")]
        let mean = self.ideas.values().sum::<f64>() / self.ideas.len().max(1) as f64;
        // Rounded, so that the mean of equal fractions is that fraction.
        self.advance((mean * 1e4).round() / 1e4);
    }

    /// Moves the whole run forward to `fraction`.
    pub(super) fn advance(&mut self, fraction: f64) {
        self.fraction = self.fraction.max(fraction);
    }

    /// Marks `stage` as finished `now` seconds after the start of the run.
    pub(super) fn finish_stage(&mut self, stage: Stage, now: f64) {
        self.finished += self.pending.remove(&stage).unwrap_or_default();
        self.finished_at = now;
    }

    /// The number of ideas in the run.
    pub(super) fn ideas(&self) -> usize {
        self.ideas.len()
    }

    /// The progress, 0.0 to 1.0.
    pub(super) const fn fraction(&self) -> f64 {
        self.fraction
    }

    /// The estimated remaining seconds, `now` seconds after the start of the run: pending stages are expected to be as fast
    /// per token as the finished ones. `None` before the first stage is finished.
    pub(super) fn seconds_left(&self, now: f64) -> Option<f64> {
        if self.finished <= 0.0 {
            return None;
        }
        let pending: f64 = self.pending.values().sum();
        Some((self.finished_at / self.finished * pending - (now - self.finished_at)).max(0.0))
    }
}

/// Whether a longer branch runs concurrently with `stage`, so that the run does not wait for it.
fn is_off_critical_path(stage: Stage, plan: &[Stage]) -> bool {
    let length = |branch: &[Stage]| {
        branch.iter().filter(|stage| plan.contains(stage)).map(|stage| stage.output_tokens()).sum::<f64>()
    };
    let branches = Stage::CONCURRENT.iter().find(|branches| branches.iter().any(|branch| branch.contains(&stage)));
    branches.is_some_and(|branches| {
        let own: f64 = branches.iter().filter(|branch| branch.contains(&stage)).map(|branch| length(branch)).sum();
        branches.iter().any(|branch| length(branch) > own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: [Stage; 4] = [Stage::IdeaGeneration, Stage::Evaluation, Stage::Improvement, Stage::ReEvaluation];

    #[test]
    fn progress_is_the_mean_over_the_ideas() {
        let mut progress = ProgressEstimate::new(&PLAN, ResolvedMode::Fanout, 5, 3);
        progress.restart(&[4, 1, 2], 0.7);
        progress.reach(&[4, 1, 2], 0.78);
        assert_eq!(Some(progress.fraction()), Some(0.78), "no rounding error shows");
        progress.reach(&[4], 0.87);
        assert_eq!(Some(progress.fraction()), Some(0.81));
        progress.reach(&[4], 0.1);
        progress.reach(&[9], 1.0);
        assert_eq!(Some(progress.fraction()), Some(0.81), "never backwards, and not for an idea outside the run");
        progress.advance(0.9);
        progress.reach(&[1], 0.8);
        assert_eq!(Some(progress.fraction()), Some(0.9));
    }

    #[test]
    fn the_remaining_time_follows_the_speed_of_finished_stages() {
        let mut progress = ProgressEstimate::new(&PLAN, ResolvedMode::Batch, 5, 2);
        assert_eq!(progress.seconds_left(3.0), None);
        // 750 tokens in 7.5 s; 550, 700 and 220 are pending.
        progress.finish_stage(Stage::IdeaGeneration, 7.5);
        assert!((progress.seconds_left(7.5).unwrap() - 14.7).abs() < 1e-9);
        assert!((progress.seconds_left(10.5).unwrap() - 11.7).abs() < 1e-9);
        assert_eq!(progress.seconds_left(60.0), Some(0.0));
        for stage in &PLAN[1..] {
            progress.finish_stage(*stage, 22.0);
        }
        assert_eq!(progress.seconds_left(22.0), Some(0.0));
        // One idea per call: 110, 350 and 110 are pending.
        let mut fanout = ProgressEstimate::new(&PLAN, ResolvedMode::Fanout, 5, 2);
        fanout.finish_stage(Stage::IdeaGeneration, 7.5);
        assert!((fanout.seconds_left(7.5).unwrap() - 5.7).abs() < 1e-9);
    }

    #[test]
    fn a_stage_concurrent_to_a_longer_branch_adds_no_time() {
        // Advocacy and skepticism take longer than rating and inference, the second rating longer than the re-evaluation.
        let mut progress = ProgressEstimate::new(&Stage::ALL, ResolvedMode::Fanout, 5, 2);
        progress.finish_stage(Stage::IdeaGeneration, 7.5);
        assert!((progress.seconds_left(7.5).unwrap() - (1.1 + 6.0 + 3.5 + 1.2)).abs() < 1e-9);
        let mut progress = ProgressEstimate::new(&Stage::ALL, ResolvedMode::Batch, 5, 1);
        progress.finish_stage(Stage::IdeaGeneration, 7.5);
        assert!((progress.seconds_left(7.5).unwrap() - (5.5 + 1.2 + 2.5 + 6.0 + 3.5 + 1.1 + 1.2)).abs() < 1e-9);
    }
}
