//! One call: a plan of targets, walked until a reply is taken.
//!
//! The caller pulls: [`Call::next`] returns a candidate, the caller judges it, and either ends the call with
//! [`Call::finish`] or pulls again with the reason of the rejection. So whoever owns the schema (pydantic in Python, serde
//! in the core) judges the reply without the core calling back into it.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::{Either, select};

use tokio::time::{Instant, timeout_at};

use super::attempt;
use super::attempt_guard::AttemptGuard;
use super::cache_lookup::{CacheLookup, CacheWrite};
use super::call_state::CallState;
use super::reply_validation::{self, ReplyValidation};
use super::shared_request::{self, SharedOutcome};
use super::{AttemptObserver, Engine, Rejection, Response, Router};
use crate::cache::{Entry, Key, Waiter};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request};

/// A call under way. Dropping it, or the future of [`Call::next`], ends it and closes its socket.
#[derive(Debug)]
pub struct Call {
    walk: CallState,
    trial: ReplyValidation,
    /// `None` where it has nothing to do with the cache.
    recall: Option<CacheLookup>,
    /// The candidate, where it was kept from an earlier call.
    recalled: Option<(Key, Arc<Entry>)>,
    /// Among those who wait for the same answer: kept until that is in the cache, so that whoever comes meanwhile is given
    /// it too.
    seat: Option<Waiter<SharedOutcome>>,
}

