//! One streamed reply of one target: its text as it comes, and how it ended.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::Engine;
use super::send::codec_for;
use super::timed_stream::{StreamItem, StreamTimeouts, TimedStream};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request, Usage};
use crate::offload::offload;
use crate::provider::{self, Event, Target, Transcript};
use crate::schema::{Dialect, Partial};
use crate::transport::{Framing, Incoming};

/// A piece of text is handed over at this size even where more has arrived.
const MAX_PIECE: usize = 64 * 1024;

/// Upper bound of one reply's text, in bytes.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// A streamed reply under way.
#[derive(Debug)]
pub(super) struct EventDecoder {
    target: Target,
    /// `None` where the whole reply came at once.
    wire: Option<TimedStream>,
    /// The reply that came at once.
    whole: Option<Reply>,
    transcript: Transcript,
    /// How much of the text has been handed over.
    told: usize,
    skipped: u32,
    /// How it ended, to be told after the text.
    outcome: Option<Result<()>>,
}

impl EventDecoder {
    /// Asks `target` for a streamed reply to `request`; done when its headers are there.
    pub(super) async fn open(
        engine: &Engine,
        target: Target,
        request: Request,
        limits: StreamTimeouts,
    ) -> Result<Self> {
        let request = &request;
        let Some(codec) = codec_for(&target, request)? else {
            return Ok(Self::whole(target, provider::mock_answer(request)?));
        };
        let started = Instant::now();
        let (patience, whole) = (limits.patience(limits.first), limits.patience(limits.total));
        let wire = offload(request.attached_bytes(), || codec.encode_stream(&target, request))?;
        let opening = engine.http().open(wire, patience);
        let incoming = opening.await.map_err(|error| target.locate(error))?;
        if !(200..300).contains(&incoming.status) {
            let (status, headers) = (incoming.status, incoming.headers.clone());
            let body = body(incoming, &target, patience.saturating_sub(started.elapsed())).await?;
            return Err(codec.reclassify(&target, request, codec.decode_error(&target, status, &headers, &body)));
        }
        if codec.framing() == Framing::Sse && is_document(&incoming.media_type()) {
            // A server that cannot stream, or that does not speak the protocol at all.
            let body = body(incoming, &target, whole.saturating_sub(started.elapsed())).await?;
            let reply = codec.decode(&target, request, &body)?;
            return Ok(Self::whole(target, reply));
        }
        let wire = TimedStream::new(incoming, codec.framing(), limits, started.elapsed());
        Ok(Self { wire: Some(wire), outcome: None, ..Self::new(target) })
    }

    /// The text that has come since the last call; `None` at the end of a reply that is whole.
    ///
    /// White space before the first word is kept back until that comes. Cancel safety: nothing is lost where the future
    /// is dropped.
    pub(super) async fn next(&mut self, request: &Request) -> Result<Option<String>> {
        while self.outcome.is_none() {
            let has_text = self.has_text();
            let Some(wire) = &mut self.wire else { break };
            let arrival = if has_text { wire.arrived().await } else { wire.next(&self.transcript).await };
            match arrival {
                Ok(StreamItem::Event(data)) => self.take(&data, request),
                Ok(StreamItem::End) => self.end(None, request),
                Ok(StreamItem::Nothing) => break,
                Err(error) => self.end(Some(error), request),
            }
            if self.has_text() && self.untold() >= MAX_PIECE {
                break;
            }
        }
        if let Some(wire) = &mut self.wire {
            wire.rest();
        }
        if self.has_text() {
            let piece = self.transcript.text()[self.told..].to_owned();
            self.told += piece.len();
            return Ok(Some(piece));
        }
        self.outcome.clone().unwrap_or(Ok(())).map(|()| None)
    }

    /// The text handed over so far.
    pub(super) fn text(&self) -> &str {
        &self.transcript.text()[..self.told]
    }

    /// What the provider counted so far.
    pub(super) fn usage(&self) -> Usage {
        self.whole.as_ref().map_or_else(|| self.transcript.usage(), |reply| reply.usage)
    }

