//! OpenAI's chat completions and compatible servers.

mod model;
mod prices;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use self::model::Reasoning;
use self::reply::Completion;
use self::request::CompletionRequest;
use super::encode::{check_model, endpoint, get, lower_schema, post};
use super::in_band::{event_or_error, reply_or_error};
use super::{Codec, Event, ModelOptions, Pricing, Protocol, Target};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{ErrorKind, Result};
use crate::message::{Reply, Request, SchemaForm};
use crate::parameter::{Adjustments, Parameter};
use crate::schema::Dialect;
use crate::transport::WireRequest;

pub(super) use self::reply::CompletionUsage;
pub(super) use self::request::{effort, headers, is_openai, reads_pdf, schema_name};

/// The provider.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Protocol for OpenAi {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        let model = config.openai_model.as_deref().unwrap_or_default();
        let target = Target::new(Provider::OpenAi, model, &config.openai_base_url, config.openai_api_key.as_ref());
        let options = ModelOptions {
            effort: config.openai_reasoning_effort,
            api: config.openai_api,
            key_header: config.openai_key_header.as_deref().and_then(|name| name.parse().ok()),
            service_tier: config.openai_service_tier.as_deref().map(Arc::from),
            ..ModelOptions::default()
        };
        Target { options, ..target.with_timeout(config.request_timeout) }
    }

    fn pricing(&self) -> Pricing {
        Pricing::Listed(prices::PRICES)
    }

    fn is_configured(&self, config: &Config) -> bool {
        config.openai_model.is_some()
    }

    /// A server on this machine is assumed to serve one request at a time.
    fn is_concurrent(&self, target: &Target) -> bool {
        !target.base_url.is_loopback()
    }

    /// A request can ask for less reasoning.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ThinkingTruncated)
    }
}

impl Codec for OpenAi {
    fn schema_form(&self, _target: &Target, request: &Request) -> Option<SchemaForm> {
        request.schema.as_ref().map(|_| request.form)
    }

    /// The strict subset suits servers that compile grammars: every node has a type.
    fn dialect(&self, target: &Target, form: SchemaForm) -> Dialect {
        match form {
            SchemaForm::Native if target.base_url.url().is_some_and(request::is_local) => Dialect::OpenAiGrammar,
            SchemaForm::Native => Dialect::OpenAi,
            SchemaForm::Unbounded | SchemaForm::Older => Dialect::OpenAiStrict,
            SchemaForm::Prompted => Dialect::Prompted,
        }
    }

    fn adjustments(&self, target: &Target) -> Adjustments {
        match Reasoning::of(&target.model) {
            Some(family) => family.adjustments(&target.model, target.options.effort),
            None if request::is_openai(target) => Adjustments::implied(&[Parameter::MaxTokens]),
            None => Adjustments::default(),
        }
    }

    fn encode_request(&self, target: &Target, request: &Request, is_streamed: bool) -> Result<WireRequest> {
        check_model(target, "openai_model or OPENAI_MODEL")?;
        let url = endpoint(target, &["chat", "completions"])?;
        let (_, lowered) = lower_schema(self, target, request);
        let adjustments = request.adjustments.union(self.adjustments(target));
        let body = CompletionRequest::new(target, &url, request, adjustments, lowered.as_deref(), is_streamed)?;
        post(url, request::headers(target)?, &body, request)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let mut completion: Completion = reply_or_error(target, body)?;
        if let Some(error) = completion.take_error(body) {
            return Err(self.reclassify(target, request, error.into_reply_error(target)));
        }
        completion.parse(target)?.into_reply(target, request, self.reply_dialect(target, request))
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        if data.trim_ascii().eq_ignore_ascii_case(b"[DONE]") {
            return Ok(Event { is_last: true, ..Event::default() });
        }
        let Some((mut completion, has_halves)) = event_or_error::<Completion>(target, data)? else {
            return Ok(Event { is_keep_alive: true, ..Event::default() });
        };
        match completion.take_error(data) {
            Some(error) => Err(error.into_reply_error(target)),
            None => Ok(Event { has_halves, ..completion.into_event() }),
        }
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        Ok(get(endpoint(target, &["models"])?, request::headers(target)?))
    }
}
