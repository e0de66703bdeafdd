//! Requests of the responses API.

use std::borrow::Cow;

use serde::Serialize;
use url::Url;

use super::super::Target;
use super::super::encode::{Content, DataUrl, system_instruction, unsupported, user_text};
use super::super::openai::{effort, is_openai, reads_pdf, schema_name};
use crate::config::Effort;
use crate::error::Result;
use crate::message::{Part, Request, SchemaForm};
use crate::parameter::{Adjustments, Parameter};
use crate::schema::{Lowered, Schema};

/// The lowest limit of output tokens that OpenAI accepts.
const MIN_OUTPUT_TOKENS: u32 = 16;

#[derive(Serialize)]
pub(super) struct ResponsesRequest<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: Cow<'a, str>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextOptions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<ReasoningOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    /// The default keeps prompts and replies at the provider for 30 days.
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

/// A turn. Some servers require its type.
#[derive(Serialize)]
struct Item<'a> {
    r#type: &'static str,
    role: &'static str,
    content: Content<'a, ContentPart<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    InputText { text: Cow<'a, str> },
    OutputText { text: &'a str },
    InputImage { image_url: DataUrl<'a>, detail: &'static str },
    InputFile { filename: &'a str, file_data: DataUrl<'a> },
}

#[derive(Serialize)]
struct TextOptions<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    name: String,
    strict: bool,
    schema: &'a Lowered,
}

#[derive(Serialize)]
struct ReasoningOptions {
    effort: &'static str,
}

impl<'a> ResponsesRequest<'a> {
    /// `schema` is the lowered schema of the request and its form.
    pub(super) fn new(
        target: &'a Target,
        url: &Url,
        request: &'a Request,
        adjustments: Adjustments,
        schema: Option<(SchemaForm, &'a Lowered)>,
        stream: bool,
    ) -> Result<Self> {
        let takes = |parameter| !adjustments.omits(parameter);
        let is_openai = is_openai(target);
        let (enforced, prompted) = match schema {
            Some((SchemaForm::Prompted, lowered)) => (None, Some(lowered)),
            Some((_, lowered)) => (Some(lowered), None),
            None => (None, None),
        };
        // OpenAI passes the schema to the model. Other servers may compile it to a grammar alone.
        let outlined = enforced.filter(|_| !is_openai);
        let least = if is_openai { MIN_OUTPUT_TOKENS } else { 1 };
        let limit = request.max_tokens.filter(|_| takes(Parameter::MaxOutputTokens));
        let effort =
            effort(target, url, adjustments).filter(|_| takes(Parameter::ReasoningEffort) && takes(Parameter::Effort));
        Ok(Self {
            model: &target.model,
            instructions: system_instruction(request, prompted, outlined),
            input: input(target, url, request)?,
            temperature: request.temperature.filter(|_| takes(Parameter::Temperature)),
            max_output_tokens: limit.map(|tokens| tokens.max(least)),
            text: request.schema.as_deref().zip(enforced).map(|(schema, lowered)| json_schema(schema, lowered)),
            reasoning: effort.map(Effort::as_str).map(|effort| ReasoningOptions { effort }),
            service_tier: target.options.service_tier.as_deref().filter(|_| takes(Parameter::ServiceTier)),
            store: false,
            stream: stream.then_some(true),
        })
    }
}

/// The user's turn, with the files before its text, and the turns of a repair.
fn input<'a>(target: &Target, url: &Url, request: &'a Request) -> Result<Vec<Item<'a>>> {
    let item = |role, content| Item { r#type: "message", role, content };
    let mut parts = files(target, url, request)?;
    let text = user_text(request);
    let content = if parts.is_empty() {
        Content::Text(text.into())
    } else {
        parts.push(ContentPart::InputText { text });
        Content::Parts(parts)
    };
    let mut items = vec![item("user", content)];
    if let Some(repair) = &request.repair {
        // A text in place of the parts is that of a user to some servers.
        items.push(item("assistant", Content::Parts(vec![ContentPart::OutputText { text: &repair.reply }])));
        items.push(item("user", Content::Text(Cow::Borrowed(&*repair.instruction).into())));
    }
    Ok(items)
}

fn files<'a>(target: &Target, url: &Url, request: &'a Request) -> Result<Vec<ContentPart<'a>>> {
    let mut parts = Vec::new();
    for part in &request.parts {
        match part {
            Part::Text { .. } | Part::MissingPage(_) => {}
            // Some servers require the detail, although it has a default.
            Part::Image { mime, data } => {
                parts.push(ContentPart::InputImage { image_url: DataUrl { mime, data }, detail: "auto" });
            }
            Part::Pdf { name, data } if reads_pdf(url) => {
                let file_data = DataUrl { mime: "application/pdf", data };
                parts.push(ContentPart::InputFile { filename: name, file_data });
            }
            Part::Pdf { .. } | Part::Page(_) | Part::Url(_) => return Err(unsupported(target, part)),
        }
    }
    Ok(parts)
}

fn json_schema<'a>(schema: &Schema, lowered: &'a Lowered) -> TextOptions<'a> {
    let (name, strict) = (schema_name(schema), lowered.is_strict());
    TextOptions { format: Format { r#type: "json_schema", name, strict, schema: lowered } }
}
