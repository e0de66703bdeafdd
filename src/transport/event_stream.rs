//! The events of a streamed reply, with time limits.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{Frame, Framer, Framing, ResponseBody, WireReply};
use crate::error::{Error, ErrorKind, Result};

/// How long to wait after the terminal event for the end of the body, so that the connection can be used again, and for a late
/// count of tokens.
const TRAILER_TIMEOUT: Duration = Duration::from_millis(250);

/// Upper bound of the chunks that [`EventStream::try_next`] reads for one event.
const MAX_CHUNKS: usize = 64;

/// The time limits of a streamed reply. Only the time spent waiting for the server counts; the consumer may take its time
/// between two events.
#[derive(Debug, Clone, Copy)]
pub struct StreamTimeouts {
    /// For the first event, connecting included, and for each further event before the first text. Comments, keep-alives and
    /// invalid events do not count.
    pub first: Duration,
    /// For the first text, connecting included; `None` disables it.
    pub first_text: Option<Duration>,
    /// For the next event after the first text. Comments and invalid events do not count.
    pub idle: Duration,
    /// For the complete reply.
    pub total: Duration,
    /// The deadline of the call.
    pub deadline: Option<Instant>,
}

impl StreamTimeouts {
    /// Returns `limit`, capped by the total time limit and by the deadline.
    pub fn cap(&self, limit: Duration) -> Duration {
        let left = self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        limit.min(self.total).min(left)
    }
}

/// How much of a reply has arrived. Selects the time limit for the next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamProgress {
    /// No text yet.
    BeforeText,
    /// A part of the text.
    Text,
    /// The terminal event.
    Complete,
}

/// A streamed reply as a sequence of events. Dropping it closes the socket, unless the body was read to its end.
#[derive(Debug)]
pub struct EventStream {
    status: u16,
    body: ResponseBody,
    framer: Framer,
    timeouts: StreamTimeouts,
    /// Host and port of the server, for error messages.
    host: String,
    /// Time spent waiting since the request was sent.
    waited: Duration,
    /// Time spent waiting since the last event, at first since the request was sent.
    idle: Duration,
    /// The time up to which `waited` and `idle` are counted; `None` while they are paused.
    counted: Option<Instant>,
    at_end: bool,
}

impl EventStream {
    /// Reads the events of `reply`, which `host` sent. `opening` is the time that its headers took.
    pub fn new(
        reply: WireReply<ResponseBody>,
        framing: Framing,
        host: String,
        timeouts: StreamTimeouts,
        opening: Duration,
    ) -> Self {
        Self {
            status: reply.status,
            body: reply.body,
            framer: Framer::new(framing),
            timeouts,
            host,
            waited: opening,
            idle: opening,
            counted: None,
            at_end: false,
        }
    }

