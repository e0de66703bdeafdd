//! Reply bodies that can be slow, cut short or never end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::record::Ticket;

/// What comes after the last piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    /// The connection is closed.
    Cut,
    /// Nothing, for ever.
    Stall,
}

/// A body in pieces. It holds the request's ticket, so that a client who leaves in the middle is noticed.
#[derive(Debug)]
pub(super) struct ReplyBody {
    pieces: std::vec::IntoIter<Bytes>,
    /// The length announced; `None` sends in chunks.
    length: Option<u64>,
    pace: Option<Pace>,
    ending: Ending,
    was_flushed: bool,
    ticket: Option<Ticket>,
}

#[derive(Debug)]
struct Pace {
    next: Pin<Box<Sleep>>,
    interval: Duration,
}

impl ReplyBody {
    pub(super) fn new(pieces: Vec<Bytes>, length: Option<u64>, ending: Ending, ticket: Ticket) -> Self {
        let mut body =
            Self { pieces: pieces.into_iter(), length, pace: None, ending, was_flushed: false, ticket: Some(ticket) };
        // Nobody asks an empty body for its pieces.
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    /// Sends one piece an interval.
    pub(super) fn paced(mut self, interval: Duration) -> Self {
        self.pace = Some(Pace { next: Box::pin(sleep_until(Instant::now() + interval)), interval });
        self
    }

    fn finish(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.finish();
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
            // From the planned time, not from now: delays must not add up.
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
            // What was sent so far leaves hyper's buffer only when the body has nothing more to give.
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
