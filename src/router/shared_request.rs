//! A request that several identical calls wait for. The call that began it accounts it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::Engine;
use super::attempt_guard::AttemptGuard;
use super::send::send;
use crate::cache::SingleFlight;
use crate::error::{Error, Result};
use crate::message::Reply;
use crate::sync::lock;

/// The shared requests of the process.
pub(super) type SharedRequests = SingleFlight<SharedOutcome>;

/// The outcome of a shared request. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum SharedOutcome {
    /// The call that was to send the request went to another target, or was dropped.
    NotSent,
    /// The request was sent.
    Sent(Arc<SharedReply>),
}

/// A shared request that has ended and may not be accounted yet.
#[derive(Debug)]
pub(super) struct SharedReply {
    /// Taken by the call that began the request.
    guard: Mutex<Option<Box<AttemptGuard>>>,
    pub(super) outcome: Result<Reply>,
    /// The time limit of the request.
    timeout: Duration,
}

/// Returns the work of a shared request, and the channel for the attempt that it makes.
pub(super) fn prepare(engine: &Arc<Engine>) -> (oneshot::Sender<Box<AttemptGuard>>, BoxFuture<'static, SharedOutcome>) {
    let (begin, attempt) = oneshot::channel();
    let engine = Arc::clone(engine);
    let work = async move {
        let Ok(guard) = attempt.await else { return SharedOutcome::NotSent };
        let (guard, outcome) = send(&engine, guard).await;
        let timeout = guard.target.timeout;
        SharedOutcome::Sent(Arc::new(SharedReply { guard: Mutex::new(Some(guard)), outcome, timeout }))
    };
    (begin, Box::pin(work))
}

impl SharedReply {
    /// Returns the attempt to the call that began it, once.
    pub(super) fn claim(&self) -> Option<Box<AttemptGuard>> {
        lock(&self.guard).take()
    }

    /// Whether the request timed out only because its time limit was below `timeout`.
    pub(super) fn timed_out_within(&self, timeout: Duration) -> bool {
        self.timeout < timeout && self.outcome.as_ref().is_err_and(Error::is_timeout)
    }
}

impl Drop for SharedReply {
    fn drop(&mut self) {
        if let Some(guard) = self.claim() {
            guard.settle_detached(&self.outcome);
        }
    }
}
