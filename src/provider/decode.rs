//! Helpers of the decoders: JSON envelopes, token counts, and replies before validation.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;

use super::Target;
use super::error_body::{shorten, target_error};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Reply, Request, Usage};
use crate::reasoning::{self, Purpose};
use crate::schema::{self, Dialect};

/// A token count. A value that is no count reads as zero: malformed accounting must not cost the reply.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct TokenCount(pub(super) u64);

impl<'de> Deserialize<'de> for TokenCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)?.as_u64().unwrap_or_default()))
    }
}

/// The content of a reply's envelope, before validation.
#[derive(Debug, Default)]
pub(super) struct ParsedReply {
    /// The text without thoughts; may be empty.
    pub(super) text: String,
    /// The reasoning that the provider returned apart from the text.
    pub(super) reasoning: String,
    /// The model that the provider reports.
    pub(super) model: Option<String>,
    /// Why the model stopped.
    pub(super) finish: FinishReason,
    /// The provider's name for that reason.
    pub(super) reason: Option<String>,
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
        let Self { text, reasoning, model, finish, reason, usage } = self;
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
    /// `EmptyReply` without text, `ThinkingOnly` if there is reasoning instead. `Truncated` if the text was cut at a limit of tokens, unless the caller set that limit
    /// and requested free text. `ContextTruncated` if the token counts show that the model did not read the whole prompt.
    pub(super) fn validate(&self, target: &Target, request: &Request) -> Result<()> {
        if let Some(codec) = super::codec(target.provider) {
            codec.check_usage(target, request, self.usage)?;
        }
        let is_empty = self.text.trim().is_empty();
        if self.finish == FinishReason::Length && (is_empty || request.schema.is_some() || request.max_tokens.is_none())
        {
            return Err(self.truncated(target));
        }
        if is_empty && self.has_reasoning() {
            let message = "the reply holds only thinking, no answer";
            return Err(target_error(target, ErrorKind::ThinkingOnly, message).with_usage(self.usage));
        }
        if is_empty {
            let reason = self.reason.as_deref().unwrap_or("no reason given");
            let message = format!("the reply holds no text ({reason})");
            return Err(target_error(target, ErrorKind::EmptyReply, &message).with_usage(self.usage));
        }
        Ok(())
    }

    fn has_reasoning(&self) -> bool {
        !self.reasoning.trim().is_empty()
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

/// Parses the body of a reply of `target`.
pub(super) fn parse_reply<T: DeserializeOwned>(target: &Target, body: &Bytes) -> Result<T> {
    parse_json(body).map_err(|error| target.locate(error))
}

/// Parses the body of a successful reply. Fails with `MalformedReply`.
pub(super) fn parse_json<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = match error.classify() {
            _ if is_web_page(body) => "a web page instead of JSON; is the base URL right?".to_owned(),
            Category::Data => format!("JSON that the protocol does not know: {error}"),
            Category::Eof => "JSON that ends too early".to_owned(),
            Category::Io | Category::Syntax => "no JSON; is the base URL right?".to_owned(),
        };
        Error::new(ErrorKind::MalformedReply, shorten(&format!("the reply is {problem}")))
    })
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

fn is_web_page(body: &Bytes) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_envelope_is_malformed() {
        #[derive(Debug, Deserialize)]
        struct Envelope {
            #[expect(dead_code, reason = "only its presence matters")]
            field: String,
        }
        for (body, hint) in [
            ("<html>", "web page"),
            ("  <html>", "web page"),
            ("hello", "no JSON"),
            ("", "ends too early"),
            ("{\"field\":\"a", "ends too early"),
            ("{}", "does not know"),
        ] {
            let error = parse_json::<Envelope>(&Bytes::from_static(body.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedReply, "{body}");
            assert!(error.message().contains(hint), "{body}: {error}");
        }
    }

    #[test]
    fn a_malformed_token_count_is_zero() {
        for (json, count) in [("7", 7), ("null", 0), ("\"7\"", 0), ("-1", 0), ("[1]", 0)] {
            assert_eq!(serde_json::from_str::<TokenCount>(json).unwrap().0, count, "{json}");
        }
    }
}