    /// How many events could not be read.
    pub(super) fn skipped(&self) -> u32 {
        self.skipped
    }

    /// The reader of a structured reply; `None` for free text.
    pub(super) fn partial(&self, request: &Request) -> Option<Partial> {
        let schema = request.schema.as_ref()?;
        Some(self.dialect(request).map_or_else(|| schema.partial(), |dialect| schema.lower(dialect).partial()))
    }

    /// The reply; call it at the end.
    pub(super) fn into_reply(self, request: &Request) -> Result<Reply> {
        let dialect = self.dialect(request);
        match self.whole {
            Some(reply) => Ok(reply),
            None => self.transcript.into_reply(&self.target, request, dialect),
        }
    }

    fn new(target: Target) -> Self {
        let (transcript, outcome) = (Transcript::default(), Some(Ok(())));
        Self { target, wire: None, whole: None, transcript, told: 0, skipped: 0, outcome }
    }

    fn whole(target: Target, reply: Reply) -> Self {
        let mut feed = Self::new(target);
        let text = Some(reply.text.clone());
        feed.transcript.add(Event { text, is_last: true, ..Event::default() });
        feed.whole = Some(reply);
        feed
    }

    /// What the text has to be brought back from; `None` where it is in the form of the caller's own schema.
    fn dialect(&self, request: &Request) -> Option<Dialect> {
        let codec = provider::codec(self.target.provider).filter(|_| self.whole.is_none())?;
        codec.schema_form(&self.target, request).map(|form| codec.dialect(form))
    }

    fn untold(&self) -> usize {
        self.transcript.text().len() - self.told
    }

    fn has_text(&self) -> bool {
        self.transcript.has_content() && self.untold() > 0
    }

    fn take(&mut self, data: &Bytes, request: &Request) {
        let (Some(wire), Some(codec)) = (&mut self.wire, provider::codec(self.target.provider)) else { return };
        match codec.decode_event(&self.target, data) {
            Ok(event) => {
                wire.alive();
                self.transcript.add(event);
                if self.transcript.text().len() > MAX_TEXT {
                    let message = format!("the streamed text is longer than {MAX_TEXT} bytes");
                    self.end(Some(Error::new(ErrorKind::MalformedReply, message)), request);
                }
            }
            Err(error) if error.kind() == ErrorKind::MalformedReply => self.skip(&error),
            Err(error) => {
                let error = codec.reclassify(&self.target, request, error);
                self.end(Some(error), request);
            }
        }
    }

    /// One warning a stream: a server that garbles one event may garble thousands.
    fn skip(&mut self, error: &Error) {
        if self.skipped == 0 {
            let (provider, model) = (self.target.provider.as_str(), &*self.target.model);
            tracing::warn!(provider, model, "skipped an event of the stream: {}", error.message());
        }
        self.skipped = self.skipped.saturating_add(1);
    }

    fn end(&mut self, failure: Option<Error>, request: &Request) {
        let outcome = self.transcript.check(&self.target, request, failure).map_err(|error| {
            let error = match error.kind() {
                ErrorKind::EmptyReply if self.skipped > 0 => {
                    let message = "no event of the stream could be read; is the base URL right?";
                    self.target.locate(Error::new(ErrorKind::MalformedReply, message)).with_usage(error.usage())
                }
                _ => error,
            };
            match &self.wire {
                Some(wire) => error.with_status(wire.status()),
                None => error,
            }
        });
        self.outcome = Some(outcome);
        if self.outcome.as_ref().is_some_and(Result::is_err) {
            // Nothing more is wanted from this connection.
            self.wire = None;
        }
    }
}

/// Media types that are no stream of events.
fn is_document(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/html")
}

async fn body(incoming: Incoming, target: &Target, patience: Duration) -> Result<Bytes> {
    let late =
        Error::new(ErrorKind::Timeout, format!("no complete reply from {} within the time limit", incoming.place()));
    timeout(patience, incoming.body()).await.unwrap_or(Err(late)).map_err(|error| target.locate(error))
}
