//! What agents and the coordinator know of a router.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Attempt, Engine, Router, plan};
use crate::config::Provider;
use crate::error::Result;
use crate::message::Request;

/// Something that answers a request with text that fits the request's schema.
///
/// [`Routed`] implements it over providers; the bindings implement it over any Python object with
/// `generate_structured`.
pub trait Generate: Send + Sync {
    /// Answers `request`. A reply that `check` rejects is never returned: implementations repair it, try elsewhere or
    /// fail. Dropping the future cancels the call.
    fn generate<'a>(&'a self, request: Request, check: &'a dyn ReplyCheck) -> BoxFuture<'a, Result<Response>>;

    /// Whether who is asked first answers many requests at a time as fast as one. `false` where that is not known.
    fn takes_many(&self) -> bool {
        false
    }
}

/// Judges the JSON text of a reply.
pub trait ReplyCheck: Send + Sync {
    /// `Err` tells what is wrong, so that the model can mend it.
    fn check(&self, json: &str) -> Result<(), Rejection>;
}

/// Why a reply was not taken.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// One line per fault, in words the model can act on; no values of the caller's data.
    pub faults: Vec<String>,
}

/// An answer and how it came about.
#[derive(Debug, Clone)]
pub struct Response {
    /// The text: for a structured request the JSON text that passed the check.
    pub text: String,
    /// Who really answered.
    pub provider: Arc<str>,
    /// The model that really answered.
    pub model: Arc<str>,
    /// Tokens of every attempt together.
    pub tokens: u64,
    /// US dollars of every attempt together; `None` where a price is unknown.
    pub cost: Option<f64>,
    /// From the call's start to its end, every attempt included.
    pub latency: Duration,
    /// Every attempt, the failed ones too, in order.
    pub attempts: Vec<Attempt>,
}

/// A router together with the process's engine.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The request's router.
    pub router: Arc<Router>,
    /// The process's engine.
    pub engine: Arc<Engine>,
}

impl Generate for Routed {
    fn generate<'a>(&'a self, request: Request, check: &'a dyn ReplyCheck) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let mut call = self.router.call(&self.engine, request, None)?;
            let mut rejection = None;
            loop {
                let candidate = call.next(rejection.take()).await?;
                match check.check(candidate) {
                    Ok(()) => return call.finish(),
                    Err(rejected) => rejection = Some(rejected),
                }
            }
        })
    }

    /// A server on this machine has one model in memory and few places; so has one that is limited to one request.
    fn takes_many(&self) -> bool {
        let first = plan::targets(&self.router, None).into_iter().next();
        first.is_some_and(|target| {
            let limits = self.router.config().limits.get(&target.provider).copied().unwrap_or_default();
            let is_local = match target.provider {
                Provider::Ollama | Provider::Mock => true,
                Provider::OpenAi => is_loopback(&target.base_url),
                Provider::Gemini | Provider::Anthropic => false,
            };
            !is_local && limits.concurrent != Some(1)
        })
    }
}

fn is_loopback(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    })
}
