//! Ollama's chat API.

mod facts;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use bytes::Bytes;

use self::reply::ChatReply;
use self::request::{ChatRequest, ShowRequest, headers};
use super::encode::{endpoint, get, lower_schema, post, unsupported};
use super::error_body::target_error;
use super::in_band::{event_or_error, reply_or_error};
use super::{Codec, Event, ModelFacts, ModelOptions, Pricing, Protocol, Target};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{ErrorKind, Result};
use crate::message::{Part, Reply, Request, SchemaForm, Usage};
use crate::schema::Dialect;
use crate::transport::{Framing, WireRequest};

/// The host of Ollama's cloud models.
const CLOUD: &str = "ollama.com";

/// The provider.
#[derive(Debug)]
pub(super) struct Ollama;

impl Protocol for Ollama {
    fn target(&self, config: &Config, tier: ModelTier) -> Target {
        let model = config.ollama_model_of(tier);
        Target {
            options: ModelOptions {
                num_ctx: config.ollama_num_ctx,
                keep_alive: config.ollama_keep_alive.clone(),
                load_timeout: Duration::try_from_secs_f64(config.ollama_load_timeout).ok(),
                think: config.ollama_think,
                ..ModelOptions::default()
            },
            ..Target::new(Provider::Ollama, model, &config.ollama_host, config.ollama_api_key.as_ref())
                .with_timeout(config.ollama_timeout)
        }
    }

    fn pricing(&self) -> Pricing {
        Pricing::Free
    }

    fn is_configured(&self, _config: &Config) -> bool {
        true
    }

    fn is_automatic(&self) -> bool {
        true
    }

    fn is_concurrent(&self, _target: &Target) -> bool {
        false
    }

    /// A request can set a larger context window, and switch the thinking off.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ContextTooLong | ErrorKind::ThinkingTruncated)
    }
}

impl Codec for Ollama {
    fn supports(&self, part: &Part) -> bool {
        matches!(part, Part::Text { .. } | Part::Image { .. } | Part::MissingPage(_))
    }

    fn schema_form(&self, target: &Target, request: &Request) -> Option<SchemaForm> {
        request.schema.as_ref()?;
        Some(if is_cloud(target) { SchemaForm::Prompted } else { request.form })
    }

    fn forms(&self, target: &Target) -> &'static [SchemaForm] {
        if is_cloud(target) {
            return &[SchemaForm::Prompted];
        }
        &[SchemaForm::Native, SchemaForm::Unbounded, SchemaForm::Older, SchemaForm::Prompted]
    }

    fn dialect(&self, _target: &Target, form: SchemaForm) -> Dialect {
        match form {
            SchemaForm::Native => Dialect::Ollama,
            SchemaForm::Unbounded => Dialect::OllamaUnbounded,
            SchemaForm::Older | SchemaForm::Prompted => Dialect::Prompted,
        }
    }

    fn encode_request(&self, target: &Target, request: &Request, is_streamed: bool) -> Result<WireRequest> {
        if let Some(part) = request.parts.iter().find(|part| !self.supports(part)) {
            return Err(unsupported(target, part));
        }
        let (form, lowered) = lower_schema(self, target, request);
        let body = ChatRequest::new(target, request, form.zip(lowered.as_deref()), is_streamed);
        post(endpoint(target, &["api", "chat"])?, headers(target)?, &body, request)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let mut reply: ChatReply = reply_or_error(target, body)?;
        if let Some(error) = reply.take_error(body) {
            return Err(self.reclassify(target, request, error.into_reply_error(target)));
        }
        reply.parse(target)?.into_reply(target, request, self.reply_dialect(target, request))
    }

    fn framing(&self) -> Framing {
        Framing::Ndjson
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        let Some((mut reply, has_halves)) = event_or_error::<ChatReply>(target, data)? else {
            return Ok(Event { is_keep_alive: true, ..Event::default() });
        };
        match reply.take_error(data) {
            Some(error) => Err(error.into_reply_error(target)),
            None => Ok(Event { has_halves, ..reply.into_event() }),
        }
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        Ok(get(endpoint(target, &["api", "tags"])?, headers(target)?))
    }

    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        facts::model_names(body)
    }

    fn context_length(&self, target: &Target) -> Option<u64> {
        target.facts.as_ref()?.context_length
    }

    fn check_usage(&self, target: &Target, request: &Request, usage: Usage) -> Result<()> {
        if !window::is_truncated(target, request, usage.input) {
            return Ok(());
        }
        let message = format!(
            "only {} of at least {} tokens of the prompt were read: the context window is too small",
            usage.input,
            request.least_tokens()
        );
        Err(target_error(target, ErrorKind::ContextTruncated, &message).with_usage(usage))
    }

    fn has_model_facts(&self) -> bool {
        true
    }

    fn facts_request(&self, target: &Target) -> Result<Option<WireRequest>> {
        let body = ShowRequest { model: &target.model };
        post(endpoint(target, &["api", "show"])?, headers(target)?, &body, &Request::new("")).map(Some)
    }

    fn decode_facts(&self, body: &Bytes) -> Result<ModelFacts> {
        facts::model_facts(body)
    }

    fn running_request(&self, target: &Target) -> Result<Option<WireRequest>> {
        if is_cloud(target) {
            return Ok(None);
        }
        Ok(Some(get(endpoint(target, &["api", "ps"])?, headers(target)?)))
    }

    fn decode_running(&self, body: &Bytes) -> Result<Vec<String>> {
        facts::running_models(body)
    }
}

/// Whether the model runs in Ollama's cloud, also behind a local server. Cloud models accept a schema and ignore it
/// (ollama#12362).
fn is_cloud(target: &Target) -> bool {
    let model = target.model.trim();
    // Cheap check first: this runs several times for each call.
    let may_be_cloud_host = target.base_url.as_str().contains(CLOUD);
    let is_cloud_host = || endpoint(target, &[]).is_ok_and(|url| url.host_str() == Some(CLOUD));
    target.facts.as_deref().is_some_and(|facts| facts.is_remote)
        || model.ends_with("-cloud")
        || model.ends_with(":cloud")
        || (may_be_cloud_host && is_cloud_host())
}
