//! A streamed call: its text, or the closed part of its JSON, as it arrives from the first target that answers.
//!
//! A failure before the first text is handled like that of any other call: the policy selects the next target and the consumer
//! does not notice. After the first text the consumer holds a part of a reply that will never be complete; [`OnStreamError`]
//! selects what happens then.
//!
//! A structured reply ends with its complete JSON, which the caller validates as for a [`Call`](super::Call): it ends the stream
//! with [`Stream::finish`], or rejects the reply with [`Stream::reject`] and continues with [`Stream::next`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use super::attempt_guard::AttemptGuard;
use super::cache_lookup::{CacheLookup, CacheWrite};
use super::call_state::CallState;
use super::reply_validation::{self, ReplyValidation};
use super::send;
use super::streamed_reply::StreamedReply;
use super::{AttemptObserver, Engine, Rejection, Response, Router, installed_models, pages};
use crate::attempt::Attempt;
use crate::attempt::Change;
use crate::cache::{Entry, Key};
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::named_enum::named_enum;
use crate::provider::Target;
use crate::transport::StreamTimeouts;

/// The default time limit for the first event of a hosted provider. A local server may have to load its model first: its default
/// is the timeout of the configuration.
const FIRST_TEXT_TIMEOUT: Duration = Duration::from_secs(120);

/// The default time limit between two events.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

named_enum! {
    /// What happens if a stream fails after its first text.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum OnStreamError {
        /// The call fails. The error contains the text so far.
        #[default]
        Fail = "fail",
        /// The next attempt starts over, if the policy allows one, and [`StreamEvent::Restarted`] discards the text so far.
        Restart = "restart",
    }
}

impl FromStr for OnStreamError {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == name).ok_or_else(|| {
            Error::invalid_input(format!("on_stream_error must be \"fail\" or \"restart\", not {name:?}"))
        })
    }
}

/// The options of a stream.
///
/// Each time limit applies to one target and counts only the time spent waiting for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamOptions {
    /// What happens if a stream fails after its first text.
    pub on_error: OnStreamError,
    /// Time limit for the first event, connecting included, and for each further event before the first text. Any sign of
    /// generation is one, such as reasoning. Default: 120 s; for Ollama the timeout of the configuration.
    pub first: Option<Duration>,
    /// Time limit for the first text, connecting included. `None` disables it.
    pub first_text: Option<Duration>,
    /// Time limit between two events after the first text. Default: 60 s.
    pub idle: Option<Duration>,
    /// Time limit for the complete reply. Default: the timeout of a request in the configuration.
    pub total: Option<Duration>,
    /// Whether the answer may come from the response cache and is stored there, as that of a [`Call`](super::Call). It arrives
    /// in one piece then.
    pub uses_cache: bool,
}

/// An item of a stream.
#[derive(Debug, Clone)]
pub enum StreamEvent {
    /// The next text, never empty. The concatenated texts are the answer.
    Delta(String),
    /// The closed part of a structured reply as JSON text; see [`Partial`](crate::schema::Partial). It replaces and contains the
    /// previous one.
    Partial(String),
    /// The complete JSON text of a structured reply, to be validated. Nothing follows unless it is rejected.
    Complete(String),
    /// The attempt failed after its first text. What was returned so far is void; the next attempt starts over.
    Restarted(Box<Attempt>),
}

