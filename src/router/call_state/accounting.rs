//! Records the outcome of each attempt, and of the call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::CallState;
use crate::attempt::{Attempt, total_tokens};
use crate::cache::Entry;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Repair, Reply};
use crate::router::attempt_guard::AttemptGuard;
use crate::router::breaker::BreakerOutcome;
use crate::router::{Response, echo, policy, record};

impl CallState {
    /// Records the latency of `attempt` for the delay of later hedges. Not for streams: the consumer's time is part of theirs.
    pub(in crate::router) fn record_latency(&self, attempt: &AttemptGuard) {
        if let Some(state) = &self.selector.target(attempt.index).state {
            state.latencies.record(attempt.started.elapsed());
        }
    }

    pub(in crate::router) fn record_success(&mut self, guard: Box<AttemptGuard>, reply: &Reply, skipped_events: u32) {
        let attempt = Attempt { skipped_events, ..record::success(&guard, reply) };
        if let Some(state) = &self.selector.target(guard.index).state {
            state.record_answer(Instant::now());
        }
        self.last_index = Some(guard.index);
        guard.settle(&attempt, BreakerOutcome::Success);
        self.attempts.push(attempt);
    }

    /// Records that the attempt of `guard` failed. Returns its record, or the error of the call if the failure ends it.
    pub(in crate::router) fn record_failure(
        &mut self,
        guard: Box<AttemptGuard>,
        error: Error,
        skipped_events: u32,
    ) -> Result<Attempt> {
        let (index, span) = (guard.index, guard.span.clone());
        let (attempt, error) = self.settle_failure(guard, error, skipped_events);
        // The failure is logged in the context of its attempt.
        let applied = span.in_scope(|| self.apply_failure(index, error, None, Instant::now()));
        applied.map_err(|error| self.fail(error))?;
        Ok(attempt)
    }

    /// Records that the attempt of `guard` failed, and that the call ends with its error.
    pub(in crate::router) fn record_final_failure(
        &mut self,
        guard: Box<AttemptGuard>,
        error: Error,
        skipped_events: u32,
    ) -> Error {
        let (_, error) = self.settle_failure(guard, error, skipped_events);
        self.fail(error)
    }

    fn settle_failure(&mut self, guard: Box<AttemptGuard>, error: Error, skipped_events: u32) -> (Attempt, Error) {
        let error = echo::remove(error, &guard.request);
        let now = Instant::now();
        let is_late = self.is_past_deadline(now) && error.is_timeout();
        let error = if is_late { guard.target.locate(self.deadline_error(now)) } else { error };
        let attempt = Attempt { skipped_events, ..record::failure(&guard, &error) };
        if !counts(&error) {
            self.sent -= 1;
        }
        let outcome = policy::breaker_outcome(&error, guard.target.provider, attempt.latency);
        guard.settle(&attempt, outcome);
        self.attempts.push(attempt.clone());
        (attempt, error)
    }

    /// Whether the call ends if the attempt of `guard` fails with `error`.
    pub(in crate::router) fn is_fatal(&self, guard: &AttemptGuard, error: &Error) -> bool {
        self.is_past_deadline(Instant::now()) || self.selector.is_fatal(guard.index, error.kind())
    }

    /// Records the `outcome` of an identical request of another call to the target with `index`, awaited since `started`.
    /// Fails if the outcome ends the call.
    pub(in crate::router) fn record_shared(
        &mut self,
        index: usize,
        outcome: &Result<Reply>,
        started: Instant,
    ) -> Result<()> {
        let error = outcome.as_ref().err().map(|error| echo::remove(error.clone(), &self.request));
        let mut attempt = record::shared(self.target(index), &self.request, outcome, started);
        attempt.message = error.as_ref().map(|error| error.message().to_owned());
        self.selector.begin(index);
        self.sent += u32::from(outcome.as_ref().err().is_none_or(counts));
        self.last_index = Some(index);
        self.router.metrics.record_attempt(&attempt, None);
        self.attempts.push(attempt);
        let Some(error) = error else { return Ok(()) };
        self.apply_failure(index, error, None, Instant::now()).map_err(|error| self.fail(error))
    }

