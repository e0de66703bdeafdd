//! One in-flight attempt and its accounting.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::breaker::{BreakerOutcome, BreakerPermit};
use super::call_state::CallState;
use super::limit::Reservation;
use super::{AttemptObserver, Router, policy, record};
use crate::attempt::Attempt;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Page, Reply, Request, Usage};
use crate::provider::Target;
use crate::transport::WireRequest;

/// Guards one in-flight attempt: records its usage exactly once, even when the caller cancels.
///
/// Dropped before [`AttemptGuard::settle`], the attempt counts as sent at an estimated price: the provider may have done the
/// work and charge for it.
pub(super) struct AttemptGuard {
    router: Arc<Router>,
    /// The number of the call, for logs.
    pub(super) call_id: u64,
    observer: Option<Arc<dyn AttemptObserver>>,
    pub(super) span: Span,
    /// The index of the target in its call.
    pub(super) index: usize,
    pub(super) target: Arc<Target>,
    pub(super) request: Request,
    /// The web pages that the request lacks.
    pub(super) missing_pages: Vec<Page>,
    /// The encoded request, if the cache lookup has encoded it.
    pub(super) encoded: Option<WireRequest>,
    permit: Option<BreakerPermit>,
    reservation: Option<Reservation>,
    pub(super) started: Instant,
    /// The time limit of the request.
    pub(super) timeout: Duration,
    /// The time limit if the target has to load its model first; `None` if loading makes no difference.
    pub(super) load_timeout: Option<Duration>,
    pub(super) is_loading: bool,
    /// The deadline of the call.
    pub(super) deadline: Option<Instant>,
    /// How long the call had waited for the target.
    pub(super) waited: Duration,
    pub(super) is_hedge: bool,
    /// The usage that a stream has reported so far.
    stream_usage: Usage,
    /// The bytes of text that a stream has delivered so far.
    stream_bytes: usize,
    /// Receives the record if the attempt is cancelled.
    on_cancel: Option<mpsc::Sender<Attempt>>,
    is_settled: bool,
}

impl AttemptGuard {
    /// Begins an attempt of `call` at the target with `index`. The mock needs neither `permit` nor `reservation`.
    pub(super) fn new(
        call: &CallState,
        index: usize,
        request: Request,
        permit: Option<BreakerPermit>,
        reservation: Option<Reservation>,
        now: Instant,
    ) -> Self {
        let target = Arc::clone(call.target(index));
        let span = tracing::info_span!(
            parent: &call.span,
            "attempt",
            provider = target.provider.as_str(),
            model = &*target.model,
            attempt = call.attempts.len() + 1,
            is_hedge = Empty,
            status = Empty,
            error = Empty,
            tokens = Empty,
        );
        if let Some(observer) = &call.observer {
            observer.started(target.provider, &target.model);
        }
        let left = call.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
        Self {
            router: Arc::clone(&call.router),
            call_id: call.id,
            observer: call.observer.clone(),
            span,
            index,
            timeout: target.timeout.min(left),
            target,
            request,
            missing_pages: Vec::new(),
            encoded: None,
            permit,
            reservation,
            started: now,
            load_timeout: None,
            is_loading: false,
            deadline: call.deadline,
            waited: Duration::ZERO,
            is_hedge: false,
            stream_usage: Usage::default(),
            stream_bytes: 0,
            on_cancel: None,
            is_settled: false,
        }
    }

    /// The number of the router, for logs.
    pub(super) fn router_id(&self) -> u64 {
        self.router.id
    }

    /// Sends the record to `on_cancel` if the guard is dropped before it is settled.
    pub(super) fn notify_on_cancel(&mut self, on_cancel: mpsc::Sender<Attempt>) {
        self.on_cancel = Some(on_cancel);
    }

    /// Returns the router of the call.
    pub(super) fn router(&self) -> &Router {
        &self.router
    }

    /// Attributes `error` to the target. A timeout while the target loaded its model becomes `Loading`.
    pub(super) fn attribute(&self, error: Error) -> Error {
        let is_late = matches!(error.kind(), ErrorKind::Timeout | ErrorKind::FirstTokenTimeout);
        if !(is_late && self.is_loading) {
            return self.target.locate(error);
        }
        let seconds = self.timeout.as_secs_f64();
        let message = format!("the model was not loaded within {seconds} s: increase ollama_load_timeout");
        self.target.locate(Error::new(ErrorKind::Loading, message))
    }

    /// Notes the `usage` that a stream has reported so far, and the `bytes` of text it has delivered.
    pub(super) fn record_progress(&mut self, usage: Usage, bytes: usize) {
        (self.stream_usage, self.stream_bytes) = (usage, bytes);
    }

    /// Accounts `attempt`, the record of how it ended, in the router and in the process.
    pub(super) fn settle(mut self: Box<Self>, attempt: &Attempt, outcome: BreakerOutcome) {
        let now = Instant::now();
        self.is_settled = true;
        // Before the reservation is released: the next call in line checks the budget.
        self.account(attempt);
        if let Some(permit) = self.permit.take() {
            permit.settle(outcome, now);
        }
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(attempt.usage.total(), now);
        }
    }

    /// Accounts `outcome` after the call that had begun the attempt is gone.
    pub(super) fn settle_detached(self: Box<Self>, outcome: &Result<Reply>) {
        let (attempt, outcome) = match outcome {
            Ok(reply) => (record::success(&self, reply), BreakerOutcome::Success),
            Err(error) => {
                let attempt = record::failure(&self, error);
                let outcome = policy::breaker_outcome(error, self.target.provider, attempt.latency);
                (attempt, outcome)
            }
        };
        self.settle(&attempt, outcome);
    }

    /// Returns the usage so far: as reported, otherwise estimated.
    pub(super) fn estimated_usage(&self) -> Usage {
        let reported = self.stream_usage;
        let output = u64::try_from(self.stream_bytes / 4).unwrap_or(u64::MAX);
        let input = if reported.total() == 0 { self.request.estimated_tokens() } else { reported.input };
        Usage { input, output: reported.output.max(output), ..reported }
    }

    fn account(&self, attempt: &Attempt) {
        let cost = record::cost(&self.router, attempt);
        self.router.spent.add(attempt.usage.total(), cost);
        if !attempt.sent && self.target.is_remote() {
            self.router.spent.refund(&self.router.policy.budget);
        }
        if attempt.sent {
            self.router.metrics.increment(attempt.provider, |tally| &tally.attempts);
        }
        self.router.metrics.record_attempt(attempt, cost);
        if let Some(observer) = &self.observer {
            observer.ended(attempt, cost);
        }
        self.record_span(attempt);
    }

    fn record_span(&self, attempt: &Attempt) {
        if self.span.is_disabled() {
            return;
        }
        self.span.record("is_hedge", attempt.is_hedge);
        self.span.record("tokens", attempt.usage.total());
        if let Some(status) = attempt.status {
            self.span.record("status", status);
        }
        if let Some(error) = attempt.error {
            self.span.record("error", error.as_str());
        }
    }
}

impl fmt::Debug for AttemptGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptGuard")
            .field("target", &self.target)
            .field("is_hedge", &self.is_hedge)
            .finish_non_exhaustive()
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        if self.is_settled || !self.target.is_remote() {
            return;
        }
        let attempt = record::cancelled(self);
        self.account(&attempt);
        if let Some(on_cancel) = &self.on_cancel {
            // Fails if the whole call was dropped.
            let _ = on_cancel.send(attempt);
        }
    }
}