/// A streamed call. It reads from the connection only while [`Stream::next`] is polled. Dropping it closes its socket.
#[derive(Debug)]
pub struct Stream {
    state: CallState,
    options: StreamOptions,
    reply: Option<StreamedReply>,
    validation: ReplyValidation,
    /// What the consumer has received of the reply that is validated.
    shown: String,
    rejection: Option<Rejection>,
    /// `None` if the stream does not use the cache.
    lookup: Option<CacheLookup>,
    /// The answer, if it comes from the cache.
    cached: Option<(Key, Arc<Entry>)>,
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
        if [options.first, options.first_text, options.idle, options.total]
            .into_iter()
            .flatten()
            .any(|limit| limit.is_zero())
        {
            return Err(Error::invalid_input("a time limit must be a positive number of seconds"));
        }
        let lookup = if options.uses_cache { CacheLookup::new(&router, &engine, &request) } else { None };
        Ok(Self {
            state: CallState::new(router, engine, request, force)?,
            options,
            reply: None,
            validation: ReplyValidation::default(),
            shown: String::new(),
            rejection: None,
            lookup,
            cached: None,
            has_ended: false,
        })
    }

    /// Starts the clock of the stream at `began`, when its attachments began to be loaded. Call it before the first
    /// [`Stream::next`].
    pub fn begin_at(&mut self, began: Instant) {
        self.state.start(began);
    }

    /// Reports the attempts to `observer`. Call it before the first [`Stream::next`].
    pub fn observe(&mut self, observer: Option<Arc<dyn AttemptObserver>>) {
        self.state.observer = observer;
    }

    /// Waits for the next item: all text that has arrived, or what is closed of a structured reply. Returns `None` at the end,
    /// and whenever it is called after that.
    ///
    /// # Errors
    /// Returns the error of the call if no target is left, or at once for an error that every target would return. After the
    /// first text, [`OnStreamError`] applies and [`Error::partial`] contains what was returned last. An error ends the stream.
    ///
    /// # Cancel safety
    /// Dropping the future loses no text. A request whose headers have not arrived is dropped with it; the next call sends it
    /// again.
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
            let Some(reply) = &mut self.reply else {
                // Boxed: the future of a stream without a cache stays small.
                if self.lookup.is_some()
                    && let Some(event) = Box::pin(self.look_up()).await
                {
                    return Ok(Some(event));
                }
                self.open().await?;
                continue;
            };
            let event = match reply.next().await {
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

    /// Rejects the complete reply that [`Stream::next`] returned last. The next call of it returns the repaired reply, or
    /// continues as after any other failure, before or after the first text.
    pub fn reject(&mut self, rejection: Rejection) {
        self.rejection = Some(rejection);
    }

    /// Adds `changes`, which the owner of the schema made to the complete reply, to its attempt.
    pub fn note(&mut self, changes: Vec<Change>) {
        self.state.note(changes);
    }

    /// Returns the answer. To be called after [`Stream::next`] returned `None`, or a complete reply that is valid.
    ///
    /// # Errors
    /// Returns `Internal` before the end of the stream and after an error.
    pub fn finish(self) -> Result<Response> {
        self.finish_and_store().map(|(response, _)| response)
    }

    /// Returns the answer as [`Stream::finish`] does, and its write to the cache if the stream uses it.
    pub(super) fn finish_and_store(self) -> Result<(Response, Option<CacheWrite>)> {
        let span = self.state.span.clone();
        span.in_scope(|| self.end())
    }

    fn end(mut self) -> Result<(Response, Option<CacheWrite>)> {
        let early = || Error::new(ErrorKind::Internal, "finish() was called before the end of the stream");
        if self.rejection.is_some() {
            return Err(early());
        }
        if let Some((_, entry)) = self.cached {
            return Ok((self.state.finish_cached(&entry), None));
        }
        let reply = self.validation.accept().ok_or_else(early)?;
        let write = self.lookup.as_ref().and_then(|lookup| lookup.write(&self.state, &reply));
        let response = self.state.finish(reply).ok_or_else(early)?;
        Ok((response, write))
    }

    /// Drops the stream inside its span.
    pub fn close(self) {
        let span = self.state.span.clone();
        span.in_scope(|| drop(self));
    }

    /// Whether the request includes files or images.
    pub fn has_attachments(&self) -> bool {
        !self.state.request.parts.is_empty()
    }

    /// Looks up the answer in the cache. Returns it as the only item of the stream if it is there.
    async fn look_up(&mut self) -> Option<StreamEvent> {
        let lookup = self.lookup.as_mut()?;
        self.cached = lookup.find(&self.state).await;
        lookup.drop_requests();
        let (_, entry) = self.cached.as_ref()?;
        self.has_ended = true;
        let text = entry.text.to_string();
        Some(if self.state.request.schema.is_some() { StreamEvent::Complete(text) } else { StreamEvent::Delta(text) })
    }

    /// Sends the request to the next target. If that fails, the policy decides what follows.
    async fn open(&mut self) -> Result<()> {
        let mut guard = self.state.next_attempt().await.inspect_err(|_| self.has_ended = true)?;
        if let Err(error) = send::prepare(&self.state.engine, &mut guard).await {
            return self.failed(guard, error, 0).map(drop);
        }
        let loading = if guard.is_loading { guard.timeout } else { Duration::ZERO };
        let timeouts = self.options.timeouts(&guard.target, loading, guard.deadline);
        match StreamedReply::open(&self.state.engine, guard, timeouts).await {
            Ok(reply) => self.reply = Some(reply),
            Err((guard, error)) => {
                let error = installed_models::describe(&self.state.engine, &guard, error).await;
                return self.failed(guard, error, 0).map(drop);
            }
        }
        Ok(())
    }

    /// Ends a complete reply. Returns it if the caller has to validate it.
    fn conclude(&mut self) -> Result<Option<StreamEvent>> {
        let Some(reply) = self.reply.take() else { return Ok(None) };
        reply.shown().clone_into(&mut self.shown);
        let (guard, reply, skipped_events) = reply.into_reply();
        let reply = match reply.and_then(|reply| pages::check(&self.state.request, &guard.target, reply)) {
            Ok(reply) => reply,
            Err(error) => return self.failed(guard, error, skipped_events).map(|_| None),
        };
        self.state.record_success(guard, &reply, skipped_events);
        self.has_ended = true;
        if self.validation.begin(&mut self.state, reply) {
            return Ok(self.complete());
        }
        self.discard(&reply_validation::no_json())
    }

    /// Repairs the rejected reply without a request if that is possible; else discards it.
    fn rejected(&mut self, rejection: &Rejection) -> Result<Option<StreamEvent>> {
        if let (Some((key, _)), Some(lookup)) = (self.cached.take(), &self.lookup) {
            lookup.forget(&key);
            self.has_ended = false;
            return Ok(None);
        }
        if self.validation.recover(&mut self.state) { Ok(self.complete()) } else { self.discard(rejection) }
    }

    /// Returns the complete JSON; `None` for free text, which has been returned already.
    fn complete(&self) -> Option<StreamEvent> {
        self.state.request.schema.as_ref()?;
        self.validation.text().map(|text| StreamEvent::Complete(text.to_owned()))
    }

    /// Discards a complete reply that cannot be used.
    fn discard(&mut self, rejection: &Rejection) -> Result<Option<StreamEvent>> {
        let (error, repair) = self.validation.reject(&mut self.state, rejection)?;
        let shown = std::mem::take(&mut self.shown);
        if shown.is_empty() {
            self.state.record_rejection(error, repair)?;
            self.has_ended = false;
            return Ok(None);
        }
        let recorded = match self.options.on_error {
            OnStreamError::Restart => self.state.record_rejection(error.clone(), repair),
            OnStreamError::Fail => Err(self.state.fail(error.clone())),
        };
        self.restart(recorded, error, &shown)
    }

    /// Ends the current reply with `error`.
    fn interrupted(&mut self, error: Error) -> Result<Option<StreamEvent>> {
        let Some(reply) = self.reply.take() else { return Err(error) };
        let shown = reply.shown().to_owned();
        let (guard, skipped_events) = reply.into_guard();
        if shown.is_empty() {
            return self.failed(guard, error, skipped_events).map(|_| None);
        }
        let recorded = match self.options.on_error {
            OnStreamError::Restart => self.state.record_failure(guard, error.clone(), skipped_events),
            OnStreamError::Fail => Err(self.state.record_final_failure(guard, error.clone(), skipped_events)),
        };
        self.restart(recorded, error, &shown)
    }

    /// Restarts the stream if the failure was `recorded` and another attempt can follow. Else ends it with the recorded error,
    /// or with `error`, which contains what was `shown`.
    fn restart(&mut self, recorded: Result<Attempt>, error: Error, shown: &str) -> Result<Option<StreamEvent>> {
        let failure = match recorded {
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

    fn failed(&mut self, guard: Box<AttemptGuard>, error: Error, skipped_events: u32) -> Result<Attempt> {
        self.state.record_failure(guard, error, skipped_events).inspect_err(|_| self.has_ended = true)
    }
}

impl StreamOptions {
    /// Returns the time limits for `target`, which needs the time `loading` to load its model.
    fn timeouts(&self, target: &Target, loading: Duration, deadline: Option<Instant>) -> StreamTimeouts {
        let first = if target.loads_model() { target.timeout } else { FIRST_TEXT_TIMEOUT };
        StreamTimeouts {
            first: self.first.unwrap_or(first + loading),
            first_text: self.first_text,
            idle: self.idle.unwrap_or(STREAM_IDLE_TIMEOUT),
            total: self.total.unwrap_or(target.timeout + loading),
            deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::config::{Config, ModelTier, ProviderChoice};
    use crate::provider::protocol;
    use crate::router::Overrides;
    use crate::transport::{Scripted, WireReply};

    #[tokio::test(start_paused = true)]
    async fn a_stream_reads_from_any_transport() {
        let line = r#"{"message":{"content":"Moss."},"done":true,"done_reason":"stop"}"#;
        let reply = WireReply { status: 200, headers: HeaderMap::new(), body: Bytes::from_static(line.as_bytes()) };
        let transport = Scripted::new(move |_| Box::pin(std::future::ready(Ok(reply.clone()))));
        let primary_provider = Some(ProviderChoice::Pinned(Provider::Ollama));
        let overrides = Overrides { primary_provider, ..Overrides::default() };
        let router = Arc::new(Router::new(Arc::new(Config::default()), overrides));
        let engine = Arc::new(Engine::with_transport(transport));
        let mut stream = router.stream(&engine, Request::new("What grows?"), None, StreamOptions::default()).unwrap();
        assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Delta(text)) if text == "Moss."));
        assert!(stream.next().await.unwrap().is_none());
        assert_eq!(stream.finish().unwrap().text, "Moss.");
    }

    #[test]
    fn the_timeout_of_ollama_is_the_limit_for_its_first_text() {
        let config = Config { ollama_timeout: 300.0, ..Config::default() };
        let seconds = |provider, options: StreamOptions| {
            let timeouts = options.timeouts(&protocol(provider).target(&config, ModelTier::Fast), Duration::ZERO, None);
            [timeouts.first, timeouts.idle, timeouts.total].map(|limit| limit.as_secs())
        };
        assert_eq!(seconds(Provider::Ollama, StreamOptions::default()), [300, 60, 300]);
        assert_eq!(seconds(Provider::Gemini, StreamOptions::default()), [120, 60, 600]);
        let second = Some(Duration::from_secs(1));
        let chosen = StreamOptions { first: second, idle: second, total: second, ..StreamOptions::default() };
        assert_eq!(seconds(Provider::Ollama, chosen), [1, 1, 1]);
    }
}
