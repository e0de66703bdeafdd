//! Ollama's own chat API.
//!
//! The context window is fitted to the prompt, see `window`. `think` is never sent: together with `format` it makes some versions ignore the schema, and models without thoughts
//! answer it with an error. `truncate` and `shift` are off, because their default is to drop the beginning of a prompt
//! that does not fit the context window without a word; so it is an error instead.

mod facts;
#[cfg(test)]
mod tests;
mod window;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::decode::{Complaint, Count, Draft, envelope, failure};
use super::encode::{Base64, endpoint, get, post, system, unsupported, user_text};
use super::target::REQUEST_TIMEOUT;
use super::{Codec, Event, ModelFacts, Pricing, Protocol, Target, UsageUpdate};
use crate::config::{Config, KeepAlive, ModelTier, Provider, Tuning};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Part, Reply, Request, SchemaForm, Usage};
use crate::schema::{Dialect, Lowered};
use crate::transport::{Framing, WireRequest};

/// The host of the models that are not run locally.
const CLOUD: &str = "ollama.com";

/// The provider.
#[derive(Debug)]
pub(super) struct Ollama;

impl Protocol for Ollama {
    fn target(&self, config: &Config, tier: ModelTier) -> Target {
        Target {
            timeout: Duration::try_from_secs_f64(config.ollama_timeout).unwrap_or(REQUEST_TIMEOUT),
            tuning: Tuning {
                num_ctx: config.ollama_num_ctx,
                keep_alive: config.ollama_keep_alive.clone(),
                load_timeout: Duration::try_from_secs_f64(config.ollama_load_timeout).ok(),
                thinking: None,
            },
            ..Target::new(Provider::Ollama, config.ollama_model_of(tier), &config.ollama_host, None)
        }
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&Self)
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

    /// A request can ask for a larger context window.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ContextTooLong)
    }
}

#[derive(Serialize)]
struct Chat<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    truncate: bool,
    shift: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<Kept<'a>>,
    options: Options,
}

/// Seconds as a number, whole ones without a fraction.
struct Kept<'a>(&'a KeepAlive);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.0.whole_seconds()) {
            (_, Some(seconds)) => serializer.serialize_i64(seconds),
            (KeepAlive::Seconds(seconds), None) => serializer.serialize_f64(*seconds),
            (KeepAlive::Text(text), None) => serializer.serialize_str(text),
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Base64<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Schema(&'a Lowered),
    /// `json`: an object, of no particular schema.
    Word(&'static str),
}

#[derive(Serialize)]
struct Options {
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_ctx: Option<u64>,
}

#[derive(Serialize)]
struct Show<'a> {
    model: &'a str,
}

/// A whole reply, or one line of a streamed one.
#[derive(Deserialize)]
struct ChatReply {
    model: Option<String>,
    message: Option<ReplyMessage>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    error: Option<Value>,
    #[serde(default)]
    prompt_eval_count: Count,
    #[serde(default)]
    eval_count: Count,
}

#[derive(Deserialize)]
struct ReplyMessage {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    // Present even where it is null, so that another server's JSON is not taken for an empty list.
    #[serde(deserialize_with = "Option::deserialize")]
    models: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
struct Tag {
    name: Option<String>,
    model: Option<String>,
}

impl Codec for Ollama {
    fn supports(&self, part: &Part) -> bool {
        matches!(part, Part::Text { .. } | Part::Image { .. })
    }

    fn schema_form(&self, target: &Target, request: &Request) -> Option<SchemaForm> {
        request.schema.as_ref()?;
        Some(if is_cloud(target) { SchemaForm::Prompted } else { request.form })
    }

    fn simpler_form(&self, target: &Target, form: SchemaForm) -> Option<SchemaForm> {
        if is_cloud(target) { None } else { form.simpler() }
    }

    fn dialect(&self, form: SchemaForm) -> Dialect {
        dialect(form)
    }

    fn encode(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        self.chat(target, request, false)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let reply: ChatReply = envelope(body).map_err(|error| target.locate(error))?;
        if reply.error.is_some() {
            return Err(failure(target, ErrorKind::Server, &Complaint::read(200, body).message));
        }
        let (finish, usage) = (reply.finish(), reply.usage());
        let Some(message) = reply.message else {
            return Err(failure(target, ErrorKind::MalformedReply, "the reply has no message; is this Ollama?"));
        };
        let text = message.content.unwrap_or_default();
        let draft = Draft { text, model: reply.model, finish, reason: reply.done_reason, usage };
        draft.settle(target, request, self.schema_form(target, request).map(dialect))
    }

    fn decode_error(&self, target: &Target, status: u16, headers: &HeaderMap, body: &Bytes) -> Error {
        let mut complaint = Complaint::read(status, body);
        let mut kind = complaint.kind(status);
        if kind == ErrorKind::ModelMissing && !complaint.mentions("not found") {
            // A path that nothing is served at.
            kind = ErrorKind::Rejected;
        } else if kind == ErrorKind::ModelMissing {
            complaint.message = format!("the model is not installed: run `ollama pull {}`", target.model);
        } else if kind == ErrorKind::ContextTooLong {
            complaint.message.push_str(" (set ollama_num_ctx higher, or OLLAMA_CONTEXT_LENGTH where the server runs)");
        }
        complaint.into_error(target, kind, status, headers)
    }

    fn encode_stream(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        self.chat(target, request, true)
    }

