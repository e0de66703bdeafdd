//! Builds the records of attempts.

use std::sync::Arc;

use tokio::time::Instant;

use super::Router;
use super::attempt_guard::AttemptGuard;
use crate::attempt::Attempt;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Reply, Request, Usage};
use crate::parameter::Parameter;
use crate::provider::{self, Target};

/// The attempt of `guard` received `reply`.
pub(super) fn success(guard: &AttemptGuard, reply: &Reply) -> Attempt {
    let was_sent = guard.target.is_remote();
    Attempt {
        model: reported_model(&guard.target, reply),
        status: was_sent.then_some(200),
        sent: was_sent,
        usage: reply.usage,
        pages: [&reply.pages[..], &guard.missing_pages].concat(),
        ..of(guard)
    }
}

/// The attempt of `guard` failed with `error`.
pub(super) fn failure(guard: &AttemptGuard, error: &Error) -> Attempt {
    with_error(Attempt { sent: was_sent(error), ..of(guard) }, error)
}

/// The attempt of `guard` was cancelled.
pub(super) fn cancelled(guard: &AttemptGuard) -> Attempt {
    Attempt {
        error: Some(ErrorKind::Cancelled),
        message: Some("cancelled before the reply arrived".to_owned()),
        sent: true,
        usage: guard.estimated_usage(),
        is_estimated: true,
        ..of(guard)
    }
}

/// An identical request of another call to `target`, `request` for this call, had this `outcome`; the call waited for it since
/// `started`.
pub(super) fn shared(target: &Target, request: &Request, outcome: &Result<Reply>, started: Instant) -> Attempt {
    let attempt = Attempt { latency: started.elapsed(), is_shared: true, ..at(target) };
    match outcome {
        Ok(reply) => {
            let pages =
                reply.pages.iter().cloned().chain(request.parts.iter().filter_map(Part::page_failure)).collect();
            Attempt { model: reported_model(target, reply), status: Some(200), pages, ..attempt }
        }
        // The other call accounts the usage.
        Err(error) => Attempt { usage: Usage::default(), ..with_error(attempt, error) },
    }
}

/// No request was sent to `target` because of `error`.
pub(super) fn skipped(target: &Target, error: &Error) -> Attempt {
    with_error(at(target), error)
}

/// Returns the cost of `attempt` in US dollars; `None` if its price is unknown. A failed or shared attempt without usage is
/// free, whatever the model's price.
pub(super) fn cost(router: &Router, attempt: &Attempt) -> Option<f64> {
    if (!attempt.ok() || attempt.is_shared) && attempt.usage.total() == 0 {
        return Some(0.0);
    }
    provider::cost(router.config(), attempt.provider, &attempt.model, &attempt.usage)
}

fn at(target: &Target) -> Attempt {
    Attempt::new(target.provider, Arc::clone(&target.model))
}

fn of(guard: &AttemptGuard) -> Attempt {
    let (waited, latency, is_hedge) = (guard.waited, guard.started.elapsed(), guard.is_hedge);
    Attempt { waited, latency, is_hedge, omitted: omitted(&guard.target, &guard.request), ..at(&guard.target) }
}

/// Returns the parameters that the call or the configuration asked for, and that `request` to `target` did not contain under
/// this name.
fn omitted(target: &Target, request: &Request) -> Vec<Parameter> {
    let Some(codec) = target.codec() else { return Vec::new() };
    let adjustments = request.adjustments.union(codec.adjustments(target));
    if adjustments.is_empty() {
        return Vec::new();
    }
    let options = &target.options;
    let is_requested = |parameter: &Parameter| match parameter {
        Parameter::Temperature => request.temperature.is_some(),
        // The name of the limit is a choice of the protocol unless the target refused it.
        Parameter::MaxTokens => request.max_tokens.is_some() && request.adjustments.omits(Parameter::MaxTokens),
        Parameter::MaxCompletionTokens | Parameter::MaxOutputTokens | Parameter::NumPredict => {
            request.max_tokens.is_some()
        }
        Parameter::ReasoningEffort | Parameter::Effort => options.effort.is_some(),
        Parameter::ServiceTier => options.service_tier.is_some(),
        Parameter::ThinkingConfig => options.thinking.is_some(),
        Parameter::Think => options.think.is_some(),
        Parameter::KeepAlive => options.keep_alive.is_some(),
        Parameter::StreamOptions | Parameter::Thinking | Parameter::AnthropicVersion => false,
    };
    adjustments.omitted().filter(is_requested).collect()
}

fn with_error(attempt: Attempt, error: &Error) -> Attempt {
    Attempt {
        error: Some(error.kind()),
        message: Some(error.message().to_owned()),
        status: error.status(),
        usage: error.usage(),
        retry_after: error.retry_after(),
        ..attempt
    }
}

fn reported_model(target: &Target, reply: &Reply) -> Arc<str> {
    reply.model.as_deref().map_or_else(|| Arc::clone(&target.model), Arc::from)
}

/// Whether bytes of the request may have reached the target. Not if the error was found before a socket was open.
fn was_sent(error: &Error) -> bool {
    // Without a status it is a page that could not be fetched here.
    let is_page = error.kind() == ErrorKind::PageUnavailable && error.status().is_none();
    !error.is_preflight()
        && !is_page
        && !matches!(
            error.kind(),
            ErrorKind::InvalidInput
                | ErrorKind::MissingKey
                | ErrorKind::NotConfigured
                | ErrorKind::Unsupported
                | ErrorKind::Connect
                | ErrorKind::Dns
                | ErrorKind::Tls
                | ErrorKind::ConnectTimeout
                | ErrorKind::Cooldown
                | ErrorKind::BreakerOpen
        )
}
