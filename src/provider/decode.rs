//! Helpers of the decoders: replies before validation, and lists of models.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::Target;
use super::envelope::parse_json;
use super::error_body::target_error;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Reply, Request, SchemaForm, Usage};
use crate::reasoning::{self, Purpose};
use crate::schema::{self, Dialect, Lowered};

/// The shortest text that cannot be the beginning of JSON and is not a word before it, in bytes.
const MIN_PROSE: usize = 200;

/// The content of a reply's envelope, or of the events of a stream, before validation.
#[derive(Debug, Default)]
pub(super) struct ParsedReply {
    /// The text without thoughts; may be empty.
    pub(super) text: String,
    /// The reasoning that the provider returned apart from the text.
    pub(super) reasoning: String,
    /// The name of the field that held it; empty if it was within the text.
    pub(super) reasoning_field: &'static str,
    /// Whether the text marked a part of it as reasoning.
    pub(super) is_marked: bool,
    /// The words of a refusal; empty if the model did not refuse.
    pub(super) refusal: String,
    /// The message of a content filter that blocked the prompt or the reply.
    pub(super) blocked: Option<String>,
    /// Whether the model called a tool. Requests offer none.
    pub(super) has_tool_calls: bool,
    /// The model that the provider reports.
    pub(super) model: Option<String>,
    /// Why the model stopped.
    pub(super) finish: FinishReason,
    /// The provider's name for that reason.
    pub(super) reason: Option<String>,
    /// The provider's explanation of that reason.
    pub(super) explanation: Option<String>,
    /// The tokens that the provider reports.
    pub(super) usage: Usage,
}

impl ParsedReply {
    /// Turns it into the reply to `request`. The JSON text of a structured reply is restored from the `dialect` of the
    /// request to the caller's schema. Fails like [`ParsedReply::validate`].
    pub(super) fn into_reply(mut self, target: &Target, request: &Request, dialect: Option<Dialect>) -> Result<Reply> {
        // Mostly the text is JSON and nothing else, and need not be searched.
        let is_json = request.schema.is_some() && schema::is_json(&self.text);
        if !is_json {
            self.split_reasoning(request);
        }
        self.into_valid_reply(target, request, dialect, is_json)
    }

    /// Moves the reasoning within the text to the reasoning.
    fn split_reasoning(&mut self, request: &Request) {
        let purpose = if request.schema.is_some() { Purpose::Json } else { Purpose::Text };
        let Some((text, reasoning)) = reasoning::split(&self.text, purpose) else { return };
        self.text = text;
        self.is_marked = true;
        if !self.reasoning.is_empty() && !reasoning.is_empty() {
            self.reasoning.push('\n');
        }
        self.reasoning.push_str(&reasoning);
    }

    /// Turns it into the reply to `request`. Its text contains no reasoning, and is known to be JSON if `is_json`.
    pub(super) fn into_valid_reply(
        self,
        target: &Target,
        request: &Request,
        dialect: Option<Dialect>,
        is_json: bool,
    ) -> Result<Reply> {
        self.validate(target, request)?;
        let Self { text, reasoning, model, finish, reason, usage, .. } = self;
        let lowered = request.schema.as_ref().zip(dialect).map(|(schema, dialect)| schema.lower(dialect));
        let answer = |schema| if is_json { Some(schema::trim(&text)) } else { Lowered::answer(schema, &text) };
        let json = lowered.as_deref().and_then(answer);
        let is_part = json.is_some_and(|json| json.len() < text.trim().len());
        let from_reasoning = lowered.as_ref().filter(|_| json.is_none() && !may_have_json(&text));
        let from_reasoning = from_reasoning.and_then(|schema| schema.answer_in_reasoning(&reasoning));
        let is_from_reasoning = from_reasoning.is_some();
        let json = lowered.as_ref().zip(json.or(from_reasoning));
        let json = json.map(|(schema, json)| schema.restore(json.to_owned()));
        let is_json = json.is_some();
        let (text, around) = match json {
            None => (text, None),
            Some(json) => (json, is_part.then_some(text)),
        };
        Ok(Reply {
            text,
            is_json,
            around,
            is_from_reasoning,
            model,
            finish,
            finish_detail: reason,
            reasoning: Some(reasoning).filter(|reasoning| !reasoning.trim().is_empty()),
            usage,
            pages: Vec::new(),
        })
    }