    /// The HTTP status of the reply.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Waits for the next event; `None` at the end of the body.
    ///
    /// # Errors
    /// Returns `FirstTokenTimeout`, `IdleTimeout` or `Timeout` if a time limit expires, and the errors of the body and of the
    /// framing.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self, progress: StreamProgress) -> Result<Option<Frame>> {
        loop {
            if let Poll::Ready(event) = self.buffered()? {
                return Ok(event);
            }
            let chunk = self.wait_for_chunk(progress).await?;
            self.push(chunk);
        }
    }

    /// Returns the next event, or `None` for the end, if it has already arrived.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn try_next(&mut self) -> Result<Poll<Option<Frame>>> {
        for _ in 0..MAX_CHUNKS {
            if let Poll::Ready(event) = self.buffered()? {
                return Ok(Poll::Ready(event));
            }
            let mut chunk = self.body.chunk().now_or_never();
            if chunk.is_none() {
                // The runtime may not have polled the socket since the bytes arrived.
                tokio::task::yield_now().await;
                chunk = self.body.chunk().now_or_never();
            }
            match chunk {
                Some(chunk) => self.push(chunk?),
                None => break,
            }
        }
        Ok(Poll::Pending)
    }

    /// Restarts the idle timeout: the last event was valid.
    pub fn reset_idle(&mut self) {
        self.idle = Duration::ZERO;
    }

    /// Pauses the time limits until the next call of [`EventStream::next`].
    pub fn pause(&mut self) {
        self.counted = None;
    }

    /// Returns the next event in the bytes that have been read, or `None` for the end.
    fn buffered(&mut self) -> Result<Poll<Option<Frame>>> {
        let event = self.framer.next()?;
        let event = if event.is_none() && self.at_end { self.framer.finish()? } else { event };
        Ok(if event.is_some() || self.at_end { Poll::Ready(event) } else { Poll::Pending })
    }

    fn push(&mut self, chunk: Option<Bytes>) {
        match chunk {
            Some(chunk) => self.framer.push(&chunk),
            None => self.at_end = true,
        }
    }

    async fn wait_for_chunk(&mut self, progress: StreamProgress) -> Result<Option<Bytes>> {
        self.count();
        let (remaining, limit) = self.remaining(progress);
        // `timeout` polls the body first, so a flood of comments would never time out.
        if remaining.is_zero() {
            return Err(limit.error(&self.host, &self.timeouts));
        }
        let chunk = timeout(remaining, self.body.chunk()).await;
        let chunk = chunk.map_err(|_| limit.error(&self.host, &self.timeouts))?;
        self.count();
        chunk
    }

    /// Adds the time since the last count. The time after a dropped `next` counts too: a consumer may drop it many times
    /// while it waits for one event.
    fn count(&mut self) {
        let now = Instant::now();
        if let Some(counted) = self.counted.replace(now) {
            let spent = now - counted;
            self.waited += spent;
            self.idle += spent;
        }
    }

    /// Returns how long to wait for the next event, and the limit that expires then.
    fn remaining(&self, progress: StreamProgress) -> (Duration, Limit) {
        let timeouts = &self.timeouts;
        let total = (timeouts.total.saturating_sub(self.waited), Limit::Total);
        let limit = match progress {
            // A document has no events.
            _ if self.framer.is_document() => total,
            StreamProgress::BeforeText => {
                let first = (timeouts.first.saturating_sub(self.idle), Limit::First);
                match timeouts.first_text.map(|limit| limit.saturating_sub(self.waited)) {
                    Some(left) if left < first.0 => (left, Limit::FirstText),
                    _ => first,
                }
            }
            StreamProgress::Text => (timeouts.idle.saturating_sub(self.idle), Limit::Idle),
            StreamProgress::Complete => (TRAILER_TIMEOUT.saturating_sub(self.idle), Limit::Idle),
        };
        let (remaining, limit) = if total.0 < limit.0 { total } else { limit };
        // If the deadline comes first, the call replaces the error by that of its deadline.
        (self.timeouts.cap(remaining), limit)
    }
}

/// The time limit that expired.
#[derive(Debug, Clone, Copy)]
enum Limit {
    First,
    FirstText,
    Idle,
    Total,
}

impl Limit {
    fn error(self, host: &str, timeouts: &StreamTimeouts) -> Error {
        let [first, idle, total] = [timeouts.first, timeouts.idle, timeouts.total].map(|limit| limit.as_secs_f64());
        let (kind, message) = match self {
            Self::First => {
                (ErrorKind::FirstTokenTimeout, format!("no text from {host} and no sign of one within {first} s"))
            }
            Self::FirstText => {
                let limit = timeouts.first_text.unwrap_or_default().as_secs_f64();
                (ErrorKind::FirstTokenTimeout, format!("no text from {host} within {limit} s, although it sent events"))
            }
            Self::Idle => (ErrorKind::IdleTimeout, format!("the stream from {host} was idle for {idle} s")),
            Self::Total => (ErrorKind::Timeout, format!("the stream from {host} was not complete within {total} s")),
        };
        Error::new(kind, message)
    }
}
