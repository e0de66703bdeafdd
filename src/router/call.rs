//! One call: a plan of targets, walked until a reply is taken.
//!
//! The caller pulls: [`Call::next`] returns a candidate, the caller judges it, and either ends the call with
//! [`Call::finish`] or pulls again with the reason of the rejection. So whoever owns the schema (pydantic in Python, serde
//! in the core) judges the reply without the core calling back into it.
//!
//! A structured reply that cannot be used as it is, is read once more, leniently, before anybody is asked again.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::attempt;
use super::visit::Visit;
use super::walk::Walk;
use super::{Engine, Rejection, Response, Router};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::message::{FinishReason, Repair, Reply, Request};
use crate::schema::{self, Change, Recovery};

/// A call under way. Dropping it, or the future of [`Call::next`], ends it and closes its socket.
#[derive(Debug)]
pub struct Call {
    walk: Walk,
    candidate: Option<Candidate>,
}

/// A reply on trial.
#[derive(Debug)]
struct Candidate {
    reply: Reply,
    /// The text before it was mended.
    written: Option<String>,
}

impl Call {
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
    ) -> Result<Self> {
        Ok(Self { walk: Walk::new(router, engine, request, force)?, candidate: None })
    }

    /// The next candidate reply: for a structured request its JSON text, otherwise its text. `rejection` tells why the
    /// last candidate was not taken.
    ///
    /// Fails when no target is left, at once on an error that no other target would answer differently, and at the deadline,
    /// the limit of requests and the end of the budget.
    pub async fn next(&mut self, rejection: Option<Rejection>) -> Result<&str> {
        if let Some(rejection) = rejection
            && !self.mend()
        {
            self.reject(&rejection)?;
        }
        while self.candidate.is_none() {
            let visit = self.walk.visit().await?;
            let (visit, outcome) = match self.walk.hedge_after(&visit) {
                None => asked(&self.walk.engine, visit).await,
                Some(delay) => self.race(visit, delay).await?,
            };
            match outcome {
                Ok(reply) => {
                    self.walk.answered(visit, &reply, 0);
                    if !self.propose(reply) && !self.mend() {
                        self.reject(&Rejection { faults: vec!["it holds no complete JSON value".to_owned()] })?;
                    }
                }
                Err(error) => {
                    self.walk.failed(visit, error, 0)?;
                }
            }
        }
        Ok(self.candidate.as_ref().map_or("", |candidate| &candidate.reply.text))
    }

    /// Whether files or images travel with the prompt.
    pub fn has_attachments(&self) -> bool {
        !self.walk.request.parts.is_empty()
    }

    /// Ends the call with the last candidate as its answer.
    ///
    /// Fails with `Internal` where there is no candidate.
    pub fn finish(mut self) -> Result<Response> {
        let candidate = self.candidate.take();
        let response = candidate.and_then(|candidate| self.walk.answer(candidate.reply.text));
        response.ok_or_else(|| Error::new(ErrorKind::Internal, "finish() without a candidate"))
    }

    /// Waits for the answer to `first`; after `delay` asks another target beside it, where one is ready, and takes the
    /// answer that comes first. The other request is given up.
    async fn race(&mut self, mut first: Visit, delay: Duration) -> Result<(Visit, Result<Reply>)> {
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
                given_up.try_iter().for_each(|record| self.walk.given_up(record));
                Ok((visit, outcome))
            }
        }
    }

    /// Keeps `reply` as the candidate; false where it should hold JSON and does not.
    fn propose(&mut self, reply: Reply) -> bool {
        let usable = self.walk.request.schema.is_none() || schema::json_text(&reply.text).is_some();
        self.candidate = Some(Candidate { reply, written: None });
        usable
    }

    /// Reads the candidate leniently; true where that gives another text to judge. Each reply is mended once at most.
    fn mend(&mut self) -> bool {
        let (Some(candidate), Some(schema)) = (&mut self.candidate, &self.walk.request.schema) else { return false };
        if candidate.written.is_some() {
            return false;
        }
        // What looked like the JSON may be a part of what is not quite JSON.
        let reply = candidate.reply.around.as_ref().unwrap_or(&candidate.reply.text);
        let Recovery::Repaired { json, changes } = schema::recover(reply, schema) else { return false };
        // Closing what a model did not close is right only where it had no more to say.
        if changes.contains(&Change::MissingCloser) && candidate.reply.finish != FinishReason::Stop {
            return false;
        }
        candidate.written = Some(std::mem::replace(&mut candidate.reply.text, json));
        if let Some(attempt) = self.walk.last_attempt() {
            attempt.changes = changes;
        }
        true
    }

    /// Turns the last attempt into a failed one and decides what follows.
    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        let (Some(candidate), Some(attempt)) = (self.candidate.take(), self.walk.last_attempt()) else {
            return Err(Error::new(ErrorKind::Internal, "a rejection without a candidate"));
        };
        let text = candidate.written.unwrap_or(candidate.reply.text);
        let kind = ErrorKind::InvalidOutput;
        let message = format!("the reply does not fit the schema: {}", rejection.faults.join("; "));
        attempt.error = Some(kind);
        attempt.message = Some(message.clone());
        let error = Error::new(kind, message).at(attempt.provider, Arc::clone(&attempt.model));
        let error = match attempt.status {
            Some(status) => error.with_status(status),
            None => error,
        };
        let repair = repair(&text, rejection);
        self.walk.rejected(error.with_rejected(Rejected { text, faults: rejection.faults.clone() }), repair)
    }
}

/// Asks the target of `visit`.
async fn asked(engine: &Engine, visit: Visit) -> (Visit, Result<Reply>) {
    let outcome = attempt::ask(engine, &visit).await;
    (visit, outcome)
}

fn repair(reply: &str, rejection: &Rejection) -> Repair {
    let faults = rejection.faults.join("\n- ");
    let instruction = format!(
        "Your answer could not be used. What is wrong with it:\n- {faults}\n\
         Answer again with the corrected JSON alone, keeping everything that was right."
    );
    Repair { reply: Arc::from(reply), instruction: Arc::from(instruction) }
}
