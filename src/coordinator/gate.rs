//! Stage gates: a caller reviews the ideas between two stages.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::ideas::IndexedCandidate;
use super::stage::Stage;
use crate::error::Result;

/// Reviews the ideas of a run between its stages. The time of a review counts towards the run's deadline.
pub trait Gate: Send + Sync {
    /// Decides how the run continues with the ideas of `review`.
    ///
    /// Called once after the generation with every idea, once after the selection with the selected ideas, and after each
    /// later stage with the ideas that went through it in one call: all of them in batch mode, one in fan-out mode.
    fn review(&self, review: Review) -> BoxFuture<'_, Result<Decision>>;
}

/// The input of a gate.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// The finished stage.
    pub stage: Stage,
    /// The ideas that went through it.
    pub candidates: Vec<IndexedCandidate>,
}

/// The output of a gate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Continue without changes.
    Approve,
    /// End the run for this reason; its result is the finished part.
    Stop(String),
    /// Continue with these ideas only, as edited.
    Keep(Vec<CandidateEdit>),
}

/// The fields of a candidate that a gate may change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CandidateEdit {
    /// The index of the idea.
    pub idea_index: usize,
    /// The text of the idea.
    pub idea: String,
    /// The critic's score.
    pub initial_score: Option<f64>,
    /// The critic's comment.
    pub initial_critique: Option<String>,
    /// The arguments for the idea.
    pub advocacy: Option<String>,
    /// The arguments against it.
    pub skepticism: Option<String>,
    /// The improved idea.
    pub improved_idea: Option<String>,
    /// The critic's score of the improved idea.
    pub improved_score: Option<f64>,
    /// The critic's comment on the improved idea.
    pub improved_critique: Option<String>,
}
