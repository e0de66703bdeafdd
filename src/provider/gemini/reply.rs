//! Replies and stream events of `generateContent`.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::ParsedReply;
use super::super::envelope::{self, Count, Flag, Object, Pieces, Text, details, fault, list, object, word};
use super::super::error_body::{ErrorBody, target_error};
use super::super::finish::finish_reason;
use super::super::in_band::reported;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::{FinishReason, Page, PageStatus, Usage};
use crate::webpage::redacted;

/// A reply, or one event of a streamed reply.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GenerateContentReply {
    #[serde(deserialize_with = "list")]
    candidates: Option<Vec<Candidate>>,
    #[serde(deserialize_with = "details")]
    prompt_feedback: Option<PromptFeedback>,
    #[serde(deserialize_with = "details")]
    usage_metadata: Option<UsageMetadata>,
    #[serde(deserialize_with = "word")]
    model_version: Option<String>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    index: Option<Count>,
    #[serde(deserialize_with = "object")]
    content: Option<Content>,
    #[serde(deserialize_with = "word")]
    finish_reason: Option<String>,
    #[serde(deserialize_with = "word")]
    finish_message: Option<String>,
    #[serde(deserialize_with = "fault")]
    url_context_metadata: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Content {
    parts: envelope::Content<Part>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    text: Text,
    thought: Flag,
    #[serde(deserialize_with = "fault")]
    function_call: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PromptFeedback {
    #[serde(deserialize_with = "word")]
    block_reason: Option<String>,
    #[serde(deserialize_with = "word")]
    block_reason_message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Google's names")]
struct UsageMetadata {
    prompt_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
}

/// A candidate without its envelope.
#[derive(Default)]
struct Answer {
    pieces: Pieces,
    has_tool_calls: bool,
    finish: Option<FinishReason>,
    reason: Option<String>,
    explanation: Option<String>,
    blocked: Option<String>,
    pages: Vec<Page>,
}

impl Object for Candidate {}

impl Object for Content {
    fn from_text(text: String) -> Option<Self> {
        Part::from_text(text).map(|part| Self { parts: envelope::Content::Parts(vec![part]) })
    }
}

impl Object for Part {
    fn from_text(text: String) -> Option<Self> {
        Some(Self { text: Text::Plain(text), ..Self::default() })
    }
}

impl GenerateContentReply {
    /// Takes the error that the provider reports in place of a reply. `data` is the whole envelope.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        let is_blank = self.is_blank();
        reported(self.error.take(), is_blank, data)
    }

    fn is_blank(&self) -> bool {
        self.candidates.is_none() && self.prompt_feedback.is_none() && self.usage_metadata.is_none()
    }

    /// The reply and the status of the pages that the model read.
    pub(super) fn parse(self, target: &Target) -> Result<(ParsedReply, Vec<Page>)> {
        if self.is_blank() {
            let message = "the reply has no candidates; is this Gemini?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        }
        let candidates = self.candidates.unwrap_or_default();
        let index = candidates.iter().position(Candidate::is_first).unwrap_or(0);
        let Answer { pieces, has_tool_calls, finish, reason, explanation, blocked, pages } =
            candidates.into_iter().nth(index).map(|it| it.into_answer(target)).transpose()?.unwrap_or_default();
        let reply = ParsedReply {
            text: pieces.text.unwrap_or_default(),
            reasoning: pieces.reasoning.unwrap_or_default(),
            reasoning_field: pieces.reasoning_field,
            blocked: self.prompt_feedback.and_then(PromptFeedback::blocked).or(blocked),
            has_tool_calls,
            model: self.model_version,
            finish: finish.unwrap_or_default(),
            reason,
            explanation,
            usage: self.usage_metadata.unwrap_or_default().disjoint(),
            ..ParsedReply::default()
        };
        Ok((reply, pages))
    }

    /// A finish reason does not end the stream: some servers send one with each event.
    pub(super) fn into_event(self, target: &Target) -> Result<Event> {
        let candidate = self.candidates.unwrap_or_default().into_iter().find(Candidate::is_first);
        let Answer { pieces, has_tool_calls, finish, reason, explanation, blocked, pages } =
            candidate.map(|it| it.into_answer(target)).transpose()?.unwrap_or_default();
        Ok(Event {
            text: pieces.text,
            reasoning: pieces.reasoning,
            reasoning_field: pieces.reasoning_field,
            blocked: self.prompt_feedback.and_then(PromptFeedback::blocked).or(blocked),
            has_tool_calls,
            model: self.model_version,
            finish,
            reason,
            explanation,
            usage: UsageUpdate::full(self.usage_metadata.map(|usage| usage.disjoint())),
            pages,
            ..Event::default()
        })
    }
}

impl PromptFeedback {
    fn blocked(self) -> Option<String> {
        let reason = self.block_reason.filter(|reason| reason != "BLOCK_REASON_UNSPECIFIED")?;
        Some(blocked("prompt", &reason, self.block_reason_message.as_deref()))
    }
}

/// Whether an object with these fields is a part. An object with another field is data.
fn is_part(names: &[&str]) -> bool {
    const FIELDS: [&str; 10] = [
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "functionResponse",
        "inlineData",
        "fileData",
        "executableCode",
        "codeExecutionResult",
        "videoMetadata",
    ];
    names.iter().all(|name| FIELDS.contains(name))
}

impl Candidate {
    /// Whether it is the answer: requests ask for one candidate.
    fn is_first(&self) -> bool {
        self.index.is_none_or(|Count(index)| index == 0)
    }

    fn into_answer(self, target: &Target) -> Result<Answer> {
        let finish = self.finish_reason.as_deref().and_then(finish_of);
        let reason = self.finish_reason.filter(|_| finish.is_some());
        let blocked = (finish == Some(FinishReason::ContentFilter))
            .then(|| blocked("reply", reason.as_deref().unwrap_or_default(), self.finish_message.as_deref()));
        let pages = self.url_context_metadata.as_ref().map(pages).unwrap_or_default();
        let mut answer =
            Answer { finish, reason, explanation: self.finish_message, blocked, pages, ..Answer::default() };
        let content = self.content.unwrap_or_default().parts.into_known(is_part).map_err(|error| {
            let message = format!("the parts of the reply are JSON that the protocol does not know: {error}");
            target_error(target, ErrorKind::MalformedReply, &message)
        })?;
        let parts = match content {
            envelope::Content::Parts(parts) => parts,
            // Some servers send the object that was asked for in place of the parts.
            envelope::Content::Other(text) => return Ok(Answer { pieces: text.into_pieces(), ..answer }),
        };
        for part in parts {
            answer.has_tool_calls |= part.function_call.is_some();
            let Some(text) = part.text.into_string() else { continue };
            let is_thought = part.thought.0;
            let pieces = &mut answer.pieces;
            if is_thought {
                pieces.reasoning_field = "parts with `thought`";
            }
            let to = if is_thought { &mut pieces.reasoning } else { &mut pieces.text };
            to.get_or_insert_default().push_str(&text);
        }
        Ok(answer)
    }
}

impl UsageMetadata {
    /// The counts without overlap. The API counts cached tokens as part of the prompt.
    fn disjoint(&self) -> Usage {
        let prompt = self.prompt_token_count.0;
        let cached_input = self.cached_content_token_count.0.min(prompt);
        Usage {
            input: prompt - cached_input,
            cached_input,
            output: self.candidates_token_count.0,
            reasoning: self.thoughts_token_count.0,
            tool: self.tool_use_prompt_token_count.0,
        }
    }
}

/// Why the model stopped. A reason that is neither a good end nor a limit is never the end of a whole answer; an unsupported
/// language and reasons that Google does not disclose are blocks.
fn finish_of(word: &str) -> Option<FinishReason> {
    Some(match finish_reason(word)? {
        FinishReason::Other if ["LANGUAGE", "OTHER", "IMAGE_OTHER"].contains(&word) => FinishReason::ContentFilter,
        FinishReason::Other => FinishReason::Error,
        reason => reason,
    })
}

fn blocked(what: &str, reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) => format!("the {what} was blocked ({reason}): {message}"),
        None => format!("the {what} was blocked ({reason})"),
    }
}

/// The status of the pages that the URL context tool read.
fn pages(metadata: &Value) -> Vec<Page> {
    let pages = metadata.get("urlMetadata").and_then(Value::as_array);
    pages.into_iter().flatten().filter_map(page).collect()
}

fn page(metadata: &Value) -> Option<Page> {
    let metadata = metadata.as_object()?;
    let status = match metadata.get("urlRetrievalStatus").and_then(Value::as_str).unwrap_or_default() {
        "URL_RETRIEVAL_STATUS_SUCCESS" => PageStatus::Success,
        "URL_RETRIEVAL_STATUS_ERROR" => PageStatus::Error,
        "URL_RETRIEVAL_STATUS_PAYWALL" => PageStatus::Paywall,
        "URL_RETRIEVAL_STATUS_UNSAFE" => PageStatus::Unsafe,
        _ => PageStatus::Other,
    };
    let url = match metadata.get("retrievedUrl").and_then(Value::as_str) {
        Some(url) => redacted(url),
        None if status == PageStatus::Success => return None,
        None => "an unnamed address".to_owned(),
    };
    Some(Page { url, status, reason: None })
}
