//! Anthropic's messages API and compatible servers.

mod model;
mod prices;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::reply::{Event as StreamEvent, Message};
use self::request::MessagesRequest;
use super::encode::{check_model, get, lower_schema, post};
use super::in_band::{event_or_error, reply_or_error};
use super::{Codec, Event, ModelOptions, Pricing, Protocol, Target};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{ErrorKind, Result};
use crate::message::{Reply, Request, SchemaForm};
use crate::parameter::{Adjustments, Parameter};
use crate::schema::Dialect;
use crate::transport::WireRequest;

/// The provider.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Protocol for Anthropic {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        let model = config.anthropic_model.as_deref().unwrap_or_default();
        let key = config.anthropic_api_key.as_ref();
        let target = Target::new(Provider::Anthropic, model, &config.anthropic_base_url, key);
        let options = ModelOptions { effort: config.anthropic_effort, ..ModelOptions::default() };
        Target { options, ..target.with_timeout(config.request_timeout) }
    }

    fn pricing(&self) -> Pricing {
        Pricing::Listed(prices::PRICES)
    }

    fn is_configured(&self, config: &Config) -> bool {
        config.anthropic_model.is_some()
    }

    /// A request can ask for less effort.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ThinkingTruncated)
    }
}

impl Codec for Anthropic {
    /// The API has one field for a schema. A schema that its subset cannot express is stated in the prompt.
    fn schema_form(&self, _target: &Target, request: &Request) -> Option<SchemaForm> {
        let schema = request.schema.as_ref()?;
        let is_sent = request.form == SchemaForm::Native && schema.lower(Dialect::Anthropic).is_strict();
        Some(if is_sent { SchemaForm::Native } else { SchemaForm::Prompted })
    }

    fn forms(&self, _target: &Target) -> &'static [SchemaForm] {
        &[SchemaForm::Native, SchemaForm::Prompted]
    }

    fn dialect(&self, _target: &Target, form: SchemaForm) -> Dialect {
        match form {
            SchemaForm::Native => Dialect::Anthropic,
            SchemaForm::Unbounded | SchemaForm::Older | SchemaForm::Prompted => Dialect::Prompted,
        }
    }

    fn adjustments(&self, target: &Target) -> Adjustments {
        if model::accepts_temperature(&target.model) {
            Adjustments::default()
        } else {
            Adjustments::implied(&[Parameter::Temperature])
        }
    }

    fn encode_request(&self, target: &Target, request: &Request, is_streamed: bool) -> Result<WireRequest> {
        check_model(target, "anthropic_model or ANTHROPIC_MODEL")?;
        let url = request::address(target, "messages")?;
        let (form, lowered) = lower_schema(self, target, request);
        let adjustments = request.adjustments.union(self.adjustments(target));
        let body = MessagesRequest::new(target, request, adjustments, form.zip(lowered.as_deref()), is_streamed)?;
        let headers = request::headers(target, &url, body.version(adjustments))?;
        post(url, headers, &body, request)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let mut message: Message = reply_or_error(target, body)?;
        if let Some(error) = message.take_error(body) {
            return Err(self.reclassify(target, request, error.into_reply_error(target)));
        }
        message.parse(target)?.into_reply(target, request, self.reply_dialect(target, request))
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        let Some((mut event, has_halves)) = event_or_error::<StreamEvent>(target, data)? else {
            return Ok(Event { is_keep_alive: true, ..Event::default() });
        };
        match event.take_error(data) {
            Some(error) => Err(error.into_reply_error(target)),
            None => Ok(Event { has_halves, ..event.parse(target)? }),
        }
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        let mut url = request::address(target, "models")?;
        // The default page has twenty models.
        url.query_pairs_mut().append_pair("limit", "1000");
        let headers = request::headers(target, &url, request::OLDER_VERSION)?;
        Ok(get(url, headers))
    }
}
