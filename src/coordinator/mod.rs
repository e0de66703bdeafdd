//! The workflow: from a topic to a few improved ideas.
//!
//! ```text
//! generate → novelty filter → evaluate all → keep the best
//!   → [rate] → [infer] → [advocate → doubt] → improve → re-evaluate → [rate again]
//! ```
//!
//! Ideas go through the stages in groups: in one, which asks about all its ideas in one call, or each by itself, at the
//! same time ([`Mode`]); then it also goes through stages that need nothing of each other at the same time. Only the
//! selection waits for all. A stage that fails takes nothing away from what is there: the candidates it failed for say so
//! ([`Candidate::status`], [`Candidate::problems`]) and the workflow goes on where that makes sense. What is known of a run
//! is in its [`RunState`], during the run and after it, however it ended.
//!
//! Nothing runs on its own: dropping the future of [`Coordinator::run`] or [`Coordinator::conduct`] ends every call it
//! started.

mod ask;
mod candidate;
mod event;
mod event_buffer;
mod gate;
mod generation;
mod ideas;
mod novelty;
mod options;
mod progress_estimate;
mod resolved_mode;
mod result;
mod run_state;
mod score;
mod stage;
mod stage_router;
mod usage_ledger;
mod written;

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::agents::Brief;
use crate::error::{Error, Result};
use crate::progress::{ProgressSink, Silent};
use crate::router::Generate;
use stage::Deadline;
use stage_router::StageRouter;

pub use candidate::{Candidate, Problem, Status};
pub use event::{Event, EventKind};
pub use event_buffer::EventBuffer;
pub use gate::{CandidateEdit, Decision, Gate, Review};
pub use ideas::{IndexedCandidate, StageOutcome};
pub use novelty::{Duplicate, duplicates, similarity};
pub use options::{Options, StageTimeouts, Temperatures};
pub use resolved_mode::{Mode, ResolvedMode};
pub use result::{AgentResult, StageResult, StageStatus, StopReason, WorkflowResult};
pub use run_state::RunState;
pub use stage::Stage;
pub use usage_ledger::{Served, Spending, Tokens};

/// Runs workflows. All runs of one coordinator share its limit of concurrent calls, and nothing else.
#[derive(Debug)]
pub struct Coordinator {
    permits: Semaphore,
}

impl Coordinator {
    /// A coordinator whose runs together have at most `max_concurrent_agents` calls under way; 10 by default in the
    /// bindings. Fails with `InvalidInput` for 0.
    pub fn new(max_concurrent_agents: usize) -> Result<Self> {
        if max_concurrent_agents == 0 {
            return Err(Error::invalid_input("max_concurrent_agents must be at least 1"));
        }
        Ok(Self { permits: Semaphore::new(max_concurrent_agents.min(Semaphore::MAX_PERMITS)) })
    }

    /// Runs the workflow once and hands back the kept ideas, the highest initial score first, ideas without one last.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for options out of bounds. The error of the idea generation, as there is nothing without ideas.
    /// `DeadlineExceeded` where the run's deadline passes before ideas are kept; after that the finished part is handed
    /// back. `External`, `Internal` and `InvalidInput` of any stage end the run as they are.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the calls under way and gives their permits back.
    pub async fn run(
        &self,
        router: &dyn Generate,
        options: &Options,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<Candidate>> {
        let record = RunState::new(router, options, 0);
        self.conduct(router, options, &record, Hooks { progress, ..Hooks::default() }).await?;
        Ok(record.candidates())
    }

    /// Does as [`Coordinator::run`], and keeps `record` of everything: after an error, and after its future was dropped,
    /// too.
    pub async fn conduct(
        &self,
        router: &dyn Generate,
        options: &Options,
        record: &Arc<RunState>,
        hooks: Hooks<'_>,
    ) -> Result<()> {
        let outcome = async { Run::new(router, &self.permits, options, record, hooks)?.whole().await }.await;
        let (end, message) = match outcome {
            Ok(message) => (Ok(()), Some(message)),
            Err(Halt::Stopped(reason)) => {
                record.cut(StopReason::Stopped(reason));
                (Ok(()), Some("Stopped"))
            }
            Err(Halt::Failed(error)) => (Err(error), None),
        };
        let failure = end.as_ref().err().map(ToString::to_string);
        record.finish(failure, message.map(str::to_owned), None);
        if let Some(message) = message {
            hooks.progress.emit(message, 1.0);
        }
        end
    }
}

/// Who takes part in a run besides its router.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Takes the progress: those events that have a message.
    pub progress: &'a dyn ProgressSink,
    /// Looks at the ideas between the stages.
    pub gate: Option<&'a dyn Gate>,
}

impl Default for Hooks<'_> {
    fn default() -> Self {
        Self { progress: &Silent, gate: None }
    }
}

impl std::fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("gate", &self.gate.is_some()).finish_non_exhaustive()
    }
}

/// What is told when the work on the kept ideas begins.
const WORKING: &str = "Working on the selected ideas";

