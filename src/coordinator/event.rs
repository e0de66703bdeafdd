//! The events of a run.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::mode::ResolvedMode;
use super::result::StageStatus;
use super::spending::Spending;
use super::stage::Stage;

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The id of the run.
    pub run_id: String,
    /// The number of the event in its run, from 1, without gaps.
    pub sequence: u64,
    /// Seconds since the run started.
    pub seconds: f64,
    /// The progress of the run, 0.0 to 1.0; never decreases.
    pub fraction: f64,
    /// The estimated remaining seconds; `None` until the first stage has been measured.
    pub seconds_left: Option<f64>,
    /// A message for progress displays, if any.
    pub message: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The run started.
    RunStarted {
        /// How its calls are grouped.
        mode: ResolvedMode,
        /// The requested stages.
        stages: Vec<Stage>,
    },
    /// The first idea entered a stage.
    StageStarted {
        /// The stage.
        stage: Stage,
    },
    /// The last idea left a stage.
    StageFinished {
        /// The stage.
        stage: Stage,
        /// Its status.
        status: StageStatus,
        /// Why the status is not `Ok`.
        reason: Option<String>,
    },
    /// An idea was generated.
    IdeaGenerated {
        /// The index of the idea.
        idea_index: usize,
        /// The idea.
        idea: String,
    },
    /// An idea or its improved version received a score.
    IdeaScored {
        /// The stage that scored it.
        stage: Stage,
        /// The index of the idea.
        idea_index: usize,
        /// The score, 0.0 to 10.0; for a rating, its overall score.
        score: f64,
        /// For the re-evaluation, whether the improved idea is kept: see [`Candidate::improvement_kept`](super::Candidate::improvement_kept).
        improvement_kept: Option<bool>,
    },
    /// The ideas with the highest initial scores were selected.
    IdeasSelected {
        /// Their indices, the best first.
        idea_indices: Vec<usize>,
    },
    /// An idea was improved.
    IdeaImproved {
        /// The index of the idea.
        idea_index: usize,
        /// The improved idea.
        idea: String,
    },
    /// An attempt failed. The router's policy decides what follows.
    AttemptFailed {
        /// The stage of the call.
        stage: Stage,
        /// The provider of the attempt.
        provider: String,
        /// The model of the attempt.
        model: String,
        /// The error class.
        error: Cow<'static, str>,
        /// The error message.
        reason: Option<String>,
        /// The HTTP status, if a response arrived.
        status: Option<u16>,
    },
    /// The call continues with another provider or model.
    FallbackTaken {
        /// The stage of the call.
        stage: Stage,
        /// The provider used from now on.
        provider: String,
        /// The model used from now on.
        model: String,
        /// The provider used before.
        instead_of: String,
    },
    /// The usage of the run so far.
    Budget {
        /// The usage.
        spent: Spending,
        /// Whether the router's budget was reached.
        is_reached: bool,
    },
    /// The run made progress, as described by the message.
    Progress,
    /// The run ended; no event follows.
    RunFinished {
        /// The status of the run.
        status: StageStatus,
        /// Whether it ended early.
        partial: bool,
        /// Why it ended early or failed.
        reason: Option<String>,
        /// The indices of the candidates of the result, in its order.
        idea_indices: Vec<usize>,
    },
}
