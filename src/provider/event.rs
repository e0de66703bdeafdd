//! The events of a streamed reply, and the reply that they add up to.

#[cfg(test)]
mod tests;

use super::Target;
use super::decode::ParsedReply;
use super::error_body::target_error;
use super::halves::HalfJoiner;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Page, Reply, Request, Usage};
use crate::reasoning::{Purpose, ReasoningSplitter};
use crate::schema::Dialect;

/// The token counts of an event. Counts are cumulative: each one replaces the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageUpdate {
    /// All counts.
    Full(Usage),
    /// The counts of the answer; those of the prompt are unchanged.
    Output {
        /// Tokens of the answer, without reasoning.
        output: u64,
        /// Tokens of the reasoning.
        reasoning: u64,
    },
}

impl UsageUpdate {
    /// Returns all counts of `usage`; `None` if there are none, so that an empty object does not reset them.
    pub(super) fn full(usage: Option<Usage>) -> Option<Self> {
        usage.filter(|usage| usage.total() > 0).map(Self::Full)
    }

    /// Returns the counts that follow `previous`.
    fn apply(self, previous: Usage) -> Usage {
        match self {
            Self::Full(usage) => usage,
            Self::Output { output, reasoning } => Usage { output, reasoning, ..previous },
        }
    }
}

/// One event of a streamed reply. Roles and keep-alives are the default, empty event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Event {
    /// A piece of the answer.
    pub text: Option<String>,
    /// A piece of the reasoning that is apart from the answer.
    pub reasoning: Option<String>,
    /// The name of the field that held it; empty without reasoning.
    pub reasoning_field: &'static str,
    /// A piece of a refusal.
    pub refusal: Option<String>,
    /// The message of a content filter that blocked the prompt or the answer.
    pub blocked: Option<String>,
    /// Whether its texts are those of the whole reply: each counts only if no piece of it arrived before.
    pub is_whole: bool,
    /// Whether it has a piece of a call of a tool.
    pub has_tool_calls: bool,
    /// Whether the texts mark halves of surrogate pairs whose other half may be in another event.
    pub has_halves: bool,
    /// The model that the provider reports.
    pub model: Option<String>,
    /// Why the model stopped.
    pub finish: Option<FinishReason>,
    /// The provider's name for that reason.
    pub reason: Option<String>,
    /// The provider's explanation of that reason.
    pub explanation: Option<String>,
    /// The token counts so far.
    pub usage: Option<UsageUpdate>,
    /// The web pages of the request that the provider has read or failed to read so far.
    pub pages: Vec<Page>,
    /// Whether it only keeps the connection open: no sign of generation.
    pub is_keep_alive: bool,
    /// Whether this is the terminal event: the reply is complete.
    pub is_last: bool,
}

/// Accumulates the events of a streamed reply.
#[derive(Debug, Default)]
pub struct Transcript {
    reply: ParsedReply,
    splitter: ReasoningSplitter,
    text_halves: HalfJoiner,
    reasoning_halves: HalfJoiner,
    pages: Vec<Page>,
    /// The length of the text that has arrived, in bytes.
    received: usize,
    /// The length of all texts that have been kept, in bytes.
    size: usize,
    has_content: bool,
    has_finish: bool,
    is_complete: bool,
}

impl Transcript {
    /// Creates the transcript of a reply to `request`.
    pub fn new(request: &Request) -> Self {
        let purpose = if request.schema.is_some() { Purpose::Json } else { Purpose::ShownText };
        Self { splitter: ReasoningSplitter::new(purpose), ..Self::default() }
    }

    /// Creates the transcript of a reply that arrived complete, with `text` as its answer.
    pub fn complete(text: String) -> Self {
        let has_content = !text.trim().is_empty();
        Self {
            reply: ParsedReply { text, ..ParsedReply::default() },
            has_content,
            is_complete: true,
            ..Self::default()
        }
    }

