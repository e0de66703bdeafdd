//! The events of a streamed reply, and the reply that they add up to.

#[cfg(test)]
mod tests;

use super::Target;
use super::decode::ParsedReply;
use super::error_body::target_error;
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
pub struct Event {
    /// A piece of the answer.
    pub text: Option<String>,
    /// A piece of the reasoning that is apart from the answer.
    pub reasoning: Option<String>,
    /// A piece of a refusal.
    pub refusal: Option<String>,
    /// The message of a content filter that blocked the prompt or the answer.
    pub blocked: Option<String>,
    /// The model that the provider reports.
    pub model: Option<String>,
    /// Why the model stopped.
    pub finish: Option<FinishReason>,
    /// The provider's name for that reason.
    pub reason: Option<String>,
    /// The token counts so far.
    pub usage: Option<UsageUpdate>,
    /// The web pages of the request that the provider has read or failed to read so far.
    pub pages: Vec<Page>,
    /// Whether this is the terminal event: the reply is complete.
    pub is_last: bool,
}

/// Accumulates the events of a streamed reply.
#[derive(Debug, Default)]
pub struct Transcript {
    reply: ParsedReply,
    splitter: ReasoningSplitter,
    refusal: String,
    blocked: Option<String>,
    pages: Vec<Page>,
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
        let Event { text, reasoning, refusal, blocked, model, finish, reason, usage, pages, is_last } = event;
        if let Some(text) = text {
            self.splitter.push(&text, &mut self.reply.text, &mut self.reply.reasoning);
            self.has_content = self.splitter.has_content();
        }
        if let Some(reasoning) = reasoning {
            self.reply.reasoning.push_str(&reasoning);
        }
        if let Some(refusal) = refusal {
            self.refusal.push_str(&refusal);
        }
        self.blocked = self.blocked.take().or(blocked);
        if let Some(finish) = finish {
            self.reply.finish = finish;
            self.has_finish = true;
        }
        self.reply.reason = reason.or(self.reply.reason.take());
        self.reply.model = model.or(self.reply.model.take());
        if let Some(update) = usage {
            self.reply.usage = update.apply(self.reply.usage);
        }
        // Each list contains all pages so far.
        if !pages.is_empty() {
            self.pages = pages;
        }
        if is_last {
            self.is_complete = true;
            self.finish();
        }
    }

    /// Ends the text: nothing is held back any more because it may be the start of reasoning.
    pub fn finish(&mut self) {
        self.splitter.finish(&mut self.reply.text, &mut self.reply.reasoning);
        self.has_content |= self.splitter.has_content();
    }

    /// Whether text that [`Transcript::text`] has returned proved to be reasoning since the last call.
    pub fn take_retracted(&mut self) -> bool {
        self.splitter.take_retracted()
    }

    /// Returns the answer so far, without reasoning.
    pub fn text(&self) -> &str {
        &self.reply.text
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
    /// content, as a connection that broke, and `EmptyReply` before it. A reply cut at the token limit is an error as for replies
    /// that are not streamed.
    pub fn check(&self, target: &Target, request: &Request, failure: Option<Error>) -> Result<()> {
        let outcome = match failure {
            _ if self.blocked.is_some() || !self.refusal.trim().is_empty() => Err(self.refused(target)),
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
        let reply = self.reply.into_valid_reply(target, request, dialect)?;
        Ok(Reply { pages: self.pages, ..reply })
    }

    fn refused(&self, target: &Target) -> Error {
        match &self.blocked {
            Some(message) => target_error(target, ErrorKind::Blocked, message),
            None => target_error(target, ErrorKind::Refused, &format!("the model refused: {}", self.refusal)),
        }
    }

    fn incomplete(&self, target: &Target) -> Error {
        if self.has_content {
            let message =
                "the server ended the stream before the reply was complete: neither a finish reason nor an end marker";
            target_error(target, ErrorKind::Disconnected, message)
        } else {
            target_error(target, ErrorKind::EmptyReply, "the stream ended without any text")
        }
    }
}
