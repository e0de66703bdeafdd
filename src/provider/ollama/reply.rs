//! Replies and stream events of the chat API.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::ParsedReply;
use super::super::envelope::{Count, Flag, Object, Pieces, Text, fault, object, word};
use super::super::error_body::{ErrorBody, target_error};
use super::super::finish::{explanation, finish_reason};
use super::super::in_band::reported;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::{FinishReason, Usage};

/// A reply, or one line of a streamed reply.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ChatReply {
    #[serde(deserialize_with = "word")]
    model: Option<String>,
    #[serde(deserialize_with = "object")]
    message: Option<Message>,
    done: Flag,
    #[serde(deserialize_with = "word")]
    done_reason: Option<String>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
    prompt_eval_count: Count,
    eval_count: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    content: Text,
    thinking: Text,
    #[serde(deserialize_with = "fault")]
    tool_calls: Option<Value>,
}

impl Object for Message {}

impl ChatReply {
    /// Takes the error that the server reports in place of a reply. `data` is the whole envelope.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        let is_blank = self.message.is_none() && !self.done.0;
        reported(self.error.take(), is_blank, data)
    }

    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        let (finish, usage) = (self.finish().unwrap_or_default(), self.usage());
        let Some(message) = self.message else {
            let message = "the reply has no message; is this Ollama?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        };
        let (pieces, has_tool_calls) = message.into_pieces();
        Ok(ParsedReply {
            text: pieces.text.unwrap_or_default(),
            reasoning: pieces.reasoning.unwrap_or_default(),
            reasoning_field: pieces.reasoning_field,
            has_tool_calls,
            model: self.model,
            explanation: explanation(finish),
            finish,
            reason: self.done_reason,
            usage,
            ..ParsedReply::default()
        })
    }

    pub(super) fn into_event(self) -> Event {
        let is_last = self.done.0;
        let (finish, usage) = (self.finish().unwrap_or_default(), self.usage());
        let (pieces, has_tool_calls) = self.message.map_or_else(Default::default, Message::into_pieces);
        Event {
            text: pieces.text,
            reasoning: pieces.reasoning,
            reasoning_field: pieces.reasoning_field,
            has_tool_calls,
            model: self.model,
            finish: is_last.then_some(finish),
            explanation: explanation(finish),
            reason: self.done_reason,
            // Only the last line has the counts.
            usage: is_last.then_some(UsageUpdate::Full(usage)),
            is_last,
            ..Event::default()
        }
    }

    fn finish(&self) -> Option<FinishReason> {
        finish_reason(self.done_reason.as_deref()?)
    }

    fn usage(&self) -> Usage {
        Usage { input: self.prompt_eval_count.0, output: self.eval_count.0, ..Usage::default() }
    }
}

impl Message {
    /// The texts, and whether there are calls of tools.
    fn into_pieces(self) -> (Pieces, bool) {
        let mut pieces = self.content.into_pieces();
        let thinking = self.thinking.into_words().filter(|thinking| !thinking.is_empty());
        if thinking.is_some() {
            pieces.reasoning_field = "thinking";
        }
        pieces.reasoning = [pieces.reasoning, thinking].into_iter().flatten().reduce(|text, more| text + &more);
        (pieces, self.tool_calls.is_some())
    }
}
