//! One request to one target, and the record of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Engine;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request, Usage};
use crate::provider::{self, Adapter, Target};
use crate::schema::Change;

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
    /// Events of a streamed reply that could not be read and were left out.
    pub skipped_events: u32,
    /// What was done to the reply to make it JSON of its schema; empty where it was taken as it came.
    pub changes: Vec<Change>,
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
            skipped_events: 0,
            changes: Vec::new(),
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
            skipped_events: 0,
            changes: Vec::new(),
        }
    }
}

/// Asks `target` once. Dropping the future closes the socket.
pub(super) async fn ask(engine: &Engine, target: &Target, request: &Request) -> Result<Reply> {
    let Some(adapter) = adapter_for(target, request)? else {
        return provider::mock_answer(request);
    };
    let wire = adapter.encode(target, request)?;
    let answer = engine.http().send(wire, target.timeout).await.map_err(|error| target.locate(error))?;
    if (200..300).contains(&answer.status) {
        adapter.decode(target, request, &answer.body).map_err(|error| error.with_status(answer.status))
    } else {
        let error = adapter.decode_error(target, answer.status, &answer.headers, &answer.body);
        Err(adapter.attribute(target, request, error))
    }
}

/// The protocol of `target`, where it can carry `request`; `None` for the mock.
pub(super) fn adapter_for(target: &Target, request: &Request) -> Result<Option<&'static dyn Adapter>> {
    let Some(adapter) = provider::adapter(target.provider) else { return Ok(None) };
    if let Some(part) = request.parts.iter().find(|part| !adapter.takes(part)) {
        let message = format!("does not take {}", part.describe());
        return Err(target.locate(Error::new(ErrorKind::Unsupported, message)));
    }
    Ok(Some(adapter))
}

/// Errors found before a socket was opened, or because none could be.
fn was_sent(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::InvalidInput
            | ErrorKind::NotConfigured
            | ErrorKind::Unsupported
            | ErrorKind::Connect
            | ErrorKind::Dns
            | ErrorKind::Tls
            | ErrorKind::ConnectTimeout
            | ErrorKind::Resting
    )
}
