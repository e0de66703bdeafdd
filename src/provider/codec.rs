//! The wire protocol of a provider.

use std::fmt::Debug;

use bytes::Bytes;
use http::header::HeaderMap;
use serde_json::Value;

use super::decode::parse_model_ids;
use super::error_body::{ErrorBody, kind_of_status};
use super::schema_form::{self, FormScope};
use super::{Event, ModelFacts, Target, in_band};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Reply, Request, SchemaForm, Usage};
use crate::parameter::Adjustments;
use crate::schema::Dialect;
use crate::transport::{Framing, WireRequest};

/// Encodes requests and decodes replies, as pure functions of data.
pub trait Codec: Send + Sync + Debug {
    /// Whether the protocol has a field for `part`; by default for all but URLs.
    fn supports(&self, part: &Part) -> bool {
        !matches!(part, Part::Page(_) | Part::Url(_))
    }

    /// The form in which the schema of `request` is sent to `target`: the form that the request names, or a simpler one
    /// if the target does not enforce that form or if it cannot express the schema. `None` without a schema.
    fn schema_form(&self, target: &Target, request: &Request) -> Option<SchemaForm>;

    /// The forms in which `target` may accept a schema, each simpler than the one before.
    fn forms(&self, _target: &Target) -> &'static [SchemaForm] {
        &[SchemaForm::Native, SchemaForm::Unbounded, SchemaForm::Older, SchemaForm::Prompted]
    }

    /// The form to try after `target` rejected the schema of `request` with `error`, and the schemas for which it is to be
    /// remembered; `None` if there is no simpler one.
    fn simpler_form(&self, target: &Target, request: &Request, error: &Error) -> Option<(SchemaForm, FormScope)> {
        schema_form::simpler_form(self, target, request, error)
    }

    /// The subset of JSON Schema that a schema in `form` is lowered to for `target`.
    fn dialect(&self, target: &Target, form: SchemaForm) -> Dialect;

    /// The subset of JSON Schema that a reply of `target` to `request` follows; `None` without a schema.
    fn reply_dialect(&self, target: &Target, request: &Request) -> Option<Dialect> {
        self.schema_form(target, request).map(|form| self.dialect(target, form))
    }

    /// Encodes `request` for `target`, for a whole or a streamed reply.
    ///
    /// # Errors
    ///
    /// `NotConfigured` if the target lacks a key or a model that it needs, `Unsupported` if the protocol has no field for
    /// a part.
    fn encode_request(&self, target: &Target, request: &Request, is_streamed: bool) -> Result<WireRequest>;

    /// Encodes `request` for a whole reply.
    fn encode(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        self.encode_request(target, request, false)
    }

    /// Encodes `request` for a streamed reply.
    fn encode_stream(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        self.encode_request(target, request, true)
    }

    /// Decodes the body of an HTTP 2xx.
    ///
    /// # Errors
    ///
    /// `MalformedReply`, `EmptyReply`, `Truncated` or `Refused`.
    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply>;

    /// Decodes the error in a reply of another status. The message never contains the key. An error about a schema is
    /// `SchemaRejected`; see [`Codec::reclassify`].
    fn decode_error(&self, target: &Target, status: u16, headers: &HeaderMap, body: &Bytes) -> Error {
        ErrorBody::parse(status, body).into_error(target, status, headers)
    }

    /// Decodes `error`, which the provider reports in a reply of status 200 or in a stream, whatever its shape.
    fn error_in_reply(&self, target: &Target, error: &Value) -> Error {
        in_band::error_in(error).into_reply_error(target)
    }

    /// Replaces the class of `error` if it names what `request` did not contain, whatever the server's message mentions:
    /// `SchemaRejected` if the request was sent without a schema, or with one in the prompt only, and `ParameterRejected`
    /// if it would be the same without the parameter.
    fn reclassify(&self, target: &Target, request: &Request, error: Error) -> Error {
        let is_possible = match error.kind() {
            ErrorKind::SchemaRejected => {
                self.schema_form(target, request).is_some_and(|form| form != SchemaForm::Prompted)
            }
            ErrorKind::ParameterRejected => {
                error.refusal().is_some_and(|refusal| self.changes(target, request, request.adjustments.after(refusal)))
            }
            _ => true,
        };
        if is_possible {
            return error;
        }
        let kind = kind_of_status(error.status().unwrap_or(400));
        error.reclassified(kind)
    }

    /// The changes that the model of `target` is known to require of every request.
    fn adjustments(&self, _target: &Target) -> Adjustments {
        Adjustments::default()
    }

    /// Whether `request` is sent to `target` in another form with `adjustments`. Compares requests without the texts and
    /// attachments.
    fn changes(&self, target: &Target, request: &Request, adjustments: Adjustments) -> bool {
        let Request { temperature, max_tokens, headroom, adjustments: before, .. } = *request;
        let with = |adjustments| Request { temperature, max_tokens, headroom, adjustments, ..Request::new("?") };
        match (self.encode_stream(target, &with(before)), self.encode_stream(target, &with(adjustments))) {
            (Ok(before), Ok(after)) => before.body != after.body || before.headers != after.headers,
            _ => false,
        }
    }

    /// The framing of a streamed reply.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// Decodes one event of a streamed reply.
    ///
    /// # Errors
    ///
    /// `MalformedReply` if `data` is no event of the protocol; later events can still be decoded. Any other class is an
    /// error that the provider reports within the stream, as [`Codec::decode_error`] classifies it.
    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event>;

    /// Encodes the request that lists the target's models. It serves as the health probe.
    fn models_request(&self, target: &Target) -> Result<WireRequest>;

    /// Decodes the model names in the reply to [`Codec::models_request`], by default from `{"data": [{"id": …}]}`.
    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        parse_model_ids(body)
    }

    /// The context length of the target's model in tokens; `None` if it is unknown.
    fn context_length(&self, _target: &Target) -> Option<u64> {
        None
    }

    /// Validates the token counts of a reply.
    ///
    /// # Errors
    ///
    /// `ContextTruncated` if they show that the model did not read the whole prompt.
    fn check_usage(&self, _target: &Target, _request: &Request, _usage: Usage) -> Result<()> {
        Ok(())
    }

    /// Whether the protocol has requests for facts about models.
    fn has_model_facts(&self) -> bool {
        false
    }

    /// Encodes the request for facts about the target's model; `None` if the protocol has no such request.
    fn facts_request(&self, _target: &Target) -> Result<Option<WireRequest>> {
        Ok(None)
    }

    /// Decodes the reply to [`Codec::facts_request`]. Facts that are missing in it are unknown.
    fn decode_facts(&self, _body: &Bytes) -> Result<ModelFacts> {
        Ok(ModelFacts::default())
    }

    /// Encodes the request that lists the models in the memory of the target's server; `None` if the target loads none.
    fn running_request(&self, _target: &Target) -> Result<Option<WireRequest>> {
        Ok(None)
    }

    /// Decodes the model names in the reply to [`Codec::running_request`].
    fn decode_running(&self, _body: &Bytes) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
