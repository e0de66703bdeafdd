//! The streamed reply of one attempt: its text, or the closed part of its JSON, and how it ended.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::Engine;
use super::attempt_guard::AttemptGuard;
use super::send::codec_for;
use super::whole_reply;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Reply, Request};
use crate::offload::offload;
use crate::provider::{self, Event, Target, Transcript};
use crate::schema::{Dialect, Partial};
use crate::transport::{self, EventStream, Frame, FrameKind, MAX_REPLY, ResponseBody, StreamProgress, StreamTimeouts};

/// The size from which on text is returned although more has arrived, in bytes.
const MAX_PIECE: usize = 64 * 1024;

/// Upper bound of the texts of one reply, in bytes: answer, reasoning and refusal together.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// A reply whose headers have arrived.
enum Opened {
    /// Its events follow.
    Events(EventStream),
    /// It is complete, from the mock.
    Complete(Reply),
}

/// The reply of one attempt while it arrives.
#[derive(Debug)]
pub(super) struct StreamedReply {
    /// Declared before the connection, so that a server that sees its connection end finds the attempt accounted.
    guard: Box<AttemptGuard>,
    /// `None` once the reply has failed, or if it arrived complete.
    events: Option<EventStream>,
    /// The reply that arrived complete, from a server that does not stream or from the mock.
    complete: Option<Reply>,
    transcript: Transcript,
    /// The length of the text that has been returned.
    returned: usize,
    /// Reads the JSON of a structured reply.
    partial: Option<Partial>,
    /// The last snapshot of a structured reply; empty before the first.
    snapshot: String,
    /// The number of valid events.
    read: u32,
    /// The number of invalid events.
    skipped: u32,
    /// How the reply ended; reported after its text.
    outcome: Option<Result<()>>,
}

impl StreamedReply {
    /// Sends the request of `guard` and waits for the headers of the reply.
    ///
    /// # Cancel safety
    /// Dropping the future accounts the attempt as cancelled and closes the socket.
    pub(super) async fn open(
        engine: &Engine,
        guard: Box<AttemptGuard>,
        timeouts: StreamTimeouts,
    ) -> Result<Self, (Box<AttemptGuard>, Error)> {
        let mut opening = pin!(request_reply(engine, Arc::clone(&guard.target), guard.request.clone(), timeouts));
        // Declared after the connection and so dropped first: a server that sees its connection close finds the attempt
        // accounted.
        let in_flight = guard;
        match opening.as_mut().instrument(in_flight.span.clone()).await {
            Ok(opened) => Ok(Self::new(in_flight, opened)),
            Err(error) => {
                let error = in_flight.attribute(error);
                Err((in_flight, error))
            }
        }
    }

    fn new(guard: Box<AttemptGuard>, opened: Opened) -> Self {
        let transcript = Transcript::new(&guard.request);
        let (events, complete) = match opened {
            Opened::Events(events) => (Some(events), None),
            Opened::Complete(reply) => (None, Some(reply)),
        };
        let mut this = Self {
            guard,
            events,
            complete: None,
            transcript,
            returned: 0,
            partial: None,
            snapshot: String::new(),
            read: 0,
            skipped: 0,
            outcome: None,
        };
        match complete {
            Some(reply) => this.complete(reply),
            None => this.partial = this.new_partial(),
        }
        this
    }

    /// Ends the reply with `reply`, which has arrived complete.
    fn complete(&mut self, reply: Reply) {
        self.transcript = Transcript::complete(reply.text.clone());
        self.complete = Some(reply);
        self.partial = self.new_partial();
        self.outcome = Some(Ok(()));
    }

    /// Returns the reader of a structured reply in the dialect in which it arrives.
    fn new_partial(&self) -> Option<Partial> {
        let schema = self.guard.request.schema.as_ref()?;
        Some(self.dialect().map_or_else(|| schema.partial(), |dialect| schema.lower(dialect).partial()))
    }

