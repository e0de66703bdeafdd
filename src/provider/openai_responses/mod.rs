//! OpenAI's responses and compatible servers.

mod reply;
mod request;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::reply::{Response, StreamEvent};
use self::request::ResponsesRequest;
use super::encode::{check_model, endpoint, lower_schema, post};
use super::in_band::{event_or_error, reply_or_error};
use super::openai::{OpenAi, headers};
use super::{Codec, Event, Target};
use crate::error::Result;
use crate::message::{Reply, Request, SchemaForm};
use crate::parameter::Adjustments;
use crate::schema::Dialect;
use crate::transport::WireRequest;

/// The API, as an alternative to chat completions. Both have the same provider, models and keys.
#[derive(Debug)]
pub(super) struct OpenAiResponses;

impl Codec for OpenAiResponses {
    /// The JSON mode, an older form, rejects requests whose prompt does not mention JSON.
    fn schema_form(&self, _target: &Target, request: &Request) -> Option<SchemaForm> {
        request.schema.as_ref().map(|_| match request.form {
            SchemaForm::Older => SchemaForm::Prompted,
            form => form,
        })
    }

    fn forms(&self, _target: &Target) -> &'static [SchemaForm] {
        &[SchemaForm::Native, SchemaForm::Unbounded, SchemaForm::Prompted]
    }

    fn dialect(&self, target: &Target, form: SchemaForm) -> Dialect {
        OpenAi.dialect(target, form)
    }

    fn adjustments(&self, target: &Target) -> Adjustments {
        OpenAi.adjustments(target)
    }

    fn encode_request(&self, target: &Target, request: &Request, is_streamed: bool) -> Result<WireRequest> {
        check_model(target, "openai_model or OPENAI_MODEL")?;
        let url = endpoint(target, &["responses"])?;
        let (form, lowered) = lower_schema(self, target, request);
        let adjustments = request.adjustments.union(self.adjustments(target));
        let body =
            ResponsesRequest::new(target, &url, request, adjustments, form.zip(lowered.as_deref()), is_streamed)?;
        post(url, headers(target)?, &body, request)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let mut response: Response = reply_or_error(target, body)?;
        if let Some(error) = response.take_error(body) {
            return Err(self.reclassify(target, request, error.into_reply_error(target)));
        }
        response.parse(target)?.into_reply(target, request, self.reply_dialect(target, request))
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        // Gateways end every stream with it.
        if data.trim_ascii().eq_ignore_ascii_case(b"[DONE]") {
            return Ok(Event { is_last: true, ..Event::default() });
        }
        let Some((mut event, has_halves)) = event_or_error::<StreamEvent>(target, data)? else {
            return Ok(Event { is_keep_alive: true, ..Event::default() });
        };
        match event.take_error(data) {
            Some(error) => Err(error.into_reply_error(target)),
            None => Ok(Event { has_halves, ..event.parse(target)? }),
        }
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        OpenAi.models_request(target)
    }
}
