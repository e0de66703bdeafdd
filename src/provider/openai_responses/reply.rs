//! Replies and stream events of the responses API.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::ParsedReply;
use super::super::envelope::{Content, Count, Object, Pieces, Text, details, fault, list, object, word};
use super::super::error_body::{ErrorBody, target_error};
use super::super::finish::{explanation, finish_reason};
use super::super::in_band::{error_in, reported};
use super::super::openai::CompletionUsage;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::FinishReason;

/// Separates the parts of a summary.
const PARAGRAPH: &str = "\n\n";

/// A reply. The events of a stream that begin and end it have one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Response {
    #[serde(deserialize_with = "list")]
    output: Option<Vec<Item>>,
    /// The text of the whole output, which some servers send in place of it.
    output_text: Text,
    #[serde(deserialize_with = "word")]
    status: Option<String>,
    #[serde(deserialize_with = "details")]
    incomplete_details: Option<IncompleteDetails>,
    #[serde(deserialize_with = "word")]
    model: Option<String>,
    #[serde(deserialize_with = "details")]
    usage: Option<CompletionUsage>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct IncompleteDetails {
    #[serde(deserialize_with = "word")]
    reason: Option<String>,
}

/// An item of the output: a message, the reasoning, or a call of a tool.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    content: Content<Part>,
    summary: Content<Part>,
    text: Text,
}

/// A part of the content of an item.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Part {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    text: Text,
    refusal: Text,
}

/// An event of a streamed reply.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct StreamEvent {
    #[serde(deserialize_with = "word")]
    r#type: Option<String>,
    delta: Text,
    summary_index: Count,
    #[serde(deserialize_with = "object")]
    part: Option<Part>,
    #[serde(deserialize_with = "object")]
    item: Option<Item>,
    #[serde(deserialize_with = "object")]
    response: Option<Response>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

impl Object for Response {}

impl Object for Item {
    fn from_text(text: String) -> Option<Self> {
        Some(Self { text: Text::Plain(text), ..Self::default() })
    }
}

impl Object for Part {}

impl Response {
    /// Takes the error that the server reports in place of a reply. `data` is the whole envelope.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        match self.error.take() {
            // The fields of a reply repeat the request.
            Some(error) if self.status.is_some() => Some(error_in(&error)),
            error => reported(error, self.is_blank(), data),
        }
    }

    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        if self.is_blank() && self.output_text == Text::None {
            let message = "the reply has no output: check the base URL, and whether the server has the responses API";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        }
        let Answer { pieces, has_tool_calls, finish, reason, model, usage } = self.into_answer();
        let finish = finish.unwrap_or_default();
        Ok(ParsedReply {
            text: pieces.text.unwrap_or_default(),
            reasoning: pieces.reasoning.unwrap_or_default(),
            reasoning_field: pieces.reasoning_field,
            refusal: pieces.refusal.unwrap_or_default(),
            has_tool_calls,
            model,
            explanation: explanation(finish),
            finish,
            reason,
            usage: usage.unwrap_or_default().disjoint(),
            ..ParsedReply::default()
        })
    }

    /// Whether it has no field of a reply.
    fn is_blank(&self) -> bool {
        self.output.is_none() && self.status.is_none()
    }

    fn into_answer(self) -> Answer {
        let (mut pieces, mut has_tool_calls) = (Pieces::default(), false);
        for item in self.output.unwrap_or_default() {
            has_tool_calls |= item.add_to(&mut pieces);
        }
        pieces.text = pieces.text.or_else(|| self.output_text.into_string());
        let is_incomplete = self.status.as_deref() == Some("incomplete");
        let reason = if is_incomplete { self.incomplete_details.and_then(|details| details.reason) } else { None };
        let reason = reason.or(self.status);
        let finish = match reason.as_deref() {
            None | Some("in_progress" | "queued") => None,
            Some(reason) => finish_reason(reason),
        };
        let finish = match finish {
            // It is not whole, whatever the reason is.
            Some(FinishReason::Stop | FinishReason::Other) | None if is_incomplete => Some(FinishReason::Length),
            finish => finish,
        };
        Answer {
            pieces,
            has_tool_calls,
            reason: reason.filter(|_| finish.is_some()),
            finish,
            model: self.model,
            usage: self.usage,
        }
    }
}

/// A reply without its envelope.
struct Answer {
    pieces: Pieces,
    has_tool_calls: bool,
    reason: Option<String>,
    finish: Option<FinishReason>,
    model: Option<String>,
    usage: Option<CompletionUsage>,
}

impl Item {
    /// Adds the texts to `pieces`. Returns whether it is a call of a tool.
    fn add_to(self, pieces: &mut Pieces) -> bool {
        let kind = self.r#type.as_deref().unwrap_or("message");
        if kind.contains("_call") {
            return kind.ends_with("_call");
        }
        if is_reasoning(kind) {
            for content in [self.summary, self.content, Content::Other(self.text)] {
                let parts = match content {
                    Content::Parts(parts) => parts,
                    Content::Other(text) => vec![Part { text, ..Part::default() }],
                };
                for part in parts {
                    part.add_reasoning_to(pieces);
                }
            }
            return false;
        }
        for content in [self.content, Content::Other(self.text)] {
            match content {
                Content::Parts(parts) => parts.into_iter().for_each(|part| part.add_to(pieces)),
                Content::Other(text) => add(pieces, text.into_pieces()),
            }
        }
        false
    }
}

