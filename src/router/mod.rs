//! The router: selects the target of each call, and retries, repairs or falls back after a failure.

mod attempt_guard;
mod breaker;
mod budget;
mod cache_lookup;
mod call;
mod call_state;
mod echo;
mod facts;
mod form_memory;
mod generate;
mod health;
mod installed_models;
mod latencies;
mod limit;
mod metrics;
mod pages;
mod plan;
mod policy;
mod record;
mod reply_validation;
mod send;
mod shared_request;
mod stream;
mod streamed_reply;
mod target_selector;
mod target_state;
#[cfg(test)]
mod tests;
mod whole_reply;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::{Instant, timeout_at};

use crate::attachment::Reader;
use crate::cache::Cache;
use crate::config::{Config, DEFAULT_MAX_PROMPT_CHARS, ModelTier, Provider, ProviderChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::provider::Target;
use crate::transport::{Http, Transport};
use crate::webpage::Fetcher;
use budget::Spent;
use plan::PlannedTarget;
use shared_request::SharedRequests;
use target_state::TargetStates;

pub use budget::Budget;
pub use cache_lookup::CacheWrite;
pub use call::Call;
pub use generate::{
    AttemptObserver, CallHooks, Generate, PreferredTarget, ProviderUse, Rejection, ReplyValidator, Response, Routed,
};
pub use health::ProviderHealth;
pub use metrics::{MetricsSnapshot, ProviderSnapshot};
pub use policy::{Hedge, MAX_ATTEMPTS, OnRefusal, Policy};
pub use stream::{OnStreamError, Stream, StreamEvent, StreamOptions};

/// The default maximum length of a prompt in characters.
pub const MAX_PROMPT_CHARS: usize = DEFAULT_MAX_PROMPT_CHARS;

/// The state of the process: connection pools, the state of each target, facts about models, and the response cache. Contains
/// nothing that a request chose.
#[derive(Debug)]
pub struct Engine {
    transport: Box<dyn Transport>,
    cache: Cache,
    shared_requests: SharedRequests,
    states: TargetStates,
    facts: facts::Facts,
    pages: Fetcher,
    files: Reader,
}

impl Engine {
    /// Returns an engine without connections; calls open them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an engine with the response cache `cache`.
    pub fn with_cache(cache: Cache) -> Self {
        Self { cache, ..Self::default() }
    }

    /// Returns an engine that sends its requests over `transport`.
    pub fn with_transport(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
            cache: Cache::default(),
            shared_requests: SharedRequests::default(),
            states: TargetStates::default(),
            facts: facts::Facts::default(),
            pages: Fetcher::default(),
            files: Reader::default(),
        }
    }

    /// Returns the response cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the reader of attached files.
    pub fn files(&self) -> &Reader {
        &self.files
    }

    /// Adds the facts that `request` depends on to `target`, and checks that its model can serve the request.
    ///
    /// # Errors
    ///
    /// Returns `Unsupported` for an image to a model without vision, and `ContextTooLong` for a prompt that cannot fit. Cancel
    /// safety: dropping the future closes the socket of the lookup.
    pub async fn prepare(&self, target: &mut Arc<Target>, request: &Request) -> Result<()> {
        self.facts.prepare(&*self.transport, target, request).await
    }

    /// Whether the server of `target` has to load its model first; `false` if unknown. Valid only right before a request. Cancel
    /// safety: dropping the future closes the socket.
    pub async fn is_loading(&self, target: &Target) -> bool {
        facts::is_loading(&*self.transport, target).await
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::with_transport(Http::default())
    }
}

/// The settings of a router that override its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// The provider of the first attempt.
    pub primary_provider: Option<ProviderChoice>,
    /// Whether calls fall back to other providers.
    pub fallback_enabled: Option<bool>,
    /// The model tier.
    pub model_tier: Option<ModelTier>,
    /// Whether the calls that do not choose otherwise use the response cache at temperature 0.
    pub cache_enabled: Option<bool>,
    /// The policy of its calls.
    pub policy: Policy,
}

