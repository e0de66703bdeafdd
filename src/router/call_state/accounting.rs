//! The books of a walk: what became of each visit, and how the walk ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::CallState;
use crate::attempt::Attempt;
use crate::cache::Entry;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Repair, Reply};
use crate::router::Response;
use crate::router::attempt_guard::{AttemptGuard, cost_of};
use crate::router::breaker::BreakerOutcome;
use crate::router::policy;

impl CallState {
    /// Lets the time that `visit` took tell when calls like it are to be hedged. Not for streams: their time is their
    /// consumer's too.
    pub(in crate::router) fn time(&self, visit: &AttemptGuard) {
        if let Some(state) = &self.route.stop(visit.index).state {
            state.latencies.record(visit.started.elapsed());
        }
    }

    /// Books `reply` as the answer to `visit`.
    pub(in crate::router) fn answered(&mut self, visit: Box<AttemptGuard>, reply: &Reply, skipped_events: u32) {
        let attempt = Attempt { skipped_events, ..Attempt::answered(&visit, reply) };
        if let Some(state) = &self.route.stop(visit.index).state {
            state.answered(Instant::now());
        }
        self.last = Some(visit.index);
        visit.settle(&attempt, BreakerOutcome::Good);
        self.attempts.push(attempt);
    }

    /// Books `error` as the end of `visit`. Gives the record of it; fails where nothing can follow.
    pub(in crate::router) fn failed(
        &mut self,
        visit: Box<AttemptGuard>,
        error: Error,
        skipped_events: u32,
    ) -> Result<Attempt> {
        let attempt = self.failed_beside(visit, error, skipped_events)?;
        self.ensure_next(Instant::now())?;
        Ok(attempt)
    }

    /// The same while another request is under way; fails where the answer to that one would be of no use.
    pub(in crate::router) fn failed_beside(
        &mut self,
        visit: Box<AttemptGuard>,
        error: Error,
        skipped_events: u32,
    ) -> Result<Attempt> {
        let index = visit.index;
        let (attempt, error) = self.book_failure(visit, error, skipped_events);
        match self.enter(index, error, None, Instant::now()) {
            Ok(()) => Ok(attempt),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Books `error` as the end of `visit` and of the whole walk.
    pub(in crate::router) fn failed_for_good(
        &mut self,
        visit: Box<AttemptGuard>,
        error: Error,
        skipped_events: u32,
    ) -> Error {
        let (_, error) = self.book_failure(visit, error, skipped_events);
        self.fail(error)
    }

    fn book_failure(&mut self, visit: Box<AttemptGuard>, error: Error, skipped_events: u32) -> (Attempt, Error) {
        let now = Instant::now();
        let error = if self.is_late(now) && error.is_timeout() { visit.target.locate(self.late(now)) } else { error };
        let attempt = Attempt { skipped_events, ..Attempt::failed(&visit, &error) };
        if !counts(&error) {
            self.sent -= 1;
        }
        let health = policy::after(error.kind(), visit.target.provider).health;
        visit.settle(&attempt, policy::verdict(&error, health, attempt.latency));
        self.attempts.push(attempt.clone());
        (attempt, error)
    }

    /// Whether the walk ends where `visit` fails with `error`.
    pub(in crate::router) fn ends_with(&self, visit: &AttemptGuard, error: &Error) -> bool {
        self.is_late(Instant::now()) || self.route.ends_with(visit.index, error.kind())
    }

    /// Notes a request that was given up because another one was answered.
    pub(in crate::router) fn given_up(&mut self, record: Attempt) {
        self.attempts.push(record);
    }

    /// The last answer cannot be used, because of `error`; `repair` is what may be told to who gave it. Fails where nothing
    /// can follow.
    pub(in crate::router) fn rejected(&mut self, error: Error, repair: Repair) -> Result<()> {
        self.rejected_beside(error, repair)?;
        self.ensure_next(Instant::now())
    }

    /// The same where [`CallState::can_go_on`] tells whether anything can follow. Gives the record of the answer.
    pub(in crate::router) fn rejected_beside(&mut self, error: Error, repair: Repair) -> Result<Attempt> {
        let (Some(index), Some(attempt)) = (self.last, self.attempts.last().cloned()) else {
            return Err(Error::new(ErrorKind::Internal, "a rejection without an answer"));
        };
        self.router.metrics.rejected(&attempt);
        match self.enter(index, error, Some(repair), Instant::now()) {
            Ok(()) => Ok(attempt),
            Err(error) => Err(self.fail(error)),
        }
    }

    pub(in crate::router) fn last_attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut()
    }

    /// The record of the answer that is on trial.
    pub(in crate::router) fn last_answer(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.ok())
    }

    /// Ends the walk with `error`.
    pub(in crate::router) fn fail(&mut self, error: Error) -> Error {
        self.has_ended = true;
        self.router.metrics.failed();
        error.with_attempts(std::mem::take(&mut self.attempts))
    }

    /// Ends the walk with `text` as the answer of the last attempt; `None` where there was no attempt.
    pub(in crate::router) fn answer(mut self, text: String) -> Option<Response> {
        let attempt = self.attempts.last()?;
        let (provider, model, is_shared) = (attempt.provider, Arc::clone(&attempt.model), attempt.is_shared);
        let response = self.end(text, provider, model, is_shared);
        if is_shared {
            self.router.metrics.recalled();
        } else {
            self.router.metrics.answered(&response);
        }
        Some(response)
    }

    /// Ends the walk with an answer that was kept from an earlier call.
    pub(in crate::router) fn recalled(mut self, entry: &Entry) -> Response {
        self.router.metrics.recalled();
        self.end(entry.text.to_string(), entry.provider, Arc::clone(&entry.model), true)
    }

    fn end(&mut self, text: String, provider: Provider, model: Arc<str>, is_cached: bool) -> Response {
        self.has_ended = true;
        Response {
            text,
            provider: Arc::from(provider.as_str()),
            model,
            tokens: self.attempts.iter().map(|attempt| attempt.usage.total()).sum(),
            cost: self.attempts.iter().map(|attempt| cost_of(&self.router, attempt)).sum(),
            latency: self.started.map_or(Duration::ZERO, |started| started.elapsed()),
            is_cached,
            attempts: std::mem::take(&mut self.attempts),
        }
    }
}

/// Whether an attempt that failed in this way counts against the limit of requests.
pub(super) fn counts(error: &Error) -> bool {
    !error.is_foreseen() && !matches!(error.kind(), ErrorKind::NotConfigured | ErrorKind::Unsupported)
}
