//! Replies and stream events of the messages API.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::ParsedReply;
use super::super::envelope::{Content, Count, Object, Pieces, Text, details, fault, object, word};
use super::super::error_body::{ErrorBody, target_error};
use super::super::finish::{explanation, finish_reason};
use super::super::in_band::reported;
use super::super::{Event as DecodedEvent, Target, UsageUpdate};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Usage};

/// A reply, or the beginning of a streamed one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Message {
    content: Content<WholeBlock>,
    #[serde(deserialize_with = "word")]
    model: Option<String>,
    #[serde(deserialize_with = "word")]
    stop_reason: Option<String>,
    #[serde(deserialize_with = "fault")]
    stop_details: Option<Value>,
    #[serde(deserialize_with = "details")]
    usage: Option<MessageUsage>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

/// A block of the content, or its beginning.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Block {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    text: Text,
    thinking: Text,
}

/// A block that is not the beginning of one. An object without a type and without text is data.
#[derive(Deserialize)]
#[serde(try_from = "Block")]
struct WholeBlock(Block);

impl TryFrom<Block> for WholeBlock {
    type Error = &'static str;

    fn try_from(block: Block) -> Result<Self, Self::Error> {
        match block {
            Block { r#type: None, text: Text::None, .. } => Err("an object in place of a block"),
            block => Ok(Self(block)),
        }
    }
}

/// An event of a streamed reply.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Event {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    #[serde(deserialize_with = "object")]
    message: Option<Message>,
    #[serde(deserialize_with = "object")]
    content_block: Option<Block>,
    #[serde(deserialize_with = "object")]
    delta: Option<Delta>,
    #[serde(deserialize_with = "details")]
    usage: Option<MessageUsage>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

/// A change of a block's content or of the message.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Delta {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    text: Text,
    thinking: Text,
    #[serde(deserialize_with = "word")]
    stop_reason: Option<String>,
    #[serde(deserialize_with = "fault")]
    stop_details: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MessageUsage {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
    #[serde(deserialize_with = "details")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

impl Object for Message {}

impl Object for Block {
    fn from_text(text: String) -> Option<Self> {
        Some(Self { text: Text::Plain(text), ..Self::default() })
    }
}

impl Object for WholeBlock {
    fn from_text(text: String) -> Option<Self> {
        Block::from_text(text).map(Self)
    }
}

impl Object for Delta {
    fn from_text(text: String) -> Option<Self> {
        Some(Self { text: Text::Plain(text), ..Self::default() })
    }
}

impl Message {
    /// Takes the error that the server reports in place of a reply. `data` is the whole envelope.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        let is_blank = self.has_no_content();
        reported(self.error.take(), is_blank, data)
    }

    fn has_no_content(&self) -> bool {
        matches!(self.content, Content::Other(Text::None))
    }

    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        if self.has_no_content() {
            let message = "the reply has no content; is the base URL right?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        }
        let usage = self.usage.unwrap_or_default().disjoint();
        let Ending { finish, reason, explanation, refusal } =
            Ending::new(self.stop_reason, self.stop_details.as_ref(), target)
                .map_err(|error| error.with_usage(usage))?;
        let (pieces, has_tool_calls) = whole_pieces(self.content, target)?;
        Ok(ParsedReply {
            text: pieces.text.unwrap_or_default(),
            reasoning: pieces.reasoning.unwrap_or_default(),
            reasoning_field: pieces.reasoning_field,
            refusal: refusal.unwrap_or_default(),
            has_tool_calls,
            model: self.model,
            finish: finish.unwrap_or_default(),
            reason,
            explanation,
            usage,
            ..ParsedReply::default()
        })
    }
}

impl Event {
    /// Takes the error that the server reports within the stream. `data` is the whole event.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        let is_blank = self.r#type.as_deref().is_none_or(|kind| kind == "error");
        reported(self.error.take(), is_blank, data)
    }

