//! A call that returns one whole reply.
//!
//! The caller pulls: [`Call::next`] returns a candidate reply, the caller validates it, and either ends the call with
//! [`Call::finish`] or pulls again with the reason for the rejection. So the owner of the schema (pydantic in Python, serde in
//! the core) validates the reply without a callback from the core.

#[cfg(test)]
mod tests;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::attempt_guard::AttemptGuard;
use super::cache_lookup::{CacheLookup, CacheWrite};
use super::call_state::CallState;
use super::reply_validation::{self, ReplyValidation};
use super::send::send;
use super::shared_request::{self, SharedOutcome};
use super::{AttemptObserver, Engine, Rejection, Response, Router, pages};
use crate::attempt::Change;
use crate::cache::{Entry, Key, Waiter};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request};

/// A call in progress. Dropping it, or the future of [`Call::next`], cancels it and closes its socket.
#[derive(Debug)]
pub struct Call {
    state: CallState,
    validation: ReplyValidation,
    /// `None` if the call does not use the cache.
    lookup: Option<CacheLookup>,
    /// The candidate, if it comes from the cache.
    cached: Option<(Key, Arc<Entry>)>,
    /// Kept until the reply is in the cache, so that identical calls that begin meanwhile share it.
    waiter: Option<Waiter<SharedOutcome>>,
}