    /// Returns the next text, or the next snapshot of a structured reply if more of it is closed; `None` at the end of a
    /// complete reply.
    ///
    /// # Cancel safety
    /// Dropping the future loses no text.
    pub(super) async fn next(&mut self) -> Result<Option<String>> {
        while let Some(text) = self.next_text().await? {
            let usage = self.complete.as_ref().map_or_else(|| self.transcript.usage(), |reply| reply.usage);
            self.guard.record_progress(usage, self.returned);
            let Some(partial) = &mut self.partial else { return Ok(Some(text)) };
            partial.push_answer(&text);
            if let Some(snapshot) = partial.snapshot() {
                self.snapshot.clone_from(&snapshot);
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// Returns what [`StreamedReply::next`] has returned so far: the text, or the last snapshot.
    pub(super) fn shown(&self) -> &str {
        if self.partial.is_some() { &self.snapshot } else { &self.transcript.text()[..self.returned] }
    }

    /// Ends a failed reply. Returns the guard and the number of skipped events.
    pub(super) fn into_guard(self) -> (Box<AttemptGuard>, u32) {
        (self.guard, self.skipped)
    }

    /// Ends a complete reply. Returns the guard, the reply and the number of skipped events.
    pub(super) fn into_reply(self) -> (Box<AttemptGuard>, Result<Reply>, u32) {
        let dialect = self.dialect();
        let Self { guard, complete, transcript, skipped, .. } = self;
        let reply = match complete {
            Some(reply) => Ok(reply),
            None => transcript.into_reply(&guard.target, &guard.request, dialect),
        };
        (guard, reply, skipped)
    }

    /// Returns the text that has arrived since the last call, waiting for the first piece. White space before the first word
    /// is returned together with that word.
    async fn next_text(&mut self) -> Result<Option<String>> {
        while self.outcome.is_none() {
            let has_text = self.has_text();
            let Some(events) = &mut self.events else { break };
            let event = if has_text {
                events.try_next().await
            } else {
                events.next(progress(&self.transcript)).await.map(Poll::Ready)
            };
            match event {
                Ok(Poll::Ready(Some(frame))) => self.read_frame(&frame),
                Ok(Poll::Ready(None)) => self.end(None),
                Ok(Poll::Pending) => break,
                Err(error) => self.end(Some(error)),
            }
            if self.has_text() && self.transcript.text().len() - self.returned >= MAX_PIECE {
                break;
            }
        }
        if let Some(events) = &mut self.events {
            events.pause();
        }
        if self.has_text() {
            let text = self.transcript.text()[self.returned..].to_owned();
            self.returned += text.len();
            return Ok(Some(text));
        }
        self.outcome.clone().unwrap_or(Ok(())).map(|()| None)
    }

    fn has_text(&self) -> bool {
        self.transcript.has_content() && self.transcript.text().len() > self.returned
    }

    fn read_frame(&mut self, frame: &Frame) {
        let AttemptGuard { target, request, .. } = &*self.guard;
        let Some(codec) = target.codec() else { return };
        let event = match frame.kind {
            FrameKind::Event => whole_reply::decode_event(codec, target, request, &frame.data),
            FrameKind::Error => Err(whole_reply::decode_error_event(codec, target, request, &frame.data)),
            FrameKind::Document => {
                let decoded = offload(frame.data.len(), || whole_reply::decode(codec, target, request, &frame.data));
                return match decoded {
                    Ok(reply) => self.complete(reply),
                    Err(error) => self.fail(error),
                };
            }
        };
        match event {
            Ok(event) => self.add(event),
            Err(error) if error.kind() == ErrorKind::MalformedReply => {
                match whole_reply::decode_lines(codec, target, request, &frame.data) {
                    Some(Ok(events)) => {
                        for event in events {
                            self.add(event);
                        }
                    }
                    Some(Err(error)) => self.end(Some(error)),
                    None => self.skip(&error),
                }
            }
            Err(error) => self.end(Some(error)),
        }
    }

    fn add(&mut self, event: Event) {
        self.read = self.read.saturating_add(1);
        // A keep-alive is no sign that the model generates.
        if let Some(events) = &mut self.events
            && (!event.is_keep_alive || self.transcript.has_content())
        {
            events.reset_idle();
        }
        self.transcript.add(event);
        for text in self.transcript.take_retracted() {
            self.retract(&text);
        }
        if self.transcript.size() > MAX_TEXT {
            let message = format!("the streamed text is longer than {MAX_TEXT} bytes");
            self.end(Some(Error::new(ErrorKind::MalformedReply, message)));
        }
    }

    /// Starts over after `text` of a structured reply, which proved to be reasoning. Parts of it that were returned stay, and
    /// only the complete reply follows.
    fn retract(&mut self, text: &str) {
        if let Some(partial) = &mut self.partial {
            partial.push_answer(text.get(self.returned..).unwrap_or_default());
            partial.retract();
        }
        self.returned = 0;
    }

    /// Counts an invalid event. Logs only the first one of the reply. Structured data without it would be wrong, so it ends a
    /// structured reply.
    fn skip(&mut self, error: &Error) {
        if self.skipped == 0 {
            let Target { provider, model, .. } = &*self.guard.target;
            // Without spans, the record has these fields only.
            tracing::warn!(
                provider = provider.as_str(),
                model = &**model,
                router_id = self.guard.router_id(),
                call_id = self.guard.call_id,
                "skipped an invalid event of the stream: {}",
                error.message()
            );
        }
        self.skipped = self.skipped.saturating_add(1);
        if self.partial.is_some() {
            let hint = if self.read == 0 { "; check the base URL" } else { "" };
            let message = format!(
                "an event of the stream could not be read, so the data is incomplete: {}{hint}",
                error.message()
            );
            self.end(Some(Error::new(ErrorKind::MalformedReply, message)));
        }
    }

    /// Ends the reply with `failure`, or with the end of the body.
    fn end(&mut self, failure: Option<Error>) {
        self.transcript.finish();
        let AttemptGuard { target, request, .. } = &*self.guard;
        match self.transcript.check(target, request, failure) {
            Ok(()) => self.outcome = Some(Ok(())),
            Err(error) if error.kind() == ErrorKind::EmptyReply && self.skipped > 0 => {
                self.fail(self.unreadable().with_usage(error.usage()));
            }
            Err(error) if error.kind() == ErrorKind::EmptyReply && self.read == 0 => {
                self.fail(whole_reply::empty_body(target));
            }
            Err(error) => self.fail(error),
        }
    }

    /// The error of a reply with invalid events.
    fn unreadable(&self) -> Error {
        let message = match self.read {
            0 => "no event of the stream is valid; check the base URL".to_owned(),
            read => format!("{} of {} events of the stream could not be read", self.skipped, read + self.skipped),
        };
        self.guard.target.locate(Error::new(ErrorKind::MalformedReply, message))
    }

    /// Ends the reply with `error` and closes the connection.
    fn fail(&mut self, error: Error) {
        let error = match self.events.take() {
            Some(events) => error.with_status(events.status()),
            None => error,
        };
        self.outcome = Some(Err(error));
    }

    /// Returns the dialect in which the JSON was requested; `None` if the text is already in the form of the caller's schema.
    fn dialect(&self) -> Option<Dialect> {
        let AttemptGuard { target, request, .. } = &*self.guard;
        let codec = target.codec().filter(|_| self.complete.is_none())?;
        codec.reply_dialect(target, request)
    }
}

/// Requests a streamed reply to `request` and waits for its headers.
async fn request_reply(
    engine: &Engine,
    target: Arc<Target>,
    request: Request,
    timeouts: StreamTimeouts,
) -> Result<Opened> {
    let Some(codec) = codec_for(&target, &request)? else {
        return provider::mock_answer(&request).map(Opened::Complete);
    };
    let started = Instant::now();
    let first = timeouts.cap(timeouts.first);
    let wire = offload(request.attached_bytes(), || codec.encode_stream(&target, &request))?;
    let host = transport::host_and_port(&wire.url);
    let reply = engine.transport.open(wire, first).await?;
    let left = |limit: Duration| limit.saturating_sub(started.elapsed());
    if !reply.is_success() {
        let body = read_to_end(reply.body, left(first)).await?;
        let error = codec.decode_error(&target, reply.status, &reply.headers, &body);
        return Err(codec.reclassify(&target, &request, error));
    }
    Ok(Opened::Events(EventStream::new(reply, codec.framing(), host, timeouts, started.elapsed())))
}

fn progress(transcript: &Transcript) -> StreamProgress {
    if transcript.is_complete() {
        StreamProgress::Complete
    } else if transcript.has_content() {
        StreamProgress::Text
    } else {
        StreamProgress::BeforeText
    }
}

async fn read_to_end(body: ResponseBody, limit: Duration) -> Result<Bytes> {
    let late = |_| Err(Error::new(ErrorKind::Timeout, "the reply was not complete within the time limit"));
    timeout(limit, body.read_to_end(MAX_REPLY)).await.unwrap_or_else(late)
}
