//! The interface between a router and its users, the agents and the coordinator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Engine, MAX_PROMPT_CHARS, OnStreamError, Router, StreamEvent, StreamOptions, plan};
use crate::attempt::{Attempt, Change};
use crate::config::Provider;
use crate::error::Result;
use crate::message::{FinishReason, Request};
use crate::provider::protocol;

/// Answers a request with text that fits the request's schema.
///
/// [`Routed`] implements it over providers; the bindings implement it over any Python object with
/// `generate_structured`.
pub trait Generate: Send + Sync {
    /// Answers `request`. A reply that the validator of `hooks` rejects is never returned: implementations repair it, try
    /// another target or fail. Dropping the future cancels the call.
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>>;

    /// The maximum length of a prompt in characters.
    fn max_prompt_chars(&self) -> usize {
        MAX_PROMPT_CHARS
    }

    /// Whether the preferred target answers concurrent requests as fast as a single one. `false` if unknown.
    fn supports_concurrency(&self) -> bool {
        false
    }

    /// The target of the first attempt of a call; `None` if unknown, as for a custom router.
    fn preferred_target(&self) -> Option<PreferredTarget> {
        None
    }
}

/// The target of the first attempt of a call, as far as it decides what to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferredTarget {
    /// The provider.
    pub provider: Provider,
    /// The model.
    pub model: Arc<str>,
    /// Whether it is a server of the caller's own, as opposed to a hosted one.
    pub is_local: bool,
}

/// The hooks of one call.
#[derive(Clone, Copy)]
pub struct CallHooks<'a> {
    /// Validates each reply.
    pub validator: &'a dyn ReplyValidator,
    /// Called with the JSON of a reply's completed parts while it arrives, as [`StreamEvent::Partial`] contains it. Only the
    /// returned answer is valid: a later attempt may replace what was reported. Implementations that cannot stream ignore it.
    pub on_partial: Option<&'a (dyn Fn(&str) + Send + Sync)>,
    /// Observes the attempts.
    pub observer: Option<&'a Arc<dyn AttemptObserver>>,
}

impl<'a> CallHooks<'a> {
    /// Returns hooks that only validate.
    pub fn new(validator: &'a dyn ReplyValidator) -> Self {
        Self { validator, on_partial: None, observer: None }
    }
}

impl fmt::Debug for CallHooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHooks")
            .field("on_partial", &self.on_partial.is_some())
            .field("observer", &self.observer.is_some())
            .finish_non_exhaustive()
    }
}

/// Validates the JSON text of a reply.
pub trait ReplyValidator: Send + Sync {
    /// # Errors
    ///
    /// Returns what is wrong with the reply, so that the model can correct it.
    fn validate(&self, json: &str) -> Result<(), Rejection>;

    /// Returns the changes that the last valid reply took to fit, besides those of the router.
    fn changes(&self) -> Vec<Change> {
        Vec::new()
    }
}

/// Observes the attempts of a call as they happen, including those that outlive the call.
///
/// Called from wherever an attempt begins or ends, also while a future is dropped; must return at once.
pub trait AttemptObserver: Send + Sync {
    /// The call is about to use a provider for the first time. `None` permits it. Otherwise the call sends nothing there before
    /// the future is ready: `false` excludes the provider from the call, and an error ends the call.
    fn admit(&self, _provider: ProviderUse) -> Option<BoxFuture<'static, Result<bool>>> {
        None
    }

    /// A request to `provider` is about to be sent.
    fn started(&self, provider: Provider, model: &str);

    /// An attempt has ended. A reply that is rejected later counts as a success here; see [`AttemptObserver::rejected`].
    /// `cost` is in US dollars, `None` if the price is unknown.
    fn ended(&self, attempt: &Attempt, cost: Option<f64>);

    /// The reply of an attempt that has ended was rejected. `attempt` is its final record. The usage was reported before.
    fn rejected(&self, attempt: &Attempt);
}

/// A provider that a call is about to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderUse {
    /// The provider.
    pub provider: Provider,
    /// The model.
    pub model: Arc<str>,
    /// The first provider in the order of the call, if it is another one.
    pub instead_of: Option<Provider>,
    /// Why that one did not answer.
    pub reason: Option<String>,
}

