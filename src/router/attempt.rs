//! One request to one target, and the record of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Engine;
use super::attempt_guard::AttemptGuard;
use crate::attempt::Attempt;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request, Usage};
use crate::offload::offload;
use crate::provider::{self, Codec, Target};
use crate::transport::WireRequest;

/// How long to find out whether a server has to load its model, a quarter of the request's time at most.
const LOOK: Duration = Duration::from_secs(1);

impl Attempt {
    /// The record of `reply` to `visit`.
    pub(super) fn answered(visit: &AttemptGuard, reply: &Reply) -> Self {
        let target = &visit.target;
        Self {
            model: reply.model.as_deref().map_or_else(|| Arc::clone(&target.model), Arc::from),
            status: target.is_remote().then_some(200),
            sent: target.is_remote(),
            usage: reply.usage,
            pages: reply.pages.clone(),
            ..Self::of(visit)
        }
    }

    /// The record of `error`, which `visit` ended with.
    pub(super) fn failed(visit: &AttemptGuard, error: &Error) -> Self {
        Self { sent: was_sent(error), ..Self::of(visit) }.with(error)
    }

    /// The record of `visit`, whose answer nobody waits for any more.
    pub(super) fn cancelled(visit: &AttemptGuard) -> Self {
        let message = "given up: another target had answered";
        Self {
            error: Some(ErrorKind::Cancelled),
            message: Some(message.to_owned()),
            sent: true,
            usage: visit.usage_so_far(),
            is_estimated: true,
            ..Self::of(visit)
        }
    }

    /// The record of `outcome`, which another call has asked `target` for, waited for since `started`.
    pub(super) fn shared(target: &Target, outcome: &Result<Reply>, started: Instant) -> Self {
        let waited = Self { latency: started.elapsed(), is_shared: true, ..Self::at(target) };
        match outcome {
            Ok(reply) => Self {
                model: reply.model.as_deref().map_or_else(|| Arc::clone(&target.model), Arc::from),
                status: Some(200),
                pages: reply.pages.clone(),
                ..waited
            },
            // Whose request it was has paid for it.
            Err(error) => Self { usage: Usage::default(), ..waited.with(error) },
        }
    }

    /// The record of a `target` that was not asked because of `error`.
    pub(super) fn not_made(target: &Target, error: &Error) -> Self {
        Self::at(target).with(error)
    }

    /// The same, with `error` as the reason of its end.
    pub(super) fn ended_by(self, error: &Error) -> Self {
        Self { error: Some(error.kind()), message: Some(error.message().to_owned()), ..self }
    }

    fn of(visit: &AttemptGuard) -> Self {
        let (waited, latency, is_hedge) = (visit.waited, visit.started.elapsed(), visit.is_hedge);
        Self { waited, latency, is_hedge, ..Self::at(&visit.target) }
    }

    fn at(target: &Target) -> Self {
        Self::new(target.provider, Arc::clone(&target.model))
    }

    fn with(self, error: &Error) -> Self {
        Self {
            error: Some(error.kind()),
            message: Some(error.message().to_owned()),
            status: error.status(),
            usage: error.usage(),
            retry_after: error.retry_after(),
            ..self
        }
    }
}

/// Learns what the request of `visit` depends on, and whether its target has to load its model first. The request itself has
/// its whole time after that, within the deadline of its call.
///
/// Fails where the target is known to be unable to take the request; nothing was sent then.
pub(super) async fn prepare(engine: &Engine, visit: &mut AttemptGuard) -> Result<()> {
    if let Ok(outcome) = timeout(visit.patience, engine.prepare(&mut visit.target, &visit.request)).await {
        outcome?;
    }
    // Asked where it makes a difference alone: it is a request of its own.
    if let Some(longest) = visit.load_patience
        && timeout(LOOK.min(visit.patience / 4), engine.is_loading(&visit.target)).await == Ok(true)
    {
        visit.patience = longest;
        visit.is_loading = true;
    }
    if let Some(deadline) = visit.deadline {
        visit.patience = visit.patience.min(deadline.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Asks the target of `visit` once. Dropping the future closes the socket.
pub(super) async fn ask(engine: &Engine, visit: &mut AttemptGuard) -> Result<Reply> {
    let encoded = visit.encoded.take();
    let visit = &*visit;
    let (target, request) = (&visit.target, &visit.request);
    let Some(codec) = codec_for(target, request)? else {
        return provider::mock_answer(request);
    };
    let wire = match encoded {
        Some(wire) => wire,
        None => encode(codec, target, request)?,
    };
    let mut sending = pin!(engine.http().send(wire, visit.patience));
    let under_way = visit.under_way();
    let answer = sending.as_mut().await;
    under_way.over();
    let answer = answer.map_err(|error| visit.blame(error))?;
    if (200..300).contains(&answer.status) {
        let reply = offload(answer.body.len(), || codec.decode(target, request, &answer.body));
        reply.map_err(|error| error.with_status(answer.status))
    } else {
        let error = codec.decode_error(target, answer.status, &answer.headers, &answer.body);
        Err(codec.reclassify(target, request, error))
    }
}

/// Writes `request`, with what travels with it.
pub(super) fn encode(codec: &dyn Codec, target: &Target, request: &Request) -> Result<WireRequest> {
    offload(request.attached_bytes(), || codec.encode(target, request))
}

/// The protocol of `target`, where it can carry `request`; `None` for the mock.
pub(super) fn codec_for(target: &Target, request: &Request) -> Result<Option<&'static dyn Codec>> {
    let Some(codec) = provider::codec(target.provider) else { return Ok(None) };
    if let Some(part) = request.parts.iter().find(|part| !codec.supports(part)) {
        let message = format!("does not take {}", part.describe());
        return Err(target.locate(Error::new(ErrorKind::Unsupported, message)));
    }
    Ok(Some(codec))
}

/// Whether bytes of the request may have reached the target: not with errors found before a socket was opened, or because
/// none could be.
fn was_sent(error: &Error) -> bool {
    !error.is_foreseen()
        && !matches!(
            error.kind(),
            ErrorKind::InvalidInput
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
