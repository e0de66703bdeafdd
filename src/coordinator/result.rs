//! What a run hands back.

use serde::Serialize;

use super::ideas::IndexedCandidate;
use super::resolved_mode::ResolvedMode;
use super::stage::Stage;
use super::usage_ledger::{Served, Spending};

/// How well a stage or a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StageStatus {
    /// Everything that was asked for.
    Ok,
    /// A part of it.
    Degraded,
    /// Nothing of it.
    Failed,
    /// It was not come to.
    Skipped,
}

/// Why a run ended before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Its time was over.
    Deadline,
    /// The router's budget was used up.
    Budget,
    /// Nobody waited for it any more.
    Cancelled,
    /// The caller's gate stopped it, for this reason.
    Stopped(String),
    /// It goes on: this is what there is so far.
    Running,
}

impl StopReason {
    /// A stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::Cancelled => "cancelled",
            Self::Stopped(_) => "stopped",
            Self::Running => "running",
        }
    }

    /// The reason in words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Deadline => "the run's deadline was reached".to_owned(),
            Self::Budget => "the budget was used up".to_owned(),
            Self::Cancelled => "the run was cancelled".to_owned(),
            Self::Stopped(reason) => format!("the run was stopped: {reason}"),
            Self::Running => "the run has not come to it yet".to_owned(),
        }
    }
}

/// What a run made, how well, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowResult {
    /// The run.
    pub run_id: String,
    /// How well it went.
    pub status: StageStatus,
    /// Whether it ended before its end. What was finished by then is in the candidates.
    pub partial: bool,
    /// Why it did: `deadline`, `budget`, `cancelled` or `stopped`; `running` where it has not ended yet.
    pub cut: Option<&'static str>,
    /// The same in words.
    pub reason: Option<String>,
    /// How its calls were made.
    pub mode: ResolvedMode,
    /// The kept ideas, the best first; every idea where the run ended before it chose.
    pub candidates: Vec<IndexedCandidate>,
    /// The stages that were asked for, in order.
    pub stages: Vec<StageResult>,
    /// What each agent took.
    pub agents: Vec<AgentResult>,
    /// Who answered, the most often first.
    pub served_by: Vec<Served>,
    /// What everything took.
    pub spent: Spending,
    /// How long it took.
    pub seconds: f64,
}

/// What one stage was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageResult {
    /// Which stage.
    pub stage: Stage,
    /// How well it went.
    pub status: StageStatus,
    /// Why it is not ok: the first reason there was.
    pub reason: Option<String>,
    /// When it began, in seconds since the run did; `None` where it was not come to.
    pub began: Option<f64>,
    /// How long it took, from the first idea that came to it to the last that left.
    pub seconds: f64,
    /// The ideas that it gave something for.
    pub ideas_ok: usize,
    /// The ideas that it gave nothing for.
    pub ideas_failed: usize,
    /// What it took.
    pub spent: Spending,
    /// Who answered.
    pub served_by: Vec<Served>,
}

/// What one agent took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentResult {
    /// The agent, by the name of its module.
    pub agent: &'static str,
    /// What it took.
    pub spent: Spending,
}
