//! Anthropic's messages, and the servers that speak them.
//!
//! The API requires a limit of output tokens: [`MAX_TOKENS`] where the caller sets none. Its temperatures end at 1.0, so
//! a higher one is sent as 1.0, and Claude models newer than 4.6 take none at all: there it is left out.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::decode::{Complaint, Count, Draft, envelope, failure};
use super::encode::{Base64, endpoint, get, key_header, not_configured, post, system, unsupported, user_text};
use super::{Codec, Event, Pricing, Protocol, Target, UsageUpdate};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Part, Reply, Request, SchemaForm, Usage};
use crate::schema::{Dialect, Lowered};
use crate::transport::{Framing, WireRequest};

/// Anthropic's own host.
const ANTHROPIC: &str = "api.anthropic.com";

/// The version of the API that everything here was written for.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// The limit of output tokens of a call that sets none; thoughts count towards it. Every model that can be held to a
/// schema writes more, and Anthropic's own clients refuse to wait for 21,334 or more without streaming: such a reply may
/// take longer than the ten minutes after which networks drop an idle connection.
const MAX_TOKENS: u32 = 16_000;

/// The highest temperature the API takes.
const MAX_TEMPERATURE: f64 = 1.0;

/// The last version of the Claude models that takes a temperature; later ones answer it with an error.
const LAST_WITH_TEMPERATURE: (u32, u32) = (4, 6);

/// The types of image the API reads.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// The provider.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Protocol for Anthropic {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        let model = config.anthropic_model.as_deref().unwrap_or_default();
        Target::new(Provider::Anthropic, model, &config.anthropic_base_url, config.anthropic_api_key.as_ref())
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&Self)
    }

    fn pricing(&self) -> Pricing {
        Pricing::Listed(&[])
    }

    fn is_configured(&self, config: &Config) -> bool {
        config.anthropic_model.is_some()
    }
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: Cow<'a, str>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: Cow<'a, str> },
    Image { source: Source<'a> },
    Document { source: Source<'a>, title: &'a str },
}

#[derive(Serialize)]
struct Source<'a> {
    r#type: &'static str,
    media_type: &'a str,
    data: Base64<'a>,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    schema: &'a Lowered,
}

#[derive(Deserialize)]
struct Answered {
    content: Option<Vec<ReplyBlock>>,
    model: Option<String>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
    usage: Option<MessageUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ReplyBlock {
    r#type: Option<String>,
    text: Option<String>,
}

/// One event of a streamed reply. Events of types that are not known tell nothing.
#[derive(Deserialize)]
struct Streamed {
    r#type: String,
    message: Option<Answered>,
    delta: Option<Delta>,
    usage: Option<MessageUsage>,
}

/// Of a block's content, or of the message itself.
#[derive(Deserialize)]
struct Delta {
    r#type: Option<String>,
    text: Option<String>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
}

#[derive(Deserialize, Default)]
struct MessageUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    cache_creation_input_tokens: Count,
    #[serde(default)]
    cache_read_input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: Count,
}

