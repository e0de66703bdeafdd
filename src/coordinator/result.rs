//! The result of a run.

use serde::{Deserialize, Serialize};

use super::ideas::IndexedCandidate;
use super::mode::ResolvedMode;
use super::spending::{ServedBy, Spending};
use super::stage::Stage;

/// The status of a stage or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageStatus {
    /// Complete.
    Ok,
    /// Some of the ideas failed or are incomplete.
    Degraded,
    /// Nothing succeeded.
    Failed,
    /// Never reached.
    Skipped,
}

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// The run's deadline passed.
    Deadline,
    /// The router's budget was reached.
    Budget,
    /// The run was cancelled or abandoned.
    Cancelled,
    /// A gate stopped the run for this reason.
    Stopped(String),
    /// The run has not ended; the result is a snapshot.
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

    /// The reason as a sentence.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Deadline => "the run's deadline was reached".to_owned(),
            Self::Budget => "the budget was used up".to_owned(),
            Self::Cancelled => "the run was cancelled".to_owned(),
            Self::Stopped(reason) => format!("the run was stopped: {reason}"),
            Self::Running => "the run has not reached this stage yet".to_owned(),
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowResult {
    /// The id of the run.
    pub run_id: String,
    /// The status of the run.
    pub status: StageStatus,
    /// Whether the run ended early; the candidates hold what was finished by then.
    pub partial: bool,
    /// Why the run ended early: `deadline`, `budget`, `cancelled`, `stopped`, or `running` in a snapshot.
    pub cut: Option<&'static str>,
    /// The reason as a sentence.
    pub reason: Option<String>,
    /// How the calls were grouped.
    pub mode: ResolvedMode,
    /// The selected ideas in the order of the options; every idea if the run ended before the selection.
    pub candidates: Vec<IndexedCandidate>,
    /// The requested stages, in order.
    pub stages: Vec<StageResult>,
    /// The usage of each agent.
    pub agents: Vec<AgentResult>,
    /// The models that answered, the most used first.
    pub served_by: Vec<ServedBy>,
    /// The usage of the run.
    pub spent: Spending,
    /// The duration of the run.
    pub seconds: f64,
}

/// The result of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageResult {
    /// The stage.
    pub stage: Stage,
    /// The status of the stage.
    pub status: StageStatus,
    /// Why the status is not `Ok`: the first failure.
    pub reason: Option<String>,
    /// Seconds from the start of the run to the start of the stage; `None` if it was never reached.
    pub began: Option<f64>,
    /// Seconds from the first idea that entered the stage to the last that left it.
    pub seconds: f64,
    /// The number of ideas the stage succeeded for.
    pub ideas_ok: usize,
    /// The number of ideas the stage failed for.
    pub ideas_failed: usize,
    /// The usage of the stage.
    pub spent: Spending,
    /// The models that answered.
    pub served_by: Vec<ServedBy>,
}

/// The usage of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentResult {
    /// The agent, by the name of its module.
    pub agent: &'static str,
    /// Its usage over all its stages.
    pub spent: Spending,
}