    /// Checks that it is a complete reply to `request`.
    ///
    /// # Errors
    ///
    /// `Refused` and `Blocked` as [`ParsedReply::check_refusal`]. `Server` if the provider reports that it failed. `EmptyReply`
    /// without text, `ThinkingOnly` if there is reasoning instead. `Truncated` if the text was cut at a limit of tokens, unless
    /// the caller set that limit and requested free text, or the text is prose in place of JSON. `ContextTruncated` if the token counts show that the model did not
    /// read the whole prompt.
    pub(super) fn validate(&self, target: &Target, request: &Request) -> Result<()> {
        self.check_refusal(target)?;
        if let Some(codec) = target.codec() {
            codec.check_usage(target, request, self.usage)?;
        }
        let is_empty = self.text.trim().is_empty();
        let is_cut = self.finish == FinishReason::Length
            && (is_empty || request.schema.is_some() || request.max_tokens.is_none());
        if is_cut && !self.ignores_schema(target, request) {
            return Err(self.truncated(target));
        }
        if self.finish == FinishReason::Error && (!is_empty || self.explanation.is_some()) {
            let message = format!("the model stopped before its reply was complete {}", self.explained());
            return Err(target_error(target, ErrorKind::Server, &message).with_usage(self.usage));
        }
        if is_empty && self.has_reasoning() {
            if self.has_answer_in_reasoning(target, request) {
                return Ok(());
            }
            let place = if self.is_marked { "marked as such in its text" } else { self.reasoning_field };
            let message = format!("the reply holds only thinking ({place}), no answer");
            return Err(target_error(target, ErrorKind::ThinkingOnly, &message).with_usage(self.usage));
        }
        if is_empty {
            let problem = if self.has_tool_calls { "no text but a call of a tool" } else { "no text" };
            let message = format!("the reply holds {problem} {}", self.explained());
            return Err(target_error(target, ErrorKind::EmptyReply, &message).with_usage(self.usage));
        }
        Ok(())
    }

    /// Whether the text is prose although the request has the provider enforce a schema. A correction that states the schema
    /// can succeed within the same limit of tokens.
    fn ignores_schema(&self, target: &Target, request: &Request) -> bool {
        let form = super::codec(target.provider).and_then(|codec| codec.schema_form(target, request));
        form.is_some_and(|form| form != SchemaForm::Prompted)
            && self.text.len() >= MIN_PROSE
            && !self.text.contains(['{', '['])
    }

    /// Whether the model wrote its structured answer where it reasons.
    fn has_answer_in_reasoning(&self, target: &Target, request: &Request) -> bool {
        let dialect = target.codec().and_then(|codec| codec.reply_dialect(target, request));
        let schema = request.schema.as_ref().zip(dialect);
        schema.is_some_and(|(schema, dialect)| schema.lower(dialect).answer_in_reasoning(&self.reasoning).is_some())
    }

    fn has_reasoning(&self) -> bool {
        !self.reasoning.trim().is_empty()
    }

    /// Checks that neither the model nor a content filter refused.
    ///
    /// # Errors
    ///
    /// `Refused` or `Blocked`.
    pub(super) fn check_refusal(&self, target: &Target) -> Result<()> {
        let (kind, message) = if let Some(message) = &self.blocked {
            (ErrorKind::Blocked, message.clone())
        } else if !self.refusal.trim().is_empty() {
            (ErrorKind::Refused, format!("the model refused: {}", self.refusal))
        } else {
            match self.finish {
                FinishReason::ContentFilter => {
                    (ErrorKind::Blocked, format!("the reply was blocked {}", self.explained()))
                }
                FinishReason::Refusal => (ErrorKind::Refused, format!("the model refused {}", self.explained())),
                _ => return Ok(()),
            }
        };
        Err(target_error(target, kind, &message).with_usage(self.usage))
    }

    /// Returns the reason for which the model stopped and its explanation, for messages.
    fn explained(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        match &self.explanation {
            Some(explanation) => format!("({reason}): {explanation}"),
            None => format!("({reason})"),
        }
    }

    fn truncated(&self, target: &Target) -> Error {
        let message = "the reply was cut at the limit of tokens";
        let (kind, message) = match (self.usage.reasoning, self.usage.output) {
            _ if self.text.trim().is_empty() && self.has_reasoning() => {
                (ErrorKind::ThinkingTruncated, format!("{message} before the answer began: it holds only thinking"))
            }
            (0, _) => (ErrorKind::Truncated, message.to_owned()),
            (thoughts, answer) => {
                let kind = if thoughts > answer { ErrorKind::ThinkingTruncated } else { ErrorKind::Truncated };
                (kind, format!("{message}: {thoughts} went into thoughts, {answer} into the answer"))
            }
        };
        target_error(target, kind, &message).with_usage(self.usage)
    }
}

/// Whether `text` may contain JSON other than a single word.
fn may_have_json(text: &str) -> bool {
    text.contains(['{', '['])
}

/// Parses a list of models as OpenAI and Anthropic send it: `{"data": [{"id": …}]}`.
pub(super) fn parse_model_ids(body: &Bytes) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Models {
        #[serde(deserialize_with = "required")]
        data: Option<Vec<Model>>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    let models: Models = parse_json(body)?;
    Ok(models.data.unwrap_or_default().into_iter().map(|model| model.id).collect())
}

/// Deserializes a field that may be null but not absent, so that the JSON of another server is not an empty list.
pub(super) fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}
