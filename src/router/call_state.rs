//! What a call and a stream have in common: a route of targets, walked until one answers, within one deadline, one limit
//! of requests and one budget; and the books kept on the way.

mod accounting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::attempt_guard::{Admission, AttemptGuard};
use super::limit::Reservation;
use super::policy::{Hedge, MAX_TOLD_WAIT, MAX_WAIT};
use super::target_selector::{Choice, TargetSelector};
use super::{AttemptObserver, Engine, MAX_PROMPT_CHARS, Router, plan};
use crate::attempt::Attempt;
use crate::config::{self, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Repair, Reply, Request, SchemaForm};
use crate::provider::{self, Target};

/// The way of one request through its route.
pub(super) struct CallState {
    pub(super) router: Arc<Router>,
    pub(super) engine: Arc<Engine>,
    pub(super) request: Request,
    pub(super) observer: Option<Arc<dyn AttemptObserver>>,
    route: TargetSelector,
    attempts: Vec<Attempt>,
    /// Requests sent, or tried to be sent.
    sent: u32,
    /// Who was asked last.
    last: Option<usize>,
    /// When the first target was asked for, and when the call ends.
    started: Option<Instant>,
    deadline: Option<Instant>,
    /// How long it has waited for targets to become ready.
    paused: Duration,
    has_ended: bool,
}

/// What a walk does next.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// Ask the target with this index.
    Ask(usize),
    /// Wait for a target to become ready.
    Wait(Instant),
}

