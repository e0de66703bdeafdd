//! A streamed call: text as it comes, from the first target that answers.
//!
//! Before the first text a failure is like any other: the policy's next target is asked, and the consumer notices nothing.
//! After it the consumer holds a part of an answer that will never be completed, so it decides beforehand what is to
//! happen: [`OnStreamError`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::feed::Feed;
use super::policy::{self, Onward};
use super::walk::{Sending, Walk};
use super::wire::Limits;
use super::{Engine, Response, Router};
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
    /// The text so far is void: this attempt failed after its first text, and the next target starts anew.
    Restarted(Box<Attempt>),
}

/// A streamed call under way. It reads only when it is pulled. Dropping it ends it and closes its socket.
#[derive(Debug)]
pub struct Stream {
    walk: Walk,
    options: StreamOptions,
    reading: Option<Reading>,
    /// The whole text, at the end.
    answer: Option<String>,
    has_ended: bool,
}

/// The reply of the present target.
#[derive(Debug)]
struct Reading {
    feed: Feed,
    target: Target,
    started: Instant,
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
        let walk = Walk::new(router, engine, request, force)?;
        Ok(Self { walk, options, reading: None, answer: None, has_ended: false })
    }

    /// Waits for the next text and gives all of it that has arrived; `None` at the end, again and again.
    ///
    /// Fails when no target is left, at once on an error that no other target would answer differently, and after the
    /// first text as [`OnStreamError`] says; [`Error::partial`] is the text so far then. After an error the stream has
    /// ended.
    ///
    /// Cancel safety: a dropped future loses no text. A request whose headers had not arrived is dropped with it, and sent
    /// anew by the next call.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>> {
        while !self.has_ended {
            if let Some(Reading { feed, .. }) = &mut self.reading {
                match feed.next(&self.walk.request).await {
                    Ok(Some(text)) => return Ok(Some(StreamEvent::Delta(text))),
                    Ok(None) => self.conclude(),
                    Err(error) => {
                        if let Some(failed) = self.interrupted(error)? {
                            return Ok(Some(StreamEvent::Restarted(Box::new(failed))));
                        }
                    }
                }
            } else {
                self.open().await?;
            }
        }
        Ok(None)
    }

    /// The answer, after [`Stream::next`] gave `None`. Fails with `Internal` before, and after an error.
    pub fn finish(self) -> Result<Response> {
        let response = self.answer.and_then(|text| self.walk.answer(text));
        response.ok_or_else(|| Error::new(ErrorKind::Internal, "finish() before the end of the stream"))
    }

    /// Asks the present target; where that fails, the policy decides.
    async fn open(&mut self) -> Result<()> {
        let target = self.walk.target().inspect_err(|_| self.has_ended = true)?;
        let started = Instant::now();
        let sending = Sending::new(&self.walk.router, target.provider);
        let limits = self.options.limits(&target);
        match Feed::open(&self.walk.engine, &target, &self.walk.request, limits).await {
            Ok(feed) => {
                // The mock is not counted in any case.
                sending.settle(true);
                self.reading = Some(Reading { feed, target, started });
                Ok(())
            }
            Err(error) => {
                let attempt = Attempt::failed(&target, &error, started);
                sending.settle(attempt.sent);
                self.walk.record(attempt);
                self.advance(error)
            }
        }
    }

    /// The reply is whole.
    fn conclude(&mut self) {
        self.has_ended = true;
        if let Some(Reading { feed, target, started }) = self.reading.take() {
            let skipped_events = feed.skipped();
            let reply = feed.into_reply();
            self.walk.record(Attempt { skipped_events, ..Attempt::answered(&target, &reply, started) });
            self.answer = Some(reply.text);
        }
    }

    /// What follows where the present target's stream fails with `error`. Gives the attempt where the consumer has to
    /// drop its text.
    fn interrupted(&mut self, error: Error) -> Result<Option<Attempt>> {
        let Some(Reading { feed, target, started }) = self.reading.take() else { return Err(error) };
        let attempt = Attempt { skipped_events: feed.skipped(), ..Attempt::failed(&target, &error, started) };
        self.walk.record(attempt.clone());
        if feed.text().is_empty() {
            return self.advance(error).map(|()| None);
        }
        let restarts = self.options.on_error == OnStreamError::Restart
            && policy::after(error.kind(), target.provider).onward == Onward::Next
            && self.walk.has_another();
        if restarts {
            return self.advance(error).map(|()| Some(attempt));
        }
        self.has_ended = true;
        Err(self.walk.fail(error).with_partial(feed.text()))
    }

    fn advance(&mut self, error: Error) -> Result<()> {
        self.walk.advance(error).inspect_err(|_| self.has_ended = true)
    }
}

impl StreamOptions {
    fn limits(&self, target: &Target) -> Limits {
        let first = if target.provider == Provider::Ollama { target.timeout } else { FIRST };
        Limits {
            first: self.first.unwrap_or(first),
            idle: self.idle.unwrap_or(IDLE),
            total: self.total.unwrap_or(target.timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ModelTier};
    use crate::router::plan;

    #[test]
    fn a_local_server_may_take_its_whole_timeout_to_load_a_model() {
        let config = Config { ollama_timeout: 300.0, ..Config::default() };
        let seconds = |provider, options: StreamOptions| {
            let limits = options.limits(&plan::target(&config, ModelTier::Fast, provider));
            [limits.first, limits.idle, limits.total].map(|limit| limit.as_secs())
        };
        assert_eq!(seconds(Provider::Ollama, StreamOptions::default()), [300, 60, 300]);
        assert_eq!(seconds(Provider::Gemini, StreamOptions::default()), [120, 60, 600]);
        let second = Some(Duration::from_secs(1));
        let chosen = StreamOptions { first: second, idle: second, total: second, ..StreamOptions::default() };
        assert_eq!(seconds(Provider::Ollama, chosen), [1, 1, 1]);
    }
}