/// What ends a run early.
enum Halt {
    Failed(Error),
    /// The caller's gate says so, for this reason.
    Stopped(String),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A number of ideas, in words.
fn counted(ideas: usize) -> String {
    format!("{ideas} {}", if ideas == 1 { "idea" } else { "ideas" })
}

/// One run: its options, its deadline, its record and the way to its router.
#[derive(Clone, Copy)]
struct Run<'a> {
    router: &'a dyn Generate,
    permits: &'a Semaphore,
    options: &'a Options,
    record: &'a Arc<RunState>,
    hooks: Hooks<'a>,
    deadline: Deadline,
}

impl<'a> Run<'a> {
    fn new(
        router: &'a dyn Generate,
        permits: &'a Semaphore,
        options: &'a Options,
        record: &'a Arc<RunState>,
        hooks: Hooks<'a>,
    ) -> Result<Self> {
        options.validate()?;
        let deadline = Deadline::new(options::seconds("timeout", options.timeout)?);
        Ok(Self { router, permits, options, record, hooks, deadline })
    }

    /// The whole story. Its result is the last word on it.
    async fn whole(&self) -> Result<&'static str, Halt> {
        let RunState { board, shape, plan, .. } = &**self.record;
        self.tell(
            EventKind::RunStarted { mode: *shape, stages: plan.clone() },
            Some("Starting the workflow".to_owned()),
        );

        // A gate looks at all ideas before any goes on; without one, each is judged while the next is written.
        if *shape == ResolvedMode::Fanout && self.hooks.gate.is_none() {
            self.generate_and_judge().await?;
        } else {
            let ideas = self.generate(|_| ()).await?;
            let ideas = self.review(Stage::IdeaGeneration, &ideas).await?;
            self.flow(Stage::BEFORE_SELECTION, &ideas).await?;
        }
        if !board.has_scores() {
            if self.deadline.is_over() {
                return Err(self.deadline.reached().into());
            }
            board.select(self.options.num_top_candidates);
            return Ok("No idea could be evaluated");
        }
        let kept = board.select(self.options.num_top_candidates);
        self.at(0.6);
        let message = format!("Selected {}", counted(kept.len()));
        self.tell(EventKind::IdeasSelected { idea_indices: kept.clone() }, Some(message));
        let kept = self.review(Stage::Evaluation, &kept).await?;

        if self.is_assessed() {
            self.record.pace().place(&kept, 0.6);
        } else {
            self.record.pace().place(&kept, 0.7);
            self.progress(WORKING);
        }
        // A gate wants one stage after the other, and a server that answers one request at a time gives no more.
        if self.record.shape == ResolvedMode::Fanout && self.hooks.gate.is_none() {
            self.spread(&kept).await?;
        } else {
            self.flow(Stage::AFTER_SELECTION, &kept).await?;
        }

