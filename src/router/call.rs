//! One call: a plan of targets, walked until a reply is taken.
//!
//! The caller pulls: [`Call::next`] returns a candidate, the caller judges it, and either ends the call with
//! [`Call::finish`] or pulls again with the reason of the rejection. So whoever owns the schema (pydantic in Python, serde
//! in the core) judges the reply without the core calling back into it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::{self, Attempt};
use super::policy::{self, Step};
use super::{Engine, MAX_PROMPT_CHARS, Rejection, Response, Router, plan, price};
use crate::config::{self, Provider};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::message::{Repair, Reply, Request};
use crate::provider::Target;
use crate::schema;

/// A call under way. Dropping it, or the future of [`Call::next`], ends it and closes its socket.
#[derive(Debug)]
pub struct Call {
    router: Arc<Router>,
    engine: Arc<Engine>,
    request: Request,
    targets: VecDeque<Target>,
    repaired: bool,
    attempts: Vec<Attempt>,
    causes: Vec<Error>,
    candidate: Option<Reply>,
    started: Instant,
}

impl Call {
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
            repaired: false,
            attempts: Vec::new(),
            causes: Vec::new(),
            candidate: None,
            started: Instant::now(),
        })
    }

    /// The next candidate reply: for a structured request its JSON text, otherwise its text. `rejection` tells why the
    /// last candidate was not taken.
    ///
    /// Fails when no target is left, or at once on an error that no other target would answer differently.
    pub async fn next(&mut self, rejection: Option<Rejection>) -> Result<&str> {
        if let Some(rejection) = rejection {
            self.reject(&rejection)?;
        }
        loop {
            let Some(target) = self.targets.front() else {
                return Err(self.give_up());
            };
            let started = Instant::now();
            let sending = Sending::new(&self.router, target.provider);
            let outcome = attempt::ask(&self.engine, target, &self.request).await;
            let attempt = match &outcome {
                Ok(reply) => Attempt::answered(target, reply, started),
                Err(error) => Attempt::failed(target, error, started),
            };
            sending.settle(attempt.sent);
            self.record(attempt);
            match outcome {
                Ok(reply) => {
                    if self.propose(reply) {
                        break;
                    }
                    self.reject(&Rejection { faults: vec!["it holds no complete JSON value".to_owned()] })?;
                }
                Err(error) => self.advance(error)?,
            }
        }
        Ok(self.candidate.as_ref().map_or("", |reply| &reply.text))
    }

    /// Ends the call with the last candidate as its answer.
    ///
    /// Fails with `Internal` where there is no candidate.
    pub fn finish(mut self) -> Result<Response> {
        let (Some(reply), Some(attempt)) = (self.candidate.take(), self.attempts.last()) else {
            return Err(Error::new(ErrorKind::Internal, "finish() without a candidate"));
        };
        let response = Response {
            text: reply.text,
            provider: Arc::from(attempt.provider.as_str()),
            model: Arc::clone(&attempt.model),
            tokens: self.attempts.iter().map(|attempt| attempt.usage.total()).sum(),
            cost: self.attempts.iter().map(cost_of).sum(),
            latency: self.started.elapsed(),
            attempts: std::mem::take(&mut self.attempts),
        };
        self.router.metrics.answered(&response);
        Ok(response)
    }

    /// Keeps `reply` as the candidate, of a structured reply the JSON text alone; false where there is none in it.
    fn propose(&mut self, mut reply: Reply) -> bool {
        let mut usable = true;
        if self.request.schema.is_some() {
            match schema::json_text(&reply.text) {
                Some(json) if json.len() == reply.text.len() => {}
                Some(json) => reply.text = String::from(json),
                None => usable = false,
            }
        }
        self.candidate = Some(reply);
        usable
    }

    /// Turns the last attempt into a failed one and decides what follows.
    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        let (Some(reply), Some(attempt)) = (self.candidate.take(), self.attempts.last_mut()) else {
            return Err(Error::new(ErrorKind::Internal, "a rejection without a candidate"));
        };
        let kind = ErrorKind::InvalidOutput;
        let message = format!("the reply does not fit the schema: {}", rejection.faults.join("; "));
        attempt.error = Some(kind);
        attempt.message = Some(message.clone());
        if policy::after(kind) == Step::Repair && !self.repaired && attempt.provider != Provider::Mock {
            self.repaired = true;
            self.request.repair = Some(repair(&reply.text, rejection));
            return Ok(());
        }
        let rejected = Rejected { text: reply.text, faults: rejection.faults.clone() };
        let error = Error::new(kind, message).at(attempt.provider, Arc::clone(&attempt.model)).with_rejected(rejected);
        let error = match attempt.status {
            Some(status) => error.with_status(status),
            None => error,
        };
        self.advance(error)
    }

    /// Goes to the next step of the policy after `error`; fails where that is to stop.
    fn advance(&mut self, error: Error) -> Result<()> {
        let step = policy::after(error.kind());
        let failed = self.targets.pop_front();
        self.repaired = false;
        self.request.repair = None;
        if let Some(target) = failed {
            tracing::warn!(
                provider = target.provider.as_str(),
                model = &*target.model,
                kind = error.kind().as_str(),
                "{error}"
            );
        }
        if step == Step::Stop {
            self.router.metrics.failed();
            return Err(error.with_attempts(std::mem::take(&mut self.attempts)));
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

    fn record(&mut self, attempt: Attempt) {
        self.router.metrics.attempted(&attempt, cost_of(&attempt));
        self.attempts.push(attempt);
    }

    fn give_up(&mut self) -> Error {
        self.router.metrics.failed();
        let causes = std::mem::take(&mut self.causes);
        let told: Vec<String> = causes.iter().map(ToString::to_string).collect();
        Error::new(ErrorKind::AllTargetsFailed, format!("no provider answered: {}", told.join("; ")))
            .with_causes(causes)
            .with_attempts(std::mem::take(&mut self.attempts))
    }
}

/// Counts a request to a provider even where the call is dropped while it waits.
struct Sending<'a> {
    router: &'a Router,
    provider: Provider,
    counts: bool,
}

impl<'a> Sending<'a> {
    fn new(router: &'a Router, provider: Provider) -> Self {
        Self { router, provider, counts: true }
    }

    fn settle(mut self, sent: bool) {
        self.counts = sent;
    }
}

impl Drop for Sending<'_> {
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
    price::cost(attempt.provider, &attempt.model, &attempt.usage)
}

fn repair(reply: &str, rejection: &Rejection) -> Repair {
    let faults = rejection.faults.join("\n- ");
    let instruction = format!(
        "Your answer could not be used. What is wrong with it:\n- {faults}\n\
         Answer again with the corrected JSON alone, keeping everything that was right."
    );
    Repair { reply: Arc::from(reply), instruction: Arc::from(instruction) }
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
