//! The execution of one run.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tracing::{Instrument as _, Span, warn_span};

use super::Hooks;
use super::candidate::Status;
use super::event::EventKind;
use super::gate::{Decision, Review};
use super::mode::{ResolvedMode, batches};
use super::options::{self, EvaluationMode, Options};
use super::result::StopReason;
use super::run_handle::RunHandle;
use super::stage::{Deadline, Stage};
use super::stage_router::StageRouter;
use crate::agents::Brief;
use crate::error::{Error, Result};
use crate::router::Generate;

/// The message when the work on the selected ideas begins.
const WORKING: &str = "Working on the selected ideas";

/// Why a run does not reach its last stage.
pub(super) enum Halt {
    /// An error.
    Failed(Error),
    /// A gate stopped the run for this reason.
    Stopped(String),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// One run being executed. Its state is in the handle.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) router: &'a dyn Generate,
    pub(super) permits: &'a Semaphore,
    pub(super) options: &'a Options,
    pub(super) mode: ResolvedMode,
    pub(super) handle: &'a Arc<RunHandle>,
    pub(super) hooks: Hooks<'a>,
    pub(super) deadline: Deadline,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        router: &'a dyn Generate,
        permits: &'a Semaphore,
        options: &'a Options,
        handle: &'a Arc<RunHandle>,
        hooks: Hooks<'a>,
    ) -> Result<Self> {
        options.validate()?;
        let deadline = handle.deadline(options::seconds("timeout", options.timeout)?);
        let mode = handle.read(|state| state.mode);
        Ok(Self { router, permits, options, mode, handle, hooks, deadline })
    }

    /// Executes every stage and returns the final progress message.
    pub(super) async fn execute(&self) -> Result<&'static str, Halt> {
        let started = self.handle.read(|state| EventKind::RunStarted { mode: state.mode, stages: state.plan.clone() });
        self.report(started, Some("Starting the workflow".to_owned()));

        if self.is_pipelined() {
            self.generate_and_evaluate().await?;
        } else {
            let ideas = self.generate(|_| ()).await?;
            let ideas = self.review(Stage::IdeaGeneration, &ideas).await?;
            self.run_stages(Stage::BEFORE_SELECTION, &ideas).await?;
        }

        let has_scores = self.handle.read(|state| state.ideas.has_scores());
        if !has_scores && self.deadline.has_passed() {
            return Err(self.deadline.run_error().into());
        }
        let selected = self.handle.update(|state| state.ideas.select(self.options.num_top_candidates));
        if !has_scores {
            return Ok("No idea could be evaluated");
        }
        self.advance(0.6);
        let message = format!("Selected {}", counted(selected.len()));
        self.report(EventKind::IdeasSelected { idea_indices: selected.clone() }, Some(message));
        let selected = self.review(Stage::Evaluation, &selected).await?;

        if self.has_assessment() {
            self.handle.update(|state| state.progress.restart(&selected, 0.6));
        } else {
            self.handle.update(|state| state.progress.restart(&selected, 0.7));
            self.report_progress(WORKING);
        }
        if self.is_pipelined() {
            self.run_concurrent_stages(&selected).await?;
        } else {
            self.run_stages(Stage::AFTER_SELECTION, &selected).await?;
        }

        self.advance(0.88);
        self.report_progress("Building the results");
        let candidates = self.handle.candidates();
        let finished = candidates.iter().filter(|candidate| candidate.status == Status::Ok).count();
        self.advance(0.9);
        self.report_progress(&format!("Completed {finished} of {}", counted(candidates.len())));
        Ok("Done")
    }

    /// Whether ideas move through the stages independently. A gate needs one stage after the other, and a server that
    /// processes one request at a time gains nothing from it.
    fn is_pipelined(&self) -> bool {
        self.mode == ResolvedMode::Fanout && self.hooks.gate.is_none()
    }

    /// Runs `stages` in sequence for each group of ideas; the groups do not wait for each other.
    pub(super) async fn run_stages(&self, stages: &[Stage], ideas: &[usize]) -> Result<(), Halt> {
        let stages: Vec<Stage> = stages.iter().copied().filter(|stage| self.options.includes(*stage)).collect();
        let groups: Vec<&[usize]> = self.mode.groups(ideas).collect();
        self.handle.update(|state| {
            for stage in &stages {
                state.stages.add_groups(*stage, groups.len());
            }
            if let Some(first) = stages.first() {
                state.progress.reach(ideas, first.progress_range().0);
            }
        });
        let runs = groups.into_iter().map(|group| async {
            let mut group = group.to_vec();
            for stage in &stages {
                self.run_stage(*stage, &group).await?;
                if Stage::AFTER_SELECTION.contains(stage) {
                    group = self.review(*stage, &group).await?;
                }
            }
            Ok::<_, Halt>(())
        });
        try_join_all(runs).await.map(drop)
    }

    /// Runs the stages after the selection for each idea on its own, independent stages concurrently.
    async fn run_concurrent_stages(&self, ideas: &[usize]) -> Result<()> {
        self.handle.update(|state| {
            for stage in Stage::AFTER_SELECTION.iter().filter(|stage| self.options.includes(**stage)) {
                state.stages.add_groups(*stage, ideas.len());
            }
        });
        let runs = ideas.chunks(1).map(|idea| async move {
            for branches in Stage::CONCURRENT {
                let branches = branches.iter().map(|branch| async move {
                    for stage in branch.iter().filter(|stage| self.options.includes(**stage)) {
                        self.run_stage(*stage, idea).await?;
                    }
                    Ok::<_, Error>(())
                });
                try_join_all(branches).await?;
            }
            Ok::<_, Error>(())
        });
        try_join_all(runs).await.map(drop)
    }

    /// Runs one stage for `group`: in one call, or in several concurrent calls if one would be too long.
    async fn run_stage(&self, stage: Stage, group: &[usize]) -> Result<()> {
        let batches = self.handle.read(|state| {
            let ideas = state.ideas.present(group, |candidate| stage.has_input(candidate));
            if stage.is_evaluation() && self.evaluates_each() {
                ideas.into_iter().map(|idea| vec![idea]).collect()
            } else {
                batches(&state.ideas, &ideas, self.options.batch_tokens)
            }
        });
        // A stage that none of its ideas can reach does not begin.
        if !batches.is_empty() {
            self.begin(stage, &batches.concat());
        }
        let limit = self.options.stage_timeout(stage)?;
        let calls = batches.iter().map(|batch| {
            let span = self.stage_span(stage, batch);
            let call = async move {
                let router = StageRouter::new(*self, stage, limit);
                self.call_agent(stage, &router, batch).await
            };
            call.instrument(span)
        });
        if self.mode == ResolvedMode::Batch && !self.router.supports_concurrency() && stage.is_evaluation() {
            // A serial server keeps what the prompts have in common if they come one after the other.
            for call in calls {
                call.await?;
            }
        } else {
            join_all(calls).await.into_iter().collect::<Result<()>>()?;
        }
        self.handle.update(|state| state.progress.reach(group, stage.progress_range().1));
        self.finish_group(stage, None);
        Ok(())
    }

    /// Returns the ideas of `group` with which the run continues after the gate's decision.
    async fn review(&self, stage: Stage, group: &[usize]) -> Result<Vec<usize>, Halt> {
        let Some(gate) = self.hooks.gate else { return Ok(group.to_vec()) };
        let (present, candidates) = self.handle.read(|state| {
            let present = state.ideas.present(group, |_| true);
            let candidates = state.ideas.indexed(&present);
            (present, candidates)
        });
        if present.is_empty() {
            return Ok(present);
        }
        let Ok(decision) = timeout_at(self.deadline.at, gate.review(Review { stage, candidates })).await else {
            // The remaining stages fail at the same deadline.
            self.handle.update(|state| state.stop(StopReason::Deadline));
            return Ok(present);
        };
        match decision? {
            Decision::Approve => Ok(present),
            Decision::Stop(reason) => Err(Halt::Stopped(reason)),
            Decision::Keep(edits) => {
                let kept = self.handle.update(|state| {
                    state.ideas.edit(&present, edits)?;
                    Ok::<_, Error>(state.ideas.present(&present, |_| true))
                })?;
                // In fan-out mode the other ideas of the run may continue.
                let has_others = self.mode == ResolvedMode::Fanout && Stage::AFTER_SELECTION.contains(&stage);
                if kept.is_empty() && !has_others {
                    return Err(Halt::Stopped("no idea was left".to_owned()));
                }
                Ok(kept)
            }
        }
    }

    /// Marks `stage` as begun for `ideas`, and reports it for the first of its groups.
    pub(super) fn begin(&self, stage: Stage, ideas: &[usize]) {
        let start = stage.progress_range().0;
        let (is_first, evaluated) = self.handle.update(|state| {
            if stage == Stage::IdeaGeneration {
                state.progress.advance(start);
            }
            (state.stages.begin(stage, state.elapsed), state.progress.ideas())
        });
        if is_first && self.has_assessment() && stage == self.first_work_stage() {
            self.handle.update(|state| state.progress.reach(ideas, 0.7));
            self.report_progress(WORKING);
        }
        self.handle.update(|state| state.progress.reach(ideas, start));
        if !is_first {
            return;
        }
        let message = match stage {
            Stage::IdeaGeneration => "Generating ideas".to_owned(),
            Stage::Evaluation => format!("Evaluating {}", counted(evaluated)),
            Stage::MultiDimensional => "Rating ideas on seven dimensions".to_owned(),
            Stage::LogicalInference => "Reasoning about ideas".to_owned(),
            Stage::Advocacy => "Weighing advocacy and skepticism".to_owned(),
            // Covered by the message of the advocacy.
            Stage::Skepticism => return self.report(EventKind::StageStarted { stage }, None),
            Stage::Improvement => "Improving ideas".to_owned(),
            Stage::ReEvaluation => "Evaluating the improved ideas".to_owned(),
            Stage::ReMultiDimensional => "Rating the improved ideas on seven dimensions".to_owned(),
        };
        self.report(EventKind::StageStarted { stage }, Some(message));
    }

    /// Marks one group as having left `stage`, and reports the end of the stage after its last group.
    pub(super) fn finish_group(&self, stage: Stage, message: Option<String>) {
        let Some((status, reason)) = self.handle.update(|state| state.finish_group(stage)) else { return };
        self.report(EventKind::StageFinished { stage, status, reason }, message);
        let spent = self.handle.read(|state| state.stages.spent());
        self.report(EventKind::Budget { spent, is_reached: false }, None);
    }

    /// Whether the selected ideas are rated or reasoned about before the work on them begins.
    fn has_assessment(&self) -> bool {
        self.options.includes(Stage::MultiDimensional) || self.options.includes(Stage::LogicalInference)
    }

    /// The first stage after the assessment.
    fn first_work_stage(&self) -> Stage {
        if self.options.includes(Stage::Advocacy) { Stage::Advocacy } else { Stage::Improvement }
    }

    /// Sets the progress of the whole run.
    pub(super) fn advance(&self, fraction: f64) {
        self.handle.update(|state| state.progress.advance(fraction));
    }

    fn report_progress(&self, message: &str) {
        self.report(EventKind::Progress, Some(message.to_owned()));
    }

    /// Adds an event; one with a message also goes to the progress sink.
    pub(super) fn report(&self, kind: EventKind, message: Option<String>) {
        let fraction = self.handle.update(|state| state.report(kind, message.clone()));
        if let Some(message) = message {
            self.hooks.progress.emit(&message, fraction);
        }
    }

    pub(super) fn brief(&self, stage: Stage) -> Brief<'a> {
        Brief {
            topic: &self.options.topic,
            context: &self.options.context,
            temperature: self.options.temperatures.of(stage),
            language: self.options.language,
            use_cache: self.options.use_cache,
        }
    }

    /// The span around the calls of `stage` for `ideas`, at the level of the events inside, so that a filter which passes
    /// these passes their context too.
    pub(super) fn stage_span(&self, stage: Stage, ideas: &[usize]) -> Span {
        warn_span!("stage", run_id = self.handle.id(), stage = stage.as_str(), ideas = ?ideas)
    }

    /// The router for the calls of `stage` about one group of ideas.
    pub(super) fn stage_router(&self, stage: Stage) -> Result<StageRouter<'a>> {
        Ok(StageRouter::new(*self, stage, self.options.stage_timeout(stage)?))
    }

    /// Whether an evaluation makes a call for each idea, also in batch mode.
    fn evaluates_each(&self) -> bool {
        match self.options.evaluation {
            EvaluationMode::Each => true,
            EvaluationMode::Together => false,
            EvaluationMode::Auto => self.router.preferred_target().is_some_and(|target| target.is_local),
        }
    }
}

/// A number of ideas, in words.
pub(super) fn counted(ideas: usize) -> String {
    format!("{ideas} {}", if ideas == 1 { "idea" } else { "ideas" })
}
