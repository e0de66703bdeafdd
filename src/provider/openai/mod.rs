//! `OpenAI`'s chat completions, and the many servers that speak them.
//!
//! A schema goes as `json_schema`, where that is refused as `json_object` with the schema told, and last in words alone.
//! Servers built on llama.cpp that do not know the first take the schema beside the second and hold the model to it. To
//! `OpenAI` and others it is an unknown field, so it is sent to servers of one's own alone: those reached by a number or
//! by a name that is none of the internet's.
//!
//! The temperature is always sent. `OpenAI`'s own reasoning models reject any but 1 and say so; such a model needs
//! `temperature=1`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

use super::decode::{Complaint, Count, Draft, envelope, failure};
use super::encode::{DataUrl, endpoint, get, key_header, not_configured, post, system, unsupported, user_text};
use super::{Codec, Event, Pricing, Protocol, Target, UsageUpdate};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Part, Reply, Request, SchemaForm, Usage};
use crate::schema::{Dialect, Lowered, Schema};
use crate::transport::{Framing, WireRequest};

/// `OpenAI`'s own host.
const OPENAI: &str = "api.openai.com";

/// The hosts known to read PDFs; others may drop the part and answer without having seen it.
const PDF_READERS: [&str; 2] = [OPENAI, "openrouter.ai"];

/// Upper bound of a schema's name, in characters.
const MAX_NAME: usize = 64;

/// The reason of a reply that a filter cut off.
const FILTERED: &str = "content_filter";

const BLOCKED: &str = "the reply was blocked (content_filter)";

/// The provider.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Protocol for OpenAi {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        let model = config.openai_model.as_deref().unwrap_or_default();
        Target::new(Provider::OpenAi, model, &config.openai_base_url, config.openai_api_key.as_ref())
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&Self)
    }

    fn pricing(&self) -> Pricing {
        Pricing::Listed(&[])
    }

    fn is_configured(&self, config: &Config) -> bool {
        config.openai_model.is_some()
    }

    /// A server on this machine is assumed to serve one request at a time.
    fn is_concurrent(&self, target: &Target) -> bool {
        !target.base_url.is_loopback()
    }
}

#[derive(Serialize)]
struct Completion<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
}

/// Plain text where there is nothing else: some servers know no other form.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl<'a> },
    File { file: File<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: DataUrl<'a>,
}

#[derive(Serialize)]
struct File<'a> {
    filename: &'a str,
    file_data: DataUrl<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonSchema {
        json_schema: JsonSchema<'a>,
    },
    JsonObject {
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<&'a Lowered>,
    },
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: String,
    strict: bool,
    schema: &'a Lowered,
}

#[derive(Deserialize)]
struct Completed {
    choices: Option<Vec<Choice>>,
    model: Option<String>,
    usage: Option<CompletionUsage>,
    error: Option<Value>,
}

