//! What stands between a stage and the router: the deadlines, the limit of concurrent calls, room for events, the books.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::event::EventKind;
use super::result::StopReason;
use super::run_state::RunState;
use super::stage::{Deadline, Stage};
use crate::attempt::Attempt;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{AttemptObserver, CallHooks, Generate, Response};

/// The router as one stage sees it: every call waits for a permit and ends at the nearer of two deadlines.
///
/// The deadlines end calls, not the stage's future, so what a stage got before one passed is kept.
#[derive(Clone, Copy)]
pub(super) struct StageRouter<'a> {
    pub(super) router: &'a dyn Generate,
    pub(super) permits: &'a Semaphore,
    pub(super) record: &'a Arc<RunState>,
    pub(super) stage: Stage,
    pub(super) stage_deadline: Deadline,
    pub(super) run_deadline: Deadline,
}

impl StageRouter<'_> {
    async fn call(&self, request: Request, hooks: CallHooks<'_>) -> Result<Response> {
        let at = self.run_deadline.at.min(self.stage_deadline.at);
        // A future is polled once even when its deadline has passed: without this a call would begin and be cut.
        if Instant::now() >= at {
            return Err(self.expired());
        }
        let watcher = Arc::new(Watcher::new(Arc::clone(self.record), self.stage));
        let observer: Arc<dyn AttemptObserver> = Arc::<Watcher>::clone(&watcher);
        let hooks = CallHooks { observer: Some(&observer), ..hooks };
        let call = async {
            self.record.journal.room().await;
            let closed = |_| Error::new(ErrorKind::Internal, "the limit of concurrent calls is closed");
            let _permit = self.permits.acquire().await.map_err(closed)?;
            self.router.generate(request, hooks).await
        };
        let outcome = timeout_at(at, call).await.unwrap_or_else(|_| Err(self.expired()));
        watcher.settle(&outcome);
        outcome
    }

    fn expired(&self) -> Error {
        if self.run_deadline.at <= self.stage_deadline.at {
            self.record.cut(StopReason::Deadline);
            return self.run_deadline.reached();
        }
        let (seconds, stage) = (self.stage_deadline.seconds(), self.stage);
        Error::new(ErrorKind::DeadlineExceeded, format!("the limit of {seconds} s for {stage} was reached"))
    }
}

impl Generate for StageRouter<'_> {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(self.call(request, hooks))
    }
}

/// A router that tells what is closed of its replies while they come, to whoever asks without listening.
pub(super) struct Growing<'a, F> {
    pub(super) router: &'a StageRouter<'a>,
    pub(super) closed: F,
}

impl<F: Fn(&str) + Send + Sync> Generate for Growing<'_, F> {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        self.router.generate(request, CallHooks { on_partial: Some(&self.closed), ..hooks })
    }
}

/// Books the requests of one call and tells of those that fail, as they end.
struct Watcher {
    record: Arc<RunState>,
    stage: Stage,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Who was asked last.
    last: Option<(Provider, String)>,
    under_way: usize,
    has_fallen_back: bool,
    /// The failures that have been told, by what sets them apart.
    told: Vec<(Duration, Option<ErrorKind>)>,
    has_any: bool,
}

impl Watcher {
    fn new(record: Arc<RunState>, stage: Stage) -> Self {
        Self { record, stage, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call has ended: tells what its requests did not tell when they ended.
    fn settle(&self, outcome: &Result<Response>) {
        let (told, has_any, has_fallen_back) = {
            let mut seen = self.seen();
            (std::mem::take(&mut seen.told), seen.has_any, seen.has_fallen_back)
        };
        let attempts = match outcome {
            Ok(response) => {
                // An answer that was kept from before, or is that of another call, took nothing of the wire.
                let is_booked = has_any || response.is_cached || !response.attempts.is_empty();
                self.record.ledger.answered(self.stage, response, is_booked);
                &response.attempts[..]
            }
            Err(error) => error.attempts(),
        };
        for attempt in attempts.iter().filter(|attempt| !attempt.ok()) {
            if !told.contains(&(attempt.latency, attempt.error)) {
                self.failed(attempt);
            }
        }
        if let (Ok(response), false, Some(first)) = (outcome, has_fallen_back, attempts.first())
            && (first.provider.as_str(), &*first.model) != (&*response.provider, &*response.model)
            && !first.sent
        {
            self.fell_back(&response.provider, &response.model, first.provider.as_str());
        }
        if let Err(error) = outcome
            && error.kind() == ErrorKind::BudgetReached
        {
            self.record.cut(StopReason::Budget);
            let spent = self.record.ledger.total();
            self.record.tell(EventKind::Budget { spent, is_reached: true }, None);
        }
    }

    fn failed(&self, attempt: &Attempt) {
        let Some(error) = attempt.error else { return };
        self.record.tell(
            EventKind::AttemptFailed {
                stage: self.stage,
                provider: attempt.provider.as_str().to_owned(),
                model: attempt.model.to_string(),
                error: error.as_str(),
                reason: attempt.message.clone(),
                status: attempt.status,
            },
            None,
        );
    }

    fn fell_back(&self, provider: &str, model: &str, instead_of: &str) {
        self.record.tell(
            EventKind::FallbackTaken {
                stage: self.stage,
                provider: provider.to_owned(),
                model: model.to_owned(),
                instead_of: instead_of.to_owned(),
            },
            None,
        );
    }
}

impl AttemptObserver for Watcher {
    fn started(&self, provider: Provider, model: &str) {
        let before = {
            let mut seen = self.seen();
            // A request beside another one is a hedge: nobody has failed.
            let is_alone = seen.under_way == 0;
            seen.under_way += 1;
            let before = seen.last.replace((provider, model.to_owned()));
            let before = before.filter(|(last, known)| is_alone && (*last != provider || known != model));
            seen.has_fallen_back |= before.is_some();
            before
        };
        if let Some((last, _)) = before {
            self.fell_back(provider.as_str(), model, last.as_str());
        }
    }

    fn ended(&self, attempt: &Attempt, cost: Option<f64>) {
        {
            let mut seen = self.seen();
            seen.has_any = true;
            seen.under_way = seen.under_way.saturating_sub(1);
            if attempt.error.is_some() {
                seen.told.push((attempt.latency, attempt.error));
            }
        }
        self.record.ledger.ended(self.stage, attempt, cost);
        if attempt.error.is_some_and(|kind| kind != ErrorKind::Cancelled) {
            self.failed(attempt);
        }
    }
}
