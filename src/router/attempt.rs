//! One request to one target, and the record of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Engine;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request, Usage};
use crate::provider::{self, Target};

/// What happened at one target.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The provider asked.
    pub provider: Provider,
    /// The model asked; where the target named the one it used, that one.
    pub model: Arc<str>,
    /// The class of the failure; `None` where the reply was taken.
    pub error: Option<ErrorKind>,
    /// The failure in words.
    pub message: Option<String>,
    /// The HTTP status, where one came back.
    pub status: Option<u16>,
    /// True where a request went on the wire.
    pub sent: bool,
    /// How long it took.
    pub latency: Duration,
    /// What the provider counted.
    pub usage: Usage,
}

impl Attempt {
    /// Whether the reply was taken.
    pub fn ok(&self) -> bool {
        self.error.is_none()
    }

    /// The record of `reply`.
    pub(super) fn answered(target: &Target, reply: &Reply, started: Instant) -> Self {
        Self {
            provider: target.provider,
            model: reply.model.as_deref().map_or_else(|| Arc::clone(&target.model), Arc::from),
            error: None,
            message: None,
            status: (target.provider != Provider::Mock).then_some(200),
            sent: target.provider != Provider::Mock,
            latency: started.elapsed(),
            usage: reply.usage,
        }
    }

    /// The record of `error`.
    pub(super) fn failed(target: &Target, error: &Error, started: Instant) -> Self {
        Self {
            provider: target.provider,
            model: Arc::clone(&target.model),
            error: Some(error.kind()),
            message: Some(error.message().to_owned()),
            status: error.status(),
            sent: was_sent(error.kind()),
            latency: started.elapsed(),
            usage: error.usage(),
        }
    }
}

/// Asks `target` once. Dropping the future closes the socket.
pub(super) async fn ask(engine: &Engine, target: &Target, request: &Request) -> Result<Reply> {
    let Some(adapter) = provider::adapter(target.provider) else {
        return provider::mock_answer(request);
    };
    if let Some(part) = request.parts.iter().find(|part| !adapter.takes(part)) {
        let message = format!("does not take {}", part.describe());
        return Err(Error::new(ErrorKind::Unsupported, message).at(target.provider, Arc::clone(&target.model)));
    }
    let wire = adapter.encode(target, request)?;
    let answer = engine
        .http()
        .send(wire, target.timeout)
        .await
        .map_err(|error| error.at(target.provider, Arc::clone(&target.model)))?;
    if (200..300).contains(&answer.status) {
        adapter.decode(target, request, &answer.body).map_err(|error| error.with_status(answer.status))
    } else {
        Err(adapter.decode_error(target, answer.status, &answer.headers, &answer.body))
    }
}

/// Errors found before a socket was opened, or because none could be.
fn was_sent(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::InvalidInput | ErrorKind::NotConfigured | ErrorKind::Unsupported | ErrorKind::Connect)
}