/// Of a whole reply, or of one event of a streamed one.
#[derive(Deserialize)]
struct Choice {
    message: Option<ReplyMessage>,
    delta: Option<ReplyMessage>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ReplyMessage {
    content: Option<ReplyContent>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReplyContent {
    Text(String),
    Parts(Vec<ReplyPart>),
}

#[derive(Deserialize)]
struct ReplyPart {
    r#type: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize, Default)]
struct CompletionUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Count,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Count,
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

impl Codec for OpenAi {
    fn supports(&self, part: &Part) -> bool {
        !matches!(part, Part::Url(_))
    }

    fn schema_form(&self, _target: &Target, request: &Request) -> Option<SchemaForm> {
        request.schema.as_ref().map(|_| request.form)
    }

    fn simpler_form(&self, _target: &Target, form: SchemaForm) -> Option<SchemaForm> {
        form.simpler()
    }

    fn dialect(&self, form: SchemaForm) -> Dialect {
        dialect(form)
    }

    fn encode(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        completion(target, request, false)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let completed: Completed = envelope(body).map_err(|error| target.locate(error))?;
        if completed.error.is_some() {
            // OpenRouter reports an upstream failure with status 200 and the real one as the code.
            let complaint = Complaint::read(200, body);
            let status = complaint.status();
            let error = failure(target, kind(status, &complaint), &complaint.message).with_status(status);
            return Err(self.reclassify(target, request, error));
        }
        let Some(choices) = completed.choices else {
            return Err(failure(target, ErrorKind::MalformedReply, "the reply has no choices; is the base URL right?"));
        };
        let usage = completed.usage.unwrap_or_default().disjoint();
        let (message, reason) =
            choices.into_iter().next().map_or((None, None), |choice| (choice.message, choice.finish_reason));
        let (content, refusal) = message.map_or((None, None), |message| (message.content, message.refusal));
        if let Some(refusal) = refusal.filter(|refusal| !refusal.is_empty()) {
            let message = format!("the model refused: {refusal}");
            return Err(failure(target, ErrorKind::Refused, &message).with_usage(usage));
        }
        if reason.as_deref() == Some(FILTERED) {
            return Err(failure(target, ErrorKind::Blocked, BLOCKED).with_usage(usage));
        }
        let finish = finish(reason.as_deref());
        let text = content.map_or_else(String::new, ReplyContent::into_text);
        let draft = Draft { text, model: completed.model, finish, reason, usage };
        draft.settle(target, request, self.schema_form(target, request).map(dialect))
    }

    fn decode_error(&self, target: &Target, status: u16, headers: &HeaderMap, body: &Bytes) -> Error {
        let mut complaint = Complaint::read(status, body);
        let kind = kind(status, &complaint);
        if kind == ErrorKind::InsufficientQuota {
            complaint.message.insert_str(0, "the account's quota is used up: ");
        }
        complaint.into_error(target, kind, status, headers)
    }

    fn encode_stream(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        completion(target, request, true)
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Event { is_last: true, ..Event::default() });
        }
        let completed: Completed = envelope(data).map_err(|error| target.locate(error))?;
        if completed.error.is_some() {
            return Err(self.decode_error(target, Complaint::read(200, data).status(), &HeaderMap::new(), data));
        }
        let choice = completed.choices.unwrap_or_default().into_iter().next();
        let (delta, reason) = choice.map_or((None, None), |choice| (choice.delta, choice.finish_reason));
        let (content, refusal) = delta.map_or((None, None), |delta| (delta.content, delta.refusal));
        let blocked = (reason.as_deref() == Some(FILTERED)).then(|| BLOCKED.to_owned());
        let refusal = refusal.filter(|refusal| !refusal.is_empty());
        Ok(Event {
            text: content.map(ReplyContent::into_text),
            blocked,
            refusal,
            model: completed.model,
            finish: reason.as_deref().map(|reason| finish(Some(reason))),
            reason,
            usage: completed.usage.map(|usage| UsageUpdate::Full(usage.disjoint())),
            // The usage comes after the reason, and `[DONE]` last.
            is_last: false,
            ..Event::default()
        })
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        Ok(get(endpoint(target, &["models"])?, key(target)?))
    }

    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        let models: Models = envelope(body)?;
        Ok(models.data.unwrap_or_default().into_iter().map(|model| model.id).collect())
    }
}

impl ReplyContent {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts
                .into_iter()
                .filter(|part| part.r#type.as_deref().is_none_or(|kind| kind == "text" || kind == "output_text"))
                .filter_map(|part| part.text)
                .collect(),
        }
    }
}

impl CompletionUsage {
    /// Cached tokens are counted within the prompt's. Thoughts are counted within the completion's by `OpenAI`, beside it by
    /// xAI and by Gemini's endpoint for `OpenAI`'s clients; then the total is larger than the two.
    fn disjoint(&self) -> Usage {
        let (prompt, completion) = (self.prompt_tokens.0, self.completion_tokens.0);
        let cached = self.prompt_tokens_details.as_ref().map_or(0, |details| details.cached_tokens.0);
        let thoughts = self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.0);
        let beside = self.total_tokens.0.saturating_sub(prompt.saturating_add(completion));
        let within = if beside < thoughts { thoughts.min(completion) } else { 0 };
        let cached_input = cached.min(prompt);
        Usage {
            input: prompt - cached_input,
            cached_input,
            output: completion - within,
            reasoning: within.saturating_add(beside),
            tool: 0,
        }
    }
}

fn completion(target: &Target, request: &Request, stream: bool) -> Result<WireRequest> {
    if target.model.trim().is_empty() {
        return Err(not_configured(target, "there is no model: set openai_model or OPENAI_MODEL".to_owned()));
    }
    let url = endpoint(target, &["chat", "completions"])?;
    let is_openai = url.host_str() == Some(OPENAI);
    let lowered = request.schema.as_ref().map(|schema| (schema, schema.lower(dialect(request.form))));
    let told = lowered.as_ref().filter(|_| request.form != SchemaForm::Native).map(|(_, lowered)| &**lowered);
    let completion = Completion {
        model: &target.model,
        messages: messages(target, &url, request, told)?,
        temperature: request.temperature,
        max_completion_tokens: request.max_tokens.filter(|_| is_openai),
        max_tokens: request.max_tokens.filter(|_| !is_openai),
        response_format: lowered.as_ref().and_then(|(schema, lowered)| match request.form {
            SchemaForm::Native => Some(json_schema(schema, lowered)),
            SchemaForm::Older => Some(json_object(&url, lowered)),
            SchemaForm::Prompted => None,
        }),
        stream: stream.then_some(true),
        stream_options: stream.then_some(StreamOptions { include_usage: true }),
    };
    post(url, key(target)?, &completion, request)
}

