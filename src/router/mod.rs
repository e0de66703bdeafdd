//! The router: which target answers a call, and what happens when one does not.

mod attempt_guard;
mod breaker;
mod budget;
mod cache_lookup;
mod call;
mod call_state;
mod facts;
mod generate;
mod health;
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
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Cache;
use crate::config::{Config, ModelTier, Provider, ProviderChoice};
use crate::error::Result;
use crate::message::Request;
use crate::provider::Target;
use crate::transport::{Http, Transport};
use crate::webpage::Fetcher;
use budget::Spent;
use shared_request::SharedRequests;
use target_state::TargetStates;

pub use budget::Budget;
pub use cache_lookup::CacheWrite;
pub use call::Call;
pub use generate::{AttemptObserver, CallHooks, Generate, Rejection, ReplyValidator, Response, Routed};
pub use health::ProviderHealth;
pub use metrics::{MetricsSnapshot, ProviderSnapshot};
pub use policy::{Hedge, MAX_ATTEMPTS, OnRefusal, Policy};
pub use stream::{OnStreamError, Stream, StreamEvent, StreamOptions};

/// Upper bound of a prompt, in characters.
pub const MAX_PROMPT_CHARS: usize = 100_000;

/// The state of the process: connection pools, what is known of each target, and answers by what was asked. Knows no
/// request's choice.
#[derive(Debug)]
pub struct Engine {
    transport: Box<dyn Transport>,
    cache: Cache,
    shared_requests: SharedRequests,
    states: TargetStates,
    facts: facts::Facts,
    pages: Fetcher,
}

impl Engine {
    /// An engine without connections; they are made at the first call.
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine with stores of answers in `cache`.
    pub fn with_cache(cache: Cache) -> Self {
        Self { cache, ..Self::default() }
    }

    /// Creates an engine whose requests are sent over `transport`.
    pub fn with_transport(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
            cache: Cache::default(),
            shared_requests: SharedRequests::default(),
            states: TargetStates::default(),
            facts: facts::Facts::default(),
            pages: Fetcher::default(),
        }
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The answers that were given before.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn shared_requests(&self) -> &SharedRequests {
        &self.shared_requests
    }

    fn states(&self) -> &TargetStates {
        &self.states
    }

    /// Gives `target` the facts about its model that `request` depends on, and checks that the model can take it.
    ///
    /// Fails with `Unsupported` for an image to a model that is known to see none, and with `ContextTooLong` for a prompt
    /// that cannot fit. Cancel safety: dropping the future closes the socket of the look-up.
    pub async fn prepare(&self, target: &mut Target, request: &Request) -> Result<()> {
        self.facts.prepare(self.transport(), target, request).await
    }

    /// Whether the server of `target` has yet to load its model; to be asked when the request is sent. `false` where that
    /// is not known. Cancel safety: dropping the future closes the socket.
    pub async fn is_loading(&self, target: &Target) -> bool {
        facts::is_loading(self.transport(), target).await
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::with_transport(Http::default())
    }
}

/// What a router's maker may choose over its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// The provider to start with.
    pub primary_provider: Option<ProviderChoice>,
    /// Whether another provider may answer.
    pub fallback_enabled: Option<bool>,
    /// How much model.
    pub model_tier: Option<ModelTier>,
    /// Whether answers are taken from the cache and kept there.
    pub cache_enabled: Option<bool>,
    /// What its calls may spend, and when they give up.
    pub policy: Policy,
}

/// One request's configuration, budget and metrics. Holds no socket and no thread; there is nothing to close.
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
    spent: Spent,
    metrics: metrics::Metrics,
}

impl Router {
    /// A router over `config`; an override beats the configuration.
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
            spent: Spent::default(),
            metrics: metrics::Metrics::default(),
        }
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The provider calls start with.
    pub fn choice(&self) -> ProviderChoice {
        self.choice
    }

    /// Whether another provider may answer.
    pub fn fallback_enabled(&self) -> bool {
        self.fallback_enabled
    }

    /// How much model.
    pub fn tier(&self) -> ModelTier {
        self.tier
    }

    /// Whether answers are taken from the cache and kept there, where a call does not choose for itself.
    pub fn cache_enabled(&self) -> bool {
        self.cache_enabled
    }

    /// What its calls may spend, and when they give up.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Begins a call; nothing is sent before [`Call::next`]. `force` names the only provider that may answer; `use_cache`
    /// chooses for this call whether its answer is taken from the cache and kept there, `None` is the router's choice.
    pub fn call(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        request: Request,
        force: Option<Provider>,
        use_cache: Option<bool>,
    ) -> Result<Call> {
        Call::new(Arc::clone(self), Arc::clone(engine), request, force, use_cache)
    }

    /// Begins a streamed reply; nothing is sent before [`Stream::next`]. `force` names the only provider that may answer.
    /// A structured request gives what is closed of its JSON, and then the whole, to be judged.
    ///
    /// Fails with `InvalidInput` where the request or a time limit cannot be used.
    pub fn stream(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        request: Request,
        force: Option<Provider>,
        options: StreamOptions,
    ) -> Result<Stream> {
        Stream::new(Arc::clone(self), Arc::clone(engine), request, force, options)
    }

    /// What it has done so far.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.metrics.snapshot()
    }

    /// Sets every counter to zero.
    pub fn reset_metrics(&self) {
        self.metrics.reset();
    }

    /// Asks every provider of the plan for its models and tells which answered.
    pub async fn health(&self, engine: &Engine) -> Vec<ProviderHealth> {
        health::probe(self, engine).await
    }
}
