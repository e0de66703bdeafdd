//! What agents and the coordinator know of a router.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Attempt, Engine, OnStreamError, Router, StreamEvent, StreamOptions, plan};
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

    /// Does as [`Generate::generate`], and tells `closed` the JSON text of what is closed of the reply so far, again and
    /// again, as [`StreamEvent::Partial`] gives it. What was told may come to nothing: the answer alone counts. An
    /// implementation that cannot stream tells nothing.
    fn generate_growing<'a>(
        &'a self,
        request: Request,
        check: &'a dyn ReplyCheck,
        closed: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response>> {
        let _ = closed;
        self.generate(request, check)
    }

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
    /// Whether the answer was kept from an earlier call, or is that of another call which asked the same.
    pub is_cached: bool,
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
            let mut call = self.router.call(&self.engine, request, None, None)?;
            let mut rejection = None;
            loop {
                let candidate = call.next(rejection.take()).await?;
                match check.check(candidate) {
                    Ok(()) => {
                        let (response, keeping) = call.finish()?;
                        if let Some(keeping) = keeping {
                            keeping.settled().await;
                        }
                        return Ok(response);
                    }
                    Err(rejected) => rejection = Some(rejected),
                }
            }
        })
    }

    fn generate_growing<'a>(
        &'a self,
        request: Request,
        check: &'a dyn ReplyCheck,
        closed: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let options = StreamOptions { on_error: OnStreamError::Restart, ..StreamOptions::default() };
            let mut stream = self.router.stream(&self.engine, request, None, options)?;
            while let Some(event) = stream.next().await? {
                match event {
                    StreamEvent::Partial(json) => closed(&json),
                    StreamEvent::Whole(json) => match check.check(&json) {
                        Ok(()) => break,
                        Err(rejected) => stream.reject(rejected),
                    },
                    StreamEvent::Delta(_) | StreamEvent::Restarted(_) => {}
                }
            }
            stream.finish()
        })
    }

    /// What the configuration says of the first target's places counts; of a server on this machine it is taken that it has
    /// one.
    fn takes_many(&self) -> bool {
        let first = plan::targets(&self.router, None).into_iter().next();
        first.is_some_and(|target| {
            let limits = self.router.config().limits.get(&target.provider).copied().unwrap_or_default();
            match (limits.concurrent, target.provider) {
                (Some(places), _) => places > 1,
                (None, Provider::Ollama | Provider::Mock) => false,
                (None, Provider::OpenAi) => !is_loopback(&target.base_url),
                (None, Provider::Gemini | Provider::Anthropic) => true,
            }
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
