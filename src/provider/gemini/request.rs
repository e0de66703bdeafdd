//! Requests of `generateContent`.

use std::borrow::Cow;

use http::header::{HeaderName, HeaderValue};
use serde::Serialize;

use super::super::Target;
use super::super::encode::{self, Base64, missing_key, system_instruction, user_text};
use super::thinking::{self, ThinkingConfig};
use crate::error::Result;
use crate::message::{Part, Request, SchemaForm};
use crate::parameter::Parameter;
use crate::schema::Lowered;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerateContentRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<ContentPart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ContentPart<'a> {
    Text(Cow<'a, str>),
    #[serde(rename_all = "camelCase")]
    InlineData {
        mime_type: &'static str,
        data: Base64<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Tool {
    UrlContext {},
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Lowered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_schema: Option<&'a Lowered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

impl<'a> GenerateContentRequest<'a> {
    pub(super) fn new(target: &Target, request: &'a Request, schema: Option<(SchemaForm, &'a Lowered)>) -> Self {
        let in_form = |wanted| schema.and_then(|(form, lowered)| (form == wanted).then_some(lowered));
        let prompted = in_form(SchemaForm::Prompted);
        let system = system_instruction(request, prompted, None);
        // Some models do not combine a tool with a media type.
        let is_json = schema.is_some() && (prompted.is_none() || !reads_pages(request));
        Self {
            system_instruction: (!system.is_empty())
                .then(|| Content { role: None, parts: vec![ContentPart::Text(system)] }),
            contents: contents(request),
            tools: if reads_pages(request) { vec![Tool::UrlContext {}] } else { Vec::new() },
            generation_config: GenerationConfig {
                temperature: request.sent_temperature(),
                max_output_tokens: request.max_tokens.filter(|_| request.allows(Parameter::MaxOutputTokens)),
                response_mime_type: is_json.then_some("application/json"),
                response_json_schema: in_form(SchemaForm::Native),
                response_schema: in_form(SchemaForm::Older),
                thinking_config: thinking::config(&target.model, target.options.thinking, request.adjustments),
            },
        }
    }
}

/// The key, in a header: addresses end up in logs.
pub(super) fn key_header(target: &Target) -> Result<(HeaderName, HeaderValue)> {
    match target.api_key() {
        Some(key) => encode::key_header(target, HeaderName::from_static("x-goog-api-key"), "", key),
        None => Err(missing_key(target, "there is no API key: set gemini_api_key, GEMINI_API_KEY or GOOGLE_API_KEY")),
    }
}

/// Whether the model has to read web pages.
pub(super) fn reads_pages(request: &Request) -> bool {
    request.parts.iter().any(|part| matches!(part, Part::Url(_)))
}

/// The turns of the conversation. Files precede the text, as Google recommends.
fn contents(request: &Request) -> Vec<Content<'_>> {
    let mut parts: Vec<_> = request
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Image { mime, data } => Some(ContentPart::InlineData { mime_type: mime, data: Base64(data) }),
            Part::Pdf { data, .. } => {
                Some(ContentPart::InlineData { mime_type: "application/pdf", data: Base64(data) })
            }
            Part::Text { .. } | Part::MissingPage(_) | Part::Page(_) | Part::Url(_) => None,
        })
        .collect();
    parts.push(ContentPart::Text(text(request)));
    let mut contents = vec![Content { role: Some("user"), parts }];
    if let Some(repair) = &request.repair {
        for (role, text) in [("model", &repair.reply), ("user", &repair.instruction)] {
            contents.push(Content { role: Some(role), parts: vec![ContentPart::Text(Cow::Borrowed(text))] });
        }
    }
    contents
}

/// The text of the first turn. It lists the URLs, where the URL context tool finds them.
fn text(request: &Request) -> Cow<'_, str> {
    let text = user_text(request);
    let pages = request.parts.iter().filter_map(|part| match part {
        Part::Url(url) => Some(format!("\n- {url}")),
        _ => None,
    });
    let pages: Vec<String> = pages.collect();
    if pages.is_empty() {
        return text;
    }
    Cow::Owned(format!("{text}\n\nWeb pages to read:{}", pages.concat()))
}