impl Call {
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
    ) -> Result<Self> {
        let lookup = CacheLookup::new(&router, &engine, &request);
        let state = CallState::new(router, engine, request, force)?;
        Ok(Self { state, validation: ReplyValidation::default(), lookup, cached: None, waiter: None })
    }

    /// Starts the clock of the call at `began`, when its attachments began to be loaded. Call it before the first [`Call::next`].
    pub fn begin_at(&mut self, began: Instant) {
        self.state.start(began);
    }

    /// Reports the attempts to `observer`. Call it before the first [`Call::next`].
    pub fn observe(&mut self, observer: Option<Arc<dyn AttemptObserver>>) {
        self.state.observer = observer;
    }

    /// Returns the next candidate reply: for a structured request its JSON text, otherwise its text. `rejection` is the
    /// reason why the last candidate was rejected.
    ///
    /// # Errors
    ///
    /// Returns an error if no target is left, if an error would recur at every target, at the deadline, and if the limit of
    /// requests or the budget is reached.
    pub async fn next(&mut self, rejection: Option<Rejection>) -> Result<&str> {
        self.state.start(Instant::now());
        let span = self.state.span.clone();
        self.advance(rejection).instrument(span).await?;
        Ok(self.candidate().unwrap_or_default())
    }

    /// Whether the request has attachments.
    pub fn has_attachments(&self) -> bool {
        !self.state.request.parts.is_empty()
    }

    /// Adds `changes`, which the owner of the schema made to the last candidate, to its attempt.
    pub fn note(&mut self, changes: Vec<Change>) {
        self.state.note(changes);
    }

    /// Ends the call with the last candidate as its answer, and writes the answer to the cache if the call uses it. Await the
    /// write, so that the answer survives even a forced end of the process.
    ///
    /// # Errors
    ///
    /// Returns `Internal` if there is no candidate.
    pub fn finish(self) -> Result<(Response, Option<CacheWrite>)> {
        let span = self.state.span.clone();
        span.in_scope(|| self.end())
    }

    fn end(mut self) -> Result<(Response, Option<CacheWrite>)> {
        if let Some((_, entry)) = self.cached {
            return Ok((self.state.finish_cached(&entry), None));
        }
        let missing = || Error::new(ErrorKind::Internal, "finish() without a candidate");
        let reply = self.validation.accept().ok_or_else(missing)?;
        let write = self.lookup.as_ref().and_then(|lookup| lookup.write(&self.state, &reply));
        let response = self.state.finish(reply).ok_or_else(missing)?;
        Ok((response, write))
    }

    fn candidate(&self) -> Option<&str> {
        self.cached.as_ref().map(|(_, entry)| &*entry.text).or_else(|| self.validation.text())
    }

    /// Makes attempts until there is a candidate.
    async fn advance(&mut self, rejection: Option<Rejection>) -> Result<()> {
        if let Some(rejection) = rejection {
            self.reject_candidate(&rejection)?;
        }
        while self.candidate().is_none() {
            if self.lookup.is_some() {
                // Boxed: the future of a call without a cache stays small.
                Box::pin(self.look_up_or_attempt()).await?;
            } else {
                let guard = self.state.next_attempt().await?;
                self.attempt(guard).await?;
            }
        }
        Ok(())
    }

    /// Makes one attempt, hedged if the policy says so.
    async fn attempt(&mut self, guard: Box<AttemptGuard>) -> Result<()> {
        let (guard, outcome) = match self.state.hedge_delay(&guard) {
            None => send(&self.state.engine, guard).await,
            // Boxed: few calls are hedged.
            Some(delay) => Box::pin(self.race(guard, delay)).await?,
        };
        self.record_outcome(guard, outcome)
    }

    /// Takes one step towards a candidate: the answer from the cache, the reply to an identical concurrent request, or an
    /// attempt.
    async fn look_up_or_attempt(&mut self) -> Result<()> {
        self.state.check_continuation()?;
        let Some(lookup) = &mut self.lookup else { return Ok(()) };
        self.cached = lookup.find(&self.state).await;
        if self.cached.is_some() {
            return Ok(());
        }
        let (preferred, ready) = self.state.next_targets(Instant::now());
        let index = ready.or(preferred);
        let shareable = index
            .filter(|_| self.state.router.policy.hedge.is_none())
            .and_then(|index| lookup.shareable(&self.state, index));
        let (Some(index), Some((key, encoded))) = (index, shareable) else {
            let guard = self.state.next_attempt().await?;
            return self.attempt(guard).await;
        };
        let engine = Arc::clone(&self.state.engine);
        let mut begin = None;
        let (on_cancel, cancelled) = mpsc::channel();
        let mut waiter = engine.shared_requests.join(key, || {
            let (sender, work) = shared_request::prepare(&engine);
            begin = Some(sender);
            work
        });
        if let Some(begin) = begin {
            // Another call may have ended between the lookup and the join.
            if let Some(entry) = lookup.in_memory(&key) {
                self.cached = Some((key, entry));
                return Ok(());
            }
            let mut guard = self.state.next_attempt().await?;
            // Meanwhile another target has become the next one.
            if guard.index != index {
                // Releases the waiting calls before the attempt, not after it.
                drop(begin);
                return self.attempt(guard).await;
            }
            guard.encoded = encoded;
            guard.notify_on_cancel(on_cancel);
            // The waiting calls may have more time: each applies its own deadline.
            guard.timeout = guard.target.timeout;
            guard.deadline = None;
            // Cannot fail: the waiter holds the receiver.
            drop(begin.send(guard));
        }
        let since = Instant::now();
        let outcome = match self.state.deadline {
            Some(deadline) => timeout_at(deadline, &mut waiter).await.ok(),
            None => Some((&mut waiter).await),
        };
        let Some(outcome) = outcome else {
            drop(waiter);
            return Err(self.state.fail_shared(index, cancelled.try_iter().next()));
        };
        let SharedOutcome::Sent(shared) = outcome else { return Ok(()) };
        let guard = if waiter.is_leader() { shared.claim() } else { None };
        self.waiter = Some(waiter);
        match guard {
            Some(guard) => self.record_outcome(guard, shared.outcome.clone()),
            None if shared.timed_out_within(self.state.target(index).timeout) => {
                self.waiter = None;
                Ok(())
            }
            None => {
                let outcome = self.check_pages(index, shared.outcome.clone());
                self.state.record_shared(index, &outcome, since)?;
                outcome.map_or(Ok(()), |reply| self.validate(reply))
            }
        }
    }

    fn record_outcome(&mut self, guard: Box<AttemptGuard>, outcome: Result<Reply>) -> Result<()> {
        match self.check_pages(guard.index, outcome) {
            Ok(reply) => {
                self.state.record_latency(&guard);
                self.state.record_success(guard, &reply, 0);
                self.validate(reply)
            }
            Err(error) => {
                self.waiter = None;
                self.state.record_failure(guard, error, 0).map(drop)
            }
        }
    }

    fn check_pages(&self, index: usize, outcome: Result<Reply>) -> Result<Reply> {
        outcome.and_then(|reply| pages::check(&self.state.request, self.state.target(index), reply))
    }

    fn validate(&mut self, reply: Reply) -> Result<()> {
        if self.validation.begin(&mut self.state, reply) { Ok(()) } else { self.reject(&reply_validation::no_json()) }
    }

    /// Continues after the caller rejected the candidate.
    fn reject_candidate(&mut self, rejection: &Rejection) -> Result<()> {
        if let (Some((key, _)), Some(lookup)) = (self.cached.take(), &self.lookup) {
            lookup.forget(&key);
            return Ok(());
        }
        if self.validation.recover(&mut self.state) { Ok(()) } else { self.reject(rejection) }
    }

    /// Turns the last attempt into a failed one.
    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        self.waiter = None;
        let (error, repair) = self.validation.reject(&mut self.state, rejection)?;
        self.state.record_rejection(error, repair).map(drop)
    }

    /// Waits for the reply to `first`. After `delay` it sends a second request to another target, if one is ready, takes the
    /// reply that comes first, and cancels the other request.
    async fn race(
        &mut self,
        mut first: Box<AttemptGuard>,
        delay: Duration,
    ) -> Result<(Box<AttemptGuard>, Result<Reply>)> {
        let engine = Arc::clone(&self.state.engine);
        let (on_cancel, cancelled) = mpsc::channel();
        let index = first.index;
        first.notify_on_cancel(on_cancel.clone());
        let mut first = Box::pin(send(&engine, first));
        tokio::select! {
            biased;
            done = &mut first => return Ok(done),
            () = tokio::time::sleep(delay) => {}
        }
        let now = Instant::now();
        let Some(other) = self.state.hedge_target(index, now) else { return Ok(first.await) };
        if let Some(consent) = self.state.consent(other, now) {
            let consent = tokio::select! {
                biased;
                done = &mut first => return Ok(done),
                consent = consent => consent,
            };
            let is_admitted = consent.map_err(|error| self.state.fail(error))?;
            self.state.record_consent(other, is_admitted)?;
        }
        // The target may have been refused, or may be busy now.
        let hedge = self.state.hedge_target(index, Instant::now()).filter(|ready| *ready == other);
        let Some(mut second) = hedge.and_then(|other| self.state.hedge(other)) else { return Ok(first.await) };
        second.notify_on_cancel(on_cancel);
        let mut second = Box::pin(send(&engine, second));
        let ((guard, outcome), other) = tokio::select! {
            biased;
            done = &mut first => (done, second),
            done = &mut second => (done, first),
        };
        match outcome {
            Err(error) if !self.state.is_fatal(&guard, &error) => {
                self.state.record_failure(guard, error, 0)?;
                Ok(other.await)
            }
            outcome => {
                drop(other);
                self.state.attempts.extend(cancelled.try_iter());
                Ok((guard, outcome))
            }
        }
    }
}