        self.at(0.88);
        self.progress("Building the results");
        let candidates = board.candidates();
        let finished = candidates.iter().filter(|candidate| candidate.status == Status::Ok).count();
        self.at(0.9);
        self.progress(&format!("Completed {finished} of {}", counted(candidates.len())));
        Ok("Done")
    }

    /// Sends the ideas through `stages`, in groups that do not wait for each other.
    async fn flow(&self, stages: &[Stage], ideas: &[usize]) -> Result<(), Halt> {
        let stages: Vec<Stage> = stages.iter().copied().filter(|stage| self.options.wants(*stage)).collect();
        let groups: Vec<&[usize]> = self.record.shape.groups(ideas).collect();
        for stage in &stages {
            self.record.ledger.expect(*stage, groups.len());
        }
        if let Some(first) = stages.first() {
            self.record.pace().reach(ideas, first.span().0);
        }
        let ways = groups.into_iter().map(|group| async {
            let mut group = group.to_vec();
            for stage in &stages {
                self.pass(*stage, &group).await?;
                if Stage::AFTER_SELECTION.contains(stage) {
                    group = self.review(*stage, &group).await?;
                }
            }
            Ok::<_, Halt>(())
        });
        try_join_all(ways).await.map(drop)
    }

    /// Sends each of the kept ideas through the stages by itself, through those that need nothing of each other at the
    /// same time.
    async fn spread(&self, ideas: &[usize]) -> Result<(), Halt> {
        for stage in Stage::AFTER_SELECTION.iter().filter(|stage| self.options.wants(**stage)) {
            self.record.ledger.expect(*stage, ideas.len());
        }
        let all = ideas.chunks(1).map(|idea| async move {
            for step in Stage::SIDE_BY_SIDE {
                let ways = step.iter().map(|way| async move {
                    for stage in way.iter().filter(|stage| self.options.wants(**stage)) {
                        self.pass(*stage, idea).await?;
                    }
                    Ok::<_, Error>(())
                });
                try_join_all(ways).await?;
            }
            Ok::<_, Error>(())
        });
        try_join_all(all).await?;
        Ok(())
    }

    /// Takes `group` through one stage: in one call, or in several at a time where one would be too long.
    async fn pass(&self, stage: Stage, group: &[usize]) -> Result<()> {
        let board = &self.record.board;
        let present = board.present(group, |candidate| ask::can_ask(stage, candidate));
        self.begin(stage, &present, group.len());
        let router = self.bounded(stage)?;
        let portions = resolved_mode::portions(board, &present, self.options.batch_tokens);
        let outcomes = join_all(portions.iter().map(|portion| self.ask(stage, &router, portion))).await;
        outcomes.into_iter().collect::<Result<()>>()?;
        self.record.pace().reach(group, stage.span().1);
        self.end(stage, None);
        Ok(())
    }

    /// The ideas of `group` that the caller's gate lets go on.
    async fn review(&self, stage: Stage, group: &[usize]) -> Result<Vec<usize>, Halt> {
        let board = &self.record.board;
        let Some(gate) = self.hooks.gate else { return Ok(group.to_vec()) };
        let present = board.present(group, |_| true);
        if present.is_empty() {
            return Ok(present);
        }
        let review = Review { stage, candidates: board.numbered(&present) };
        let Ok(decision) = timeout_at(self.deadline.at, gate.review(review)).await else {
            // Whoever was asked has not answered: the stages ahead find the time over.
            self.record.cut(StopReason::Deadline);
            return Ok(present);
        };
        match decision? {
            Decision::Approve => Ok(present),
            Decision::Stop(reason) => Err(Halt::Stopped(reason)),
            Decision::Keep(edited) => {
                board.edit(&present, edited)?;
                let left = board.present(&present, |_| true);
                // One idea of many goes its way alone: the others may go on.
                let is_alone = self.record.shape == ResolvedMode::Fanout && Stage::AFTER_SELECTION.contains(&stage);
                if left.is_empty() && !is_alone {
                    return Err(Halt::Stopped("no idea was left".to_owned()));
                }
                Ok(left)
            }
        }
    }

    fn begin(&self, stage: Stage, ideas: &[usize], group: usize) {
        // A stage that none of its ideas can come to does not begin.
        if ideas.is_empty() && group > 0 {
            return;
        }
        let start = stage.span().0;
        let message = match stage {
            Stage::IdeaGeneration => {
                self.at(start);
                Some("Generating ideas".to_owned())
            }
            Stage::Evaluation => Some(format!("Evaluating {}", counted(self.record.pace().ideas()))),
            Stage::MultiDimensional => Some("Rating ideas on seven dimensions".to_owned()),
            Stage::LogicalInference => Some("Reasoning about ideas".to_owned()),
            Stage::Advocacy => Some("Weighing advocacy and skepticism".to_owned()),
            Stage::Skepticism => None,
            Stage::Improvement => Some("Improving ideas".to_owned()),
            Stage::ReEvaluation => Some("Evaluating the improved ideas".to_owned()),
            Stage::ReMultiDimensional => Some("Rating the improved ideas on seven dimensions".to_owned()),
        };
        let is_first = self.record.ledger.enter(stage, self.record.seconds());
        // Where the ideas were looked at first, the work on them begins here.
        if is_first && self.is_assessed() && stage == self.first_work() {
            self.record.pace().reach(ideas, 0.7);
            self.progress(WORKING);
        }
        self.record.pace().reach(ideas, start);
        if is_first {
            self.tell(EventKind::StageStarted { stage }, message);
        }
    }

    /// Whether the kept ideas are looked at more closely before anybody works on them.
    fn is_assessed(&self) -> bool {
        self.options.wants(Stage::MultiDimensional) || self.options.wants(Stage::LogicalInference)
    }

    /// The first stage that works on the kept ideas.
    fn first_work(&self) -> Stage {
        if self.options.wants(Stage::Advocacy) { Stage::Advocacy } else { Stage::Improvement }
    }

    fn end(&self, stage: Stage, message: Option<String>) {
        let now = self.record.seconds();
        let Some((status, reason)) = self.record.ledger.leave(stage, now) else { return };
        self.record.pace().finished(stage, now);
        self.tell(EventKind::StageFinished { stage, status, reason }, message);
        let spent = self.record.ledger.total();
        self.tell(EventKind::Budget { spent, is_reached: false }, None);
    }

    /// The run as a whole has come to `fraction`.
    fn at(&self, fraction: f64) {
        self.record.pace().advance(fraction);
    }

    fn progress(&self, message: &str) {
        self.tell(EventKind::Progress, Some(message.to_owned()));
    }

    fn tell(&self, kind: EventKind, message: Option<String>) {
        let fraction = self.record.tell(kind, message.clone());
        if let Some(message) = message {
            self.hooks.progress.emit(&message, fraction);
        }
    }

    fn brief(&self, stage: Stage) -> Brief<'a> {
        Brief {
            topic: &self.options.topic,
            context: &self.options.context,
            temperature: self.options.temperatures.of(stage),
            language: self.options.language,
        }
    }

    /// The router as `stage` sees it; the stage's time begins now.
    fn bounded(&self, stage: Stage) -> Result<StageRouter<'a>> {
        let limit = options::seconds(stage.as_str(), self.options.stage_timeouts.of(stage))?;
        Ok(StageRouter {
            router: self.router,
            permits: self.permits,
            record: self.record,
            stage,
            stage_deadline: Deadline::new(limit),
            run_deadline: self.deadline,
        })
    }
}