#[derive(Deserialize)]
struct Models {
    // Present even where it is null, so that another server's JSON is not taken for an empty list.
    #[serde(deserialize_with = "Option::deserialize")]
    data: Option<Vec<Model>>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Codec for Anthropic {
    fn supports(&self, part: &Part) -> bool {
        !matches!(part, Part::Url(_))
    }

    fn schema_form(&self, _target: &Target, request: &Request) -> Option<SchemaForm> {
        form(request)
    }

    fn simpler_form(&self, _target: &Target, form: SchemaForm) -> Option<SchemaForm> {
        (form == SchemaForm::Native).then_some(SchemaForm::Prompted)
    }

    fn dialect(&self, form: SchemaForm) -> Dialect {
        dialect(form)
    }

    fn encode(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        ask(target, request, false)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let answered: Answered = envelope(body).map_err(|error| target.locate(error))?;
        if answered.error.is_some() {
            // A gateway may have sent its status before the failure came.
            let complaint = Complaint::read(200, body);
            return Err(failure(target, kind(500, &complaint), &complaint.message));
        }
        let Some(content) = answered.content else {
            return Err(failure(target, ErrorKind::MalformedReply, "the reply has no content; is the base URL right?"));
        };
        let usage = answered.usage.unwrap_or_default().disjoint();
        let finish = match answered.stop_reason.as_deref() {
            Some("refusal") => {
                let message = format!("the model refused: {}", explanation(answered.stop_details.as_ref()));
                return Err(failure(target, ErrorKind::Refused, &message).with_usage(usage));
            }
            Some("pause_turn") => return Err(paused(target).with_usage(usage)),
            reason => finish(reason),
        };
        let is_text = |block: &ReplyBlock| block.r#type.as_deref().is_none_or(|kind| kind == "text");
        let text = content.into_iter().filter(is_text).filter_map(|block| block.text).collect();
        let reason = answered.stop_reason;
        let draft = Draft { text, model: answered.model, finish, reason, usage };
        draft.settle(target, request, form(request).map(dialect))
    }

    fn decode_error(&self, target: &Target, status: u16, headers: &HeaderMap, body: &Bytes) -> Error {
        let complaint = Complaint::read(status, body);
        let kind = kind(status, &complaint);
        complaint.into_error(target, kind, status, headers)
    }

    fn encode_stream(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        ask(target, request, true)
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        let streamed: Streamed = envelope(data).map_err(|error| target.locate(error))?;
        let delta = streamed.delta;
        match streamed.r#type.as_str() {
            "message_start" => {
                let (model, usage) = streamed.message.map_or((None, None), |message| (message.model, message.usage));
                let usage = usage.map(|usage| UsageUpdate::Full(usage.disjoint()));
                Ok(Event { model, usage, ..Event::default() })
            }
            "content_block_delta" => {
                let text = delta.filter(|delta| delta.r#type.as_deref() == Some("text_delta"));
                Ok(Event { text: text.and_then(|delta| delta.text), ..Event::default() })
            }
            "message_delta" => {
                let (reason, details) = delta.map_or((None, None), |delta| (delta.stop_reason, delta.stop_details));
                if reason.as_deref() == Some("pause_turn") {
                    return Err(paused(target));
                }
                let refused = reason.as_deref() == Some("refusal");
                Ok(Event {
                    refusal: refused.then(|| explanation(details.as_ref()).to_owned()),
                    finish: reason.as_deref().map(|reason| finish(Some(reason))),
                    reason,
                    usage: streamed.usage.map(|usage| usage.usage_update()),
                    ..Event::default()
                })
            }
            "message_stop" => Ok(Event { is_last: true, ..Event::default() }),
            "error" => {
                let complaint = Complaint::read(200, data);
                Err(failure(target, kind(500, &complaint), &complaint.message))
            }
            _ => Ok(Event::default()),
        }
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        let mut url = address(target, "models")?;
        // The API lists twenty unless asked for more.
        url.query_pairs_mut().append_pair("limit", "1000");
        let headers = headers(target, &url)?;
        Ok(get(url, headers))
    }

    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        let models: Models = envelope(body)?;
        Ok(models.data.unwrap_or_default().into_iter().map(|model| model.id).collect())
    }
}

impl MessageUsage {
    /// Tokens read from and written to the cache are counted beside the input's, thoughts within the output's. Written ones
    /// are input of the prompt like any other; that they cost a quarter more, or twice as much, is in no count.
    fn disjoint(&self) -> Usage {
        let output = self.output_tokens.0;
        let reasoning = self.output_tokens_details.as_ref().map_or(0, |details| details.thinking_tokens.0).min(output);
        Usage {
            input: self.input_tokens.0.saturating_add(self.cache_creation_input_tokens.0),
            cached_input: self.cache_read_input_tokens.0,
            output: output - reasoning,
            reasoning,
            tool: 0,
        }
    }

    /// What is counted at a stream's end. The prompt is counted there again only where it has grown, by the results of
    /// tools that ran meanwhile, or where the server did not know it before.
    fn usage_update(&self) -> UsageUpdate {
        let usage = self.disjoint();
        if usage.input > 0 || usage.cached_input > 0 {
            return UsageUpdate::Full(usage);
        }
        UsageUpdate::Output { output: usage.output, reasoning: usage.reasoning }
    }
}

