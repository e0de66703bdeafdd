//! The Gemini Developer API.

mod prices;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod thinking;

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use self::reply::GenerateContentReply;
use self::request::{GenerateContentRequest, reads_pages};
use super::encode::{endpoint, get, lower_schema, post};
use super::envelope::parse_json;
use super::in_band::{event_or_error, reply_or_error};
use super::{Codec, Event, Pricing, Protocol, Target};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{ErrorKind, Result};
use crate::message::{Part, Reply, Request, SchemaForm};
use crate::provider::ModelOptions;
use crate::schema::Dialect;
use crate::transport::WireRequest;

/// The provider.
#[derive(Debug)]
pub(super) struct Gemini;

impl Protocol for Gemini {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        let key = config.gemini_api_key.as_ref();
        Target {
            options: ModelOptions { thinking: config.gemini_thinking, ..ModelOptions::default() },
            ..Target::new(Provider::Gemini, &config.gemini_model, &config.gemini_base_url, key)
                .with_timeout(config.request_timeout)
        }
    }

    fn pricing(&self) -> Pricing {
        Pricing::Listed(prices::PRICES)
    }

    fn is_configured(&self, config: &Config) -> bool {
        config.gemini_api_key.is_some()
    }

    fn is_automatic(&self) -> bool {
        true
    }

    fn is_preferred_for(&self, tier: ModelTier) -> bool {
        tier == ModelTier::Quality
    }

    /// A request can limit how much the model thinks.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ThinkingTruncated)
    }
}

impl Codec for Gemini {
    fn supports(&self, part: &Part) -> bool {
        !matches!(part, Part::Page(_))
    }

    /// The prompt states a schema that the older form cannot express, and one that the model does not combine with reading
    /// pages.
    fn schema_form(&self, target: &Target, request: &Request) -> Option<SchemaForm> {
        let schema = request.schema.as_ref()?;
        let is_prompted = (matches!(request.form, SchemaForm::Unbounded | SchemaForm::Older)
            && !schema.lower(Dialect::GeminiOlder).is_strict())
            || (reads_pages(request) && !thinking::reads_pages_with_schema(&target.model));
        Some(match request.form {
            _ if is_prompted => SchemaForm::Prompted,
            SchemaForm::Unbounded => SchemaForm::Older,
            form => form,
        })
    }

    fn forms(&self, _target: &Target) -> &'static [SchemaForm] {
        &[SchemaForm::Native, SchemaForm::Older, SchemaForm::Prompted]
    }

    fn dialect(&self, _target: &Target, form: SchemaForm) -> Dialect {
        match form {
            SchemaForm::Native => Dialect::Gemini,
            SchemaForm::Unbounded | SchemaForm::Older => Dialect::GeminiOlder,
            SchemaForm::Prompted => Dialect::Prompted,
        }
    }

    fn encode_request(&self, target: &Target, request: &Request, is_streamed: bool) -> Result<WireRequest> {
        let mut url = method_url(target, if is_streamed { "streamGenerateContent" } else { "generateContent" })?;
        if is_streamed {
            url.query_pairs_mut().append_pair("alt", "sse");
        }
        let key = request::key_header(target)?;
        let (form, lowered) = lower_schema(self, target, request);
        post(url, vec![key], &GenerateContentRequest::new(target, request, form.zip(lowered.as_deref())), request)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let mut reply: GenerateContentReply = reply_or_error(target, body)?;
        if let Some(error) = reply.take_error(body) {
            return Err(self.reclassify(target, request, error.into_reply_error(target)));
        }
        let (parsed, pages) = reply.parse(target)?;
        let reply = parsed.into_reply(target, request, self.reply_dialect(target, request))?;
        Ok(Reply { pages, ..reply })
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        let Some((mut reply, has_halves)) = event_or_error::<GenerateContentReply>(target, data)? else {
            return Ok(Event { is_keep_alive: true, ..Event::default() });
        };
        match reply.take_error(data) {
            Some(error) => Err(error.into_reply_error(target)),
            None => Ok(Event { has_halves, ..reply.into_event(target)? }),
        }
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        let key = request::key_header(target)?;
        let mut url = endpoint(target, &["models"])?;
        url.query_pairs_mut().append_pair("pageSize", "1000");
        Ok(get(url, vec![key]))
    }

    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Models {
            models: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            name: String,
        }
        let models: Models = parse_json(body)?;
        Ok(models.models.into_iter().map(|model| model.name).collect())
    }

    fn context_length(&self, target: &Target) -> Option<u64> {
        thinking::context_length(&target.model)
    }
}

/// The URL of a method of the target's model.
fn method_url(target: &Target, method: &str) -> Result<Url> {
    let model = target.model.strip_prefix("models/").unwrap_or(&target.model);
    endpoint(target, &["models", &format!("{model}:{method}")])
}
