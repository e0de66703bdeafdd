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

use super::attempt;
use super::trial::{self, Trial};
use super::visit::Visit;
use super::walk::Walk;
use super::{Engine, Rejection, Response, Router};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request};

/// A call under way. Dropping it, or the future of [`Call::next`], ends it and closes its socket.
#[derive(Debug)]
pub struct Call {
    walk: Walk,
    trial: Trial,
}

impl Call {
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
        _use_cache: Option<bool>,
    ) -> Result<Self> {
        Ok(Self { walk: Walk::new(router, engine, request, force)?, trial: Trial::default() })
    }

    /// The next candidate reply: for a structured request its JSON text, otherwise its text. `rejection` tells why the
    /// last candidate was not taken.
    ///
    /// Fails when no target is left, at once on an error that no other target would answer differently, and at the deadline,
    /// the limit of requests and the end of the budget.
    pub async fn next(&mut self, rejection: Option<Rejection>) -> Result<&str> {
        if let Some(rejection) = rejection
            && !self.trial.mend(&mut self.walk)
        {
            self.reject(&rejection)?;
        }
        while self.trial.text().is_none() {
            let visit = self.walk.visit().await?;
            let (visit, outcome) = match self.walk.hedge_after(&visit) {
                None => asked(&self.walk.engine, visit).await,
                // Seldom run, so it takes no room in the future of every call.
                Some(delay) => Box::pin(self.race(visit, delay)).await?,
            };
            match outcome {
                Ok(reply) => {
                    self.walk.time(&visit);
                    self.walk.answered(visit, &reply, 0);
                    if !self.trial.open(&mut self.walk, reply) {
                        self.reject(&trial::no_json())?;
                    }
                }
                Err(error) => {
                    self.walk.failed(visit, error, 0)?;
                }
            }
        }
        Ok(self.trial.text().unwrap_or_default())
    }

    /// Whether files or images travel with the prompt.
    pub fn has_attachments(&self) -> bool {
        !self.walk.request.parts.is_empty()
    }

    /// Ends the call with the last candidate as its answer.
    ///
    /// Fails with `Internal` where there is no candidate.
    pub fn finish(mut self) -> Result<Response> {
        let response = self.trial.accept().and_then(|text| self.walk.answer(text));
        response.ok_or_else(|| Error::new(ErrorKind::Internal, "finish() without a candidate"))
    }

    /// Waits for the answer to `first`; after `delay` asks another target beside it, where one is ready, and takes the
    /// answer that comes first. The other request is given up.
    async fn race(&mut self, mut first: Box<Visit>, delay: Duration) -> Result<(Box<Visit>, Result<Reply>)> {
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
        let (error, repair) = self.trial.reject(&mut self.walk, rejection)?;
        self.walk.rejected(error, repair)
    }
}

/// Asks the target of `visit`.
async fn asked(engine: &Engine, mut visit: Box<Visit>) -> (Box<Visit>, Result<Reply>) {
    let outcome = match attempt::prepare(engine, &mut visit).await {
        Ok(()) => attempt::ask(engine, &visit).await,
        Err(error) => Err(error),
    };
    (visit, outcome)
}
