//! Replies and stream events of `generateContent`.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::{ParsedReply, TokenCount};
use super::super::error_body::target_error;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::{FinishReason, Page, PageStatus, Usage};

/// A reply, or one event of a streamed reply.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerateContentReply {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    model_version: Option<String>,
    pub(super) error: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    // A `Value`: malformed metadata about pages must not cost the reply.
    url_context_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    thought: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Google's names")]
struct UsageMetadata {
    prompt_token_count: TokenCount,
    candidates_token_count: TokenCount,
    thoughts_token_count: TokenCount,
    tool_use_prompt_token_count: TokenCount,
    cached_content_token_count: TokenCount,
}

impl GenerateContentReply {
    /// The reply and the status of the pages that the model read.
    pub(super) fn parse(self, target: &Target) -> Result<(ParsedReply, Vec<Page>)> {
        if self.candidates.is_none() && self.prompt_feedback.is_none() && self.usage_metadata.is_none() {
            let message = "the reply has no candidates; is this Gemini?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        }
        let usage = self.usage_metadata.unwrap_or_default().disjoint();
        let candidate = self.candidates.unwrap_or_default().into_iter().next().unwrap_or_default();
        let blocked = self.prompt_feedback.and_then(PromptFeedback::blocked).or_else(|| candidate.blocked());
        if let Some(message) = blocked {
            return Err(target_error(target, ErrorKind::Blocked, &message).with_usage(usage));
        }
        let (finish, reason, pages) = (candidate.finish(), candidate.finish_reason.clone(), candidate.pages());
        let reply = ParsedReply {
            text: candidate.into_text(),
            reasoning: String::new(),
            model: self.model_version,
            finish,
            reason,
            usage,
        };
        Ok((reply, pages))
    }

    pub(super) fn into_event(self) -> Event {
        let blocked = self.prompt_feedback.and_then(PromptFeedback::blocked);
        let candidate = self.candidates.unwrap_or_default().into_iter().next().unwrap_or_default();
        let reason = candidate.finish_reason.clone().filter(|reason| reason != "FINISH_REASON_UNSPECIFIED");
        Event {
            blocked: blocked.or_else(|| candidate.blocked()),
            model: self.model_version,
            finish: reason.is_some().then(|| candidate.finish()),
            is_last: reason.is_some(),
            reason,
            usage: self.usage_metadata.map(|usage| UsageUpdate::Full(usage.disjoint())),
            pages: candidate.pages(),
            text: Some(candidate.into_text()),
            ..Event::default()
        }
    }
}

impl PromptFeedback {
    fn blocked(self) -> Option<String> {
        self.block_reason.map(|reason| format!("the prompt was blocked ({reason})"))
    }
}

impl Candidate {
    fn blocked(&self) -> Option<String> {
        let reason = self.finish_reason.as_deref().filter(|reason| is_block(reason))?;
        let message = self.finish_message.as_deref().unwrap_or_default();
        Some(format!("the reply was blocked ({reason}) {message}"))
    }

    fn finish(&self) -> FinishReason {
        match self.finish_reason.as_deref() {
            Some("STOP") => FinishReason::Stop,
            Some("MAX_TOKENS") => FinishReason::Length,
            _ => FinishReason::Other,
        }
    }

    /// The status of the pages that the URL context tool read.
    fn pages(&self) -> Vec<Page> {
        let metadata = self.url_context_metadata.as_ref().and_then(|metadata| metadata.get("urlMetadata")?.as_array());
        metadata.into_iter().flatten().filter_map(page).collect()
    }

    /// The text without thoughts.
    fn into_text(self) -> String {
        let parts = self.content.and_then(|content| content.parts).unwrap_or_default();
        parts.into_iter().filter(|part| part.thought != Some(true)).filter_map(|part| part.text).collect()
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

fn page(metadata: &Value) -> Option<Page> {
    let status = match metadata.get("urlRetrievalStatus").and_then(Value::as_str).unwrap_or_default() {
        "URL_RETRIEVAL_STATUS_SUCCESS" => PageStatus::Success,
        "URL_RETRIEVAL_STATUS_ERROR" => PageStatus::Error,
        "URL_RETRIEVAL_STATUS_PAYWALL" => PageStatus::Paywall,
        "URL_RETRIEVAL_STATUS_UNSAFE" => PageStatus::Unsafe,
        _ => PageStatus::Other,
    };
    Some(Page { url: metadata.get("retrievedUrl")?.as_str()?.to_owned(), status })
}

fn is_block(reason: &str) -> bool {
    let reason = reason.strip_prefix("IMAGE_").unwrap_or(reason);
    matches!(reason, "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII")
}
