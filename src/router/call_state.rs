//! The state that a call and a stream have in common: targets, attempts, one deadline, one limit of requests and one budget.

mod accounting;
mod admission;
mod consent;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::attempt_guard::AttemptGuard;
use super::plan::{self, PlannedTarget};
use super::target_selector::{Choice, TargetSelector};
use super::{AttemptObserver, Engine, Router};
use crate::attempt::{Attempt, Change};
use crate::config::{self, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Repair, Request, SchemaForm};
use crate::parameter::Adjustments;
use crate::provider::Target;

/// The state of one call.
pub(super) struct CallState {
    /// Unique in the process, for logs.
    pub(super) id: u64,
    pub(super) router: Arc<Router>,
    pub(super) engine: Arc<Engine>,
    pub(super) request: Request,
    pub(super) observer: Option<Arc<dyn AttemptObserver>>,
    /// The targets that the observer has admitted, by index.
    admitted: Vec<usize>,
    /// From the call's first step to its end.
    pub(super) span: Span,
    selector: TargetSelector,
    /// The records of the attempts so far.
    pub(super) attempts: Vec<Attempt>,
    /// The attempts that count against the limit of requests.
    sent: u32,
    /// The target of the last attempt.
    pub(super) last_index: Option<usize>,
    started: Option<Instant>,
    pub(super) deadline: Option<Instant>,
    /// How long the call has waited for targets to become ready.
    paused: Duration,
    has_ended: bool,
}

