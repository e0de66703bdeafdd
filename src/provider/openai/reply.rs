//! Replies and stream events of chat completions.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::decode::ParsedReply;
use super::super::envelope::{Count, Object, Pieces, Text, details, fault, list, object, word};
use super::super::error_body::{ErrorBody, target_error};
use super::super::finish::{explanation, finish_reason};
use super::super::in_band::reported;
use super::super::{Event, Target, UsageUpdate};
use crate::error::{ErrorKind, Result};
use crate::message::{FinishReason, Usage};

/// A reply, or one event of a streamed reply.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Completion {
    #[serde(deserialize_with = "list")]
    choices: Option<Vec<Choice>>,
    #[serde(deserialize_with = "word")]
    model: Option<String>,
    #[serde(deserialize_with = "details")]
    usage: Option<CompletionUsage>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

/// A reply has a `message`, an event a `delta`, and a reply of the older completions API a `text`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    index: Option<Count>,
    #[serde(deserialize_with = "object")]
    message: Option<Message>,
    #[serde(deserialize_with = "object")]
    delta: Option<Message>,
    text: Text,
    #[serde(deserialize_with = "word")]
    finish_reason: Option<String>,
    #[serde(deserialize_with = "details")]
    usage: Option<CompletionUsage>,
    #[serde(deserialize_with = "fault")]
    error: Option<Value>,
}

/// The reasoning has three names. Some servers send it with two of them.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    content: Text,
    refusal: Text,
    reasoning_content: Text,
    reasoning: Text,
    reasoning_details: Option<Box<RawValue>>,
    #[serde(deserialize_with = "fault")]
    tool_calls: Option<Value>,
}

/// The counts of OpenAI, of `DeepSeek` (`prompt_cache_hit_tokens`) and Moonshot (`cached_tokens`), and the names that the newer
/// API and Anthropic have for them.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::provider) struct CompletionUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    prompt_cache_hit_tokens: Count,
    cached_tokens: Count,
    reasoning_tokens: Count,
    #[serde(deserialize_with = "details")]
    prompt_tokens_details: Option<TokenDetails>,
    #[serde(deserialize_with = "details")]
    completion_tokens_details: Option<TokenDetails>,
    #[serde(deserialize_with = "details")]
    input_tokens_details: Option<TokenDetails>,
    #[serde(deserialize_with = "details")]
    output_tokens_details: Option<TokenDetails>,
}

/// Those of the prompt have cached tokens, those of the completion reasoning tokens.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct TokenDetails {
    cached_tokens: Count,
    reasoning_tokens: Count,
}

/// A choice without its envelope.
#[derive(Default)]
struct Answer {
    pieces: Pieces,
    has_tool_calls: bool,
    reason: Option<String>,
    finish: Option<FinishReason>,
    usage: Option<CompletionUsage>,
}

impl Object for Choice {}

impl Object for Message {
    fn from_text(text: String) -> Option<Self> {
        Some(Self { content: Text::Plain(text), ..Self::default() })
    }
}

impl Completion {
    /// Takes the error that the provider reports in place of a reply, or in place of its first choice. `data` is the whole
    /// envelope.
    pub(super) fn take_error(&mut self, data: &[u8]) -> Option<ErrorBody> {
        let is_blank = match self.choices.as_deref_mut() {
            None => true,
            Some([]) => self.usage.is_none(),
            Some(choices) => {
                let mut first = choices.iter_mut().filter(|choice| choice.is_first());
                self.error = self.error.take().or_else(|| first.find_map(|choice| choice.error.take()));
                false
            }
        };
        reported(self.error.take(), is_blank, data)
    }

    pub(super) fn parse(self, target: &Target) -> Result<ParsedReply> {
        let Some(choices) = self.choices else {
            let message = "the reply has no choices; is the base URL right?";
            return Err(target_error(target, ErrorKind::MalformedReply, message));
        };
        // Some servers count from one.
        let index = choices.iter().position(Choice::is_first).unwrap_or(0);
        let Answer { pieces, has_tool_calls, reason, finish, usage } =
            choices.into_iter().nth(index).map(|choice| choice.into_answer(false)).unwrap_or_default();
        Ok(ParsedReply {
            text: pieces.text.unwrap_or_default(),
            reasoning: pieces.reasoning.unwrap_or_default(),
            reasoning_field: pieces.reasoning_field,
            refusal: pieces.refusal.unwrap_or_default(),
            has_tool_calls,
            model: self.model,
            explanation: explanation(finish.unwrap_or_default()),
            finish: finish.unwrap_or_default(),
            reason,
            usage: self.usage.or(usage).unwrap_or_default().disjoint(),
            ..ParsedReply::default()
        })
    }

