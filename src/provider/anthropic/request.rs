//! Requests of the messages API.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::super::Target;
use super::super::encode::{
    Base64, Message, add_turns, endpoint, key_header, not_configured, system_instruction, unsupported,
};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Request, SchemaForm};
use crate::schema::Lowered;

/// Anthropic's host. Other hosts are compatible servers.
const ANTHROPIC: &str = "api.anthropic.com";

/// The version of the API.
pub(super) const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// The limit of output tokens of a request that sets none; the API requires one, and thoughts count towards it. Every
/// model with structured outputs supports more. Anthropic's own clients refuse 21,334 and more without streaming: such
/// a reply may take longer than the ten minutes after which networks drop an idle connection.
const MAX_TOKENS: u32 = 16_000;

/// The highest temperature of the API. A higher one is sent as this one.
const MAX_TEMPERATURE: f64 = 1.0;

/// The last version of the Claude models that accepts a temperature.
const LAST_WITH_TEMPERATURE: (u32, u32) = (4, 6);

/// The image types that the API accepts.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

#[derive(Serialize)]
pub(super) struct MessagesRequest<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: Cow<'a, str>,
    messages: Vec<Message<'a, Block<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
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

impl<'a> MessagesRequest<'a> {
    pub(super) fn new(
        target: &'a Target,
        request: &'a Request,
        schema: Option<(SchemaForm, &'a Lowered)>,
        stream: bool,
    ) -> Result<Self> {
        let (enforced, prompted) = match schema {
            Some((SchemaForm::Native, schema)) => (Some(schema), None),
            Some((_, schema)) => (None, Some(schema)),
            None => (None, None),
        };
        let mut messages = Vec::with_capacity(3);
        add_turns(&mut messages, request, files(target, request)?, |text| Block::Text { text });
        Ok(Self {
            model: &target.model,
            max_tokens: request.max_tokens.unwrap_or(MAX_TOKENS),
            system: system_instruction(request, prompted, None),
            messages,
            temperature: request
                .sent_temperature()
                .filter(|_| accepts_temperature(&target.model))
                .map(|temperature| temperature.min(MAX_TEMPERATURE)),
            output_config: enforced.map(|schema| OutputConfig { format: Format { r#type: "json_schema", schema } }),
            stream: stream.then_some(true),
        })
    }
}

/// The URL of `resource`. `/v1` is added unless the base URL ends with it: Anthropic's own clients expect
/// `ANTHROPIC_BASE_URL` without the version.
pub(super) fn address(target: &Target, resource: &str) -> Result<Url> {
    let base = endpoint(target, &[])?;
    let is_versioned = base.path().trim_end_matches('/').ends_with("/v1");
    if is_versioned { endpoint(target, &[resource]) } else { endpoint(target, &["v1", resource]) }
}

/// The version and the key. Compatible servers may need no key.
pub(super) fn headers(target: &Target, url: &Url) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = vec![VERSION];
    match target.api_key() {
        Some(key) => headers.push(key_header(target, HeaderName::from_static("x-api-key"), "", key)?),
        None if url.host_str() == Some(ANTHROPIC) => {
            return Err(not_configured(target, "there is no API key: set anthropic_api_key or ANTHROPIC_API_KEY"));
        }
        None => {}
    }
    Ok(headers)
}

/// Whether a request to `model` may contain a temperature. Claude models without a version are newer than
/// [`LAST_WITH_TEMPERATURE`]; models of other makers, on compatible servers, accept it.
fn accepts_temperature(model: &str) -> bool {
    let Some((_, name)) = model.split_once("claude") else { return true };
    // Longer numbers are dates.
    let mut numbers = name
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| (1..=2).contains(&digits.len()))
        .filter_map(|digits| digits.parse().ok());
    let major: Option<u32> = numbers.next();
    major.is_some_and(|major| (major, numbers.next().unwrap_or(0)) <= LAST_WITH_TEMPERATURE)
}

/// The files of the first user turn. They precede the text, as Anthropic recommends.
fn files<'a>(target: &Target, request: &'a Request) -> Result<Vec<Block<'a>>> {
    let source = |media_type, data: &'a Bytes| Source { r#type: "base64", media_type, data: Base64(data) };
    let mut blocks = Vec::new();
    for part in &request.parts {
        match part {
            Part::Text { .. } => {}
            Part::Image { mime, data } if IMAGE_TYPES.contains(mime) => {
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
    Ok(blocks)
}