/// Why a reply was rejected.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// One line per fault, in words that the model can act on; without values of the caller's data.
    pub faults: Vec<String>,
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub struct Response {
    /// The text; for a structured request the validated JSON.
    pub text: String,
    /// The provider that answered.
    pub provider: Arc<str>,
    /// The model that answered.
    pub model: Arc<str>,
    /// The tokens of all attempts.
    pub tokens: u64,
    /// The cost of all attempts in US dollars; `None` if a price is unknown.
    pub cost: Option<f64>,
    /// The duration of the call, all attempts included.
    pub latency: Duration,
    /// Whether the answer comes from the cache or from an identical concurrent call.
    pub is_cached: bool,
    /// Why the model stopped; `None` if unknown, as for a custom router.
    pub finish: Option<FinishReason>,
    /// The provider's name for that reason.
    pub finish_detail: Option<String>,
    /// The reasoning that was returned next to the text.
    pub reasoning: Option<String>,
    /// All attempts in order, including the failed ones.
    pub attempts: Vec<Attempt>,
}

/// A router together with the engine of the process.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The router of the request.
    pub router: Arc<Router>,
    /// The engine of the process.
    pub engine: Arc<Engine>,
}

impl Routed {
    async fn call(&self, request: Request, hooks: CallHooks<'_>) -> Result<Response> {
        let mut call = self.router.call(&self.engine, request, None)?;
        call.observe(hooks.observer.cloned());
        let mut rejection = None;
        loop {
            let candidate = call.next(rejection.take()).await?;
            match hooks.validator.validate(candidate) {
                Ok(()) => {
                    call.note(hooks.validator.changes());
                    let (response, write) = call.finish()?;
                    if let Some(write) = write {
                        write.settled().await;
                    }
                    return Ok(response);
                }
                Err(rejected) => rejection = Some(rejected),
            }
        }
    }

    async fn stream(
        &self,
        request: Request,
        hooks: CallHooks<'_>,
        on_partial: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Response> {
        let options = StreamOptions { on_error: OnStreamError::Restart, uses_cache: true, ..StreamOptions::default() };
        let mut stream = self.router.stream(&self.engine, request, None, options)?;
        stream.observe(hooks.observer.cloned());
        while let Some(event) = stream.next().await? {
            match event {
                StreamEvent::Partial(json) => on_partial(&json),
                StreamEvent::Complete(json) => match hooks.validator.validate(&json) {
                    Ok(()) => {
                        stream.note(hooks.validator.changes());
                        break;
                    }
                    Err(rejected) => stream.reject(rejected),
                },
                StreamEvent::Delta(_) | StreamEvent::Restarted(_) => {}
            }
        }
        let (response, write) = stream.finish_and_store()?;
        if let Some(write) = write {
            write.settled().await;
        }
        Ok(response)
    }
}

impl Generate for Routed {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        match hooks.on_partial {
            Some(on_partial) => Box::pin(self.stream(request, hooks, on_partial)),
            None => Box::pin(self.call(request, hooks)),
        }
    }

    fn max_prompt_chars(&self) -> usize {
        self.router.max_prompt_chars()
    }

    /// Returns whether the configuration allows the first target more than one request at a time. Without such a limit, a
    /// server on this machine counts as serial and any other as concurrent.
    fn supports_concurrency(&self) -> bool {
        let first = plan::targets(&self.router, None).into_iter().next();
        first.is_some_and(|target| {
            let limits = self.router.config().limits.get(&target.provider).copied().unwrap_or_default();
            match limits.concurrent {
                Some(limit) => limit > 1,
                None => protocol(target.provider).is_concurrent(&target),
            }
        })
    }

    fn preferred_target(&self) -> Option<PreferredTarget> {
        let target = plan::targets(&self.router, None).into_iter().next()?;
        let is_local = !protocol(target.provider).is_concurrent(&target);
        Some(PreferredTarget { provider: target.provider, model: target.model, is_local })
    }
}
