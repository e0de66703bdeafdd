//! Replies and stream events of the messages API.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::{ParsedReply, TokenCount};
use super::super::error_body::target_error;
use super::super::{Event as DecodedEvent, Target, UsageUpdate};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Usage};

/// A reply, or the beginning of a streamed one.
#[derive(Deserialize)]
pub(super) struct Message {
    content: Option<Vec<Block>>,
    model: Option<String>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
    usage: Option<MessageUsage>,
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
struct Block {
    r#type: Option<String>,
    text: Option<String>,
}

/// An event of a streamed reply.
#[derive(Deserialize)]
pub(super) struct Event {
    r#type: String,
    message: Option<Message>,
    delta: Option<Delta>,
    usage: Option<MessageUsage>,
}

/// A change of a block's content or of the message.
#[derive(Deserialize)]
struct Delta {
    r#type: Option<String>,
    text: Option<String>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MessageUsage {
    input_tokens: TokenCount,
    cache_creation_input_tokens: TokenCount,
    cache_read_input_tokens: TokenCount,
    output_tokens: TokenCount,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: TokenCount,
}

impl Message {
    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        let Some(content) = self.content else {
            let message = "the reply has no content; is the base URL right?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        };
        let usage = self.usage.unwrap_or_default().disjoint();
        let finish = match self.stop_reason.as_deref() {
            Some("refusal") => {
                let message = format!("the model refused: {}", explanation(self.stop_details.as_ref()));
                return Err(target_error(target, ErrorKind::Refused, &message).with_usage(usage));
            }
            Some("pause_turn") => return Err(paused(target).with_usage(usage)),
            reason => finish_reason(reason),
        };
        let is_text = |block: &Block| block.r#type.as_deref().is_none_or(|kind| kind == "text");
        let text = content.into_iter().filter(is_text).filter_map(|block| block.text).collect();
        Ok(ParsedReply { text, reasoning: String::new(), model: self.model, finish, reason: self.stop_reason, usage })
    }
}

impl Event {
    pub(super) fn is_error(&self) -> bool {
        self.r#type == "error"
    }

    /// An event of an unknown type is empty.
    pub(super) fn parse(self, target: &Target) -> Result<DecodedEvent> {
        let delta = self.delta;
        match self.r#type.as_str() {
            "message_start" => {
                let (model, usage) = self.message.map_or((None, None), |message| (message.model, message.usage));
                let usage = usage.map(|usage| UsageUpdate::Full(usage.disjoint()));
                Ok(DecodedEvent { model, usage, ..DecodedEvent::default() })
            }
            "content_block_delta" => {
                let text = delta.filter(|delta| delta.r#type.as_deref() == Some("text_delta"));
                Ok(DecodedEvent { text: text.and_then(|delta| delta.text), ..DecodedEvent::default() })
            }
            "message_delta" => {
                let (reason, details) = delta.map_or((None, None), |delta| (delta.stop_reason, delta.stop_details));
                if reason.as_deref() == Some("pause_turn") {
                    return Err(paused(target));
                }
                let is_refusal = reason.as_deref() == Some("refusal");
                Ok(DecodedEvent {
                    refusal: is_refusal.then(|| explanation(details.as_ref()).to_owned()),
                    finish: reason.as_deref().map(|reason| finish_reason(Some(reason))),
                    reason,
                    usage: self.usage.map(|usage| usage.at_end()),
                    ..DecodedEvent::default()
                })
            }
            "message_stop" => Ok(DecodedEvent { is_last: true, ..DecodedEvent::default() }),
            _ => Ok(DecodedEvent::default()),
        }
    }
}

impl MessageUsage {
    /// The counts without overlap. The API counts cache reads and writes apart from the input, and thoughts as part of the
    /// output. Cache writes count as input: their higher price is not modelled.
    fn disjoint(&self) -> Usage {
        let output = self.output_tokens.0;
        let reasoning = self.output_tokens_details.as_ref().map_or(0, |details| details.thinking_tokens.0).min(output);
        Usage {
            input: self.input_tokens.0.saturating_add(self.cache_creation_input_tokens.0),
            cached_input: self.cache_read_input_tokens.0,
            output: output - reasoning,
            reasoning,
            tool: 0,
        }
    }

    /// The counts at the end of a stream. They include the prompt only if it has grown by the results of server tools, or
    /// if the server did not know its length before.
    fn at_end(&self) -> UsageUpdate {
        let usage = self.disjoint();
        if usage.input > 0 || usage.cached_input > 0 {
            return UsageUpdate::Full(usage);
        }
        UsageUpdate::Output { output: usage.output, reasoning: usage.reasoning }
    }
}

fn finish_reason(reason: Option<&str>) -> FinishReason {
    match reason {
        Some("end_turn" | "stop_sequence") => FinishReason::Stop,
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        _ => FinishReason::Other,
    }
}

/// Why the model refused.
fn explanation(details: Option<&Value>) -> &str {
    let found = ["explanation", "category"].into_iter().find_map(|name| details?.get(name)?.as_str());
    found.unwrap_or("no reason given")
}

/// The error for a reply that waits for a server tool. The request offers none.
fn paused(target: &Target) -> Error {
    target_error(target, ErrorKind::Truncated, "the model paused before its reply was whole (pause_turn)")
}