    /// Adds `event`.
    pub fn add(&mut self, event: Event) {
        let Event { text, reasoning, refusal, blocked, has_tool_calls, has_halves, model, finish, .. } = event;
        let reply = &mut self.reply;
        let is_new = |is_known: bool| !(event.is_whole && is_known);
        if let Some(text) = text.filter(|_| is_new(self.received > 0)) {
            self.received = self.received.saturating_add(text.len());
            self.size = self.size.saturating_add(text.len());
            let text = self.text_halves.join(&text, has_halves);
            self.splitter.push(&text, &mut reply.text, &mut reply.reasoning);
            self.has_content = self.splitter.has_content();
        }
        if let Some(reasoning) = reasoning.filter(|_| is_new(!reply.reasoning.is_empty())) {
            if !reasoning.is_empty() {
                reply.reasoning_field = event.reasoning_field;
            }
            self.size = self.size.saturating_add(reasoning.len());
            reply.reasoning.push_str(&self.reasoning_halves.join(&reasoning, has_halves));
        }
        if let Some(refusal) = refusal.filter(|_| is_new(!reply.refusal.is_empty())) {
            self.size = self.size.saturating_add(refusal.len());
            reply.refusal.push_str(&HalfJoiner::default().join(&refusal, has_halves));
        }
        reply.blocked = reply.blocked.take().or(blocked);
        reply.has_tool_calls |= has_tool_calls;
        // The last reason counts: some servers send one with each event.
        if let Some(finish) = finish {
            reply.finish = finish;
            reply.reason = event.reason;
            reply.explanation = event.explanation;
            self.has_finish = true;
        }
        reply.model = model.or(reply.model.take());
        if let Some(update) = event.usage {
            reply.usage = update.apply(reply.usage);
        }
        // Each list contains all pages so far.
        if !event.pages.is_empty() {
            self.pages = event.pages;
        }
        if event.is_last {
            self.is_complete = true;
            self.finish();
        }
    }

    /// Ends the text: nothing is held back any more because it may be the start of reasoning, or half of a character.
    pub fn finish(&mut self) {
        self.reply.reasoning.push_str(self.reasoning_halves.finish());
        let text = self.text_halves.finish();
        self.splitter.push(text, &mut self.reply.text, &mut self.reply.reasoning);
        self.splitter.finish(&mut self.reply.text, &mut self.reply.reasoning);
        self.has_content |= self.splitter.has_content();
        self.reply.is_marked |= self.splitter.has_split();
    }

    /// Returns the texts that proved to be reasoning since the last call, each as [`Transcript::text`] was then.
    pub fn take_retracted(&mut self) -> Vec<String> {
        self.splitter.take_retracted()
    }

    /// Returns the answer so far, without reasoning.
    pub fn text(&self) -> &str {
        &self.reply.text
    }

    /// Returns the number of bytes of the answer, the reasoning and the refusal together.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the token counts so far.
    pub fn usage(&self) -> Usage {
        self.reply.usage
    }

    /// Whether the text so far contains more than white space.
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// Whether the terminal event has arrived.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Checks, at the end of the stream, that it is a complete reply of `target` to `request`. `failure` is the error that ended
    /// the stream; `None` if the body ended normally.
    ///
    /// # Errors
    /// Returns `Refused` for a refusal and `Blocked` for a reply that a content filter stopped, however the stream ended. After
    /// the terminal event `failure` is ignored. Without a terminal event and a finish reason, a normal end is `Disconnected` after
    /// content or reasoning, as a connection that broke, and `EmptyReply` before it. A reply cut at the token limit is an error as for replies
    /// that are not streamed.
    pub fn check(&self, target: &Target, request: &Request, failure: Option<Error>) -> Result<()> {
        let outcome = match failure {
            _ if self.reply.check_refusal(target).is_err() => self.reply.check_refusal(target),
            // The text was cut before the stream failed.
            Some(_) if self.reply.finish == FinishReason::Length => self.reply.validate(target, request),
            Some(failure) if !self.is_complete => Err(target.locate(failure)),
            None if !self.is_complete && !self.has_finish => Err(self.incomplete(target)),
            _ => self.reply.validate(target, request),
        };
        outcome.map_err(|error| error.with_usage(self.reply.usage))
    }

    /// Converts it to the reply to `request`. The JSON of a structured reply is converted from `dialect` to the caller's schema.
    /// Fails like [`Transcript::check`].
    pub fn into_reply(mut self, target: &Target, request: &Request, dialect: Option<Dialect>) -> Result<Reply> {
        self.finish();
        let reply = self.reply.into_valid_reply(target, request, dialect, false)?;
        Ok(Reply { pages: self.pages, ..reply })
    }

    fn incomplete(&self, target: &Target) -> Error {
        if self.has_content || !self.reply.reasoning.trim().is_empty() {
            let message =
                "the server ended the stream before the reply was complete: neither a finish reason nor an end marker";
            target_error(target, ErrorKind::Disconnected, message)
        } else {
            target_error(target, ErrorKind::EmptyReply, "the stream ended without any text")
        }
    }
}
