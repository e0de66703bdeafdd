//! A request that several calls wait for: one of them has begun it, with its own ticket, place and books.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::Engine;
use super::attempt_guard::AttemptGuard;
use super::call::asked;
use crate::cache::SingleFlight;
use crate::error::{Error, Result};
use crate::message::Reply;

/// The requests of the process that are shared.
pub(super) type SharedRequests = SingleFlight<SharedOutcome>;

/// How a shared request ended. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum SharedOutcome {
    /// The call that was to begin it did not come to it.
    NotBegun,
    /// It was asked.
    Asked(Arc<SharedReply>),
}

/// A request that has ended, until its books are closed.
#[derive(Debug)]
pub(super) struct SharedReply {
    /// Until the call that has begun it takes it back.
    visit: Mutex<Option<Box<AttemptGuard>>>,
    pub(super) outcome: Result<Reply>,
    /// How long it was given.
    patience: Duration,
}

/// The work of a shared request, and where to send the visit that it is to make.
pub(super) fn prepare(engine: &Arc<Engine>) -> (oneshot::Sender<Box<AttemptGuard>>, BoxFuture<'static, SharedOutcome>) {
    let (begin, waiting) = oneshot::channel();
    let engine = Arc::clone(engine);
    let work = async move {
        let Ok(visit) = waiting.await else { return SharedOutcome::NotBegun };
        let (visit, outcome) = asked(&engine, visit).await;
        let patience = visit.target.timeout;
        SharedOutcome::Asked(Arc::new(SharedReply { visit: Mutex::new(Some(visit)), outcome, patience }))
    };
    (begin, Box::pin(work))
}

impl SharedReply {
    /// The visit, for the call that has begun it.
    pub(super) fn claim(&self) -> Option<Box<AttemptGuard>> {
        self.visit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it ended only because whoever began it was less patient than `patience`.
    pub(super) fn was_hasty(&self, patience: Duration) -> bool {
        self.patience < patience && self.outcome.as_ref().is_err_and(Error::is_timeout)
    }
}

impl Drop for SharedReply {
    fn drop(&mut self) {
        if let Some(visit) = self.claim() {
            visit.settle_alone(&self.outcome);
        }
    }
}
