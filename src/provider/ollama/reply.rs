//! Replies and stream events of the chat API.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::{ParsedReply, TokenCount};
use super::super::error_body::target_error;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::{FinishReason, Usage};

/// A reply, or one line of a streamed reply.
#[derive(Deserialize)]
pub(super) struct ChatReply {
    model: Option<String>,
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    pub(super) error: Option<Value>,
    #[serde(default)]
    prompt_eval_count: TokenCount,
    #[serde(default)]
    eval_count: TokenCount,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

impl ChatReply {
    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        let (finish, usage) = (self.finish(), self.usage());
        let Some(message) = self.message else {
            let message = "the reply has no message; is this Ollama?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        };
        let text = message.content.unwrap_or_default();
        Ok(ParsedReply { text, reasoning: String::new(), model: self.model, finish, reason: self.done_reason, usage })
    }

    pub(super) fn into_event(self) -> Event {
        let (finish, usage) = (self.finish(), self.usage());
        Event {
            text: self.message.and_then(|message| message.content),
            model: self.model,
            finish: self.done.then_some(finish),
            reason: self.done_reason,
            // Only the last line has the counts.
            usage: self.done.then_some(UsageUpdate::Full(usage)),
            is_last: self.done,
            ..Event::default()
        }
    }

    fn finish(&self) -> FinishReason {
        match self.done_reason.as_deref() {
            Some("stop") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            _ => FinishReason::Other,
        }
    }

    fn usage(&self) -> Usage {
        Usage { input: self.prompt_eval_count.0, output: self.eval_count.0, ..Usage::default() }
    }
}
