//! What the simulator does besides answering: rules and settings.

use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::config::Provider;
use crate::error::{Error, Result};

/// One scripted behaviour: which requests it is for, and what happens to them.
///
/// The default matches every request for ever and changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// Which requests, by where they go.
    pub route: Route,
    /// Only requests whose body, prompt or system instruction contains this text.
    pub contains: Option<String>,
    /// Only requests to this model.
    pub model: Option<String>,
    /// How many requests; `None` for all.
    pub times: Option<u32>,
    /// How long to wait before anything is sent; `None` leaves it to
    /// [`Simulator::set_latency`](super::Simulator::set_latency).
    pub latency: Option<Duration>,
    /// How fast the reply is written. A streamed reply arrives piece by piece; another one waits for as long as the whole
    /// would take. `None` leaves it to
    /// [`Simulator::set_tokens_per_second`](super::Simulator::set_tokens_per_second).
    pub tokens_per_second: Option<f64>,
    /// The HTTP status, 200 to 599. One of 400 and above without a body gets the dialect's own error.
    pub status: Option<u16>,
    /// Headers to set besides, or in place of, the usual ones.
    pub headers: Vec<(String, String)>,
    /// The body as it is, in place of the dialect's.
    pub body: Option<Bytes>,
    /// The body as it is, sent piece by piece as a stream. A fault then comes after the last piece.
    pub pieces: Option<Vec<Bytes>>,
    /// What the model says, inside the dialect's usual reply.
    pub text: Option<String>,
    /// The same as a JSON value.
    pub json: Option<Value>,
    /// How many tokens of the prompt are counted, in place of the simulator's own count.
    pub prompt_tokens: Option<u64>,
    /// How many tokens the model thinks before it answers, counted where the dialect counts thoughts; they are taken from
    /// the limit of output tokens. A Gemini request's own bound of thoughts holds.
    pub thinking_tokens: Option<u64>,
    /// What goes wrong on the way.
    pub fault: Option<Fault>,
}

/// Requests by where they go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Route {
    /// Every request, listings of models included.
    #[default]
    Any,
    /// Every request in a provider's dialect.
    Provider(Provider),
    /// Requests whose path starts with this text.
    Path(String),
}

/// What goes wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A complete HTTP reply whose body is half of the JSON it should be.
    Malformed,
    /// The connection is closed in the middle of the body.
    Truncate,
    /// Nothing is ever sent.
    Stall,
    /// The headers are sent, and nothing after them.
    StallAfterHeaders,
    /// The headers and half of the body are sent, and nothing after them.
    StallMidBody,
    /// The connection is closed without a reply.
    Disconnect,
}

impl Fault {
    const ALL: [(&'static str, Self); 6] = [
        ("malformed", Self::Malformed),
        ("truncate", Self::Truncate),
        ("stall", Self::Stall),
        ("stall_after_headers", Self::StallAfterHeaders),
        ("stall_mid_body", Self::StallMidBody),
        ("disconnect", Self::Disconnect),
    ];
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, fault)| fault).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            Error::invalid_input(format!("unknown fault {name:?}: use one of {}", names.join(", ")))
        })
    }
}

/// What a rule is matched against.
#[derive(Debug)]
pub(super) struct Facts<'r> {
    pub(super) provider: Option<Provider>,
    pub(super) path: &'r str,
    pub(super) model: Option<&'r str>,
    pub(super) texts: [&'r str; 2],
    pub(super) body: &'r [u8],
}

/// A rule with its headers read.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) rule: Rule,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Settings that hold for all requests.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) latency: Duration,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) models: Option<Vec<String>>,
    pub(super) restricted: bool,
    pub(super) keys: Vec<(Provider, String)>,
}

/// The rules and the settings.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Mutex<Vec<(Arc<Scripted>, Option<u32>)>>,
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
        let times = rule.times;
        self.rules().push((Arc::new(Scripted { rule, headers }), times));
        Ok(())
    }

    pub(super) fn clear(&self) {
        self.rules().clear();
    }

    /// The first rule that matches and has turns left; takes one turn.
    pub(super) fn take(&self, facts: &Facts<'_>) -> Option<Arc<Scripted>> {
        let mut rules = self.rules();
        let (rule, left) =
            rules.iter_mut().find(|(scripted, left)| *left != Some(0) && matches(&scripted.rule, facts))?;
        if let Some(left) = left {
            *left -= 1;
        }
        Some(Arc::clone(rule))
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<(Arc<Scripted>, Option<u32>)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails unless `rate` is absent or a positive number.
pub(super) fn check_rate(rate: Option<f64>) -> Result<()> {
    match rate {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => {
            Err(Error::invalid_input(format!("tokens_per_second must be a positive number, not {rate}")))
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

fn matches(rule: &Rule, facts: &Facts<'_>) -> bool {
    let routed = match &rule.route {
        Route::Any => true,
        Route::Provider(provider) => facts.provider == Some(*provider),
        Route::Path(start) => facts.path.starts_with(start.as_str()),
    };
    // A body may write a letter as an escape, so its texts are searched as well as its bytes.
    let contains = |text: &str| {
        facts.texts.iter().any(|known| known.contains(text))
            || std::str::from_utf8(facts.body).is_ok_and(|body| body.contains(text))
    };
    routed
        && rule.model.as_deref().is_none_or(|model| facts.model == Some(model))
        && rule.contains.as_deref().is_none_or(contains)
}
