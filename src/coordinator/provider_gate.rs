//! Provider gates: a caller decides about each provider before a run uses it.

use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, ready};
use serde::Serialize;
use tokio::sync::OnceCell;

use super::stage::Stage;
use crate::config::Provider;
use crate::error::Result;
use crate::router::ProviderUse;
use crate::sync::lock;

/// Decides about the providers of a run.
pub trait ProviderGate: Send + Sync {
    /// Returns whether the run may use the provider of `request`. Nothing is sent there before.
    fn admit(&self, request: ProviderRequest) -> BoxFuture<'_, Result<bool>>;
}

/// The input of a provider gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderRequest {
    /// The stage that makes the call.
    pub stage: Stage,
    /// The provider.
    pub provider: &'static str,
    /// The model.
    pub model: String,
    /// The provider that the call would have preferred, if it is another one.
    pub instead_of: Option<&'static str>,
    /// Why that one did not answer.
    pub reason: Option<String>,
}

/// The decisions of a provider gate in one run: the gate is asked once about each provider.
pub struct Admissions {
    gate: Box<dyn ProviderGate>,
    decisions: Mutex<Vec<(Provider, Arc<OnceCell<bool>>)>>,
}

impl Admissions {
    /// Returns admissions without a decision yet.
    pub fn new(gate: impl ProviderGate + 'static) -> Arc<Self> {
        Arc::new(Self { gate: Box::new(gate), decisions: Mutex::default() })
    }

    /// Returns the pending decision about the provider of a call in `stage`; `None` if it is admitted.
    pub(super) fn admit(self: &Arc<Self>, stage: Stage, call: ProviderUse) -> Option<BoxFuture<'static, Result<bool>>> {
        let decision = self.decision(call.provider);
        match decision.get() {
            Some(true) => return None,
            Some(false) => return Some(Box::pin(ready(Ok(false)))),
            None => {}
        }
        let request = ProviderRequest {
            stage,
            provider: call.provider.as_str(),
            model: call.model.to_string(),
            instead_of: call.instead_of.map(Provider::as_str),
            reason: call.reason,
        };
        let admissions = Arc::clone(self);
        Some(Box::pin(async move { decision.get_or_try_init(|| admissions.gate.admit(request)).await.copied() }))
    }

    fn decision(&self, provider: Provider) -> Arc<OnceCell<bool>> {
        let mut decisions = lock(&self.decisions);
        if let Some((_, decision)) = decisions.iter().find(|(known, _)| *known == provider) {
            return Arc::clone(decision);
        }
        let decision = Arc::default();
        decisions.push((provider, Arc::clone(&decision)));
        decision
    }
}

impl fmt::Debug for Admissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admissions").field("decisions", &*lock(&self.decisions)).finish_non_exhaustive()
    }
}
