//! The workflow: turns a topic into a few improved ideas.
//!
//! ```text
//! generate → novelty filter → evaluate all → select the best
//!   → [rate] → [infer] → [advocate → criticize] → improve → re-evaluate → [rate again]
//! ```
//!
//! In batch mode each stage handles all ideas in one call; in fan-out mode each idea has calls of its own, all ideas run
//! concurrently, and so do stages that do not depend on each other ([`Mode`]). Only the selection waits for every idea. A
//! failed stage discards nothing: the affected candidates report it ([`Candidate::status`], [`Candidate::problems`]) and the
//! workflow continues where that makes sense. The state of a run can be read through its [`RunHandle`] during the run and
//! after it, however it ended.
//!
//! There are no background tasks: dropping the future of [`Coordinator::run`] or [`Coordinator::conduct`] drops every call
//! it started.

mod candidate;
mod event;
mod event_buffer;
mod gate;
mod generation;
mod ideas;
mod mode;
mod options;
mod order;
mod partial_ideas;
mod progress_estimate;
mod provider_gate;
mod result;
mod run;
mod run_handle;
mod run_state;
mod score;
mod spending;
mod stage;
mod stage_agents;
mod stage_records;
mod stage_router;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::progress::{ProgressSink, Silent};
use crate::router::Generate;
use run::{Halt, Run};
use run_state::End;

pub use crate::similarity::{Duplicate, duplicates, similarity};
pub use candidate::{Candidate, Problem, Status};
pub use event::{Event, EventKind};
pub use gate::{CandidateEdit, Decision, Gate, Review};
pub use ideas::{IndexedCandidate, StageOutcome};
pub use mode::{Mode, ResolvedMode};
pub use options::{EvaluationMode, Options, OutputTokens, OutputTokensRule, StageTimeouts, Temperatures};
pub use order::Order;
pub use provider_gate::{Admissions, ProviderGate, ProviderRequest};
pub use result::{AgentResult, StageResult, StageStatus, StopReason, WorkflowResult};
pub use run_handle::RunHandle;
pub use run_state::RunState;
pub use spending::{ServedBy, Spending};
pub use stage::Stage;

/// Runs workflows. The runs of one coordinator share a limit of concurrent calls and nothing else.
#[derive(Debug)]
pub struct Coordinator {
    permits: Semaphore,
}

impl Coordinator {
    /// Creates a coordinator whose runs together have at most `max_concurrent_agents` calls in flight.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for 0.
    pub fn new(max_concurrent_agents: usize) -> Result<Self> {
        if max_concurrent_agents == 0 {
            return Err(Error::invalid_input("max_concurrent_agents must be at least 1"));
        }
        Ok(Self { permits: Semaphore::new(max_concurrent_agents.min(Semaphore::MAX_PERMITS)) })
    }

    /// Runs the workflow once and returns the selected ideas in the order of the options, unscored ideas last.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for options out of bounds, the error of a failed idea generation, and `DeadlineExceeded` if
    /// the run's deadline passes before ideas are selected; after that the finished part is returned. `External`,
    /// `Internal` and `InvalidInput` errors of any stage end the run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the calls in flight and releases their permits.
    pub async fn run(
        &self,
        router: &dyn Generate,
        options: &Options,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<Candidate>> {
        let handle = RunHandle::new(router, options, 0);
        self.conduct(router, &handle, Hooks { progress, ..Hooks::default() }).await?;
        Ok(handle.candidates())
    }

    /// Executes the run of `handle`, which stays readable after an error and after the future was dropped.
    ///
    /// # Errors
    ///
    /// The same as [`Coordinator::run`].
    pub async fn conduct(&self, router: &dyn Generate, handle: &Arc<RunHandle>, hooks: Hooks<'_>) -> Result<()> {
        let options = handle.options();
        let outcome = match Run::new(router, &self.permits, &options, handle, hooks) {
            Ok(run) => run.execute().await,
            Err(error) => Err(Halt::Failed(error)),
        };
        let message = match outcome {
            Ok(message) => message,
            Err(Halt::Stopped(reason)) => {
                handle.update(|state| state.stop(StopReason::Stopped(reason)));
                "Stopped"
            }
            Err(Halt::Failed(error)) => {
                handle.close(Some(&error.to_string()));
                return Err(error);
            }
        };
        handle.update(|state| state.finish(End::Completed(message)));
        hooks.progress.emit(message, 1.0);
        Ok(())
    }
}

/// What a caller attaches to a run.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Receives the progress: the events that have a message.
    pub progress: &'a dyn ProgressSink,
    /// Reviews the ideas between the stages.
    pub gate: Option<&'a dyn Gate>,
    /// Decides about each provider before the run uses it. A custom router is not asked.
    pub admissions: Option<&'a Arc<Admissions>>,
}

impl Default for Hooks<'_> {
    fn default() -> Self {
        Self { progress: &Silent, gate: None, admissions: None }
    }
}

impl std::fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("gate", &self.gate.is_some())
            .field("admissions", &self.admissions)
            .finish_non_exhaustive()
    }
}