/// Local servers need no key.
fn key(target: &Target) -> Result<Vec<(HeaderName, HeaderValue)>> {
    match target.key.as_ref().map(crate::config::Secret::expose) {
        Some(key) if !key.is_empty() => Ok(vec![key_header(target, AUTHORIZATION, "Bearer ", key)?]),
        _ => Ok(Vec::new()),
    }
}

/// What the schema is written in. The strict subset suits what makes grammars: every node has a type.
const fn dialect(form: SchemaForm) -> Dialect {
    match form {
        SchemaForm::Native | SchemaForm::Older => Dialect::OpenAiStrict,
        SchemaForm::Prompted => Dialect::Prompted,
    }
}

fn messages<'a>(target: &Target, url: &Url, request: &'a Request, told: Option<&Lowered>) -> Result<Vec<Message<'a>>> {
    let mut messages = Vec::with_capacity(4);
    let system = system(&request.system, told);
    if !system.is_empty() {
        messages.push(Message { role: "system", content: Content::Text(system) });
    }
    messages.push(Message { role: "user", content: content(target, url, request)? });
    if let Some(repair) = &request.repair {
        messages.push(turn("assistant", &repair.reply));
        messages.push(turn("user", &repair.instruction));
    }
    Ok(messages)
}

fn turn<'a>(role: &'static str, text: &'a str) -> Message<'a> {
    Message { role, content: Content::Text(Cow::Borrowed(text)) }
}

fn content<'a>(target: &Target, url: &Url, request: &'a Request) -> Result<Content<'a>> {
    let reads_pdf = url.host_str().is_some_and(|host| PDF_READERS.contains(&host));
    let mut parts = Vec::new();
    for part in &request.parts {
        match part {
            Part::Text { .. } => {}
            Part::Image { mime, data } => {
                parts.push(ContentPart::ImageUrl { image_url: ImageUrl { url: DataUrl { mime, data } } });
            }
            Part::Pdf { name, data } if reads_pdf => {
                let file_data = DataUrl { mime: "application/pdf", data };
                parts.push(ContentPart::File { file: File { filename: name, file_data } });
            }
            Part::Pdf { .. } | Part::Url(_) => return Err(unsupported(target, part)),
        }
    }
    let text = user_text(request);
    if parts.is_empty() {
        return Ok(Content::Text(text));
    }
    parts.push(ContentPart::Text { text });
    Ok(Content::Parts(parts))
}

fn json_schema<'a>(schema: &Schema, lowered: &'a Lowered) -> ResponseFormat<'a> {
    let json_schema = JsonSchema { name: name(schema.name()), strict: lowered.is_strict(), schema: lowered };
    ResponseFormat::JsonSchema { json_schema }
}

fn json_object<'a>(url: &Url, lowered: &'a Lowered) -> ResponseFormat<'a> {
    let is_own = match url.host() {
        Some(Host::Domain(name)) => {
            !name.contains('.') || matches!(name.rsplit('.').next(), Some("local" | "internal"))
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    ResponseFormat::JsonObject { schema: (is_own && lowered.is_strict()).then_some(lowered) }
}

/// Letters, digits, `_` and `-` alone are taken.
fn name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().take(MAX_NAME).map(allowed).collect();
    if name.is_empty() { "reply".to_owned() } else { name }
}

fn finish(reason: Option<&str>) -> FinishReason {
    match reason {
        Some("stop") => FinishReason::Stop,
        Some("length") => FinishReason::Length,
        _ => FinishReason::Other,
    }
}

fn kind(status: u16, complaint: &Complaint) -> ErrorKind {
    match status {
        400 | 403 if complaint.mentions("invalid_api_key") => ErrorKind::Unauthorized,
        400 | 404 if complaint.mentions("model_not_found") => ErrorKind::ModelMissing,
        402 => ErrorKind::InsufficientQuota,
        _ => complaint.kind(status),
    }
}
