//! Requests of the chat API.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

use super::super::Target;
use super::super::encode::{Base64, PromptText, key_header, system_text, user_text};
use super::window;
use crate::config::{KeepAlive, Think};
use crate::error::Result;
use crate::message::{Part, Request, SchemaForm};
use crate::parameter::Parameter;
use crate::schema::Lowered;

/// `think` is sent only if it is configured or the model has to think less: some versions ignore the schema next to it.
#[derive(Serialize)]
pub(super) struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    /// Off: the default silently drops the beginning of a prompt that exceeds the context window.
    truncate: bool,
    /// Off, for the same reason.
    shift: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<&'a KeepAlive>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    options: Options,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: PromptText<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Base64<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Schema(&'a Lowered),
    /// `json`: an object of any schema.
    Name(&'static str),
}

#[derive(Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_ctx: Option<u64>,
}

/// A request for facts about a model.
#[derive(Serialize)]
pub(super) struct ShowRequest<'a> {
    pub(super) model: &'a str,
}

impl<'a> ChatRequest<'a> {
    pub(super) fn new(
        target: &'a Target,
        request: &'a Request,
        schema: Option<(SchemaForm, &'a Lowered)>,
        stream: bool,
    ) -> Self {
        let (format, prompted, enforced) = match schema {
            Some((SchemaForm::Native | SchemaForm::Unbounded, lowered)) => {
                (Some(Format::Schema(lowered)), None, Some(lowered))
            }
            Some((SchemaForm::Older, lowered)) => (Some(Format::Name("json")), Some(lowered), None),
            Some((SchemaForm::Prompted, lowered)) => (None, Some(lowered), None),
            None => (None, None, None),
        };
        Self {
            model: &target.model,
            messages: messages(request, prompted, enforced),
            stream,
            truncate: false,
            shift: false,
            format,
            keep_alive: target.options.keep_alive.as_ref().filter(|_| request.allows(Parameter::KeepAlive)),
            think: think(target, request).filter(|_| request.allows(Parameter::Think)),
            options: Options {
                temperature: request.sent_temperature(),
                num_predict: request.max_tokens.filter(|_| request.allows(Parameter::NumPredict)),
                num_ctx: window::num_ctx(target, request),
            },
        }
    }
}

/// Whether and how much the model thinks: as configured, or the least that it supports if it has to think less.
fn think(target: &Target, request: &Request) -> Option<Think> {
    match (request.adjustments.less_thinking, target.options.think) {
        (false, configured) => configured,
        // Models of this family cannot switch the thinking off.
        (true, _) if target.model.contains("gpt-oss") => Some(Think::Low),
        (true, _) => Some(Think::Off),
    }
}

/// The key, for Ollama's cloud or a proxy. Local servers need none.
pub(super) fn headers(target: &Target) -> Result<Vec<(HeaderName, HeaderValue)>> {
    target.api_key().map(|key| key_header(target, AUTHORIZATION, "Bearer ", key)).into_iter().collect()
}

/// A switch is a boolean on the wire, a level a string.
impl Serialize for Think {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::On => serializer.serialize_bool(true),
            Self::Off => serializer.serialize_bool(false),
            level => serializer.serialize_str(level.as_str()),
        }
    }
}

/// Whole seconds have no fraction on the wire.
impl Serialize for KeepAlive {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, self.whole_seconds()) {
            (_, Some(seconds)) => serializer.serialize_i64(seconds),
            (Self::Seconds(seconds), None) => serializer.serialize_f64(*seconds),
            (Self::Text(text), None) => serializer.serialize_str(text),
        }
    }
}

fn messages<'a>(request: &'a Request, prompted: Option<&Lowered>, enforced: Option<&'a Lowered>) -> Vec<Message<'a>> {
    let images = request.parts.iter().filter_map(|part| match part {
        Part::Image { data, .. } => Some(Base64(data)),
        _ => None,
    });
    let mut messages = Vec::with_capacity(4);
    let system = system_text(request, prompted, enforced);
    if !system.is_empty() {
        messages.push(message("system", system));
    }
    messages.push(Message { images: images.collect(), ..message("user", user_text(request)) });
    if let Some(repair) = &request.repair {
        messages.push(message("assistant", Cow::Borrowed(&*repair.reply)));
        messages.push(message("user", Cow::Borrowed(&*repair.instruction)));
    }
    messages
}

fn message<'a>(role: &'static str, content: impl Into<PromptText<'a>>) -> Message<'a> {
    Message { role, content: content.into(), images: Vec::new() }
}
