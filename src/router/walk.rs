//! What a call and a stream have in common: a plan of targets, walked until one answers, and the books kept on the way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::Attempt;
use super::policy::{self, Onward};
use super::{Engine, MAX_PROMPT_CHARS, Response, Router, plan, price};
use crate::config::{self, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::provider::Target;

/// The way of one request through its plan.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) router: Arc<Router>,
    pub(super) engine: Arc<Engine>,
    pub(super) request: Request,
    targets: VecDeque<Target>,
    attempts: Vec<Attempt>,
    causes: Vec<Error>,
    started: Instant,
}

impl Walk {
    /// Checks `request` and counts the call. Sends nothing.
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
    ) -> Result<Self> {
        check(&request)?;
        router.metrics.started();
        Ok(Self {
            targets: plan::targets(&router, force).into(),
            router,
            engine,
            request,
            attempts: Vec::new(),
            causes: Vec::new(),
            started: Instant::now(),
        })
    }

    /// The target to ask now. Fails where none is left.
    pub(super) fn target(&mut self) -> Result<Target> {
        match self.targets.front() {
            Some(target) => Ok(target.clone()),
            None => Err(self.give_up()),
        }
    }

    /// Whether another target could be asked after the present one.
    pub(super) fn has_another(&self) -> bool {
        self.targets.len() > 1
    }

    pub(super) fn last_attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut()
    }

    pub(super) fn record(&mut self, attempt: Attempt) {
        self.router.metrics.attempted(&attempt, cost_of(&attempt));
        self.attempts.push(attempt);
    }

    /// Goes to the next step of the policy after `error`; fails where that is to stop.
    pub(super) fn advance(&mut self, error: Error) -> Result<()> {
        let mut onward = Onward::Next;
        if let Some(target) = self.targets.pop_front() {
            onward = policy::after(error.kind(), target.provider).onward;
            tracing::warn!(
                provider = target.provider.as_str(),
                model = &*target.model,
                kind = error.kind().as_str(),
                "{error}"
            );
        }
        if onward != Onward::Next {
            return Err(self.fail(error));
        }
        self.causes.push(error);
        if let Some(next) = self.targets.front() {
            tracing::info!(
                provider = next.provider.as_str(),
                model = &*next.model,
                "falling back to {}",
                next.provider
            );
            self.router.metrics.fell_back();
        }
        Ok(())
    }

    /// Ends the walk with `error`.
    pub(super) fn fail(&mut self, error: Error) -> Error {
        self.router.metrics.failed();
        error.with_attempts(std::mem::take(&mut self.attempts))
    }

    /// Ends the walk with `text` as the answer of the last attempt; `None` where there was no attempt.
    pub(super) fn answer(mut self, text: String) -> Option<Response> {
        let attempt = self.attempts.last()?;
        let response = Response {
            text,
            provider: Arc::from(attempt.provider.as_str()),
            model: Arc::clone(&attempt.model),
            tokens: self.attempts.iter().map(|attempt| attempt.usage.total()).sum(),
            cost: self.attempts.iter().map(cost_of).sum(),
            latency: self.started.elapsed(),
            attempts: std::mem::take(&mut self.attempts),
        };
        self.router.metrics.answered(&response);
        Some(response)
    }

    fn give_up(&mut self) -> Error {
        let causes = std::mem::take(&mut self.causes);
        let told: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let message = format!("no provider answered: {}", told.join("; "));
        self.fail(Error::new(ErrorKind::AllTargetsFailed, message).with_causes(causes))
    }
}

/// Counts a request to a provider even where the call is dropped while it waits.
pub(super) struct Sending {
    router: Arc<Router>,
    provider: Provider,
    counts: bool,
}

impl Sending {
    pub(super) fn new(router: &Arc<Router>, provider: Provider) -> Self {
        Self { router: Arc::clone(router), provider, counts: true }
    }

    pub(super) fn settle(mut self, sent: bool) {
        self.counts = sent;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.counts {
            self.router.metrics.sent(self.provider);
        }
    }
}

/// Where nothing was counted for a failed attempt, nothing is owed, whatever the model's price.
fn cost_of(attempt: &Attempt) -> Option<f64> {
    if !attempt.ok() && attempt.usage.total() == 0 {
        return Some(0.0);
    }
    price::cost(attempt.provider, &attempt.model, &attempt.usage, None)
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
