//! The ideas of a run and what is known of each, readable at any moment, also after the run was dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::candidate::{Candidate, Status};
use super::gate::CandidateEdit;
use super::stage::Stage;
use crate::error::{Error, Result};

/// Every idea of a run. Never locked across an await.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Ideas>);

#[derive(Debug, Default)]
struct Ideas {
    entries: Vec<Entry>,
    /// The kept ones, the best first; `None` before the selection.
    kept: Option<Vec<usize>>,
}

#[derive(Debug)]
struct Entry {
    candidate: Candidate,
    marks: Vec<StageOutcome>,
    /// The caller's gate left it out.
    is_dropped: bool,
}

/// What a stage was for an idea.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageOutcome {
    /// Which stage.
    pub stage: Stage,
    /// `ok`, `failed`, or `skipped` where the idea did not come to it.
    pub status: &'static str,
    /// Why there is nothing of it; `None` where there is.
    pub reason: Option<String>,
}

/// An idea with its number and its stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexedCandidate {
    /// The number of the idea in its run, counting from 0 as events do.
    pub idea_index: usize,
    /// The idea and what became of it.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// What each stage was for it, in order.
    pub stages: Vec<StageOutcome>,
}

impl Board {
    fn ideas(&self) -> MutexGuard<'_, Ideas> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an idea; gives its number.
    pub(super) fn add(&self, idea: String) -> usize {
        let mut ideas = self.ideas();
        let marks = vec![StageOutcome { stage: Stage::IdeaGeneration, status: "ok", reason: None }];
        ideas.entries.push(Entry { candidate: Candidate::new(idea), marks, is_dropped: false });
        ideas.entries.len() - 1
    }

    /// What `read` tells of each idea of `group`.
    pub(super) fn read<T>(&self, group: &[usize], read: impl Fn(&Candidate) -> T) -> Vec<T> {
        let ideas = self.ideas();
        group.iter().filter_map(|idea| ideas.entries.get(*idea)).map(|entry| read(&entry.candidate)).collect()
    }

    /// Those of `group` that still take part and that `needs` holds for.
    pub(super) fn present(&self, group: &[usize], needs: impl Fn(&Candidate) -> bool) -> Vec<usize> {
        let ideas = self.ideas();
        let takes_part =
            |idea: &usize| ideas.entries.get(*idea).is_some_and(|one| !one.is_dropped && needs(&one.candidate));
        group.iter().copied().filter(takes_part).collect()
    }

    /// Puts what `stage` gave on an idea, or why it gave nothing.
    pub(super) fn put<T>(&self, idea: usize, stage: Stage, given: Result<T, String>, put: impl Fn(&mut Candidate, T)) {
        let mut ideas = self.ideas();
        let Some(entry) = ideas.entries.get_mut(idea) else { return };
        let (status, reason) = match given {
            Ok(item) => {
                put(&mut entry.candidate, item);
                ("ok", None)
            }
            Err(reason) => {
                entry.candidate.lack(stage, reason.clone());
                ("failed", Some(reason))
            }
        };
        entry.marks.push(StageOutcome { stage, status, reason });
    }

    /// Keeps the best `count` ideas by score; of equals the earlier first; ideas without a score last. Where no idea has
    /// one, the first `count` ideas, all failed. Tells which are kept.
    pub(super) fn select(&self, count: usize) -> Vec<usize> {
        let mut ideas = self.ideas();
        let mut kept: Vec<usize> = ideas.present().collect();
        // A stable sort; a missing score is below every score.
        kept.sort_by(|one, two| ideas.rank(*two).total_cmp(&ideas.rank(*one)));
        kept.truncate(count);
        if kept.iter().all(|idea| ideas.entries[*idea].candidate.initial_score.is_none()) {
            for idea in &kept {
                ideas.entries[*idea].candidate.status = Status::Failed;
            }
        }
        ideas.kept = Some(kept.clone());
        kept
    }

    /// Whether `is` holds for any idea.
    pub(super) fn any(&self, is: impl Fn(&Candidate) -> bool) -> bool {
        self.ideas().entries.iter().any(|entry| is(&entry.candidate))
    }

