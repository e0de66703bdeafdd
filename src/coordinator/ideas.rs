//! The ideas of a run, with their candidates and stage outcomes.

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Status};
use super::gate::CandidateEdit;
use super::order::Order;
use super::result::StageStatus;
use super::stage::Stage;
use crate::error::{Error, Result};

/// Every idea of a run, by its index.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ideas {
    entries: Vec<Entry>,
    /// The selected ideas, the highest initial score first; `None` before the selection.
    selected: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    candidate: Candidate,
    outcomes: Vec<StageOutcome>,
    /// Whether the novelty filter or a gate removed it from the run.
    is_removed: bool,
}

/// The outcome of a stage for one idea.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOutcome {
    /// The stage.
    pub stage: Stage,
    /// `Ok`, `Failed`, or `Skipped` if the idea did not reach the stage.
    pub status: StageStatus,
    /// Why the status is not `Ok`.
    pub reason: Option<String>,
}

/// A candidate with its index and its stage outcomes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexedCandidate {
    /// The index of the idea in its run, from 0, as in events.
    pub idea_index: usize,
    /// The candidate.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// The outcome of each requested stage, in order.
    pub stages: Vec<StageOutcome>,
}

impl Ideas {
    /// Adds a generated idea and returns its index.
    pub(super) fn add(&mut self, idea: String) -> usize {
        let outcomes = vec![StageOutcome { stage: Stage::IdeaGeneration, status: StageStatus::Ok, reason: None }];
        self.entries.push(Entry { candidate: Candidate::new(idea), outcomes, is_removed: false });
        self.entries.len() - 1
    }

    /// The results of `read` for the candidates of `group`.
    pub(super) fn map<T>(&self, group: &[usize], read: impl Fn(&Candidate) -> T) -> Vec<T> {
        group.iter().filter_map(|idea| self.entries.get(*idea)).map(|entry| read(&entry.candidate)).collect()
    }

    /// The ideas of `group` that are still in the run and match `predicate`.
    pub(super) fn present(&self, group: &[usize], predicate: impl Fn(&Candidate) -> bool) -> Vec<usize> {
        let is_present = |idea: &usize| {
            self.entries.get(*idea).is_some_and(|entry| !entry.is_removed && predicate(&entry.candidate))
        };
        group.iter().copied().filter(is_present).collect()
    }

    /// Records the outcome of `stage` for an idea: applies its output, or adds the reason to the candidate's problems.
    pub(super) fn record<T>(
        &mut self,
        idea: usize,
        stage: Stage,
        output: Result<T, String>,
        apply: impl Fn(&mut Candidate, T),
    ) {
        let Some(entry) = self.entries.get_mut(idea) else { return };
        let (status, reason) = match output {
            Ok(output) => {
                apply(&mut entry.candidate, output);
                (StageStatus::Ok, None)
            }
            Err(reason) => {
                entry.candidate.add_problem(stage, reason.clone());
                (StageStatus::Failed, Some(reason))
            }
        };
        entry.outcomes.push(StageOutcome { stage, status, reason });
    }

    /// Adds a problem of `stage` to every idea.
    pub(super) fn add_problem(&mut self, stage: Stage, reason: &str) {
        for entry in &mut self.entries {
            entry.candidate.add_problem(stage, reason.to_owned());
        }
    }

    /// Selects the best `count` ideas and returns them: by score, ties by age, unscored ideas last. If no idea has a score,
    /// the first `count` ideas are selected and marked as failed.
    pub(super) fn select(&mut self, count: usize) -> Vec<usize> {
        let mut selected = self.remaining();
        Order::Initial.sort(&mut selected, |idea| &self.entries[idea].candidate);
        selected.truncate(count);
        if selected.iter().all(|idea| self.entries[*idea].candidate.initial_score.is_none()) {
            for idea in &selected {
                self.entries[*idea].candidate.status = Status::Failed;
            }
        }
        self.selected = Some(selected.clone());
        selected
    }

