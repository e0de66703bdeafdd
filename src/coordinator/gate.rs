//! The caller's say between two stages.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::ideas::IndexedCandidate;
use super::stage::Stage;
use crate::error::Result;

/// Looks at the ideas between two stages. Its time counts as the run's.
pub trait Gate: Send + Sync {
    /// What is to become of the ideas of `review`.
    ///
    /// It is asked once after the generation, with every idea; once after the selection, with the kept ones; and after
    /// each later stage, with the ideas that go through the stages together: all of them, or each by itself.
    fn review(&self, review: Review) -> BoxFuture<'_, Result<Verdict>>;
}

/// What a gate is asked about.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// The stage that is done.
    pub stage: Stage,
    /// The ideas that went through it.
    pub candidates: Vec<IndexedCandidate>,
}

/// What a gate answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go on as it is.
    Approve,
    /// End the run here, for this reason; what there is is its result.
    Stop(String),
    /// Go on with these; ideas that are left out take no further part.
    Keep(Vec<Edited>),
}

/// An idea as the gate wants it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Edited {
    /// Which idea.
    pub idea_index: usize,
    /// Its text.
    pub idea: String,
    /// The critic's score.
    pub initial_score: Option<f64>,
    /// The critic's comment.
    pub initial_critique: Option<String>,
    /// The case for it.
    pub advocacy: Option<String>,
    /// The case against it.
    pub skepticism: Option<String>,
    /// The improved idea.
    pub improved_idea: Option<String>,
    /// The critic's score of the improved idea.
    pub improved_score: Option<f64>,
    /// The critic's comment on the improved idea.
    pub improved_critique: Option<String>,
}
