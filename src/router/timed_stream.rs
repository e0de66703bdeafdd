//! The connection of one streamed reply: events as they come, within their time limits.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use crate::error::{Error, ErrorKind, Result};
use crate::provider::Transcript;
use crate::transport::{Framer, Framing, Incoming};

/// How long a target's connection is listened to after the terminal marker: for the end of the body, so that the
/// connection can be used again, and for a count of tokens that comes late.
const AFTERMATH: Duration = Duration::from_millis(250);

/// How many pieces of the body are read on behalf of one event that may have arrived.
const MAX_CHUNKS: usize = 64;

/// How long to wait for what. Only waiting counts: the consumer may take its time between two pulls.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamTimeouts {
    /// For the first text, connecting included.
    pub(super) first: Duration,
    /// For the next event after the first text. Comments and events that cannot be read do not count as events.
    pub(super) idle: Duration,
    /// For the whole reply.
    pub(super) total: Duration,
    /// When the whole call ends.
    pub(super) deadline: Option<Instant>,
}

impl StreamTimeouts {
    /// `limit`, cut to what is left for the whole reply and for the whole call.
    pub(super) fn patience(&self, limit: Duration) -> Duration {
        let left = self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        limit.min(self.total).min(left)
    }
}

/// What a connection has to give.
#[derive(Debug)]
pub(super) enum StreamItem {
    /// The data of an event.
    Event(Bytes),
    /// The body has ended.
    End,
    /// More bytes are needed.
    Nothing,
}

/// The connection of a streamed reply, with its clocks.
#[derive(Debug)]
pub(super) struct TimedStream {
    incoming: Incoming,
    framer: Framer,
    limits: StreamTimeouts,
    /// Time spent waiting since the request was sent.
    waited: Duration,
    /// Time spent waiting since the last event.
    idle: Duration,
    /// Up to when both are counted; `None` while the consumer takes its time.
    counted: Option<Instant>,
    at_end: bool,
}

impl TimedStream {
    /// `opening` is how long the headers took.
    pub(super) fn new(incoming: Incoming, framing: Framing, limits: StreamTimeouts, opening: Duration) -> Self {
        let framer = Framer::new(framing);
        Self { incoming, framer, limits, waited: opening, idle: Duration::ZERO, counted: None, at_end: false }
    }

    pub(super) fn status(&self) -> u16 {
        self.incoming.status
    }

    /// Waits for the next event or the end.
    pub(super) async fn next(&mut self, transcript: &Transcript) -> Result<StreamItem> {
        loop {
            match self.framed()? {
                StreamItem::Nothing => {
                    let chunk = self.wait(transcript).await?;
                    self.push(chunk);
                }
                arrival => return Ok(arrival),
            }
        }
    }

    /// The next event or the end, where it has arrived already.
    pub(super) async fn arrived(&mut self) -> Result<StreamItem> {
        for _ in 0..MAX_CHUNKS {
            match self.framed()? {
                StreamItem::Nothing => {}
                arrival => return Ok(arrival),
            }
            let mut chunk = self.incoming.chunk().now_or_never();
            if chunk.is_none() {
                // The client reads the socket in a task of its own, which may need a turn.
                tokio::task::yield_now().await;
                chunk = self.incoming.chunk().now_or_never();
            }
            match chunk {
                Some(chunk) => self.push(chunk?),
                None => break,
            }
        }
        Ok(StreamItem::Nothing)
    }

    /// The last arrival was an event of the protocol: the stream is alive.
    pub(super) fn alive(&mut self) {
        self.idle = Duration::ZERO;
    }

    /// The consumer has what it asked for: the clocks stand still until it asks again.
    pub(super) fn rest(&mut self) {
        self.counted = None;
    }

    /// What the bytes so far hold.
    fn framed(&mut self) -> Result<StreamItem> {
        let event = self.framer.next()?;
        let event = if event.is_none() && self.at_end { self.framer.finish()? } else { event };
        Ok(match event {
            Some(data) => StreamItem::Event(data),
            None if self.at_end => StreamItem::End,
            None => StreamItem::Nothing,
        })
    }

    fn push(&mut self, chunk: Option<Bytes>) {
        match chunk {
            Some(chunk) => self.framer.push(&chunk),
            None => self.at_end = true,
        }
    }

    async fn wait(&mut self, transcript: &Transcript) -> Result<Option<Bytes>> {
        self.count();
        let (patience, late) = self.patience(transcript);
        // What comes without a pause would always be in time: a flood of comments is no answer either.
        if patience.is_zero() {
            return Err(late.error(&self.incoming.place(), &self.limits));
        }
        let outcome = timeout(patience, self.incoming.chunk()).await;
        let chunk = outcome.map_err(|_| late.error(&self.incoming.place(), &self.limits))?;
        self.count();
        chunk
    }

    /// Adds the time since the last count. A pull that was dropped goes on being counted: it may be one of many.
    fn count(&mut self) {
        let now = Instant::now();
        if let Some(counted) = self.counted.replace(now) {
            let spent = now - counted;
            self.waited += spent;
            self.idle += spent;
        }
    }

    /// How long to wait for more, and what has run out then.
    fn patience(&self, transcript: &Transcript) -> (Duration, TimeoutKind) {
        let total = self.limits.total.saturating_sub(self.waited);
        let (patience, late) = if transcript.is_whole() {
            (AFTERMATH.saturating_sub(self.idle), TimeoutKind::Idle)
        } else if transcript.has_content() {
            (self.limits.idle.saturating_sub(self.idle), TimeoutKind::Idle)
        } else {
            (self.limits.first.saturating_sub(self.waited), TimeoutKind::First)
        };
        let (patience, late) = if total < patience { (total, TimeoutKind::Total) } else { (patience, late) };
        // The deadline is the call's own: whose limit it was is told where the failure is booked.
        (self.limits.patience(patience), late)
    }
}

/// Which limit ran out.
#[derive(Debug, Clone, Copy)]
enum TimeoutKind {
    First,
    Idle,
    Total,
}

impl TimeoutKind {
    fn error(self, place: &str, limits: &StreamTimeouts) -> Error {
        let (kind, message) = match self {
            Self::First => {
                let seconds = limits.first.as_secs_f64();
                (ErrorKind::FirstTokenTimeout, format!("no text from {place} within {seconds} s"))
            }
            Self::Idle => {
                let seconds = limits.idle.as_secs_f64();
                (ErrorKind::IdleTimeout, format!("the stream from {place} stood still for {seconds} s"))
            }
            Self::Total => {
                let seconds = limits.total.as_secs_f64();
                (ErrorKind::Timeout, format!("the stream from {place} was not complete within {seconds} s"))
            }
        };
        Error::new(kind, message)
    }
}
