//! Admits attempts: the rate limits, the breaker, the budget and the known price of a target.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::CallState;
use crate::config::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::provider;
use crate::router::attempt_guard::AttemptGuard;
use crate::router::breaker::BreakerPermit;
use crate::router::limit::Reservation;
use crate::router::policy::Hedge;
use crate::router::record;
use crate::router::target_selector::Choice;

/// A wait below this is the time that admission takes.
const MIN_WAIT: Duration = Duration::from_millis(1);

impl CallState {
    /// Returns the target of a hedged attempt besides the one with index `except`, if one is ready.
    pub(in crate::router) fn hedge_target(&self, except: usize, now: Instant) -> Option<usize> {
        match self.selector.choose(now, Some(except))? {
            Choice::Now(index) => Some(index),
            Choice::Later { .. } => None,
        }
    }

    /// Returns a hedged attempt at the target with `index`, if it can begin at once.
    pub(in crate::router) fn hedge(&mut self, index: usize) -> Option<Box<AttemptGuard>> {
        let now = Instant::now();
        if self.is_past_deadline(now) || self.sent >= self.router.policy.max_attempts {
            return None;
        }
        let (limits, tokens) = self.limits(index);
        let reservation = match &self.selector.target(index).state {
            Some(state) => Some(state.limiter.try_reserve(limits, tokens, now).ok()?),
            None => None,
        };
        let since = self.started.unwrap_or(now);
        let mut attempt = self.admit(index, reservation, since, now).ok().flatten()?;
        attempt.is_hedge = true;
        Some(attempt)
    }

    /// Returns how long to wait for the reply to `attempt` before another target is tried concurrently.
    pub(in crate::router) fn hedge_delay(&self, attempt: &AttemptGuard) -> Option<Duration> {
        let state = self.selector.target(attempt.index).state.as_ref()?;
        match self.router.policy.hedge? {
            Hedge::After(delay) => Some(delay),
            Hedge::P95 => state.latencies.quantile(0.95),
        }
    }

    /// Waits for the rate limits of the target with `index`; `None` for the mock. Fails at the deadline of the call.
    pub(super) async fn reserve(&mut self, index: usize, now: Instant) -> Result<Option<Reservation>> {
        let (limits, tokens) = self.limits(index);
        let Some(state) = self.selector.target(index).state.clone() else { return Ok(None) };
        if let Ok(reservation) = state.limiter.try_reserve(limits, tokens, now) {
            return Ok(Some(reservation));
        }
        let reserving = state.limiter.reserve(limits, tokens);
        let Some(deadline) = self.deadline else { return Ok(Some(reserving.await)) };
        if let Ok(reservation) = timeout_at(deadline, reserving).await {
            return Ok(Some(reservation));
        }
        let error = self.deadline_error(Instant::now());
        Err(self.fail(error))
    }

    /// Begins an attempt at the target with `index`; `None` if the target does not admit it after all. The call had waited
    /// for the attempt from `since` on.
    pub(super) fn admit(
        &mut self,
        index: usize,
        reservation: Option<Reservation>,
        since: Instant,
        now: Instant,
    ) -> Result<Option<Box<AttemptGuard>>> {
        match self.acquire_permit(index, now) {
            Ok(permit) => Ok(Some(self.begin(index, permit, reservation, since, now))),
            Err(error) => {
                if let Some(reservation) = reservation {
                    reservation.settle(0, now);
                }
                error.map_or(Ok(None), Err)
            }
        }
    }

    /// Returns a permit of the target's breaker, `None` for the mock. `Err(None)` means that the target is not available,
    /// `Err(Some(_))` that the call fails.
    fn acquire_permit(&mut self, index: usize, now: Instant) -> Result<Option<BreakerPermit>, Option<Error>> {
        let call_target = self.selector.target(index);
        let (target, budget) = (&call_target.target, self.router.policy.budget);
        if budget.max_cost.is_some() && !provider::is_priced(self.router.config(), target.provider, &target.model) {
            let message =
                "the price of this model is unknown, so max_cost cannot be enforced: add it to the configured prices";
            let error = target.locate(Error::new(ErrorKind::NotConfigured, message));
            self.attempts.push(record::skipped(target, &error));
            return Err(self.apply_failure(index, error, None, now).err());
        }
        let permit = match call_target.state.as_ref().map(|state| state.breaker.admit(now)).transpose() {
            Ok(permit) => permit,
            Err(ready_in) => {
                self.selector.defer(index, now + ready_in);
                return Err(None);
            }
        };
        if target.is_remote()
            && let Err(error) = self.router.spent.take(&budget)
        {
            return Err(Some(error.with_causes(self.selector.causes(now))));
        }
        Ok(permit)
    }

    fn begin(
        &mut self,
        index: usize,
        permit: Option<BreakerPermit>,
        reservation: Option<Reservation>,
        since: Instant,
        now: Instant,
    ) -> Box<AttemptGuard> {
        for (target, error) in self.selector.take_skipped(index, now) {
            self.attempts.push(record::skipped(&target, &error));
        }
        let call_target = self.selector.target(index);
        let provider = call_target.target.provider;
        if call_target.attempts == 0 {
            self.router.metrics.increment(provider, |tally| &tally.calls);
        }
        let request = self.selector.request(index, &self.request);
        if request.repair.is_some() {
            self.router.metrics.increment(provider, |tally| &tally.repairs);
        }
        // Boxed: the futures of a call hold a pointer, not the whole attempt.
        let mut attempt = Box::new(AttemptGuard::new(self, index, request, permit, reservation, now));
        attempt.load_timeout = self.load_timeout(index, attempt.timeout, now);
        if now - since >= MIN_WAIT {
            attempt.waited = now - since;
        }
        self.selector.begin(index);
        self.sent += 1;
        self.last_index = Some(index);
        attempt
    }

    /// Returns the configured limits of the target with `index`, and the tokens that a request is expected to use.
    fn limits(&self, index: usize) -> (Limits, u64) {
        let limits = self.router.config().limits.get(&self.target(index).provider).copied().unwrap_or_default();
        let tokens = if limits.tokens_per_minute.is_some() { self.request.estimated_tokens() } else { 0 };
        (limits, tokens)
    }

    /// Returns the time limit of a request to a target that has to load its model first. `None` if that is no longer than
    /// `timeout`, or if the model is certain to be loaded.
    fn load_timeout(&self, index: usize, timeout: Duration, now: Instant) -> Option<Duration> {
        let call_target = self.selector.target(index);
        let load = call_target.target.options.load_timeout?;
        if load <= call_target.target.timeout {
            return None;
        }
        let left = self.deadline.map_or(load, |deadline| load.min(deadline.saturating_duration_since(now)));
        let may_be_cold = call_target.state.as_ref().is_some_and(|state| state.may_be_cold(now));
        (left > timeout && may_be_cold).then_some(left)
    }
}
