//! A streamed call: text as it comes, from the first target that answers.
//!
//! Before the first text a failure is like any other: the policy's next target is asked, and the consumer notices nothing.
//! After it the consumer holds a part of an answer that will never be completed, so it decides beforehand what is to
//! happen: [`OnStreamError`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Attempt;
use super::feed::Feed;
use super::visit::Visit;
use super::walk::Walk;
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
    visit: Visit,
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
            if let Some(Reading { feed, visit }) = &mut self.reading {
                match feed.next(&visit.request).await {
                    Ok(Some(text)) => {
                        visit.saw(feed.usage(), feed.text().len());
                        return Ok(Some(StreamEvent::Delta(text)));
                    }
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

    /// Asks the next target; where that fails, the policy decides.
    async fn open(&mut self) -> Result<()> {
        let visit = self.walk.visit().await.inspect_err(|_| self.has_ended = true)?;
        let limits = self.options.limits(&visit.target, self.walk.deadline());
        match Feed::open(&self.walk.engine, &visit.target, &visit.request, limits).await {
            Ok(feed) => {
                self.reading = Some(Reading { feed, visit });
                Ok(())
            }
            Err(error) => self.failed(visit, error, 0).map(drop),
        }
    }

    /// The reply is whole.
    fn conclude(&mut self) {
        self.has_ended = true;
        if let Some(Reading { feed, visit }) = self.reading.take() {
            let skipped_events = feed.skipped();
            let reply = feed.into_reply();
            self.walk.answered(visit, &reply, skipped_events);
            self.answer = Some(reply.text);
        }
    }

    /// What follows where the present target's stream fails with `error`. Gives the attempt where the consumer has to
    /// drop its text.
    fn interrupted(&mut self, error: Error) -> Result<Option<Attempt>> {
        let Some(Reading { feed, visit }) = self.reading.take() else { return Err(error) };
        let (skipped, text) = (feed.skipped(), feed.text());
        if text.is_empty() {
            return self.failed(visit, error, skipped).map(|_| None);
        }
        let failure = if self.options.on_error == OnStreamError::Restart {
            let told = error.clone();
            match self.walk.failed_beside(visit, error, skipped) {
                Ok(attempt) if self.walk.obstacle(Instant::now()).is_none() => return Ok(Some(attempt)),
                Ok(_) => self.walk.fail(told),
                Err(error) => error,
            }
        } else {
            self.walk.failed_for_good(visit, error, skipped)
        };
        self.has_ended = true;
        Err(failure.with_partial(text))
    }

    fn failed(&mut self, visit: Visit, error: Error, skipped: u32) -> Result<Attempt> {
        self.walk.failed(visit, error, skipped).inspect_err(|_| self.has_ended = true)
    }
}

impl StreamOptions {
    fn limits(&self, target: &Target, deadline: Option<Instant>) -> Limits {
        let first = if target.provider == Provider::Ollama { target.timeout } else { FIRST };
        Limits {
            first: self.first.unwrap_or(first),
            idle: self.idle.unwrap_or(IDLE),
            total: self.total.unwrap_or(target.timeout),
            deadline,
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
            let limits = options.limits(&plan::target(&config, ModelTier::Fast, provider), None);
            [limits.first, limits.idle, limits.total].map(|limit| limit.as_secs())
        };
        assert_eq!(seconds(Provider::Ollama, StreamOptions::default()), [300, 60, 300]);
        assert_eq!(seconds(Provider::Gemini, StreamOptions::default()), [120, 60, 600]);
        let second = Some(Duration::from_secs(1));
        let chosen = StreamOptions { first: second, idle: second, total: second, ..StreamOptions::default() };
        assert_eq!(seconds(Provider::Ollama, chosen), [1, 1, 1]);
    }
}
