//! Requests of chat completions.
//!
//! A schema is sent as `json_schema`, with the bounds that the server is expected to enforce. Servers that reject it get
//! the structure alone, then `json_object` and the schema in the prompt, then the schema in the prompt alone. Servers built on llama.cpp that do not support `json_schema` enforce a schema next to
//! `json_object`. OpenAI and others reject that field, so only local servers get it: those addressed by an IP address or
//! by a name that is not on the internet.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Serialize;
use url::{Host, Url};

use super::super::Target;
use super::super::encode::{Content, DataUrl, Message, add_turns, key_header, system_text, unsupported};
use super::model::Reasoning;
use crate::config::Effort;
use crate::error::Result;
use crate::message::{Part, Request, SchemaForm};
use crate::parameter::{Adjustments, Parameter};
use crate::schema::{Lowered, Schema};

/// OpenAI's host. Other hosts are compatible servers.
const OPENAI: &str = "api.openai.com";

/// The hosts that are known to read PDFs. Others may drop the part without an error.
const PDF_READERS: [&str; 2] = [OPENAI, "openrouter.ai"];

/// The query parameter of Azure's base URLs.
const API_VERSION: &str = "api-version";

/// Azure's header for the key.
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// The longest name of a schema, in characters.
const MAX_NAME: usize = 64;

#[derive(Serialize)]
pub(super) struct CompletionRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a, ContentPart<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
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

impl<'a> CompletionRequest<'a> {
    pub(super) fn new(
        target: &'a Target,
        url: &Url,
        request: &'a Request,
        adjustments: Adjustments,
        lowered: Option<&'a Lowered>,
        stream: bool,
    ) -> Result<Self> {
        let is_openai = url.host_str() == Some(OPENAI);
        let takes = |parameter| !adjustments.omits(parameter);
        let has_older_limit = takes(Parameter::MaxTokens);
        let effort = effort(target, url, adjustments).filter(|_| takes(Parameter::ReasoningEffort));
        let is_enforced = matches!(request.form, SchemaForm::Native | SchemaForm::Unbounded);
        let prompted = lowered.filter(|_| !is_enforced);
        // OpenAI passes the schema to the model. Other servers may compile it to a grammar alone.
        let enforced = lowered.filter(|_| is_enforced && !is_openai);
        Ok(Self {
            model: &target.model,
            messages: messages(target, url, request, prompted, enforced)?,
            temperature: request.temperature.filter(|_| takes(Parameter::Temperature)),
            max_completion_tokens: request
                .max_tokens
                .filter(|_| !has_older_limit && takes(Parameter::MaxCompletionTokens)),
            max_tokens: request.max_tokens.filter(|_| has_older_limit),
            response_format: request.schema.as_deref().zip(lowered).and_then(|(schema, lowered)| match request.form {
                SchemaForm::Native | SchemaForm::Unbounded => Some(json_schema(schema, lowered)),
                SchemaForm::Older => Some(json_object(url, lowered)),
                SchemaForm::Prompted => None,
            }),
            stream: stream.then_some(true),
            stream_options: (stream && takes(Parameter::StreamOptions))
                .then_some(StreamOptions { include_usage: true }),
            reasoning_effort: effort.map(Effort::as_str),
            service_tier: target.options.service_tier.as_deref().filter(|_| takes(Parameter::ServiceTier)),
        })
    }
}

/// The key. Local servers need none. Azure expects it in a header of its own; its base URLs name a version of the API.
pub(in crate::provider) fn headers(target: &Target) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let Some(key) = target.api_key() else { return Ok(Vec::new()) };
    let has_version =
        || target.base_url.url().is_some_and(|url| url.query_pairs().any(|(name, _)| name == API_VERSION));
    let header = match &target.options.key_header {
        Some(name) if *name != AUTHORIZATION => Some(name.clone()),
        None if has_version() => Some(API_KEY),
        Some(_) | None => None,
    };
    let header = match header {
        Some(name) => key_header(target, name, "", key)?,
        None => key_header(target, AUTHORIZATION, "Bearer ", key)?,
    };
    Ok(vec![header])
}