    /// Ends the call because its deadline came before the shared reply of the target with `index`. `cancelled` is the record
    /// of the request if no other call waits for it.
    pub(in crate::router) fn fail_shared(&mut self, index: usize, cancelled: Option<Attempt>) -> Error {
        let target = self.target(index);
        let error = target.locate(self.deadline_error(Instant::now()));
        let attempt = cancelled.unwrap_or_else(|| record::skipped(target, &error));
        self.attempts.push(Attempt { error: Some(error.kind()), message: Some(error.message().to_owned()), ..attempt });
        self.fail(error)
    }

    /// Records that the last reply was rejected with `error`; `repair` requests a correction from the same target. Returns the
    /// record of the reply, or the error of the call if the rejection ends it.
    pub(in crate::router) fn record_rejection(&mut self, error: Error, repair: Repair) -> Result<Attempt> {
        let (Some(index), Some(attempt)) = (self.last_index, self.attempts.last().cloned()) else {
            return Err(Error::new(ErrorKind::Internal, "a rejection without a reply"));
        };
        self.router.metrics.record_error(&attempt);
        self.apply_failure(index, error, Some(repair), Instant::now()).map_err(|error| self.fail(error))?;
        Ok(attempt)
    }

    /// Ends the call with `error`.
    pub(in crate::router) fn fail(&mut self, error: Error) -> Error {
        self.end();
        self.router.metrics.failed.increment();
        error.with_attempts(std::mem::take(&mut self.attempts))
    }

    /// Ends the call with `reply`, that of the last attempt; `None` if there was no attempt.
    pub(in crate::router) fn finish(mut self, reply: Reply) -> Option<Response> {
        let attempt = self.attempts.last()?;
        if let Some(index) = self.last_index {
            self.selector.succeed(index);
        }
        let (provider, model, is_shared) = (attempt.provider, Arc::clone(&attempt.model), attempt.is_shared);
        let response = Response {
            finish: Some(reply.finish),
            finish_detail: reply.finish_detail,
            reasoning: reply.reasoning,
            ..self.response(reply.text, provider, model, is_shared)
        };
        if is_shared {
            self.router.metrics.cache_hits.increment();
        } else {
            self.router.metrics.record_answer(&response);
        }
        Some(response)
    }

    /// Ends the call with an answer from the cache.
    pub(in crate::router) fn finish_cached(mut self, entry: &Entry) -> Response {
        self.router.metrics.cache_hits.increment();
        Response {
            finish: Some(entry.finish),
            finish_detail: entry.finish_detail.as_deref().map(str::to_owned),
            reasoning: entry.reasoning.as_deref().map(str::to_owned),
            ..self.response(entry.text.to_string(), entry.provider, Arc::clone(&entry.model), true)
        }
    }

    fn response(&mut self, text: String, provider: Provider, model: Arc<str>, is_cached: bool) -> Response {
        self.end();
        Response {
            text,
            provider: Arc::from(provider.as_str()),
            model,
            tokens: total_tokens(&self.attempts),
            cost: self.attempts.iter().map(|attempt| record::cost(&self.router, attempt)).sum(),
            latency: self.started.map_or(Duration::ZERO, |started| started.elapsed()),
            is_cached,
            finish: None,
            finish_detail: None,
            reasoning: None,
            attempts: std::mem::take(&mut self.attempts),
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.span = Span::none();
    }
}

/// Whether an attempt that failed with `error` counts against the limit of requests. Not while a server loads its model: the
/// time limit for that bounds them.
fn counts(error: &Error) -> bool {
    let is_loading = error.kind() == ErrorKind::Loading && error.status().is_some();
    !error.is_preflight()
        && !is_loading
        && !matches!(error.kind(), ErrorKind::MissingKey | ErrorKind::NotConfigured | ErrorKind::Unsupported)
}
