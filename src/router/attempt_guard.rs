//! One request under way, and the books that are kept for it even where nobody waits for it any more.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{BreakerOutcome, BreakerPermit};
use super::limit::Reservation;
use super::{AttemptObserver, Router, policy};
use crate::attempt::Attempt;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request, Usage};
use crate::provider::{self, Target};
use crate::transport::WireRequest;

/// A request under way. Dropped before it was settled, it counts as sent, at an estimated price: the provider may have
/// worked, and asks to be paid.
pub(super) struct AttemptGuard {
    router: Arc<Router>,
    observer: Option<Arc<dyn AttemptObserver>>,
    /// Of the target in the call's route.
    pub(super) index: usize,
    pub(super) target: Target,
    pub(super) request: Request,
    /// The request as it is sent, where that was made already.
    pub(super) encoded: Option<WireRequest>,
    ticket: Option<BreakerPermit>,
    place: Option<Reservation>,
    pub(super) started: Instant,
    /// How long it may take.
    pub(super) patience: Duration,
    /// The same where the target has to load its model first; `None` where that is no question.
    pub(super) load_patience: Option<Duration>,
    pub(super) is_loading: bool,
    /// When the whole call ends.
    pub(super) deadline: Option<Instant>,
    /// How long the call had waited before.
    pub(super) waited: Duration,
    pub(super) is_hedge: bool,
    /// What a stream has told of its usage, and how much text it has brought.
    seen: (Usage, usize),
    /// Where to tell that it was given up.
    given_up: Option<mpsc::Sender<Attempt>>,
    is_settled: AtomicBool,
}

/// What it takes to ask a target.
pub(super) struct Admission {
    /// From the breaker; `None` for the mock.
    pub(super) ticket: Option<BreakerPermit>,
    /// Within the limits; `None` where there are none.
    pub(super) place: Option<Reservation>,
}

impl AttemptGuard {
    /// A request to `target` begun at `now`, by a call without a deadline that has not waited for it.
    pub(super) fn new(
        router: &Arc<Router>,
        observer: Option<Arc<dyn AttemptObserver>>,
        index: usize,
        target: Target,
        request: Request,
        leave: Admission,
        now: Instant,
    ) -> Self {
        let Admission { ticket, place } = leave;
        if let Some(observer) = &observer {
            observer.started(target.provider, &target.model);
        }
        Self {
            router: Arc::clone(router),
            observer,
            index,
            patience: target.timeout,
            target,
            request,
            encoded: None,
            ticket,
            place,
            started: now,
            deadline: None,
            load_patience: None,
            is_loading: false,
            waited: Duration::ZERO,
            is_hedge: false,
            seen: (Usage::default(), 0),
            given_up: None,
            is_settled: AtomicBool::new(false),
        }
    }

    /// Tells `given_up` where it is dropped before it was settled.
    pub(super) fn on_drop(&mut self, given_up: mpsc::Sender<Attempt>) {
        self.given_up = Some(given_up);
    }

    /// `error` as one of its target; a time limit that ran out while the model was loaded says so.
    pub(super) fn blame(&self, error: Error) -> Error {
        let is_late = matches!(error.kind(), ErrorKind::Timeout | ErrorKind::FirstTokenTimeout);
        if !(is_late && self.is_loading) {
            return self.target.locate(error);
        }
        let seconds = self.patience.as_secs_f64();
        let message = format!("the model was not loaded within {seconds} s: set ollama_load_timeout higher");
        self.target.locate(Error::new(ErrorKind::Loading, message))
    }

    /// Holds it while its request is under way. Declare it after what holds the connection: dropped before that, it closes the
    /// books first, so that whoever sees the connection end finds them closed.
    pub(super) fn under_way(&self) -> InFlight<'_> {
        InFlight { visit: self, is_over: false }
    }

    /// A stream has counted `usage` so far and brought `text` bytes.
    pub(super) fn saw(&mut self, usage: Usage, text: usize) {
        self.seen = (usage, text);
    }

    /// Enters `attempt`, the record of how it ended, into the books of the router and of the process.
    pub(super) fn settle(mut self: Box<Self>, attempt: &Attempt, verdict: BreakerOutcome) {
        let now = Instant::now();
        self.is_settled.store(true, Ordering::Relaxed);
        // Before its place is given to the next in line, who looks at the budget.
        self.book(attempt);
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(verdict, now);
        }
        if let Some(place) = self.place.take() {
            place.settle(attempt.usage.total(), now);
        }
    }

    /// Enters how it ended, where nobody is left of the call that had begun it.
    pub(super) fn settle_alone(self: Box<Self>, outcome: &Result<Reply>) {
        let (attempt, verdict) = match outcome {
            Ok(reply) => (Attempt::answered(&self, reply), BreakerOutcome::Good),
            Err(error) => {
                let attempt = Attempt::failed(&self, error);
                let health = policy::after(error.kind(), self.target.provider).health;
                let verdict = policy::verdict(error, health, attempt.latency);
                (attempt, verdict)
            }
        };
        self.settle(&attempt, verdict);
    }

    /// What it has cost as far as is known; the rest is estimated.
    pub(super) fn usage_so_far(&self) -> Usage {
        let (told, text) = self.seen;
        let written = u64::try_from(text / 4).unwrap_or(u64::MAX);
        let input = if told.total() == 0 { self.request.estimated_tokens() } else { told.input };
        Usage { input, output: told.output.max(written), ..told }
    }

    /// Nobody waits for it any more.
    fn give_up(&self) {
        if !self.target.is_remote() || self.is_settled.swap(true, Ordering::Relaxed) {
            return;
        }
        let attempt = Attempt::cancelled(self);
        self.book(&attempt);
        if let Some(given_up) = &self.given_up {
            // Nobody listens any more where the whole call was dropped.
            let _ = given_up.send(attempt);
        }
    }

    fn book(&self, attempt: &Attempt) {
        let cost = cost_of(&self.router, attempt);
        self.router.spent.add(attempt.usage.total(), cost);
        if !attempt.sent && self.target.is_remote() {
            self.router.spent.give_back(&self.router.policy.budget);
        }
        if attempt.sent {
            self.router.metrics.sent(attempt.provider);
        }
        self.router.metrics.attempted(attempt, cost);
        if let Some(observer) = &self.observer {
            observer.ended(attempt, cost);
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
        self.give_up();
    }
}

/// A request on its way; see [`AttemptGuard::under_way`].
pub(super) struct InFlight<'a> {
    visit: &'a AttemptGuard,
    is_over: bool,
}

impl InFlight<'_> {
    /// It has come to its end.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.visit.give_up();
        }
    }
}

/// Where nothing was counted for a failed attempt, nothing is owed, whatever the model's price; nor is for an answer that
/// another call has paid for.
pub(super) fn cost_of(router: &Router, attempt: &Attempt) -> Option<f64> {
    if (!attempt.ok() || attempt.is_shared) && attempt.usage.total() == 0 {
        return Some(0.0);
    }
    provider::cost(router.config(), attempt.provider, &attempt.model, &attempt.usage)
}