fn ask(target: &Target, request: &Request, stream: bool) -> Result<WireRequest> {
    if target.model.trim().is_empty() {
        return Err(not_configured(target, "there is no model: set anthropic_model or ANTHROPIC_MODEL".to_owned()));
    }
    let url = address(target, "messages")?;
    let form = form(request);
    let schema = request.schema.as_ref().zip(form);
    let lowered = schema.map(|(schema, form)| schema.lower(dialect(form)));
    let (enforced, told) = match form {
        Some(SchemaForm::Native) => (lowered.as_deref(), None),
        _ => (None, lowered.as_deref()),
    };
    let asked = Ask {
        model: &target.model,
        max_tokens: request.max_tokens.unwrap_or(MAX_TOKENS),
        system: system(&request.system, told),
        messages: messages(target, request)?,
        temperature: takes_temperature(&target.model).then(|| request.temperature.min(MAX_TEMPERATURE)),
        output_config: enforced
            .map(|lowered| OutputConfig { format: Format { r#type: "json_schema", schema: lowered } }),
        stream: stream.then_some(true),
    };
    let headers = headers(target, &url)?;
    post(url, headers, &asked, request)
}

/// There is nothing between the schema as a format and the schema in words. What the subset cannot say is told.
fn form(request: &Request) -> Option<SchemaForm> {
    let schema = request.schema.as_ref()?;
    let is_sent = request.form == SchemaForm::Native && schema.lower(Dialect::Anthropic).is_strict();
    Some(if is_sent { SchemaForm::Native } else { SchemaForm::Prompted })
}

/// What the schema is written in.
const fn dialect(form: SchemaForm) -> Dialect {
    match form {
        SchemaForm::Native => Dialect::Anthropic,
        SchemaForm::Older | SchemaForm::Prompted => Dialect::Prompted,
    }
}

/// Anthropic's own clients take a base URL without the version part, and `ANTHROPIC_BASE_URL` is commonly set for them:
/// both forms lead to the same address.
fn address(target: &Target, last: &str) -> Result<Url> {
    let base = endpoint(target, &[])?;
    let is_versioned = base.path().trim_end_matches('/').ends_with("/v1");
    if is_versioned { endpoint(target, &[last]) } else { endpoint(target, &["v1", last]) }
}

/// Servers that only speak the protocol may need no key.
fn headers(target: &Target, url: &Url) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = vec![VERSION];
    match target.key.as_ref().map(crate::config::Secret::expose) {
        Some(key) if !key.is_empty() => {
            headers.push(key_header(target, HeaderName::from_static("x-api-key"), "", key)?);
        }
        _ if url.host_str() == Some(ANTHROPIC) => {
            let message = "there is no API key: set anthropic_api_key or ANTHROPIC_API_KEY";
            return Err(not_configured(target, message.to_owned()));
        }
        _ => {}
    }
    Ok(headers)
}

/// Whether `model` may be asked at a temperature. Names of other makers' models are served by other servers, which take
/// it; a Claude without a version is one of those that do not.
fn takes_temperature(model: &str) -> bool {
    let Some((_, name)) = model.split_once("claude") else { return true };
    // Longer numbers are dates.
    let mut numbers = name
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| (1..=2).contains(&digits.len()))
        .filter_map(|digits| digits.parse().ok());
    let major: Option<u32> = numbers.next();
    major.is_some_and(|major| (major, numbers.next().unwrap_or(0)) <= LAST_WITH_TEMPERATURE)
}

fn messages<'a>(target: &Target, request: &'a Request) -> Result<Vec<Message<'a>>> {
    let mut messages = vec![Message { role: "user", content: content(target, request)? }];
    if let Some(repair) = &request.repair {
        messages.push(turn("assistant", &repair.reply));
        messages.push(turn("user", &repair.instruction));
    }
    Ok(messages)
}

fn turn<'a>(role: &'static str, text: &'a str) -> Message<'a> {
    Message { role, content: Content::Text(Cow::Borrowed(text)) }
}

/// Files stand before the text, where the model reads them best.
fn content<'a>(target: &Target, request: &'a Request) -> Result<Content<'a>> {
    let source = |media_type, data: &'a Bytes| Source { r#type: "base64", media_type, data: Base64(data) };
    let mut blocks = Vec::new();
    for part in &request.parts {
        match part {
            Part::Text { .. } => {}
            Part::Image { mime, data } if IMAGES.contains(mime) => {
                blocks.push(Block::Image { source: source(*mime, data) });
            }
            Part::Image { mime, .. } => {
                let message = format!("does not take images of the type {mime}");
                return Err(target.locate(Error::new(ErrorKind::Unsupported, message)));
            }
            Part::Pdf { name, data } => {
                blocks.push(Block::Document { source: source("application/pdf", data), title: name });
            }
            Part::Url(_) => return Err(unsupported(target, part)),
        }
    }
    let text = user_text(request);
    if blocks.is_empty() {
        return Ok(Content::Text(text));
    }
    blocks.push(Block::Text { text });
    Ok(Content::Blocks(blocks))
}

fn finish(reason: Option<&str>) -> FinishReason {
    match reason {
        Some("end_turn" | "stop_sequence") => FinishReason::Stop,
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        _ => FinishReason::Other,
    }
}

/// Why the model refused, where it says so.
fn explanation(details: Option<&Value>) -> &str {
    let told = ["explanation", "category"].into_iter().find_map(|name| details?.get(name)?.as_str());
    told.unwrap_or("no reason given")
}

/// Only tools of the server's own make it pause, and none was offered.
fn paused(target: &Target) -> Error {
    failure(target, ErrorKind::Truncated, "the model paused before its reply was whole (pause_turn)")
}

/// The error's own type says more than a status, which gateways change.
fn kind(status: u16, complaint: &Complaint) -> ErrorKind {
    match complaint.detail.get("type").and_then(Value::as_str) {
        Some("overloaded_error") => ErrorKind::Overloaded,
        Some("rate_limit_error") => ErrorKind::RateLimited,
        Some("authentication_error") => ErrorKind::Unauthorized,
        Some("permission_error") => ErrorKind::Forbidden,
        Some("not_found_error") if complaint.mentions("model") => ErrorKind::ModelMissing,
        Some("billing_error") => ErrorKind::InsufficientQuota,
        // The one sign of an account without credit.
        Some("invalid_request_error") if complaint.mentions("credit balance") => ErrorKind::InsufficientQuota,
        Some("invalid_request_error" | "request_too_large" | "not_found_error") => complaint.kind(400),
        _ => complaint.kind(status),
    }
}