    pub(super) fn into_event(self) -> Event {
        // The other choices are other answers.
        let choice = self.choices.unwrap_or_default().into_iter().find(Choice::is_first);
        let Answer { pieces, has_tool_calls, reason, finish, usage } =
            choice.map(|choice| choice.into_answer(true)).unwrap_or_default();
        Event {
            text: pieces.text,
            reasoning: pieces.reasoning,
            reasoning_field: pieces.reasoning_field,
            refusal: pieces.refusal,
            blocked: (finish == Some(FinishReason::ContentFilter))
                .then(|| format!("the reply was blocked ({})", reason.as_deref().unwrap_or_default())),
            has_tool_calls,
            model: self.model,
            explanation: explanation(finish.unwrap_or_default()),
            finish,
            reason,
            usage: UsageUpdate::full(self.usage.or(usage).map(|usage| usage.disjoint())),
            // The usage follows the finish reason, and `[DONE]` ends the stream.
            is_last: false,
            ..Event::default()
        }
    }
}

impl Choice {
    /// Whether it is the answer: requests ask for one choice.
    fn is_first(&self) -> bool {
        self.index.is_none_or(|Count(index)| index == 0)
    }

    /// Some servers repeat the text so far as the `message` of each event.
    fn into_answer(self, is_event: bool) -> Answer {
        let message = if is_event { self.delta.or(self.message) } else { self.message.or(self.delta) };
        let finish = self.finish_reason.as_deref().and_then(finish_reason);
        let (mut pieces, has_tool_calls) = message.map_or_else(Default::default, Message::into_pieces);
        pieces.text = pieces.text.filter(|text| !text.is_empty()).or_else(|| self.text.into_string());
        Answer {
            pieces,
            has_tool_calls,
            reason: self.finish_reason.filter(|_| finish.is_some()),
            finish,
            usage: self.usage,
        }
    }
}

impl Message {
    /// The texts, and whether there are calls of tools.
    fn into_pieces(self) -> (Pieces, bool) {
        let Pieces { text, reasoning, reasoning_field, refusal } = self.content.into_pieces();
        let details = || self.reasoning_details.and_then(|json| Text::Json(json.get().to_owned()).into_words());
        let named = [("reasoning_content", self.reasoning_content), ("reasoning", self.reasoning)];
        let apart = named
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.into_words()?)))
            .find(|(_, text)| !text.is_empty())
            .or_else(|| Some(("reasoning_details", details()?)));
        let (reasoning_field, apart) = apart.map_or((reasoning_field, None), |(name, text)| (name, Some(text)));
        let pieces = Pieces {
            text,
            reasoning: [reasoning, apart].into_iter().flatten().reduce(|text, more| text + &more),
            reasoning_field,
            refusal: refusal.or_else(|| self.refusal.into_words()).filter(|refusal| !refusal.is_empty()),
        };
        (pieces, self.tool_calls.is_some())
    }
}

impl CompletionUsage {
    /// The counts without overlap. Cached tokens are part of the prompt. OpenAI counts thoughts as part of the completion;
    /// xAI and Gemini's compatible endpoint count them apart, and then the total exceeds the sum of prompt and completion.
    /// Gateways count more thoughts than tokens of the completion: those are apart as well.
    pub(in crate::provider) fn disjoint(&self) -> Usage {
        let (prompt, completion) =
            (first(self.prompt_tokens, self.input_tokens), first(self.completion_tokens, self.output_tokens));
        let [prompt_details, completion_details] = [
            self.prompt_tokens_details.or(self.input_tokens_details).unwrap_or_default(),
            self.completion_tokens_details.or(self.output_tokens_details).unwrap_or_default(),
        ];
        let cached = first(prompt_details.cached_tokens, self.prompt_cache_hit_tokens).max(self.cached_tokens.0);
        let thoughts = first(completion_details.reasoning_tokens, self.reasoning_tokens);
        let apart = self.total_tokens.0.saturating_sub(prompt.saturating_add(completion));
        let (output, reasoning) = match (apart, thoughts) {
            // Only the total states the size of the reply.
            (_, 0) if completion == 0 => (apart, 0),
            (0, _) if thoughts > completion => (completion, thoughts),
            (apart, _) if apart < thoughts && thoughts <= completion => {
                (completion - thoughts, thoughts.saturating_add(apart))
            }
            (apart, _) => (completion, apart),
        };
        let cached_input = cached.min(prompt);
        Usage { input: prompt - cached_input, cached_input, output, reasoning, tool: 0 }
    }
}

/// The first count that is not zero.
fn first(count: Count, other: Count) -> u64 {
    if count.0 == 0 { other.0 } else { count.0 }
}
