//! What happens in a run, as it is told to those who watch it.

use serde::Serialize;

use super::resolved_mode::ResolvedMode;
use super::result::StageStatus;
use super::stage::Stage;
use super::usage_ledger::Spending;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// The run.
    pub run_id: String,
    /// The number of the event in its run, counting from 1, without gaps.
    pub sequence: u64,
    /// Seconds since the run began.
    pub seconds: f64,
    /// How far the run is, 0.0 to 1.0; never goes backwards.
    pub fraction: f64,
    /// About how many seconds it has still to go; `None` before the first stage has shown how fast the models are.
    pub seconds_left: Option<f64>,
    /// The event for people; `None` where there is nothing to say beyond its fields.
    pub message: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The run begins.
    RunStarted {
        /// How its calls are made.
        mode: ResolvedMode,
        /// The stages it is to go through.
        stages: Vec<Stage>,
    },
    /// The first idea has come to a stage.
    StageStarted {
        /// Which stage.
        stage: Stage,
    },
    /// The last idea has left a stage.
    StageFinished {
        /// Which stage.
        stage: Stage,
        /// What it was.
        status: StageStatus,
        /// Why it is not ok.
        reason: Option<String>,
    },
    /// There is an idea.
    IdeaGenerated {
        /// Its number.
        idea_index: usize,
        /// The idea.
        idea: String,
    },
    /// An idea, or its improvement, has a score.
    IdeaScored {
        /// The stage that gave it.
        stage: Stage,
        /// The number of the idea.
        idea_index: usize,
        /// The score, 0.0 to 10.0; of a rating its overall score.
        score: f64,
    },
    /// The best ideas are chosen.
    IdeasSelected {
        /// Their numbers, the best first.
        idea_indices: Vec<usize>,
    },
    /// An idea has become a better one.
    IdeaImproved {
        /// Its number.
        idea_index: usize,
        /// The improved idea.
        idea: String,
    },
    /// A request to a provider failed, or its reply could not be used. What follows is the router's policy.
    AttemptFailed {
        /// The stage that asked.
        stage: Stage,
        /// Who was asked.
        provider: String,
        /// The model that was asked.
        model: String,
        /// The class of the failure.
        error: &'static str,
        /// The failure in words.
        reason: Option<String>,
        /// The HTTP status, where one came back.
        status: Option<u16>,
    },
    /// Another provider or model is asked instead.
    FallbackTaken {
        /// The stage that asks.
        stage: Stage,
        /// Who is asked now.
        provider: String,
        /// The model that is asked now.
        model: String,
        /// Who was asked before.
        instead_of: String,
    },
    /// What the run has spent so far.
    Budget {
        /// All of it.
        spent: Spending,
        /// Whether the router's budget is used up.
        is_reached: bool,
    },
    /// The run goes on; `message` tells with what.
    Progress,
    /// Nothing follows.
    RunFinished {
        /// What it was.
        status: StageStatus,
        /// Whether it ended before its end.
        partial: bool,
        /// Why it did.
        reason: Option<String>,
    },
}
