//! The consent of the observer to the first use of a provider.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::CallState;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::protocol;
use crate::router::{ProviderUse, record};

impl CallState {
    /// Returns the pending decision whether the target with `index` may be used; `None` if it may.
    pub(in crate::router) fn consent(
        &mut self,
        index: usize,
        now: Instant,
    ) -> Option<BoxFuture<'static, Result<bool>>> {
        let observer = self.observer.as_ref().filter(|_| !self.admitted.contains(&index))?;
        let (target, first) = (self.target(index), self.target(0));
        if !protocol(target.provider).is_configured(self.router.config()) {
            // Fails before anything is sent.
            return None;
        }
        let instead_of = Some(first.provider).filter(|provider| *provider != target.provider);
        let reason = instead_of.and_then(|_| self.selector.cause(0, now));
        let decision = observer.admit(ProviderUse {
            provider: target.provider,
            model: Arc::clone(&target.model),
            instead_of,
            reason: reason.map(|error| error.message().to_owned()),
        });
        if decision.is_none() {
            self.admitted.push(index);
        }
        decision
    }

    /// Awaits `consent` for the target with `index`, and excludes a target that is refused. Fails at the deadline of the call.
    pub(super) async fn await_consent(
        &mut self,
        index: usize,
        consent: BoxFuture<'static, Result<bool>>,
    ) -> Result<()> {
        let decided = match self.deadline {
            Some(deadline) => timeout_at(deadline, consent).await.ok(),
            None => Some(consent.await),
        };
        match decided {
            Some(Ok(is_admitted)) => self.record_consent(index, is_admitted),
            Some(Err(error)) => Err(self.fail(error)),
            None => {
                let error = self.deadline_error(Instant::now());
                Err(self.fail(error))
            }
        }
    }

    /// Records the decision about the target with `index`.
    pub(in crate::router) fn record_consent(&mut self, index: usize, is_admitted: bool) -> Result<()> {
        if is_admitted {
            self.admitted.push(index);
            return Ok(());
        }
        let target = self.target(index);
        let error = target.locate(Error::new(ErrorKind::NotConfigured, "the caller does not permit this provider"));
        self.attempts.push(record::skipped(target, &error));
        self.apply_failure(index, error, None, Instant::now()).map_err(|error| self.fail(error))
    }
}