impl CallState {
    /// Checks `request` and counts the call. Sends nothing.
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
    ) -> Result<Self> {
        check(&request)?;
        let targets = plan::targets(&router, force);
        let route = TargetSelector::new(targets, engine.states(), router.policy.on_refusal, Instant::now());
        Ok(Self {
            router,
            engine,
            request,
            observer: None,
            route,
            attempts: Vec::new(),
            sent: 0,
            last: None,
            started: None,
            deadline: None,
            paused: Duration::ZERO,
            has_ended: false,
        })
    }

    /// Waits until a target may be asked, and for a place within its limits. Fails where nobody is left to ask, and at the
    /// deadline, the limit of requests and the end of the budget.
    ///
    /// Cancel safety: a dropped future has taken nothing.
    pub(super) async fn visit(&mut self) -> Result<Box<AttemptGuard>> {
        let since = Instant::now();
        self.start(since);
        let mut now = since;
        loop {
            match self.next(now).map_err(|error| self.fail(error))? {
                Next::Ask(index) => {
                    let place = self.place(index, now).await?;
                    now = Instant::now();
                    let before = self.last;
                    match self.board(index, place, since, now) {
                        Ok(Some(visit)) => {
                            self.tell_fallback(before, &visit);
                            return Ok(visit);
                        }
                        Ok(None) => {}
                        Err(error) => return Err(self.fail(error)),
                    }
                }
                Next::Wait(at) => {
                    sleep_until(at).await;
                    self.paused += now.elapsed();
                    now = Instant::now();
                }
            }
        }
    }

    /// The targets that may be asked next: the one that the plan prefers, ready or not, and the one that is ready.
    pub(super) fn ahead(&self, now: Instant) -> (Option<usize>, Option<usize>) {
        let ready = match self.route.choose(now, None) {
            Choice::Ask(index) => Some(index),
            Choice::Wait { .. } | Choice::Nobody => None,
        };
        (self.route.preferred(), ready)
    }

    pub(super) fn target(&self, index: usize) -> &Target {
        &self.route.stop(index).target
    }

    /// The request as the target with this index is to be asked.
    pub(super) fn request_to(&self, index: usize) -> Request {
        self.route.request(index, &self.request)
    }

    /// The form in which the target with this index is to be asked, as any other call would ask it; `None` where it is to
    /// correct its answer.
    pub(super) fn first_form(&self, index: usize) -> Option<SchemaForm> {
        self.route.stop(index).first_form()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Who was asked last.
    pub(super) fn last(&self) -> Option<usize> {
        self.last
    }

    pub(super) fn hedges(&self) -> bool {
        self.router.policy.hedge.is_some()
    }

    /// Books `outcome`, which another call has asked the target with this index for, waited for since `started`. Fails where
    /// nothing can follow on it.
    pub(super) fn joined(&mut self, index: usize, outcome: &Result<Reply>, started: Instant) -> Result<()> {
        let attempt = Attempt::shared(&self.route.stop(index).target, outcome, started);
        self.route.ask(index);
        self.sent += u32::from(outcome.as_ref().err().is_none_or(accounting::counts));
        self.last = Some(index);
        self.router.metrics.attempted(&attempt, None);
        self.attempts.push(attempt);
        let Err(error) = outcome else { return Ok(()) };
        let now = Instant::now();
        self.enter(index, error.clone(), None, now).map_err(|error| self.fail(error))?;
        self.ensure_next(now)
    }

    /// Books that the deadline came before the answer of the target with this index: the error of the call. `record` is what
    /// became of its request, where nobody else waits for that.
    pub(super) fn left(&mut self, index: usize, record: Option<Attempt>) -> Error {
        let target = &self.route.stop(index).target;
        let late = target.locate(self.late(Instant::now()));
        let record = record.unwrap_or_else(|| Attempt::not_made(target, &late));
        self.attempts.push(record.ended_by(&late));
        self.fail(late)
    }

    /// A request beside the one to the target with index `but`, where another target may be asked right now.
    pub(super) fn hedge(&mut self, but: usize) -> Option<Box<AttemptGuard>> {
        let now = Instant::now();
        let Choice::Ask(index) = self.route.choose(now, Some(but)) else { return None };
        if self.is_late(now) || self.sent >= self.router.policy.max_attempts {
            return None;
        }
        let (limits, tokens) = self.limits(index);
        let place = match &self.route.stop(index).state {
            Some(state) => Some(state.limiter.try_reserve(limits, tokens, now).ok()?),
            None => None,
        };
        let since = self.started.unwrap_or(now);
        let mut visit = self.board(index, place, since, now).ok().flatten()?;
        visit.is_hedge = true;
        Some(visit)
    }

    /// How long to wait for the answer to `visit` before another target is asked beside it.
    pub(super) fn hedge_after(&self, visit: &AttemptGuard) -> Option<Duration> {
        let state = self.route.stop(visit.index).state.as_ref()?;
        match self.router.policy.hedge? {
            Hedge::After(delay) => Some(delay),
            Hedge::P95 => state.latencies.quantile(0.95),
        }
    }

    /// Begins the time of the walk, where that has not begun.
    pub(super) fn start(&mut self, now: Instant) {
        if self.started.is_none() {
            self.router.metrics.started();
            self.started = Some(now);
            self.deadline = self.router.policy.deadline.and_then(|deadline| now.checked_add(deadline));
        }
    }

    /// A place within the limits of the target with this index, waited for; `None` for the mock.
    async fn place(&mut self, index: usize, now: Instant) -> Result<Option<Reservation>> {
        let (limits, tokens) = self.limits(index);
        let Some(state) = self.route.stop(index).state.clone() else { return Ok(None) };
        if let Ok(place) = state.limiter.try_reserve(limits, tokens, now) {
            return Ok(Some(place));
        }
        let waiting = state.limiter.reserve(limits, tokens);
        let Some(deadline) = self.deadline else { return Ok(Some(waiting.await)) };
        if let Ok(place) = timeout_at(deadline, waiting).await {
            return Ok(Some(place));
        }
        let late = self.late(Instant::now());
        Err(self.fail(late))
    }

    /// What the router's own configuration allows at the target with this index, and what a request is expected to take.
    fn limits(&self, index: usize) -> (config::Limits, u64) {
        let provider = self.route.stop(index).target.provider;
        let limits = self.router.config().limits.get(&provider).copied().unwrap_or_default();
        let tokens = if limits.tokens_per_minute.is_some() { self.request.estimated_tokens() } else { 0 };
        (limits, tokens)
    }

    /// Takes what is needed to ask the target with this index; `None` where it may not be asked after all.
    fn board(
        &mut self,
        index: usize,
        place: Option<Reservation>,
        since: Instant,
        now: Instant,
    ) -> Result<Option<Box<AttemptGuard>>> {
        let stop = self.route.stop(index);
        let budget = self.router.policy.budget;
        if budget.max_cost.is_some()
            && !provider::is_priced(self.router.config(), stop.target.provider, &stop.target.model)
        {
            let message = "its price is not known, so that max_cost cannot hold: name it in the configuration's prices";
            let error = stop.target.locate(Error::new(ErrorKind::NotConfigured, message));
            self.attempts.push(Attempt::not_made(&stop.target, &error));
            if let Some(place) = place {
                place.settle(0, now);
            }
            return self.enter(index, error, None, now).map(|()| None);
        }
        let ticket = match stop.state.as_ref().map(|state| state.breaker.admit(now)).transpose() {
            Ok(ticket) => ticket,
            Err(ready_in) => {
                if let Some(place) = place {
                    place.settle(0, now);
                }
                self.route.hold(index, now + ready_in);
                return Ok(None);
            }
        };
        if stop.target.is_remote()
            && let Err(error) = self.router.spent.take(&budget)
        {
            if let Some(place) = place {
                place.settle(0, now);
            }
            return Err(error.with_causes(self.route.causes(now)));
        }
        for (target, error) in self.route.passed_over(index, now) {
            self.attempts.push(Attempt::not_made(&target, &error));
        }
        let stop = self.route.stop(index);
        let request = self.route.request(index, &self.request);
        if stop.tried == 0 {
            self.router.metrics.asked(stop.target.provider);
        }
        if request.repair.is_some() {
            self.router.metrics.repairing(stop.target.provider);
        }
        // A pointer travels through the futures of the call, not the whole record.
        let leave = Admission { ticket, place };
        let mut visit = Box::new(AttemptGuard::new(
            &self.router,
            self.observer.clone(),
            index,
            stop.target.clone(),
            request,
            leave,
            now,
        ));
        if let Some(deadline) = self.deadline {
            visit.patience = visit.patience.min(deadline.saturating_duration_since(now));
        }
        visit.deadline = self.deadline;
        visit.load_patience = self.load_patience(index, visit.patience, now);
        // What it takes to look is no wait.
        if now - since >= Duration::from_millis(1) {
            visit.waited = now - since;
        }
        self.route.ask(index);
        self.sent += 1;
        self.last = Some(index);
        Ok(Some(visit))
    }

    /// Tells that `visit` is to another target than the one asked `before`, or than the first of the plan.
    fn tell_fallback(&self, before: Option<usize>, visit: &AttemptGuard) {
        if before.unwrap_or(0) == visit.index {
            return;
        }
        let (provider, model) = (visit.target.provider, &*visit.target.model);
        tracing::info!(provider = provider.as_str(), model, "falling back to {provider}");
        self.router.metrics.fell_back();
    }

    /// How long a target may take that has to load its model first, where that is longer than `patience` and the model may
    /// not be loaded.
    fn load_patience(&self, index: usize, patience: Duration, now: Instant) -> Option<Duration> {
        let stop = self.route.stop(index);
        let load = stop.target.tuning.load_timeout?;
        if load <= stop.target.timeout {
            return None;
        }
        let left = self.deadline.map_or(load, |deadline| load.min(deadline.saturating_duration_since(now)));
        (left > patience && stop.state.as_ref().is_some_and(|state| state.may_be_cold(now))).then_some(left)
    }

    /// Enters `error` of the target with this index into the route; gives it back where no target would answer otherwise.
    fn enter(&mut self, index: usize, error: Error, repair: Option<Repair>, now: Instant) -> Result<()> {
        let target = &self.route.stop(index).target;
        tracing::warn!(
            provider = target.provider.as_str(),
            model = &*target.model,
            kind = error.kind().as_str(),
            "{error}"
        );
        if self.route.fail(index, error.clone(), repair, now) { Ok(()) } else { Err(error) }
    }

    /// Fails where no further request can follow.
    fn ensure_next(&mut self, now: Instant) -> Result<()> {
        self.next(now).map(drop).map_err(|error| self.fail(error))
    }

    /// Whether a further request can follow.
    pub(super) fn can_go_on(&self, now: Instant) -> bool {
        self.next(now).is_ok()
    }

    /// What comes next, as far as deadline, limit of requests and patience allow; the error of the call where nothing can.
    fn next(&self, now: Instant) -> Result<Next> {
        if self.is_late(now) {
            return Err(self.late(now));
        }
        let max_attempts = self.router.policy.max_attempts;
        if self.sent >= max_attempts {
            let why = if max_attempts > 1 { format!(" within {max_attempts} requests") } else { String::new() };
            return Err(self.nobody(now, &why));
        }
        match (self.route.choose(now, None), self.deadline) {
            (Choice::Ask(index), _) => Ok(Next::Ask(index)),
            (Choice::Wait { at, .. }, Some(deadline)) if at < deadline => Ok(Next::Wait(at)),
            (Choice::Wait { .. }, Some(_)) => Err(self.nobody(now, " in time for the deadline")),
            (Choice::Wait { at, is_told }, None) => {
                let longest = if is_told { MAX_TOLD_WAIT } else { MAX_WAIT };
                let waits = self.paused + at.saturating_duration_since(now);
                if waits > longest { Err(self.nobody(now, "")) } else { Ok(Next::Wait(at)) }
            }
            (Choice::Nobody, _) => Err(self.nobody(now, "")),
        }
    }

    fn nobody(&self, now: Instant, why: &str) -> Error {
        let causes = self.route.causes(now);
        let told: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let message = format!("no provider answered{why}: {}", told.join("; "));
        Error::new(ErrorKind::AllTargetsFailed, message).with_causes(causes)
    }

    fn late(&self, now: Instant) -> Error {
        let seconds = self.router.policy.deadline.unwrap_or_default().as_secs_f64();
        let causes = self.route.causes(now);
        let told: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let so_far = if told.is_empty() { String::new() } else { format!("; before: {}", told.join("; ")) };
        let message = format!("the call reached its deadline of {seconds} s{so_far}");
        Error::new(ErrorKind::DeadlineReached, message).with_causes(causes)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

impl fmt::Debug for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallState")
            .field("route", &self.route)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Drop for CallState {
    fn drop(&mut self) {
        if self.started.is_some() && !self.has_ended {
            self.router.metrics.cancelled();
        }
    }
}

/// The caller's own errors, found before anything is sent.
fn check(request: &Request) -> Result<()> {
    if request.prompt.trim().is_empty() {
        return Err(Error::invalid_input("the prompt must not be blank"));
    }
    let length = request.prompt.chars().count();
    if length > MAX_PROMPT_CHARS {
        let message = format!(
            "the prompt has {length} characters; the limit is {MAX_PROMPT_CHARS}: shorten it or attach it as a file"
        );
        return Err(Error::new(ErrorKind::PromptTooLong, message));
    }
    if request.max_tokens == Some(0) {
        return Err(Error::invalid_input("the limit of output tokens must be at least 1"));
    }
    config::check_temperature(request.temperature)
}
