//! The reply of the present target, as the consumer of a stream is shown it.

use super::attempt_guard::AttemptGuard;
use super::event_decoder::EventDecoder;
use crate::error::Result;
use crate::schema::Partial;

/// A streamed reply under way.
#[derive(Debug)]
pub(super) struct TextStream {
    /// Dropped before the connection: whoever sees that end finds the books closed.
    pub(super) visit: Box<AttemptGuard>,
    pub(super) feed: EventDecoder,
    /// Of a structured reply.
    closed: Option<Closed>,
}

/// What is closed of a structured reply.
#[derive(Debug)]
struct Closed {
    reader: Partial,
    /// The last snapshot; empty before the first.
    shown: String,
}

impl TextStream {
    pub(super) fn new(feed: EventDecoder, visit: Box<AttemptGuard>) -> Self {
        let closed = feed.partial(&visit.request).map(|reader| Closed { reader, shown: String::new() });
        Self { visit, feed, closed }
    }

    /// What to show next: the text that has come, of a structured reply what is closed of it, where that is more than
    /// before. `None` at the end of a reply that is whole.
    ///
    /// Cancel safety: nothing is lost where the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<String>> {
        while let Some(text) = self.feed.next(&self.visit.request).await? {
            self.visit.record_progress(self.feed.usage(), self.feed.text().len());
            let Some(closed) = &mut self.closed else { return Ok(Some(text)) };
            closed.reader.push(&text);
            if let Some(snapshot) = closed.reader.snapshot() {
                closed.shown.clone_from(&snapshot);
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// What the consumer has seen of it: the text, of a structured reply the last snapshot. Empty where that is nothing.
    pub(super) fn shown(&self) -> &str {
        self.closed.as_ref().map_or_else(|| self.feed.text(), |closed| &closed.shown)
    }
}