impl Part {
    fn add_to(self, pieces: &mut Pieces) {
        if self.r#type.as_deref().is_some_and(is_reasoning) {
            return self.add_reasoning_to(pieces);
        }
        let refusal = self.refusal.into_words().filter(|refusal| !refusal.is_empty());
        let is_refusal = self.r#type.as_deref() == Some("refusal");
        let (to, text) = match refusal {
            Some(refusal) => (&mut pieces.refusal, Some(refusal)),
            None if is_refusal => (&mut pieces.refusal, self.text.into_words()),
            None => (&mut pieces.text, self.text.into_string()),
        };
        if let Some(text) = text {
            to.get_or_insert_default().push_str(&text);
        }
    }

    fn add_reasoning_to(self, pieces: &mut Pieces) {
        let Some(text) = self.text.into_words().filter(|text| !text.is_empty()) else { return };
        pieces.reasoning_field = "reasoning";
        let reasoning = pieces.reasoning.get_or_insert_default();
        if !reasoning.is_empty() {
            reasoning.push_str(PARAGRAPH);
        }
        reasoning.push_str(&text);
    }
}

impl StreamEvent {
    /// Takes the error that the server reports within the stream. `data` is the whole event.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        if let Some(error) = self.response.as_mut().and_then(|response| response.error.take()) {
            return Some(error_in(&error));
        }
        let is_blank = self.r#type.as_deref().is_none_or(|kind| kind == "error");
        reported(self.error.take(), is_blank, data)
    }

    /// An event of an unknown type is empty, and so is one that repeats the text of others.
    pub(super) fn parse(self, target: &Target) -> Result<Event> {
        let Some(kind) = self.r#type else {
            let message = "the event has no type: check the base URL, and whether the server has the responses API";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        };
        let mut pieces = Pieces::default();
        let mut has_tool_calls = false;
        match kind.strip_prefix("response.").unwrap_or(&kind) {
            "output_text.delta" => pieces.text = self.delta.into_string(),
            "refusal.delta" => pieces.refusal = self.delta.into_words(),
            "content_part.added" => self.part.into_iter().for_each(|part| part.add_to(&mut pieces)),
            "output_item.added" => has_tool_calls = self.item.is_some_and(|item| item.add_to(&mut pieces)),
            "reasoning_summary_part.added" if self.summary_index.0 > 0 => {
                pieces.reasoning = Some(PARAGRAPH.to_owned());
            }
            "created" | "in_progress" => {
                let model = self.response.and_then(|response| response.model);
                return Ok(Event { model, ..Event::default() });
            }
            "completed" | "done" | "incomplete" | "failed" | "cancelled" => {
                let ending = self.response.unwrap_or_default();
                let status = kind.rsplit('.').next().map(str::to_owned);
                return Ok(Response { status: ending.status.clone().or(status), ..ending }.into_last_event());
            }
            "queued" | "keepalive" | "ping" => return Ok(Event { is_keep_alive: true, ..Event::default() }),
            name if name.strip_suffix(".delta").is_some_and(is_reasoning) => {
                pieces.reasoning = self.delta.into_words();
                pieces.reasoning_field = "reasoning";
            }
            name => has_tool_calls = name.contains("_call"),
        }
        let Pieces { text, reasoning, reasoning_field, refusal } = pieces;
        Ok(Event { text, reasoning, reasoning_field, refusal, has_tool_calls, ..Event::default() })
    }
}

impl Response {
    /// Converts it to the event that ends a stream. It repeats the texts of the whole reply.
    fn into_last_event(self) -> Event {
        let Answer { pieces, has_tool_calls, finish, reason, model, usage } = self.into_answer();
        let Pieces { text, reasoning, reasoning_field, refusal } = pieces;
        Event {
            text,
            reasoning,
            reasoning_field,
            refusal,
            is_whole: true,
            has_tool_calls,
            model,
            explanation: explanation(finish.unwrap_or_default()),
            finish,
            reason,
            usage: UsageUpdate::full(usage.map(|usage| usage.disjoint())),
            is_last: true,
            ..Event::default()
        }
    }
}

/// Appends the texts of `more` to those of `pieces`.
fn add(pieces: &mut Pieces, more: Pieces) {
    let texts =
        [(&mut pieces.text, more.text), (&mut pieces.reasoning, more.reasoning), (&mut pieces.refusal, more.refusal)];
    for (to, text) in texts {
        if let Some(text) = text {
            to.get_or_insert_default().push_str(&text);
        }
    }
    if !more.reasoning_field.is_empty() {
        pieces.reasoning_field = more.reasoning_field;
    }
}

fn is_reasoning(kind: &str) -> bool {
    kind.contains("reasoning") || kind.contains("summary")
}
