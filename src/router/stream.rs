//! A streamed call: text as it comes, from the first target that answers; of a structured reply what is closed of it.
//!
//! Before the first text a failure is like any other: the policy's next target is asked, and the consumer notices nothing.
//! After it the consumer holds a part of an answer that will never be completed, so it decides beforehand what is to
//! happen: [`OnStreamError`].
//!
//! A structured reply ends with its whole, which the caller judges as that of a [`Call`](super::Call): it ends the stream
//! with [`Stream::finish`], or tells with [`Stream::reject`] what is wrong and pulls on.

use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use super::attempt_guard::AttemptGuard;
use super::call_state::CallState;
use super::event_decoder::EventDecoder;
use super::reply_validation::{self, ReplyValidation};
use super::send;
use super::text_stream::TextStream;
use super::timed_stream::StreamTimeouts;
use super::{AttemptObserver, Engine, Rejection, Response, Router};
use crate::attempt::Attempt;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::provider::Target;

/// How long a hosted provider may take to its first text. A local server may first load its model: its limit is the whole
/// timeout of the configuration.
const FIRST: Duration = Duration::from_secs(120);

/// How long a stream may stand still.
const IDLE: Duration = Duration::from_secs(60);

/// What happens when a stream fails after its first text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStreamError {
    /// The call fails; the error has the text so far.
    #[default]
    Fail,
    /// The next target starts anew, where the plan has one, and the consumer is told to drop its text.
    Restart,
}

impl FromStr for OnStreamError {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "fail" => Ok(Self::Fail),
            "restart" => Ok(Self::Restart),
            _ => Err(Error::invalid_input(format!("on_stream_error must be \"fail\" or \"restart\", not {name:?}"))),
        }
    }
}

/// What the caller of a stream may choose.
///
/// The time limits hold for one target each and count only the time spent waiting for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamOptions {
    /// What happens when a stream fails after its first text.
    pub on_error: OnStreamError,
    /// Time to the first text, connecting included; `None` is 120 s, for Ollama the configuration's timeout.
    pub first: Option<Duration>,
    /// Time between two events after the first text; `None` is 60 s.
    pub idle: Option<Duration>,
    /// Time for the whole reply; `None` is 600 s, for Ollama the configuration's timeout.
    pub total: Option<Duration>,
}

/// What a stream gives.
#[derive(Debug, Clone)]
pub enum StreamEvent {
    /// The next text. Never empty; the texts joined are the answer.
    Delta(String),
    /// Of a structured reply: the JSON text of what is closed so far, as [`Partial`](crate::schema::Partial) gives it.
    /// It replaces the last one, and holds all of it.
    Partial(String),
    /// Of a structured reply: the whole, as JSON text to be judged. Nothing follows unless it is rejected.
    Whole(String),
    /// What was given so far is void: this attempt failed after its first text, and the next one starts anew.
    Restarted(Box<Attempt>),
}

/// A streamed call under way. It reads only when it is pulled. Dropping it ends it and closes its socket.
#[derive(Debug)]
pub struct Stream {
    state: CallState,
    options: StreamOptions,
    reading: Option<TextStream>,
    validation: ReplyValidation,
    /// What the consumer has been shown of the reply on validation.
    shown: String,
    /// Why the reply on validation is not taken.
    rejection: Option<Rejection>,
    has_ended: bool,
}

impl Stream {
    pub(super) fn new(
        router: Arc<Router>,
        engine: Arc<Engine>,
        request: Request,
        force: Option<Provider>,
        options: StreamOptions,
    ) -> Result<Self> {
        if [options.first, options.idle, options.total].into_iter().flatten().any(|limit| limit.is_zero()) {
            return Err(Error::invalid_input("a time limit must be a positive number of seconds"));
        }
        let state = CallState::new(router, engine, request, force)?;
        Ok(Self {
            state,
            options,
            reading: None,
            validation: ReplyValidation::default(),
            shown: String::new(),
            rejection: None,
            has_ended: false,
        })
    }

    /// Reports the attempts to `observer`. Call it before the first [`Stream::next`].
    pub fn observe(&mut self, observer: Option<Arc<dyn AttemptObserver>>) {
        self.state.observer = observer;
    }