    /// An event of an unknown type is empty.
    pub(super) fn parse(self, target: &Target) -> Result<DecodedEvent> {
        let Some(kind) = self.r#type else {
            return Err(target_error(
                target,
                ErrorKind::MalformedReply,
                "the event has no type; is the base URL right?",
            ));
        };
        match kind.as_str() {
            "message_start" => {
                let Message { content, model, usage, .. } = self.message.unwrap_or_default();
                let (pieces, has_tool_calls) = whole_pieces(content, target)?;
                let usage = UsageUpdate::full(usage.map(|usage| usage.disjoint()));
                Ok(DecodedEvent { model, usage, ..event(pieces, has_tool_calls) })
            }
            "content_block_start" => {
                let (pieces, has_tool_calls) = pieces(self.content_block.into_iter().collect());
                Ok(event(pieces, has_tool_calls))
            }
            "content_block_delta" => {
                let Delta { r#type: kind, text, thinking, .. } = self.delta.unwrap_or_default();
                let is_text = kind.is_none_or(|kind| kind == "text_delta" || kind == "text");
                let pieces = Pieces {
                    text: if is_text { text.into_string() } else { None },
                    reasoning: thinking.into_string(),
                    reasoning_field: "thinking",
                    refusal: None,
                };
                Ok(event(pieces, false))
            }
            "message_delta" => {
                let Delta { stop_reason, stop_details, .. } = self.delta.unwrap_or_default();
                let Ending { finish, reason, explanation, refusal } =
                    Ending::new(stop_reason, stop_details.as_ref(), target)?;
                let usage = self.usage.map(|usage| usage.at_end());
                Ok(DecodedEvent { refusal, finish, reason, explanation, usage, ..DecodedEvent::default() })
            }
            "ping" => Ok(DecodedEvent { is_keep_alive: true, ..DecodedEvent::default() }),
            "message_stop" => Ok(DecodedEvent { is_last: true, ..DecodedEvent::default() }),
            _ => Ok(DecodedEvent::default()),
        }
    }
}

/// Why the model stopped.
struct Ending {
    finish: Option<FinishReason>,
    reason: Option<String>,
    explanation: Option<String>,
    refusal: Option<String>,
}

impl Ending {
    /// # Errors
    /// Returns `Truncated` if the model waits for a server tool.
    fn new(reason: Option<String>, details: Option<&Value>, target: &Target) -> Result<Self> {
        if reason.as_deref() == Some("pause_turn") {
            return Err(paused(target));
        }
        let finish = reason.as_deref().and_then(finish_reason);
        Ok(Self {
            refusal: (finish == Some(FinishReason::Refusal)).then(|| refusal(details).to_owned()),
            explanation: explanation(finish.unwrap_or_default()),
            reason: reason.filter(|_| finish.is_some()),
            finish,
        })
    }
}

impl MessageUsage {
    /// The counts without overlap. The API counts cache reads and writes apart from the input, and thoughts as part of the
    /// output; a gateway that reports more thoughts than output counts them apart. Cache writes count as input: their higher
    /// price is not modelled.
    fn disjoint(&self) -> Usage {
        let output = self.output_tokens.0;
        let reasoning = self.output_tokens_details.as_ref().map_or(0, |details| details.thinking_tokens.0);
        Usage {
            input: self.input_tokens.0.saturating_add(self.cache_creation_input_tokens.0),
            cached_input: self.cache_read_input_tokens.0,
            output: output.checked_sub(reasoning).unwrap_or(output),
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

fn event(pieces: Pieces, has_tool_calls: bool) -> DecodedEvent {
    let Pieces { text, reasoning, reasoning_field, refusal } = pieces;
    DecodedEvent { text, reasoning, reasoning_field, refusal, has_tool_calls, ..DecodedEvent::default() }
}

/// The texts of a whole content, and whether there are calls of tools. Some servers send the object that was asked for in place of
/// the blocks.
fn whole_pieces(content: Content<WholeBlock>, target: &Target) -> Result<(Pieces, bool)> {
    /// The fields of blocks. An object with another field is data.
    const FIELDS: [&str; 9] = ["type", "text", "citations", "thinking", "signature", "data", "id", "name", "input"];
    let is_block = |names: &[&str]| names.contains(&"type") && names.iter().all(|name| FIELDS.contains(name));
    let content = content.into_known(is_block).map_err(|error| {
        let message = format!("the content of the reply is JSON that the protocol does not know: {error}");
        target_error(target, ErrorKind::MalformedReply, &message)
    })?;
    Ok(match content {
        Content::Parts(blocks) => pieces(blocks.into_iter().map(|WholeBlock(block)| block).collect()),
        Content::Other(text) => (text.into_pieces(), false),
    })
}

/// The texts of `blocks`, and whether there are calls of tools.
fn pieces(blocks: Vec<Block>) -> (Pieces, bool) {
    let (mut pieces, mut has_tool_calls) = (Pieces::default(), false);
    for block in blocks {
        let (to, text) = match block.r#type.as_deref() {
            None | Some("text") => (&mut pieces.text, block.text),
            Some("thinking") => {
                pieces.reasoning_field = "thinking";
                (&mut pieces.reasoning, block.thinking)
            }
            kind => {
                has_tool_calls |= kind == Some("tool_use");
                continue;
            }
        };
        if let Some(text) = text.into_string() {
            to.get_or_insert_default().push_str(&text);
        }
    }
    (pieces, has_tool_calls)
}

/// Why the model refused.
fn refusal(details: Option<&Value>) -> &str {
    let found = ["explanation", "category"].into_iter().find_map(|name| details?.get(name)?.as_str());
    found.unwrap_or("no reason given")
}

/// The error for a reply that waits for a server tool. The request offers none.
fn paused(target: &Target) -> Error {
    target_error(target, ErrorKind::Truncated, "the model paused before its reply was whole (pause_turn)")
}
