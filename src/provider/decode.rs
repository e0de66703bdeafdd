//! Helpers of the decoders: replies before validation, and lists of models.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::Target;
use super::envelope::parse_json;
use super::error_body::target_error;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Reply, Request, Usage};
use crate::reasoning::{self, Purpose};
use crate::schema::{self, Dialect};

/// The content of a reply's envelope, or of the events of a stream, before validation.
#[derive(Debug, Default)]
pub(super) struct ParsedReply {
    /// The text without thoughts; may be empty.
    pub(super) text: String,
    /// The reasoning that the provider returned apart from the text.
    pub(super) reasoning: String,
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
        self.split_reasoning(request);
        self.into_valid_reply(target, request, dialect)
    }

    /// Moves the reasoning within the text to the reasoning.
    fn split_reasoning(&mut self, request: &Request) {
        let purpose = if request.schema.is_some() { Purpose::Json } else { Purpose::Text };
        if purpose == Purpose::Json && schema::is_json(&self.text) {
            return;
        }
        let Some((text, reasoning)) = reasoning::split(&self.text, purpose) else { return };
        self.text = text;
        if !self.reasoning.is_empty() && !reasoning.is_empty() {
            self.reasoning.push('\n');
        }
        self.reasoning.push_str(&reasoning);
    }

    /// Turns it into the reply to `request`. Its text contains no reasoning.
    pub(super) fn into_valid_reply(
        self,
        target: &Target,
        request: &Request,
        dialect: Option<Dialect>,
    ) -> Result<Reply> {
        self.validate(target, request)?;
        let Self { text, reasoning, model, finish, reason, usage, .. } = self;
        let reasoning = Some(reasoning).filter(|reasoning| !reasoning.trim().is_empty());
        let schema = request.schema.as_ref().zip(dialect);
        let json = schema.and_then(|schema| Some((schema, schema::json_text(&text)?)));
        let is_json = json.is_some();
        let (text, around) = match json {
            None => (text, None),
            Some(((schema, dialect), json)) => {
                let is_part = json.len() < text.trim().len();
                (schema.lower(dialect).restore(json.to_owned()), is_part.then_some(text))
            }
        };
        Ok(Reply { text, is_json, around, model, finish, finish_detail: reason, reasoning, usage, pages: Vec::new() })
    }

    /// Checks that it is a complete reply to `request`.
    ///
    /// # Errors
    ///
    /// `Refused` and `Blocked` as [`ParsedReply::check_refusal`]. `Server` if the provider reports that it failed. `EmptyReply`
    /// without text, `ThinkingOnly` if there is reasoning instead. `Truncated` if the text was cut at a limit of tokens, unless
    /// the caller set that limit and requested free text. `ContextTruncated` if the token counts show that the model did not
    /// read the whole prompt.
    pub(super) fn validate(&self, target: &Target, request: &Request) -> Result<()> {
        self.check_refusal(target)?;
        if let Some(codec) = super::codec(target.provider) {
            codec.check_usage(target, request, self.usage)?;
        }
        let is_empty = self.text.trim().is_empty();
        if self.finish == FinishReason::Length && (is_empty || request.schema.is_some() || request.max_tokens.is_none())
        {
            return Err(self.truncated(target));
        }
        if self.finish == FinishReason::Error && (!is_empty || self.explanation.is_some()) {
            let message = format!("the model stopped before its reply was complete {}", self.explained());
            return Err(target_error(target, ErrorKind::Server, &message).with_usage(self.usage));
        }
        if is_empty && self.has_reasoning() {
            let message = "the reply holds only thinking, no answer";
            return Err(target_error(target, ErrorKind::ThinkingOnly, message).with_usage(self.usage));
        }
        if is_empty {
            let problem = if self.has_tool_calls { "no text but a call of a tool" } else { "no text" };
            let message = format!("the reply holds {problem} {}", self.explained());
            return Err(target_error(target, ErrorKind::EmptyReply, &message).with_usage(self.usage));
        }
        Ok(())
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
