//! Sends the request of one attempt and decodes the reply.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::attempt_guard::AttemptGuard;
use super::{Engine, installed_models, pages, whole_reply};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request};
use crate::offload::offload;
use crate::provider::{self, Codec, Target};
use crate::transport::{WireReply, WireRequest};

/// The time limit for finding out whether a server has to load its model; at most a quarter of the request's time limit.
const LOADING_PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the request of `guard`. Cancel safety: dropping the future accounts the attempt as cancelled and closes the socket.
pub(super) async fn send(engine: &Engine, mut guard: Box<AttemptGuard>) -> (Box<AttemptGuard>, Result<Reply>) {
    let span = guard.span.clone();
    let sending = async move {
        match prepare(engine, &mut guard).await {
            Ok(()) => {
                let (guard, outcome) = exchange(engine, guard).await;
                match outcome {
                    Ok(reply) => (guard, Ok(reply)),
                    Err(error) => {
                        let error = installed_models::describe(engine, &guard, error).await;
                        (guard, Err(error))
                    }
                }
            }
            Err(error) => (guard, Err(error)),
        }
    };
    sending.instrument(span).await
}

/// Fetches the pages that the target needs as text, looks up what the request of `guard` depends on, and whether its target has to
/// load its model first. Afterwards the request has its whole time limit, within the deadline of the call. Fails, with nothing sent,
/// if the target is known to be unable to serve the request.
pub(super) async fn prepare(engine: &Engine, guard: &mut AttemptGuard) -> Result<()> {
    if pages::are_in(&guard.request) {
        // Boxed: few calls have pages.
        Box::pin(resolve_pages(guard)).await?;
    }
    if let Ok(outcome) = timeout(guard.timeout, engine.prepare(&mut guard.target, &guard.request)).await {
        outcome?;
    }
    // The probe is a request of its own, so it is made only if the answer makes a difference.
    if let Some(load_timeout) = guard.load_timeout
        && timeout(LOADING_PROBE_TIMEOUT.min(guard.timeout / 4), engine.is_loading(&guard.target)).await == Ok(true)
    {
        guard.timeout = load_timeout;
        guard.is_loading = true;
    }
    if let Some(deadline) = guard.deadline {
        guard.timeout = guard.timeout.min(deadline.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

async fn resolve_pages(guard: &mut AttemptGuard) -> Result<()> {
    let resolving = pages::resolve(&mut guard.request, &guard.target, guard.index);
    guard.missing_pages = match guard.deadline {
        None => resolving.await?,
        Some(deadline) => timeout_at(deadline, resolving).await.unwrap_or_else(|_| {
            let message = "the deadline of the call was reached while web pages were fetched";
            Err(guard.target.locate(Error::new(ErrorKind::Timeout, message)))
        })?,
    };
    Ok(())
}

async fn exchange(engine: &Engine, mut guard: Box<AttemptGuard>) -> (Box<AttemptGuard>, Result<Reply>) {
    let wire = match wire_request(&mut guard) {
        Ok(Some(wire)) => wire,
        Ok(None) => {
            let reply = provider::mock_answer(&guard.request);
            return (guard, reply);
        }
        Err(error) => return (guard, Err(error)),
    };
    let mut sending = engine.transport.send(wire, guard.timeout);
    // Declared after the connection, so it is dropped first: who sees the connection close finds the attempt accounted.
    let in_flight = guard;
    let reply = (&mut sending).await;
    let reply = decode(&in_flight, reply);
    (in_flight, reply)
}

/// Returns the encoded request of `guard`; `None` for the mock.
fn wire_request(guard: &mut AttemptGuard) -> Result<Option<WireRequest>> {
    let encoded = guard.encoded.take();
    let Some(codec) = codec_for(&guard.target, &guard.request)? else { return Ok(None) };
    encoded.map_or_else(|| encode(codec, &guard.target, &guard.request), Ok).map(Some)
}

fn decode(guard: &AttemptGuard, reply: Result<WireReply>) -> Result<Reply> {
    let (target, request) = (&guard.target, &guard.request);
    let reply = reply.map_err(|error| guard.attribute(error))?;
    let Some(codec) = target.codec() else { return provider::mock_answer(request) };
    if reply.is_success() {
        let decoded = offload(reply.body.len(), || whole_reply::decode(codec, target, request, &reply.body));
        decoded.map_err(|error| error.with_status(reply.status))
    } else {
        let error = codec.decode_error(target, reply.status, &reply.headers, &reply.body);
        Err(codec.reclassify(target, request, error))
    }
}

/// Encodes `request` with its attachments.
pub(super) fn encode(codec: &dyn Codec, target: &Target, request: &Request) -> Result<WireRequest> {
    offload(request.attached_bytes(), || codec.encode(target, request))
}

/// Returns the protocol of `target`; `None` for the mock. Fails with `Unsupported` if the protocol cannot carry an attachment of
/// `request`.
pub(super) fn codec_for(target: &Target, request: &Request) -> Result<Option<&'static dyn Codec>> {
    let Some(codec) = target.codec() else { return Ok(None) };
    if let Some(part) = request.parts.iter().find(|part| !codec.supports(part)) {
        let message = format!("does not take {}", part.describe());
        return Err(target.locate(Error::new(ErrorKind::Unsupported, message)));
    }
    Ok(Some(codec))
}
