//! Requests of the messages API.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::super::Target;
use super::super::encode::{
    Base64, Message, add_turns, endpoint, key_header, missing_key, system_instruction, unsupported,
};
use super::model;
use crate::config::Effort;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Request, SchemaForm};
use crate::parameter::{Adjustments, Parameter};
use crate::schema::Lowered;

/// Anthropic's host. Other hosts are compatible servers.
const ANTHROPIC: &str = "api.anthropic.com";

/// The version of the API. It accepts no temperature of any model.
pub(super) const VERSION: &str = "2026-10-21";

/// The version of the API that accepts a temperature of older models. Every compatible server knows it.
pub(super) const OLDER_VERSION: &str = "2023-06-01";

/// The limit of output tokens of a request that sets none; the API requires one, and thoughts count towards it. Every
/// model with structured outputs supports more. Anthropic's own clients refuse 21,334 and more without streaming: such
/// a reply may take longer than the ten minutes after which networks drop an idle connection.
const MAX_TOKENS: u32 = 16_000;

/// The highest temperature of the API. A higher one is sent as this one.
const MAX_TEMPERATURE: f64 = 1.0;

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
    thinking: Option<Thinking>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
}

#[derive(Serialize)]
struct Thinking {
    r#type: &'static str,
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
        adjustments: Adjustments,
        schema: Option<(SchemaForm, &'a Lowered)>,
        stream: bool,
    ) -> Result<Self> {
        let takes = |parameter| !adjustments.omits(parameter);
        let effort = model::effort(target, adjustments.less_thinking).filter(|_| takes(Parameter::Effort));
        let is_without_thinking = adjustments.less_thinking && model::can_disable_thinking(&target.model);
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
                .temperature
                .filter(|_| takes(Parameter::Temperature))
                .map(|temperature| temperature.min(MAX_TEMPERATURE)),
            output_config: (enforced.is_some() || effort.is_some()).then(|| OutputConfig {
                format: enforced.map(|schema| Format { r#type: "json_schema", schema }),
                effort: effort.map(Effort::as_str),
            }),
            thinking: (is_without_thinking && takes(Parameter::Thinking)).then_some(Thinking { r#type: "disabled" }),
            stream: stream.then_some(true),
        })
    }

    /// The version of the API that accepts the request.
    pub(super) const fn version(&self, adjustments: Adjustments) -> &'static str {
        let is_older = self.temperature.is_some() || adjustments.omits(Parameter::AnthropicVersion);
        if is_older { OLDER_VERSION } else { VERSION }
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
pub(super) fn headers(target: &Target, url: &Url, version: &'static str) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = vec![(HeaderName::from_static("anthropic-version"), HeaderValue::from_static(version))];
    match target.api_key() {
        Some(key) => headers.push(key_header(target, HeaderName::from_static("x-api-key"), "", key)?),
        None if url.host_str() == Some(ANTHROPIC) => {
            return Err(missing_key(target, "there is no API key: set anthropic_api_key or ANTHROPIC_API_KEY"));
        }
        None => {}
    }
    Ok(headers)
}

/// The files of the first user turn. They precede the text, as Anthropic recommends.
fn files<'a>(target: &Target, request: &'a Request) -> Result<Vec<Block<'a>>> {
    let source = |media_type, data: &'a Bytes| Source { r#type: "base64", media_type, data: Base64(data) };
    let mut blocks = Vec::new();
    for part in &request.parts {
        match part {
            Part::Text { .. } | Part::MissingPage(_) => {}
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
            Part::Page(_) | Part::Url(_) => return Err(unsupported(target, part)),
        }
    }
    Ok(blocks)
}