fn messages<'a>(
    target: &Target,
    url: &Url,
    request: &'a Request,
    prompted: Option<&Lowered>,
    enforced: Option<&'a Lowered>,
) -> Result<Vec<Message<'a, ContentPart<'a>>>> {
    let mut messages = Vec::with_capacity(4);
    let system = system_text(request, prompted, enforced);
    if !system.is_empty() {
        messages.push(Message { role: "system", content: Content::Text(system) });
    }
    add_turns(&mut messages, request, files(target, url, request)?, |text| ContentPart::Text { text });
    Ok(messages)
}

fn files<'a>(target: &Target, url: &Url, request: &'a Request) -> Result<Vec<ContentPart<'a>>> {
    let mut parts = Vec::new();
    for part in &request.parts {
        match part {
            Part::Text { .. } | Part::MissingPage(_) => {}
            Part::Image { mime, data } => {
                parts.push(ContentPart::ImageUrl { image_url: ImageUrl { url: DataUrl { mime, data } } });
            }
            Part::Pdf { name, data } if reads_pdf(url) => {
                let file_data = DataUrl { mime: "application/pdf", data };
                parts.push(ContentPart::File { file: File { filename: name, file_data } });
            }
            Part::Pdf { .. } | Part::Page(_) | Part::Url(_) => return Err(unsupported(target, part)),
        }
    }
    Ok(parts)
}

fn json_schema<'a>(schema: &Schema, lowered: &'a Lowered) -> ResponseFormat<'a> {
    let json_schema = JsonSchema { name: schema_name(schema), strict: lowered.is_strict(), schema: lowered };
    ResponseFormat::JsonSchema { json_schema }
}

/// Whether the server is known to read PDFs.
pub(in crate::provider) fn reads_pdf(url: &Url) -> bool {
    url.host_str().is_some_and(|host| PDF_READERS.contains(&host))
}

/// The name of `schema` in a request.
pub(in crate::provider) fn schema_name(schema: &Schema) -> String {
    valid_name(schema.name())
}

/// Whether requests go to OpenAI itself.
pub(in crate::provider) fn is_openai(target: &Target) -> bool {
    target.base_url.url().and_then(Url::host_str) == Some(OPENAI)
}

/// The effort of a request: as configured, or the least that the model takes if it has to think less. Servers on this
/// machine or network take `none`: llama.cpp, Ollama and vLLM switch the thinking off then.
pub(in crate::provider) fn effort(target: &Target, url: &Url, adjustments: Adjustments) -> Option<Effort> {
    let configured = target.options.effort;
    if !adjustments.less_thinking {
        return configured;
    }
    let least = match Reasoning::of(&target.model) {
        Some(family) => family.least_effort(),
        None if url.host_str() == Some(OPENAI) => return configured,
        // Models of this family cannot switch the thinking off.
        None if target.model.contains("gpt-oss") => Effort::Low,
        None if is_local(url) => Effort::None,
        None => Effort::Low,
    };
    Some(configured.map_or(least, |configured| configured.min(least)))
}

fn json_object<'a>(url: &Url, lowered: &'a Lowered) -> ResponseFormat<'a> {
    ResponseFormat::JsonObject { schema: (is_local(url) && lowered.is_strict()).then_some(lowered) }
}

/// Whether the host is an IP address or a name that is not on the internet: its server is one that somebody runs for
/// themselves.
pub(super) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            !name.contains('.') || matches!(name.rsplit('.').next(), Some("local" | "internal"))
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

/// A schema's name of letters, digits, `_` and `-` only.
fn valid_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().take(MAX_NAME).map(allowed).collect();
    if name.is_empty() { "reply".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_schema_has_allowed_characters_only() {
        assert_eq!(valid_name("List[Idea.V2]-é"), "List_Idea_V2_-_");
        assert_eq!(valid_name(&"x".repeat(90)).len(), MAX_NAME);
        assert_eq!(valid_name(""), "reply");
    }
}