impl CallState {
    /// Validates `request` and plans the targets. Sends nothing.
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
    ) -> Result<Self> {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        let targets = router.planned(force);
        validate(&request, &router, &targets)?;
        let selector = TargetSelector::new(
            &targets,
            request.schema.as_deref(),
            &engine.states,
            router.policy.on_refusal,
            Instant::now(),
        );
        Ok(Self {
            id: CALLS.fetch_add(1, Ordering::Relaxed),
            router,
            engine,
            request,
            observer: None,
            admitted: Vec::new(),
            span: Span::none(),
            selector,
            attempts: Vec::new(),
            sent: 0,
            last_index: None,
            started: None,
            deadline: None,
            paused: Duration::ZERO,
            has_ended: false,
        })
    }

    /// Starts the clock and the span of the call, once.
    pub(super) fn start(&mut self, now: Instant) {
        if self.started.is_some() {
            return;
        }
        self.router.metrics.requests.increment();
        self.started = Some(now);
        self.deadline = self.router.policy.deadline.and_then(|deadline| now.checked_add(deadline));
        self.span = tracing::info_span!("call", router_id = self.router.id, call_id = self.id);
    }

    /// Waits until a target is ready and its limits admit a request. Fails if no target is left, at the deadline, and if the
    /// limit of requests or the budget is reached. Cancel safety: a dropped future leaves nothing reserved.
    pub(super) async fn next_attempt(&mut self) -> Result<Box<AttemptGuard>> {
        let since = Instant::now();
        self.start(since);
        let mut now = since;
        loop {
            match self.choose(now).map_err(|error| self.fail(error))? {
                Choice::Now(index) => {
                    if let Some(consent) = self.consent(index, now) {
                        self.await_consent(index, consent).await?;
                        now = Instant::now();
                        continue;
                    }
                    let reservation = self.reserve(index, now).await?;
                    now = Instant::now();
                    let previous = self.last_index;
                    let admitted = self.admit(index, reservation, since, now).map_err(|error| self.fail(error))?;
                    if let Some(attempt) = admitted {
                        self.log_fallback(previous, &attempt);
                        return Ok(attempt);
                    }
                }
                Choice::Later { at, max_wait } => {
                    sleep_until(at).await;
                    // Waits without a limit do not use up the limit of others.
                    if max_wait < Duration::MAX {
                        self.paused += now.elapsed();
                    }
                    now = Instant::now();
                }
            }
        }
    }

    /// Returns the targets that may be next: the one preferred by the plan, ready or not, and the one that is ready.
    pub(super) fn next_targets(&self, now: Instant) -> (Option<usize>, Option<usize>) {
        let ready = match self.selector.choose(now, None) {
            Some(Choice::Now(index)) => Some(index),
            Some(Choice::Later { .. }) | None => None,
        };
        (self.selector.preferred(), ready)
    }

    pub(super) fn target(&self, index: usize) -> &Arc<Target> {
        &self.selector.target(index).target
    }

    /// Returns the request as it is sent to the target with `index`.
    pub(super) fn request_to(&self, index: usize) -> Request {
        self.selector.request(index, &self.request)
    }

    /// Returns the schema form and the changes of a first request to the target with `index`; `None` if the next one is a
    /// correction.
    pub(super) fn first_variant(&self, index: usize) -> Option<(SchemaForm, Adjustments)> {
        self.selector.target(index).first_variant()
    }

    /// Whether a further attempt is possible.
    pub(super) fn can_continue(&self, now: Instant) -> bool {
        self.choose(now).is_ok()
    }

    /// Fails the call if a failed attempt was its last one.
    pub(super) fn check_continuation(&mut self) -> Result<()> {
        if self.last_index.is_none() {
            return Ok(());
        }
        self.choose(Instant::now()).map(drop).map_err(|error| self.fail(error))
    }

    /// Chooses the next target within the deadline, the limit of requests and the longest wait. Returns the error of the call
    /// if there is none.
    fn choose(&self, now: Instant) -> Result<Choice> {
        if self.is_past_deadline(now) {
            return Err(self.deadline_error(now));
        }
        let max_attempts = self.router.policy.max_attempts;
        if self.sent >= max_attempts {
            let limit = if max_attempts > 1 { format!(" within {max_attempts} requests") } else { String::new() };
            return Err(self.all_failed_error(now, &limit));
        }
        let choice = self.selector.choose(now, None).ok_or_else(|| self.all_failed_error(now, ""))?;
        let Choice::Later { at, max_wait } = choice else { return Ok(choice) };
        let is_too_long = match self.deadline {
            Some(deadline) if at < deadline => false,
            Some(_) => return Err(self.all_failed_error(now, " before the deadline")),
            None => self.paused + at.saturating_duration_since(now) > max_wait,
        };
        if is_too_long { Err(self.all_failed_error(now, "")) } else { Ok(choice) }
    }

    fn all_failed_error(&self, now: Instant, limit: &str) -> Error {
        let causes = self.selector.causes(now);
        let message = format!("no provider answered{limit}: {}", joined(&causes));
        Error::new(ErrorKind::AllTargetsFailed, message).with_causes(causes)
    }

    fn deadline_error(&self, now: Instant) -> Error {
        let seconds = self.router.policy.deadline.unwrap_or_default().as_secs_f64();
        let causes = self.selector.causes(now);
        let earlier =
            if causes.is_empty() { String::new() } else { format!("; earlier failures: {}", joined(&causes)) };
        let message = format!("the call reached its deadline of {seconds} s{earlier}");
        Error::new(ErrorKind::DeadlineReached, message).with_causes(causes)
    }

    fn is_past_deadline(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Applies the policy to `error` of the target with `index`; returns it if it ends the call.
    fn apply_failure(&mut self, index: usize, error: Error, repair: Option<Repair>, now: Instant) -> Result<()> {
        let target = self.target(index);
        tracing::warn!(
            provider = target.provider.as_str(),
            model = &*target.model,
            kind = error.kind().as_str(),
            router_id = self.router.id,
            call_id = self.id,
            attempt = self.attempts.len(),
            "{error}"
        );
        let continues = self.selector.fail(index, &self.request, error.clone(), repair, now);
        if let Some(refusal) = error.refusal() {
            let target = self.target(index);
            let (provider, model) = (target.provider, &*target.model);
            let scope = if refusal.is_lasting() { "from now on" } else { "in this call" };
            tracing::info!(
                provider = provider.as_str(),
                model,
                router_id = self.router.id,
                call_id = self.id,
                "{provider} ({model}) gets no {refusal} {scope}"
            );
        }
        if continues { Ok(()) } else { Err(error) }
    }

    /// Logs and counts an attempt at another target than the `previous` one, or than the first of the plan.
    fn log_fallback(&self, previous: Option<usize>, attempt: &AttemptGuard) {
        if previous.unwrap_or(0) == attempt.index {
            return;
        }
        let (provider, model) = (attempt.target.provider, &*attempt.target.model);
        let router_id = self.router.id;
        tracing::info!(provider = provider.as_str(), model, router_id, call_id = self.id, "falling back to {provider}");
        self.router.metrics.fallbacks.increment();
    }
}

impl CallState {
    /// Adds `changes` to the last attempt.
    pub(super) fn note(&mut self, changes: Vec<Change>) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.changes.extend(changes);
        }
    }
}

impl fmt::Debug for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallState")
            .field("selector", &self.selector)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Drop for CallState {
    fn drop(&mut self) {
        if self.started.is_some() && !self.has_ended {
            self.router.metrics.cancelled.increment();
        }
    }
}

fn joined(causes: &[Error]) -> String {
    causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Finds the caller's own errors before anything is sent.
fn validate(request: &Request, router: &Router, targets: &[PlannedTarget]) -> Result<()> {
    if request.prompt.trim().is_empty() {
        return Err(Error::invalid_input("the prompt must not be blank"));
    }
    let length = request.prompt.chars().count();
    if length > router.max_prompt_chars()
        && let Some(limit) = plan::prompt_limit(&router.config, targets)
    {
        let message = format!(
            "the prompt has {length} characters; the limit is {limit}: shorten it, attach it as a file, or raise \
             max_prompt_chars"
        );
        return Err(Error::new(ErrorKind::PromptTooLong, message));
    }
    if request.max_tokens == Some(0) {
        return Err(Error::invalid_input("the limit of output tokens must be at least 1"));
    }
    request.temperature.map_or(Ok(()), config::check_temperature)
}
