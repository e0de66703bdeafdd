//! What is known of one run, while it goes on and after it has ended, however it ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::candidate::{Candidate, Status};
use super::event::{Event, EventKind};
use super::event_buffer::EventBuffer;
use super::ideas::Board;
use super::options::Options;
use super::progress_estimate::ProgressEstimate;
use super::resolved_mode::ResolvedMode;
use super::result::{StageStatus, StopReason, WorkflowResult};
use super::stage::Stage;
use super::usage_ledger::UsageLedger;
use crate::router::Generate;

/// The record of one run. Whoever began the run holds it beside the run's future, so that it is there when that is dropped.
#[derive(Debug)]
pub struct RunState {
    id: String,
    began: Instant,
    /// The stages that were asked for, in order.
    pub(super) plan: Vec<Stage>,
    pub(super) shape: ResolvedMode,
    pub(super) board: Board,
    pub(super) ledger: UsageLedger,
    pub(super) journal: EventBuffer,
    pace: Mutex<ProgressEstimate>,
    end: Mutex<End>,
}

/// How a run ended.
#[derive(Debug, Default)]
struct End {
    cut: Option<StopReason>,
    /// Seconds after the run began.
    at: Option<f64>,
    /// Why, where an error ended it.
    failure: Option<String>,
}

impl RunState {
    /// The record of a run of `options` over `router`, which begins now. `events` is how many events are kept for readers;
    /// 0 keeps none, and then nobody may read.
    pub fn new(router: &dyn Generate, options: &Options, events: usize) -> Arc<Self> {
        let shape = ResolvedMode::new(options.mode, router);
        let plan: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| options.wants(*stage)).collect();
        let pace = ProgressEstimate::new(&plan, shape, options.ideas_to_generate(), options.num_top_candidates);
        Arc::new(Self {
            id: format!("{:032x}", fastrand::u128(..)),
            began: Instant::now(),
            plan,
            shape,
            board: Board::default(),
            ledger: UsageLedger::default(),
            journal: EventBuffer::new(events),
            pace: Mutex::new(pace),
            end: Mutex::default(),
        })
    }

    /// The name of the run, unlike any other's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its events.
    pub fn journal(&self) -> &EventBuffer {
        &self.journal
    }

    /// The kept ideas, the best first, as they are now.
    pub fn candidates(&self) -> Vec<Candidate> {
        self.board.candidates()
    }

    /// What there is of it now; before its end that is a part.
    pub fn result(&self) -> WorkflowResult {
        let end = self.end();
        let cut = end.cut.clone().or_else(|| end.at.is_none().then_some(StopReason::Running));
        let (at, failure) = (end.at.unwrap_or_else(|| self.seconds()), end.failure.clone());
        drop(end);
        let reason = cut.as_ref().map(StopReason::reason).or(failure);
        let candidates = self.board.results(&self.plan, reason.as_deref());
        let is_whole = |status: Status| candidates.iter().all(|one| one.candidate.status == status);
        let status = if is_whole(Status::Failed) || candidates.iter().all(|one| one.candidate.initial_score.is_none()) {
            StageStatus::Failed
        } else if cut.is_none() && is_whole(Status::Ok) {
            StageStatus::Ok
        } else {
            StageStatus::Degraded
        };
        WorkflowResult {
            run_id: self.id.clone(),
            status,
            partial: cut.is_some(),
            cut: cut.as_ref().map(StopReason::as_str),
            stages: self.ledger.stages(&self.plan, reason.as_deref(), at),
            reason,
            mode: self.shape,
            candidates,
            agents: self.ledger.agents(&self.plan),
            served_by: self.ledger.served(),
            spent: self.ledger.total(),
            seconds: at,
        }
    }

    /// Ends the record of a run whose future was dropped, or ended with an error that `failure` tells; nothing where it has
    /// an end already.
    pub fn close(&self, failure: Option<&str>) {
        self.finish(failure.map(str::to_owned), None, failure.is_none().then_some(StopReason::Cancelled));
    }

    pub(super) fn finish(&self, failure: Option<String>, message: Option<String>, cut: Option<StopReason>) {
        {
            let mut end = self.end();
            if end.at.is_some() {
                return;
            }
            end.at = Some(self.seconds());
            end.failure = failure;
            if end.cut.is_none() {
                end.cut = cut;
            }
        }
        let result = self.result();
        let (status, partial, reason) = (result.status, result.partial, result.reason);
        if message.is_some() {
            self.pace().advance(1.0);
        }
        self.write(EventKind::RunFinished { status, partial, reason }, message, true);
    }

    /// Notes why the run is not to come to its end.
    pub(super) fn cut(&self, cut: StopReason) {
        self.end().cut.get_or_insert(cut);
    }

    /// Tells that something happened; how far the run is then.
    pub(super) fn tell(&self, kind: EventKind, message: Option<String>) -> f64 {
        self.write(kind, message, false)
    }

    fn write(&self, kind: EventKind, message: Option<String>, is_last: bool) -> f64 {
        let seconds = self.seconds();
        let (fraction, left) = {
            let pace = self.pace();
            (pace.fraction(), pace.left(seconds))
        };
        let seconds_left = if is_last { Some(0.0) } else { left };
        let run_id = self.id.clone();
        self.journal
            .tell(|sequence| Event { run_id, sequence, seconds, fraction, seconds_left, message, kind }, is_last);
        fraction
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, ProgressEstimate> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the run has been going.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
