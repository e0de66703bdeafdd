//! Rules and settings of the simulator.

use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::raw::{CompiledReply, RawReply};
use crate::config::Provider;
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

/// A scripted behaviour: the requests that it matches, and what happens to them.
///
/// The default matches every request and changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// The route that it matches.
    pub route: Route,
    /// Text that the body, the prompt or the system instruction has to contain.
    pub contains: Option<String>,
    /// The model that it matches.
    pub model: Option<String>,
    /// How many requests it applies to; `None` means all.
    pub times: Option<u32>,
    /// The delay before the reply; `None` uses
    /// [`Simulator::set_latency`](super::Simulator::set_latency).
    pub latency: Option<Duration>,
    /// The rate of the reply. A streamed reply is sent token by token, any other is delayed as a whole. `None` uses
    /// [`Simulator::set_tokens_per_second`](super::Simulator::set_tokens_per_second).
    pub tokens_per_second: Option<f64>,
    /// The HTTP status, 200 to 599. From 400 on, without a body, the reply is an error of the protocol.
    pub status: Option<u16>,
    /// Headers that are added or replaced.
    pub headers: Vec<(String, String)>,
    /// The body, which replaces that of the protocol.
    pub body: Option<Bytes>,
    /// The pieces of a streamed body. A fault follows the last piece.
    pub pieces: Option<Vec<Bytes>>,
    /// The text of the completion.
    pub text: Option<String>,
    /// The JSON value of the completion.
    pub json: Option<Value>,
    /// The number of prompt tokens, which replaces the simulator's count.
    pub prompt_tokens: Option<u64>,
    /// The number of thinking tokens, reported as the protocol reports them. They count towards the limit of output tokens.
    /// The limit in a Gemini request still applies.
    pub thinking_tokens: Option<u64>,
    /// The fault of the reply.
    pub fault: Option<Fault>,
    /// The bytes of the reply, which replace those of the protocol.
    pub reply: Option<RawReply>,
}

/// The route of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Route {
    /// Every request, including lists of models.
    #[default]
    Any,
    /// Every request to a provider's API.
    Provider(Provider),
    /// Requests whose path has this prefix.
    Path(String),
}

named_enum! {
    /// A fault of a reply.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Fault {
        /// A complete HTTP reply with half of the JSON body.
        Malformed = "malformed",
        /// The connection is closed in the middle of the body.
        Truncate = "truncate",
        /// Nothing is sent.
        Stall = "stall",
        /// Only the headers are sent.
        StallAfterHeaders = "stall_after_headers",
        /// Only the headers and half of the body are sent.
        StallMidBody = "stall_mid_body",
        /// The connection is closed without a reply.
        Disconnect = "disconnect",
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name).ok_or_else(|| {
            Error::invalid_input(format!(
                "unknown fault {name:?}: use one of {}",
                Self::ALL.map(Self::as_str).join(", ")
            ))
        })
    }
}

/// The parts of a request that rules match.
#[derive(Debug)]
pub(super) struct RuleInput<'r> {
    pub(super) provider: Option<Provider>,
    pub(super) path: &'r str,
    pub(super) model: Option<&'r str>,
    pub(super) texts: [&'r str; 2],
    pub(super) body: &'r [u8],
}

/// A rule with parsed headers and a raw reply with its head.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) rule: Rule,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) reply: Option<CompiledReply>,
}

/// Settings for all requests.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) latency: Duration,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) models: Option<Vec<String>>,
    pub(super) restricted: bool,
    pub(super) keys: Vec<(Provider, String)>,
}

/// The rules and settings.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Mutex<Vec<(Arc<CompiledRule>, Option<u32>)>>,
    settings: Mutex<Settings>,
}

impl Script {
    pub(super) fn add(&self, rule: Rule) -> Result<()> {
        let headers = rule.headers.iter().map(header).collect::<Result<_>>()?;
        if let Some(status) = rule.status
            && !(200..=599).contains(&status)
        {
            return Err(Error::invalid_input(format!("status must be between 200 and 599, not {status}")));
        }
        check_rate(rule.tokens_per_second)?;
        check_contents(&rule)?;
        let reply =
            rule.reply.as_ref().map(|reply| CompiledReply::new(reply, rule.status, &rule.headers)).transpose()?;
        let times = rule.times;
        self.rules().push((Arc::new(CompiledRule { rule, headers, reply }), times));
        Ok(())
    }

    pub(super) fn clear(&self) {
        self.rules().clear();
    }

    /// Returns the first matching rule that has uses left, and counts a use.
    pub(super) fn take(&self, input: &RuleInput<'_>) -> Option<Arc<CompiledRule>> {
        let mut rules = self.rules();
        let (rule, left) =
            rules.iter_mut().find(|(compiled, left)| *left != Some(0) && matches(&compiled.rule, input))?;
        if let Some(left) = left {
            *left -= 1;
        }
        Some(Arc::clone(rule))
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<(Arc<CompiledRule>, Option<u32>)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails unless `rate` is `None` or a positive number.
pub(super) fn check_rate(rate: Option<f64>) -> Result<()> {
    match rate {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => {
            Err(Error::invalid_input(format!("tokens_per_second must be a positive number, not {rate}")))
        }
        _ => Ok(()),
    }
}

/// Fails if a rule has a raw reply and another content.
fn check_contents(rule: &Rule) -> Result<()> {
    let others = [
        ("body", rule.body.is_some()),
        ("pieces", rule.pieces.is_some()),
        ("text", rule.text.is_some()),
        ("json", rule.json.is_some()),
        ("fault", rule.fault.is_some()),
        ("tokens_per_second", rule.tokens_per_second.is_some()),
    ];
    match others.into_iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) if rule.reply.is_some() => {
            Err(Error::invalid_input(format!("`reply` is sent as it is: leave out `{name}`")))
        }
        _ => Ok(()),
    }
}

fn header((name, value): &(String, String)) -> Result<(HeaderName, HeaderValue)> {
    let malformed = || Error::invalid_input(format!("header {name:?} cannot be sent"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| malformed())?;
    Ok((name, value))
}

fn matches(rule: &Rule, input: &RuleInput<'_>) -> bool {
    let is_route = match &rule.route {
        Route::Any => true,
        Route::Provider(provider) => input.provider == Some(*provider),
        Route::Path(start) => input.path.starts_with(start.as_str()),
    };
    // JSON may escape letters, so the decoded texts are searched as well as the body.
    let contains = |text: &str| {
        input.texts.iter().any(|known| known.contains(text))
            || std::str::from_utf8(input.body).is_ok_and(|body| body.contains(text))
    };
    is_route
        && rule.model.as_deref().is_none_or(|model| input.model == Some(model))
        && rule.contains.as_deref().is_none_or(contains)
}