    /// The numbers of those of `texts` that are on the board already, each in its place.
    pub(super) fn find(&self, texts: &[String]) -> Vec<Option<usize>> {
        let ideas = self.ideas();
        texts.iter().map(|text| ideas.entries.iter().position(|entry| entry.candidate.idea == *text)).collect()
    }

    /// Lets only `stay` take part.
    pub(super) fn drop_but(&self, stay: &[usize]) {
        for (idea, entry) in self.ideas().entries.iter_mut().enumerate() {
            entry.is_dropped |= !stay.contains(&idea);
        }
    }

    /// Whether any idea that takes part has a score.
    pub(super) fn has_scores(&self) -> bool {
        self.ideas().entries.iter().any(|entry| !entry.is_dropped && entry.candidate.initial_score.is_some())
    }

    /// Takes what the caller's gate returned for `group`: what it left out takes no further part.
    pub(super) fn edit(&self, group: &[usize], edited: Vec<CandidateEdit>) -> Result<()> {
        let mut ideas = self.ideas();
        if let Some(stranger) = edited.iter().find(|one| !group.contains(&one.idea_index)) {
            let message = format!("on_stage returned a candidate it was not given: idea_index {}", stranger.idea_index);
            return Err(Error::invalid_input(message));
        }
        if edited.iter().any(|one| one.idea.trim().is_empty()) {
            return Err(Error::invalid_input("on_stage returned a candidate without an idea"));
        }
        for idea in group {
            let stays = edited.iter().any(|one| one.idea_index == *idea);
            if let Some(entry) = ideas.entries.get_mut(*idea) {
                entry.is_dropped |= !stays;
            }
        }
        for one in edited {
            if let Some(entry) = ideas.entries.get_mut(one.idea_index) {
                entry.candidate.edit(one);
            }
        }
        Ok(())
    }

    /// The kept ideas, the best first; before the selection every idea.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let ideas = self.ideas();
        ideas.kept().into_iter().map(|idea| ideas.entries[idea].candidate.clone()).collect()
    }

    /// Those of `group` with their numbers and their stages.
    pub(super) fn numbered(&self, group: &[usize]) -> Vec<IndexedCandidate> {
        let ideas = self.ideas();
        group.iter().filter_map(|idea| ideas.numbered(*idea)).collect()
    }

    /// The same as [`Board::candidates`], with numbers and stages. A stage of `plan` that an idea did not come to is
    /// skipped, because of `cut` where that ended the run.
    pub(super) fn results(&self, plan: &[Stage], cut: Option<&str>) -> Vec<IndexedCandidate> {
        let ideas = self.ideas();
        let mut results: Vec<IndexedCandidate> =
            ideas.kept().into_iter().filter_map(|idea| ideas.numbered(idea)).collect();
        for one in &mut results {
            for stage in plan {
                if one.stages.iter().any(|mark| mark.stage == *stage) {
                    continue;
                }
                let reason = cut.map_or_else(|| "what it needs is missing".to_owned(), str::to_owned);
                if cut.is_some() {
                    one.candidate.lack(*stage, reason.clone());
                }
                one.stages.push(StageOutcome { stage: *stage, status: "skipped", reason: Some(reason) });
            }
            one.stages.sort_by_key(|mark| mark.stage);
        }
        results
    }
}

impl Ideas {
    fn present(&self) -> impl Iterator<Item = usize> {
        (0..self.entries.len()).filter(|idea| !self.entries[*idea].is_dropped)
    }

    fn rank(&self, idea: usize) -> f64 {
        self.entries[idea].candidate.initial_score.unwrap_or(f64::NEG_INFINITY)
    }

    fn kept(&self) -> Vec<usize> {
        if let Some(kept) = &self.kept {
            return kept.iter().copied().filter(|idea| !self.entries[*idea].is_dropped).collect();
        }
        let mut all: Vec<usize> = self.present().collect();
        all.sort_by(|one, two| self.rank(*two).total_cmp(&self.rank(*one)));
        all
    }

    fn numbered(&self, idea: usize) -> Option<IndexedCandidate> {
        let entry = self.entries.get(idea)?;
        Some(IndexedCandidate { idea_index: idea, candidate: entry.candidate.clone(), stages: entry.marks.clone() })
    }
}