    fn framing(&self) -> Framing {
        Framing::Ndjson
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        let reply: ChatReply = envelope(data).map_err(|error| target.locate(error))?;
        if reply.error.is_some() {
            return Err(self.decode_error(target, Complaint::read(200, data).status(), &HeaderMap::new(), data));
        }
        let (finish, usage) = (reply.finish(), reply.usage());
        Ok(Event {
            text: reply.message.and_then(|message| message.content),
            model: reply.model,
            finish: reply.done.then_some(finish),
            reason: reply.done_reason,
            // The counts are on the last line alone.
            usage: reply.done.then_some(UsageUpdate::Full(usage)),
            is_last: reply.done,
            ..Event::default()
        })
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        Ok(get(endpoint(target, &["api", "tags"])?, Vec::new()))
    }

    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        let tags: Tags = envelope(body)?;
        Ok(tags.models.unwrap_or_default().into_iter().filter_map(|tag| tag.name.or(tag.model)).collect())
    }

    fn context_length(&self, target: &Target) -> Option<u64> {
        target.facts.as_ref()?.context_length
    }

    fn check_usage(&self, target: &Target, request: &Request, counted: Usage) -> Result<()> {
        if !window::is_cut(target, request, counted.input) {
            return Ok(());
        }
        let message = format!(
            "only {} of at least {} tokens of the prompt were read: the context window is too small",
            counted.input,
            request.least_tokens()
        );
        Err(failure(target, ErrorKind::ContextTruncated, &message).with_usage(counted))
    }

    fn has_model_facts(&self) -> bool {
        true
    }

    fn facts_request(&self, target: &Target) -> Result<Option<WireRequest>> {
        let show = Show { model: &target.model };
        post(endpoint(target, &["api", "show"])?, Vec::new(), &show, &Request::new("")).map(Some)
    }

    fn decode_facts(&self, body: &Bytes) -> Result<ModelFacts> {
        facts::show(body)
    }

    fn running_request(&self, target: &Target) -> Result<Option<WireRequest>> {
        if is_cloud(target) {
            return Ok(None);
        }
        Ok(Some(get(endpoint(target, &["api", "ps"])?, Vec::new())))
    }

    fn decode_running(&self, body: &Bytes) -> Result<Vec<String>> {
        facts::running(body)
    }
}

impl Ollama {
    fn chat(&self, target: &Target, request: &Request, stream: bool) -> Result<WireRequest> {
        let form = self.schema_form(target, request);
        let schema = request.schema.as_ref().zip(form);
        let lowered = schema.map(|(schema, form)| schema.lower(dialect(form)));
        let told = lowered.as_deref().filter(|_| form != Some(SchemaForm::Native));
        let chat = Chat {
            model: &target.model,
            messages: messages(self, target, request, told)?,
            stream,
            truncate: false,
            shift: false,
            format: match form {
                Some(SchemaForm::Native) => lowered.as_deref().map(Format::Schema),
                Some(SchemaForm::Older) => Some(Format::Word("json")),
                Some(SchemaForm::Prompted) | None => None,
            },
            keep_alive: target.tuning.keep_alive.as_ref().map(Kept),
            options: Options {
                temperature: request.temperature,
                num_predict: request.max_tokens,
                num_ctx: window::num_ctx(target, request),
            },
        };
        post(endpoint(target, &["api", "chat"])?, Vec::new(), &chat, request)
    }
}

impl ChatReply {
    fn finish(&self) -> FinishReason {
        match self.done_reason.as_deref() {
            Some("stop") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            _ => FinishReason::Other,
        }
    }

    fn usage(&self) -> Usage {
        Usage { input: self.prompt_eval_count.0, output: self.eval_count.0, ..Usage::default() }
    }
}

/// What the schema is written in.
const fn dialect(form: SchemaForm) -> Dialect {
    match form {
        SchemaForm::Native => Dialect::Ollama,
        SchemaForm::Older | SchemaForm::Prompted => Dialect::Prompted,
    }
}

/// Models in Ollama's cloud take a schema, also through a local server, and answer as if there were none (ollama#12362).
fn is_cloud(target: &Target) -> bool {
    let model = target.model.trim();
    // An address is read only where it may be the one: this is asked several times a call.
    let may_be = target.base_url.contains(CLOUD);
    let host = || endpoint(target, &[]).ok()?.host_str().map(|host| host == CLOUD);
    let is_remote = target.facts.as_deref().is_some_and(|facts| facts.is_remote);
    is_remote || model.ends_with("-cloud") || model.ends_with(":cloud") || (may_be && host().unwrap_or_default())
}

fn messages<'a>(
    codec: &Ollama,
    target: &Target,
    request: &'a Request,
    told: Option<&Lowered>,
) -> Result<Vec<Message<'a>>> {
    if let Some(part) = request.parts.iter().find(|part| !codec.supports(part)) {
        return Err(unsupported(target, part));
    }
    let images = request.parts.iter().filter_map(|part| match part {
        Part::Image { data, .. } => Some(Base64(data)),
        _ => None,
    });
    let mut messages = Vec::with_capacity(4);
    let system = system(&request.system, told);
    if !system.is_empty() {
        messages.push(turn("system", system));
    }
    messages.push(Message { images: images.collect(), ..turn("user", user_text(request)) });
    if let Some(repair) = &request.repair {
        messages.push(turn("assistant", Cow::Borrowed(&repair.reply)));
        messages.push(turn("user", Cow::Borrowed(&repair.instruction)));
    }
    Ok(messages)
}

fn turn<'a>(role: &'static str, content: Cow<'a, str>) -> Message<'a> {
    Message { role, content, images: Vec::new() }
}
