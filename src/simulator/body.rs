//! Reply bodies that can be slow, truncated or endless.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::record::PendingRequest;

/// How a body ends after its last piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    /// By closing the connection.
    Cut,
    /// Never.
    Stall,
}

/// A body in pieces. It holds the [`PendingRequest`], which records whether the client disconnects before the end.
#[derive(Debug)]
pub(super) struct ReplyBody {
    pieces: std::vec::IntoIter<Bytes>,
    /// The content length; `None` sends chunks.
    length: Option<u64>,
    pace: Option<Pace>,
    ending: Ending,
    was_flushed: bool,
    pending: Option<PendingRequest>,
}

#[derive(Debug)]
struct Pace {
    next: Pin<Box<Sleep>>,
    interval: Duration,
}

impl ReplyBody {
    /// A body that sends one piece per `interval`; `None` sends them at once.
    pub(super) fn new(
        pieces: Vec<Bytes>,
        length: Option<u64>,
        interval: Option<Duration>,
        ending: Ending,
        pending: PendingRequest,
    ) -> Self {
        let pieces = pieces.into_iter();
        let pace = interval.map(|interval| Pace { next: Box::pin(sleep_until(Instant::now() + interval)), interval });
        let mut body = Self { pieces, length, pace, ending, was_flushed: false, pending: Some(pending) };
        // hyper does not poll an empty body.
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.finish();
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(pace) = &mut this.pace
            && !this.pieces.as_slice().is_empty()
        {
            ready!(pace.next.as_mut().poll(context));
            // Relative to the planned time, so that delays do not add up.
            let next = pace.next.deadline() + pace.interval;
            pace.next.as_mut().reset(next);
        }
        if let Some(piece) = this.pieces.next() {
            if this.is_end_stream() {
                this.finish();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match this.ending {
            Ending::Complete => {
                this.finish();
                Poll::Ready(None)
            }
            Ending::Stall => Poll::Pending,
            // hyper flushes its buffer only when the body is pending.
            Ending::Cut if !this.was_flushed => {
                this.was_flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::Cut => {
                this.finish();
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending == Ending::Complete && self.pieces.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
