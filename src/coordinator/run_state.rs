//! The state of one run as plain data.

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Status};
use super::event::{Event, EventKind};
use super::event_buffer::EventBuffer;
use super::ideas::Ideas;
use super::mode::ResolvedMode;
use super::options::Options;
use super::progress_estimate::ProgressEstimate;
use super::result::{StageStatus, StopReason, WorkflowResult};
use super::stage::Stage;
use super::stage_records::StageRecords;

/// The state of one run: its options, its ideas with their stage outcomes, its usage, its events and how it ended.
///
/// It can be serialised at any moment and restored with [`RunHandle::restore`](super::RunHandle::restore). The position of
/// the run is in the outcomes of the ideas and in the stage records. Attachments are not included: only the idea generation
/// uses them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunState {
    id: String,
    pub(super) options: Options,
    /// How the run groups its calls.
    pub(super) mode: ResolvedMode,
    /// The requested stages, in order.
    pub(super) plan: Vec<Stage>,
    pub(super) ideas: Ideas,
    pub(super) stages: StageRecords,
    pub(super) progress: ProgressEstimate,
    pub(super) events: EventBuffer,
    /// Seconds since the run started.
    pub(super) elapsed: f64,
    /// Why the run did not or will not complete.
    stop_reason: Option<StopReason>,
    /// The error that ended the run.
    failure: Option<String>,
    /// `elapsed` at the end of the run.
    ended_at: Option<f64>,
}

/// How a run ends.
#[derive(Debug)]
pub(super) enum End {
    /// Every stage is done, or a gate stopped the run; with a message for progress displays.
    Completed(&'static str),
    /// An error ended the run.
    Failed(String),
    /// Nobody waits for the run.
    Cancelled,
}

impl RunState {
    /// The initial state of a run of `options` in `mode` that keeps `events` events for readers.
    pub(super) fn new(options: Options, mode: ResolvedMode, events: usize) -> Self {
        let plan: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| options.includes(*stage)).collect();
        let progress = ProgressEstimate::new(&plan, mode, options.ideas_to_generate(), options.num_top_candidates);
        Self {
            id: format!("{:032x}", fastrand::u128(..)),
            options,
            mode,
            plan,
            ideas: Ideas::default(),
            stages: StageRecords::default(),
            progress,
            events: EventBuffer::new(events),
            elapsed: 0.0,
            stop_reason: None,
            failure: None,
            ended_at: None,
        }
    }

    /// The unique id of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The selected ideas in the order of the options; before the selection, every idea.
    pub fn candidates(&self) -> Vec<Candidate> {
        self.ideas.candidates(self.options.order)
    }

    /// The result of the run; partial before its end.
    pub fn result(&self) -> WorkflowResult {
        let stop_reason = self.stop_reason.clone().or_else(|| self.ended_at.is_none().then_some(StopReason::Running));
        let seconds = self.ended_at.unwrap_or(self.elapsed);
        let reason = stop_reason.as_ref().map(StopReason::reason).or_else(|| self.failure.clone());
        let candidates = self.ideas.results(self.options.order, &self.plan, reason.as_deref());
        let all_have = |status: Status| candidates.iter().all(|one| one.candidate.status == status);
        let status = if all_have(Status::Failed) || candidates.iter().all(|one| one.candidate.initial_score.is_none()) {
            StageStatus::Failed
        } else if stop_reason.is_none() && all_have(Status::Ok) {
            StageStatus::Ok
        } else {
            StageStatus::Degraded
        };
        WorkflowResult {
            run_id: self.id.clone(),
            status,
            partial: stop_reason.is_some(),
            cut: stop_reason.as_ref().map(StopReason::as_str),
            stages: self.stages.results(&self.plan, reason.as_deref(), seconds),
            reason,
            mode: self.mode,
            candidates,
            agents: self.stages.agents(&self.plan),
            served_by: self.stages.served_by(),
            spent: self.stages.spent(),
            seconds,
        }
    }

    /// Adds an event and returns the progress at that moment.
    pub(super) fn report(&mut self, kind: EventKind, message: Option<String>) -> f64 {
        self.push(kind, message, false)
    }

    /// Marks `stage` as finished for one group of ideas. Returns its summary if that was the last group.
    pub(super) fn finish_group(&mut self, stage: Stage) -> Option<(StageStatus, Option<String>)> {
        let finished = self.stages.finish_group(stage, self.elapsed)?;
        self.progress.finish_stage(stage, self.elapsed);
        Some(finished)
    }

    /// Records why the run will not complete; the first reason is kept.
    pub(super) fn stop(&mut self, reason: StopReason) {
        self.stop_reason.get_or_insert(reason);
    }

    /// Ends the run. Does nothing if it has ended.
    pub(super) fn finish(&mut self, end: End) {
        if self.ended_at.is_some() {
            return;
        }
        self.ended_at = Some(self.elapsed);
        let message = match end {
            End::Completed(message) => {
                self.progress.advance(1.0);
                Some(message.to_owned())
            }
            End::Failed(failure) => {
                self.failure = Some(failure);
                None
            }
            End::Cancelled => {
                self.stop(StopReason::Cancelled);
                None
            }
        };
        let WorkflowResult { status, partial, reason, candidates, .. } = self.result();
        let idea_indices = candidates.iter().map(|candidate| candidate.idea_index).collect();
        self.push(EventKind::RunFinished { status, partial, reason, idea_indices }, message, true);
    }

    fn push(&mut self, kind: EventKind, message: Option<String>, is_last: bool) -> f64 {
        let (run_id, seconds, fraction) = (&self.id, self.elapsed, self.progress.fraction());
        let seconds_left = if is_last { Some(0.0) } else { self.progress.seconds_left(seconds) };
        self.events.push(is_last, |sequence| Event {
            run_id: run_id.clone(),
            sequence,
            seconds,
            fraction,
            seconds_left,
            message,
            kind,
        });
        fraction
    }
}