    /// Waits for the next text and gives all of it that has arrived, of a structured reply what is closed; `None` at the
    /// end, again and again.
    ///
    /// Fails when no target is left, at once on an error that no other target would answer differently, and after the
    /// first text as [`OnStreamError`] says; [`Error::partial`] is what was given last then. After an error the stream has
    /// ended.
    ///
    /// Cancel safety: a dropped future loses no text. A request whose headers had not arrived is dropped with it, and sent
    /// anew by the next call.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>> {
        if !self.has_ended {
            self.state.start(Instant::now());
        }
        let span = self.state.span.clone();
        self.advance().instrument(span).await
    }

    async fn advance(&mut self) -> Result<Option<StreamEvent>> {
        if let Some(rejection) = self.rejection.take()
            && let Some(event) = self.rejected(&rejection)?
        {
            return Ok(Some(event));
        }
        while !self.has_ended {
            let Some(reading) = &mut self.reading else {
                self.open().await?;
                continue;
            };
            let event = match reading.next().await {
                Ok(Some(text)) if self.state.request.schema.is_some() => Some(StreamEvent::Partial(text)),
                Ok(Some(text)) => Some(StreamEvent::Delta(text)),
                Ok(None) => self.conclude()?,
                Err(error) => self.interrupted(error)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Does not take the whole that [`Stream::next`] gave last. The next call mends it, or does what is to be done about a
    /// reply that cannot be used: as after any failure, before and after the first text.
    pub fn reject(&mut self, rejection: Rejection) {
        self.rejection = Some(rejection);
    }

    /// The answer, after [`Stream::next`] gave `None` or a whole that is taken. Fails with `Internal` before, and after an
    /// error.
    pub fn finish(mut self) -> Result<Response> {
        let answer = self.validation.accept().filter(|_| self.rejection.is_none());
        let response = answer.and_then(|reply| self.state.finish(reply.text));
        response.ok_or_else(|| Error::new(ErrorKind::Internal, "finish() before the end of the stream"))
    }

    /// Whether files or images travel with the prompt.
    pub fn has_attachments(&self) -> bool {
        !self.state.request.parts.is_empty()
    }

    /// Asks the next target; where that fails, the policy decides.
    async fn open(&mut self) -> Result<()> {
        let mut visit = self.state.next_attempt().await.inspect_err(|_| self.has_ended = true)?;
        if let Err(error) = send::prepare(&self.state.engine, &mut visit).await {
            return self.failed(visit, error, 0).map(drop);
        }
        let loading = if visit.is_loading { visit.timeout } else { Duration::ZERO };
        let limits = self.options.limits(&visit.target, loading, visit.deadline);
        let (target, request) = (visit.target.clone(), visit.request.clone());
        let (visit, opened) = {
            let mut opening = pin!(EventDecoder::open(&self.state.engine, target, request, limits));
            // Declared after the connection, so it is dropped first: who sees the connection close finds the attempt accounted.
            let in_flight = visit;
            let opened = opening.as_mut().await;
            (in_flight, opened)
        };
        match opened.map_err(|error| visit.attribute(error)) {
            Ok(feed) => {
                self.reading = Some(TextStream::new(feed, visit));
                Ok(())
            }
            Err(error) => self.failed(visit, error, 0).map(drop),
        }
    }

    /// The reply is whole. Gives it where it is to be judged.
    fn conclude(&mut self) -> Result<Option<StreamEvent>> {
        let Some(reading) = self.reading.take() else { return Ok(None) };
        reading.shown().clone_into(&mut self.shown);
        let TextStream { feed, visit, .. } = reading;
        let skipped_events = feed.skipped();
        let reply = match feed.into_reply(&visit.request) {
            Ok(reply) => reply,
            Err(error) => return self.failed(visit, error, skipped_events).map(|_| None),
        };
        self.state.record_success(visit, &reply, skipped_events);
        self.has_ended = true;
        if self.validation.begin(&mut self.state, reply) {
            return Ok(self.whole());
        }
        self.overruled(&reply_validation::no_json())
    }

    /// The whole was rejected. Gives another reading of it, where there is one.
    fn rejected(&mut self, rejection: &Rejection) -> Result<Option<StreamEvent>> {
        if self.validation.recover(&mut self.state) { Ok(self.whole()) } else { self.overruled(rejection) }
    }

    fn whole(&self) -> Option<StreamEvent> {
        self.state.request.schema.as_ref()?;
        self.validation.text().map(|text| StreamEvent::Whole(text.to_owned()))
    }

    /// What follows where the whole cannot be used.
    fn overruled(&mut self, rejection: &Rejection) -> Result<Option<StreamEvent>> {
        let (error, repair) = self.validation.reject(&mut self.state, rejection)?;
        let shown = std::mem::take(&mut self.shown);
        if shown.is_empty() {
            self.state.record_rejection(error, repair)?;
            self.has_ended = false;
            return Ok(None);
        }
        let booked = match self.options.on_error {
            OnStreamError::Restart => self.state.record_rejection(error.clone(), repair),
            OnStreamError::Fail => Err(self.state.fail(error.clone())),
        };
        self.restart(booked, error, &shown)
    }

    /// What follows where the present target's stream fails with `error`. Tells where the consumer has to drop its text.
    fn interrupted(&mut self, error: Error) -> Result<Option<StreamEvent>> {
        let Some(reading) = self.reading.take() else { return Err(error) };
        let shown = reading.shown().to_owned();
        let TextStream { feed, visit, .. } = reading;
        if shown.is_empty() {
            return self.failed(visit, error, feed.skipped()).map(|_| None);
        }
        let booked = match self.options.on_error {
            OnStreamError::Restart => self.state.record_failure(visit, error.clone(), feed.skipped()),
            OnStreamError::Fail => Err(self.state.record_final_failure(visit, error.clone(), feed.skipped())),
        };
        self.restart(booked, error, &shown)
    }

    /// Tells the consumer to drop what it was `shown`, where the failure has been `booked` and another request can follow.
    /// Ends the stream with the booked failure, or with `error`, where not.
    fn restart(&mut self, booked: Result<Attempt>, error: Error, shown: &str) -> Result<Option<StreamEvent>> {
        let failure = match booked {
            Ok(attempt) if self.state.can_continue(Instant::now()) => {
                self.has_ended = false;
                return Ok(Some(StreamEvent::Restarted(Box::new(attempt))));
            }
            Ok(_) => self.state.fail(error),
            Err(failure) => failure,
        };
        self.has_ended = true;
        Err(failure.with_partial(shown))
    }

    fn failed(&mut self, visit: Box<AttemptGuard>, error: Error, skipped: u32) -> Result<Attempt> {
        self.state.record_failure(visit, error, skipped).inspect_err(|_| self.has_ended = true)
    }
}

impl StreamOptions {
    /// `loading` is the time for the target to load its model.
    fn limits(&self, target: &Target, loading: Duration, deadline: Option<Instant>) -> StreamTimeouts {
        let first = if target.loads_model() { target.timeout } else { FIRST };
        StreamTimeouts {
            first: self.first.unwrap_or(first + loading),
            idle: self.idle.unwrap_or(IDLE),
            total: self.total.unwrap_or(target.timeout + loading),
            deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ModelTier};
    use crate::provider::protocol;

    #[test]
    fn a_local_server_may_take_its_whole_timeout_to_load_a_model() {
        let config = Config { ollama_timeout: 300.0, ..Config::default() };
        let seconds = |provider, options: StreamOptions| {
            let limits = options.limits(&protocol(provider).target(&config, ModelTier::Fast), Duration::ZERO, None);
            [limits.first, limits.idle, limits.total].map(|limit| limit.as_secs())
        };
        assert_eq!(seconds(Provider::Ollama, StreamOptions::default()), [300, 60, 300]);
        assert_eq!(seconds(Provider::Gemini, StreamOptions::default()), [120, 60, 600]);
        let second = Some(Duration::from_secs(1));
        let chosen = StreamOptions { first: second, idle: second, total: second, ..StreamOptions::default() };
        assert_eq!(seconds(Provider::Ollama, chosen), [1, 1, 1]);
    }
}
