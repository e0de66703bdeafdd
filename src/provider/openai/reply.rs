//! Replies and stream events of chat completions.

use serde::Deserialize;
use serde_json::Value;

use super::super::decode::{ParsedReply, TokenCount};
use super::super::error_body::target_error;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::{FinishReason, Usage};

/// The finish reason of a reply that a filter blocked.
const CONTENT_FILTER: &str = "content_filter";

const BLOCKED: &str = "the reply was blocked (content_filter)";

/// A reply, or one event of a streamed reply.
#[derive(Deserialize)]
pub(super) struct Completion {
    choices: Option<Vec<Choice>>,
    model: Option<String>,
    usage: Option<CompletionUsage>,
    pub(super) error: Option<Value>,
}

/// A reply has a `message`, an event a `delta`.
#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    delta: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompletionUsage {
    prompt_tokens: TokenCount,
    completion_tokens: TokenCount,
    total_tokens: TokenCount,
    prompt_tokens_details: Option<TokenDetails>,
    completion_tokens_details: Option<TokenDetails>,
}

/// Those of the prompt have cached tokens, those of the completion reasoning tokens.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenDetails {
    cached_tokens: TokenCount,
    reasoning_tokens: TokenCount,
}

impl Completion {
    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        let Some(choices) = self.choices else {
            let message = "the reply has no choices; is the base URL right?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        };
        let usage = self.usage.unwrap_or_default().disjoint();
        let (message, reason) =
            choices.into_iter().next().map_or((None, None), |choice| (choice.message, choice.finish_reason));
        let (text, refusal) = message.map_or((None, None), Message::into_parts);
        if let Some(refusal) = refusal {
            let message = format!("the model refused: {refusal}");
            return Err(target_error(target, ErrorKind::Refused, &message).with_usage(usage));
        }
        if reason.as_deref() == Some(CONTENT_FILTER) {
            return Err(target_error(target, ErrorKind::Blocked, BLOCKED).with_usage(usage));
        }
        let (text, finish) = (text.unwrap_or_default(), finish_reason(reason.as_deref()));
        Ok(ParsedReply { text, reasoning: String::new(), model: self.model, finish, reason, usage })
    }

    pub(super) fn into_event(self) -> Event {
        let choice = self.choices.unwrap_or_default().into_iter().next();
        let (delta, reason) = choice.map_or((None, None), |choice| (choice.delta, choice.finish_reason));
        let (text, refusal) = delta.map_or((None, None), Message::into_parts);
        Event {
            text,
            blocked: (reason.as_deref() == Some(CONTENT_FILTER)).then(|| BLOCKED.to_owned()),
            refusal,
            model: self.model,
            finish: reason.as_deref().map(|reason| finish_reason(Some(reason))),
            reason,
            usage: self.usage.map(|usage| UsageUpdate::Full(usage.disjoint())),
            // The usage follows the finish reason, and `[DONE]` ends the stream.
            is_last: false,
            ..Event::default()
        }
    }
}

impl Message {
    /// The text and the refusal.
    fn into_parts(self) -> (Option<String>, Option<String>) {
        (self.content.map(Content::into_text), self.refusal.filter(|refusal| !refusal.is_empty()))
    }
}

impl Content {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts
                .into_iter()
                .filter(|part| part.r#type.as_deref().is_none_or(|kind| kind == "text" || kind == "output_text"))
                .filter_map(|part| part.text)
                .collect(),
        }
    }
}

impl CompletionUsage {
    /// The counts without overlap. Cached tokens are part of the prompt. OpenAI counts thoughts as part of the completion;
    /// xAI and Gemini's compatible endpoint count them apart, and then the total exceeds the sum of prompt and
    /// completion.
    fn disjoint(&self) -> Usage {
        let (prompt, completion) = (self.prompt_tokens.0, self.completion_tokens.0);
        let cached = self.prompt_tokens_details.as_ref().map_or(0, |details| details.cached_tokens.0);
        let thoughts = self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.0);
        let apart = self.total_tokens.0.saturating_sub(prompt.saturating_add(completion));
        let within = if apart < thoughts { thoughts.min(completion) } else { 0 };
        let cached_input = cached.min(prompt);
        Usage {
            input: prompt - cached_input,
            cached_input,
            output: completion - within,
            reasoning: within.saturating_add(apart),
            tool: 0,
        }
    }
}

fn finish_reason(reason: Option<&str>) -> FinishReason {
    match reason {
        Some("stop") => FinishReason::Stop,
        Some("length") => FinishReason::Length,
        _ => FinishReason::Other,
    }
}