    /// Whether `predicate` holds for any idea.
    pub(super) fn any(&self, predicate: impl Fn(&Candidate) -> bool) -> bool {
        self.entries.iter().any(|entry| predicate(&entry.candidate))
    }

    /// The index of the idea with exactly this text.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.candidate.idea == text)
    }

    /// Removes every idea that is not in `kept`.
    pub(super) fn retain(&mut self, kept: &[usize]) {
        for (idea, entry) in self.entries.iter_mut().enumerate() {
            entry.is_removed |= !kept.contains(&idea);
        }
    }

    /// Whether any idea in the run has a score.
    pub(super) fn has_scores(&self) -> bool {
        self.entries.iter().any(|entry| !entry.is_removed && entry.candidate.initial_score.is_some())
    }

    /// Applies the edits of a gate to `group`; ideas without an edit are removed from the run.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for an edit of an idea outside `group` and for a blank idea.
    pub(super) fn edit(&mut self, group: &[usize], edits: Vec<CandidateEdit>) -> Result<()> {
        if let Some(unknown) = edits.iter().find(|edit| !group.contains(&edit.idea_index)) {
            let message = format!("on_stage returned a candidate it was not given: idea_index {}", unknown.idea_index);
            return Err(Error::invalid_input(message));
        }
        if edits.iter().any(|edit| edit.idea.trim().is_empty()) {
            return Err(Error::invalid_input("on_stage returned a candidate without an idea"));
        }
        for idea in group {
            let is_kept = edits.iter().any(|edit| edit.idea_index == *idea);
            if let Some(entry) = self.entries.get_mut(*idea) {
                entry.is_removed |= !is_kept;
            }
        }
        for edit in edits {
            if let Some(entry) = self.entries.get_mut(edit.idea_index) {
                entry.candidate.edit(edit);
            }
        }
        Ok(())
    }

    /// The selected ideas in `order`; before the selection, every idea.
    pub(super) fn candidates(&self, order: Order) -> Vec<Candidate> {
        self.map(&self.selection(order), Candidate::clone)
    }

    /// The ideas of `group` with their indices and outcomes.
    pub(super) fn indexed(&self, group: &[usize]) -> Vec<IndexedCandidate> {
        let indexed = |idea: &usize| {
            let Entry { candidate, outcomes, .. } = self.entries.get(*idea)?.clone();
            Some(IndexedCandidate { idea_index: *idea, candidate, stages: outcomes })
        };
        group.iter().filter_map(indexed).collect()
    }

    /// The same ideas as [`Ideas::candidates`], with an outcome for every stage of `plan`. A stage that an idea did not
    /// reach is skipped, because of `stop_reason` if that ended the run.
    pub(super) fn results(&self, order: Order, plan: &[Stage], stop_reason: Option<&str>) -> Vec<IndexedCandidate> {
        let mut results = self.indexed(&self.selection(order));
        for result in &mut results {
            for stage in plan {
                if result.stages.iter().any(|outcome| outcome.stage == *stage) {
                    continue;
                }
                if let Some(reason) = stop_reason {
                    result.candidate.add_problem(*stage, reason.to_owned());
                }
                let reason = stop_reason.unwrap_or("an earlier stage produced no input for it").to_owned();
                result.stages.push(StageOutcome { stage: *stage, status: StageStatus::Skipped, reason: Some(reason) });
            }
            result.stages.sort_by_key(|outcome| outcome.stage);
        }
        results
    }

    fn selection(&self, order: Order) -> Vec<usize> {
        let mut selection = match &self.selected {
            Some(selected) => self.present(selected, |_| true),
            None => self.remaining(),
        };
        order.sort(&mut selection, |idea| &self.entries[idea].candidate);
        selection
    }

    /// The ideas in the run.
    fn remaining(&self) -> Vec<usize> {
        (0..self.entries.len()).filter(|idea| !self.entries[*idea].is_removed).collect()
    }
}
