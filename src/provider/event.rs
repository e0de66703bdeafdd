//! Streamed replies: what one event tells, and what all of them together amount to.

#[cfg(test)]
mod tests;

use super::Target;
use super::decode::{Draft, failure};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Page, Reply, Request, Usage};
use crate::schema::Dialect;

/// What an event counts. Counts are of the reply so far: the latest stands, they are never added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Every bucket.
    All(Usage),
    /// The answer's buckets; what was counted of the prompt stands.
    Answer {
        /// Tokens of the answer, without thoughts.
        output: u64,
        /// Tokens of the model's thoughts.
        reasoning: u64,
    },
}

impl Counted {
    /// The counts after `before`.
    fn after(self, before: Usage) -> Usage {
        match self {
            Self::All(usage) => usage,
            Self::Answer { output, reasoning } => Usage { output, reasoning, ..before },
        }
    }
}

/// What one event of a stream tells. Role, thoughts and keep-alives tell nothing: the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// A piece of the answer.
    pub text: Option<String>,
    /// A piece of a refusal.
    pub refusal: Option<String>,
    /// The words of a filter that blocked the prompt or the answer.
    pub blocked: Option<String>,
    /// The model the provider says it uses.
    pub model: Option<String>,
    /// Why the model stopped, where it did.
    pub finish: Option<FinishReason>,
    /// What the provider calls that reason.
    pub reason: Option<String>,
    /// What the provider has counted so far.
    pub usage: Option<Counted>,
    /// The web pages the provider was to read, as far as it has.
    pub pages: Vec<Page>,
    /// True for the protocol's terminal marker: the reply is whole.
    pub is_last: bool,
}

/// All that a stream has told.
#[derive(Debug)]
pub struct Transcript {
    draft: Draft,
    refusal: String,
    blocked: Option<String>,
    pages: Vec<Page>,
    has_content: bool,
    has_finish: bool,
    is_whole: bool,
}

impl Default for Transcript {
    fn default() -> Self {
        let usage = Usage::default();
        Self {
            draft: Draft { text: String::new(), model: None, finish: FinishReason::Other, reason: None, usage },
            refusal: String::new(),
            blocked: None,
            pages: Vec::new(),
            has_content: false,
            has_finish: false,
            is_whole: false,
        }
    }
}

impl Transcript {
    /// Adds what `event` tells.
    pub fn add(&mut self, event: Event) {
        let Event { text, refusal, blocked, model, finish, reason, usage, pages, is_last } = event;
        if let Some(text) = text {
            self.has_content |= !text.trim().is_empty();
            self.draft.text.push_str(&text);
        }
        if let Some(refusal) = refusal {
            self.refusal.push_str(&refusal);
        }
        self.blocked = self.blocked.take().or(blocked);
        if let Some(finish) = finish {
            self.draft.finish = finish;
            self.has_finish = true;
        }
        self.draft.reason = reason.or(self.draft.reason.take());
        self.draft.model = model.or(self.draft.model.take());
        if let Some(counted) = usage {
            self.draft.usage = counted.after(self.draft.usage);
        }
        // Each list is of all pages so far.
        if !pages.is_empty() {
            self.pages = pages;
        }
        self.is_whole |= is_last;
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.draft.text
    }

    /// What the provider counted so far.
    pub fn usage(&self) -> Usage {
        self.draft.usage
    }

    /// Whether the text so far is more than white space: only then has an answer begun.
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// Whether the terminal marker has come.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether it is the whole answer of `target` to `request`, now that no more will come. `failure` is what ended the
    /// stream; `None` for a clean end.
    ///
    /// A refusal is `Refused`, and what a filter stopped is `Blocked`, however the stream ended. After the terminal marker
    /// nothing can fail any more. A clean end without it is as good where a finish reason has come, `Truncated` after
    /// content and `EmptyReply` before. A limit of tokens is judged as in whole replies.
    pub fn check(&self, target: &Target, request: &Request, failure: Option<Error>) -> Result<()> {
        let outcome = match failure {
            _ if self.blocked.is_some() || !self.refusal.trim().is_empty() => Err(self.refused(target)),
            Some(failure) if !self.is_whole => Err(target.locate(failure)),
            None if !self.is_whole && !self.has_finish => Err(self.unfinished(target)),
            _ => self.draft.check(target, request),
        };
        outcome.map_err(|error| error.with_usage(self.draft.usage))
    }

    /// The reply to `request`; of a structured one the JSON text in the form of the caller's own schema, brought back from
    /// the `dialect` that it was sent in. Fails where [`Transcript::check`] does.
    pub fn into_reply(self, target: &Target, request: &Request, dialect: Option<Dialect>) -> Result<Reply> {
        let reply = self.draft.settle(target, request, dialect)?;
        Ok(Reply { pages: self.pages, ..reply })
    }

    fn refused(&self, target: &Target) -> Error {
        match &self.blocked {
            Some(words) => failure(target, ErrorKind::Blocked, words),
            None => failure(target, ErrorKind::Refused, &format!("the model refused: {}", self.refusal)),
        }
    }

    fn unfinished(&self, target: &Target) -> Error {
        if self.has_content {
            failure(target, ErrorKind::Truncated, "the stream ended before the answer was complete")
        } else {
            failure(target, ErrorKind::EmptyReply, "the stream ended without any text")
        }
    }
}