/// The configuration, policy, budget and metrics of one request. Holds no socket and no thread, so there is nothing to close.
#[derive(Debug)]
pub struct Router {
    /// Unique in the process, for spans.
    id: u64,
    config: Arc<Config>,
    choice: ProviderChoice,
    fallback_enabled: bool,
    tier: ModelTier,
    cache_enabled: bool,
    policy: Policy,
    /// The targets of calls that name no provider; planned by the first one.
    planned: OnceLock<Arc<[PlannedTarget]>>,
    spent: Spent,
    metrics: metrics::Metrics,
}

impl Router {
    /// Returns a router with `config`, whose values `overrides` replaces.
    pub fn new(config: Arc<Config>, overrides: Overrides) -> Self {
        static ROUTERS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: ROUTERS.fetch_add(1, Ordering::Relaxed),
            choice: overrides.primary_provider.unwrap_or(config.default_provider),
            fallback_enabled: overrides.fallback_enabled.unwrap_or(config.fallback_enabled),
            tier: overrides.model_tier.unwrap_or(config.model_tier),
            cache_enabled: overrides.cache_enabled.unwrap_or(config.cache.enabled),
            config,
            policy: overrides.policy,
            planned: OnceLock::new(),
            spent: Spent::default(),
            metrics: metrics::Metrics::default(),
        }
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Returns the provider of the first attempt.
    pub fn choice(&self) -> ProviderChoice {
        self.choice
    }

    /// Whether calls fall back to other providers.
    pub fn fallback_enabled(&self) -> bool {
        self.fallback_enabled
    }

    /// Returns the model tier.
    pub fn tier(&self) -> ModelTier {
        self.tier
    }

    /// Whether the calls that do not choose otherwise use the response cache at temperature 0.
    pub fn cache_enabled(&self) -> bool {
        self.cache_enabled
    }

    /// Returns the maximum length of a prompt in characters where no context window is known.
    pub fn max_prompt_chars(&self) -> usize {
        self.config.max_prompt_chars.unwrap_or(MAX_PROMPT_CHARS)
    }

    /// Returns the maximum length of a prompt in characters; `force` names the only provider of the call. `None` leaves it to
    /// the context windows of its targets.
    pub fn prompt_limit(&self, force: Option<Provider>) -> Option<usize> {
        plan::prompt_limit(&self.config, &self.planned(force))
    }

    /// Returns the targets of a call; `force` names its only provider.
    fn planned(&self, force: Option<Provider>) -> Arc<[PlannedTarget]> {
        let plan = || plan::targets(self, force).into_iter().map(PlannedTarget::new).collect();
        if force.is_some() { plan() } else { Arc::clone(self.planned.get_or_init(plan)) }
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Awaits `work` of a call that began at `began`, until the deadline of the call. `doing` names the work in the error.
    ///
    /// # Errors
    ///
    /// Returns the error of `work`, and `DeadlineReached` at the deadline.
    pub async fn before_deadline<T>(
        &self,
        began: Instant,
        doing: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(limit) = self.policy.deadline else { return work.await };
        let Some(deadline) = began.checked_add(limit) else { return work.await };
        timeout_at(deadline, work).await.unwrap_or_else(|_| {
            let message = format!("the deadline of {} s was reached while {doing}", limit.as_secs_f64());
            Err(Error::new(ErrorKind::DeadlineReached, message))
        })
    }

    /// Prepares a call; [`Call::next`] sends its first request. `force` names its only provider.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` or `PromptTooLong` if the request is invalid.
    pub fn call(self: &Arc<Self>, engine: &Arc<Engine>, request: Request, force: Option<Provider>) -> Result<Call> {
        Call::new(Arc::clone(self), Arc::clone(engine), request, force)
    }

    /// Prepares a streamed call; [`Stream::next`] sends its first request. `force` names its only provider. The stream of a
    /// structured request returns the completed parts of its JSON, followed by the whole JSON to validate.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` or `PromptTooLong` if the request or a time limit is invalid.
    pub fn stream(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        request: Request,
        force: Option<Provider>,
        options: StreamOptions,
    ) -> Result<Stream> {
        Stream::new(Arc::clone(self), Arc::clone(engine), request, force, options)
    }

    /// Returns a snapshot of the metrics.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.metrics.snapshot()
    }

    /// Resets the metrics.
    pub fn reset_metrics(&self) {
        self.metrics.reset();
    }

    /// Probes the providers that calls may use.
    pub async fn health(&self, engine: &Engine) -> Vec<ProviderHealth> {
        health::probe(self, engine).await
    }
}