impl Call {
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
        use_cache: Option<bool>,
    ) -> Result<Self> {
        let recall = CacheLookup::new(&router, &engine, use_cache);
        let walk = CallState::new(router, engine, request, force)?;
        Ok(Self { walk, trial: ReplyValidation::default(), recall, recalled: None, seat: None })
    }

    /// Reports the attempts to `observer`. Call it before the first [`Call::next`].
    pub fn observe(&mut self, observer: Option<Arc<dyn AttemptObserver>>) {
        self.walk.observer = observer;
    }

    /// The next candidate reply: for a structured request its JSON text, otherwise its text. `rejection` tells why the
    /// last candidate was not taken.
    ///
    /// Fails when no target is left, at once on an error that no other target would answer differently, and at the deadline,
    /// the limit of requests and the end of the budget.
    pub async fn next(&mut self, rejection: Option<Rejection>) -> Result<&str> {
        if let Some(rejection) = rejection {
            self.overrule(&rejection)?;
        }
        while self.candidate().is_none() {
            if self.recall.is_some() {
                self.walk.start(Instant::now());
                // In no future of a call without a cache.
                Box::pin(self.advance_together()).await?;
            } else {
                let visit = self.walk.visit().await?;
                self.advance(visit).await?;
            }
        }
        Ok(self.candidate().unwrap_or_default())
    }

    fn candidate(&self) -> Option<&str> {
        self.recalled.as_ref().map(|(_, entry)| &*entry.text).or_else(|| self.trial.text())
    }

    /// One step towards a candidate: a request of its own.
    async fn advance(&mut self, visit: Box<AttemptGuard>) -> Result<()> {
        let (visit, outcome) = match self.walk.hedge_after(&visit) {
            None => asked(&self.walk.engine, visit).await,
            // Seldom run, so it takes no room in the future of every call.
            Some(delay) => Box::pin(self.race(visit, delay)).await?,
        };
        self.land(visit, outcome)
    }

    /// One step towards a candidate: what was answered before, what another call is asking, or a request of its own.
    async fn advance_together(&mut self) -> Result<()> {
        let Some(recall) = &mut self.recall else { return Ok(()) };
        self.recalled = recall.find(&self.walk).await;
        if self.recalled.is_some() {
            return Ok(());
        }
        let (preferred, ready) = self.walk.ahead(Instant::now());
        let index = ready.or(preferred);
        let shareable = index.filter(|_| !self.walk.hedges()).and_then(|index| recall.shareable(&self.walk, index));
        let (Some(index), Some((key, encoded))) = (index, shareable) else {
            let visit = self.walk.visit().await?;
            return self.advance(visit).await;
        };
        let engine = Arc::clone(&self.walk.engine);
        let mut begin = None;
        let (tell, given_up) = mpsc::channel();
        let mut seat = engine.shared_requests().join(key, || {
            let (sender, work) = shared_request::prepare(&engine);
            begin = Some(sender);
            work
        });
        if let Some(begin) = begin {
            // Another call has ended between the look into the cache and the look at who is asking.
            if let Some(entry) = recall.again(&key) {
                self.recalled = Some((key, entry));
                return Ok(());
            }
            let mut visit = self.walk.visit().await?;
            // Meanwhile the call was sent elsewhere: those who wait are told that nobody has asked.
            if visit.index != index {
                return self.advance(visit).await;
            }
            visit.encoded = encoded;
            visit.on_drop(tell);
            // Others may have more time: each keeps its own deadline.
            visit.patience = visit.target.timeout;
            visit.deadline = None;
            // It cannot fail: the seat keeps the other end.
            drop(begin.send(visit));
        }
        let since = Instant::now();
        let landed = match self.walk.deadline() {
            Some(deadline) => timeout_at(deadline, &mut seat).await.ok(),
            None => Some((&mut seat).await),
        };
        let Some(landed) = landed else {
            drop(seat);
            return Err(self.walk.left(index, given_up.try_iter().next()));
        };
        let SharedOutcome::Asked(landing) = landed else { return Ok(()) };
        let visit = if seat.is_leader() { landing.claim() } else { None };
        self.seat = Some(seat);
        match visit {
            Some(visit) => self.land(visit, landing.outcome.clone()),
            None if landing.was_hasty(self.walk.target(index).timeout) => {
                self.seat = None;
                Ok(())
            }
            None => {
                self.walk.joined(index, &landing.outcome, since)?;
                landing.outcome.clone().map_or(Ok(()), |reply| self.open(reply))
            }
        }
    }

    /// Takes the end of the request that `visit` was.
    fn land(&mut self, visit: Box<AttemptGuard>, outcome: Result<Reply>) -> Result<()> {
        match outcome {
            Ok(reply) => {
                self.walk.time(&visit);
                self.walk.answered(visit, &reply, 0);
                self.open(reply)
            }
            Err(error) => {
                self.seat = None;
                self.walk.failed(visit, error, 0).map(drop)
            }
        }
    }

    fn open(&mut self, reply: Reply) -> Result<()> {
        if self.trial.open(&mut self.walk, reply) { Ok(()) } else { self.reject(&reply_validation::no_json()) }
    }

    /// Goes on from a candidate that was not taken, because of `rejection`.
    fn overrule(&mut self, rejection: &Rejection) -> Result<()> {
        if let (Some((key, _)), Some(recall)) = (self.recalled.take(), &self.recall) {
            recall.forget(&key);
            return Ok(());
        }
        if self.trial.mend(&mut self.walk) { Ok(()) } else { self.reject(rejection) }
    }

    /// Whether files or images travel with the prompt.
    pub fn has_attachments(&self) -> bool {
        !self.walk.request.parts.is_empty()
    }

    /// Ends the call with the last candidate as its answer, which is kept in the cache, where the call uses that. Wait for
    /// what comes beside it, so that not even the end of the process by force can lose the answer.
    ///
    /// Fails with `Internal` where there is no candidate.
    pub fn finish(mut self) -> Result<(Response, Option<CacheWrite>)> {
        if let Some((_, entry)) = self.recalled {
            return Ok((self.walk.recalled(&entry), None));
        }
        let missing = || Error::new(ErrorKind::Internal, "finish() without a candidate");
        let reply = self.trial.accept().ok_or_else(missing)?;
        let keeping = self.recall.as_ref().and_then(|recall| recall.keep(&self.walk, &reply));
        let response = self.walk.answer(reply.text).ok_or_else(missing)?;
        Ok((response, keeping))
    }

    /// Waits for the answer to `first`; after `delay` asks another target beside it, where one is ready, and takes the
    /// answer that comes first. The other request is given up.
    async fn race(
        &mut self,
        mut first: Box<AttemptGuard>,
        delay: Duration,
    ) -> Result<(Box<AttemptGuard>, Result<Reply>)> {
        let engine = Arc::clone(&self.walk.engine);
        let (tell, given_up) = mpsc::channel();
        let index = first.index;
        first.on_drop(tell.clone());
        let first = Box::pin(asked(&engine, first));
        let (first, second) = match select(first, pin!(tokio::time::sleep(delay))).await {
            Either::Left((done, _)) => return Ok(done),
            Either::Right(((), first)) => (first, self.walk.hedge(index)),
        };
        let Some(mut second) = second else { return Ok(first.await) };
        second.on_drop(tell);
        let second = Box::pin(asked(&engine, second));
        let ((visit, outcome), other) = match select(first, second).await {
            Either::Left((done, other)) | Either::Right((done, other)) => (done, other),
        };
        match outcome {
            Err(error) if !self.walk.ends_with(&visit, &error) => {
                self.walk.failed_beside(visit, error, 0)?;
                Ok(other.await)
            }
            outcome => {
                drop(other);
                for record in given_up.try_iter() {
                    self.walk.given_up(record);
                }
                Ok((visit, outcome))
            }
        }
    }

    /// Turns the last attempt into a failed one and decides what follows.
    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        self.seat = None;
        let (error, repair) = self.trial.reject(&mut self.walk, rejection)?;
        self.walk.rejected(error, repair)
    }
}

/// Asks the target of `visit`.
pub(super) async fn asked(engine: &Engine, mut visit: Box<AttemptGuard>) -> (Box<AttemptGuard>, Result<Reply>) {
    let outcome = match attempt::prepare(engine, &mut visit).await {
        Ok(()) => attempt::ask(engine, &mut visit).await,
        Err(error) => Err(error),
    };
    (visit, outcome)
}
