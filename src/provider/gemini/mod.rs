//! The Gemini Developer API.
//!
//! The key travels in a header, never in the address, which ends up in logs.

mod prices;
#[cfg(test)]
mod tests;
mod thinking;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::decode::{Complaint, Count, Draft, envelope, failure};
use super::encode::{Base64, endpoint, get, key_header, not_configured, post, system, user_text};
use super::{Codec, Event, Pricing, Protocol, Target, UsageUpdate};
use crate::config::{Config, ModelTier, Provider, Tuning};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Page, PageStatus, Part, Reply, Request, SchemaForm, Usage};
use crate::schema::{Dialect, Lowered};
use crate::transport::{Framing, WireRequest};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The provider.
#[derive(Debug)]
pub(super) struct Gemini;

impl Protocol for Gemini {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        let key = config.gemini_api_key.as_ref();
        let target = Target::new(Provider::Gemini, &config.gemini_model, &config.gemini_base_url, key);
        Target { tuning: Tuning { thinking: config.gemini_thinking, ..Tuning::default() }, ..target }
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&Self)
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

    /// No other provider lets a request limit how much the model thinks.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ThinkingTruncated)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generate<'a> {
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
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Lowered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_schema: Option<&'a Lowered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<thinking::ThinkingConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    model_version: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<ReplyContent>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    // Read leniently: what became of pages must not cost the reply.
    url_context_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct ReplyContent {
    parts: Option<Vec<ReplyPart>>,
}

#[derive(Deserialize)]
struct ReplyPart {
    text: Option<String>,
    thought: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Google's own names")]
struct UsageMetadata {
    prompt_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
}

#[derive(Deserialize)]
struct Models {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

impl Codec for Gemini {
    fn supports(&self, _part: &Part) -> bool {
        true
    }

    fn schema_form(&self, target: &Target, request: &Request) -> Option<SchemaForm> {
        form(target, request)
    }

    fn simpler_form(&self, _target: &Target, form: SchemaForm) -> Option<SchemaForm> {
        form.simpler()
    }

    fn dialect(&self, form: SchemaForm) -> Dialect {
        dialect(form)
    }

    fn encode(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        generate(target, request, method(target, "generateContent")?)
    }

    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply> {
        let generated: Generated = envelope(body).map_err(|error| target.locate(error))?;
        if generated.error.is_some() {
            return Err(failure(target, ErrorKind::Server, &Complaint::read(200, body).message));
        }
        if generated.candidates.is_none() && generated.prompt_feedback.is_none() && generated.usage_metadata.is_none() {
            return Err(failure(target, ErrorKind::MalformedReply, "the reply has no candidates; is this Gemini?"));
        }
        let usage = generated.usage_metadata.unwrap_or_default().disjoint();
        if let Some(message) = generated.prompt_feedback.and_then(PromptFeedback::blocked) {
            return Err(failure(target, ErrorKind::Blocked, &message).with_usage(usage));
        }
        let candidate = generated.candidates.unwrap_or_default().into_iter().next().unwrap_or_default();
        if let Some(blocked) = candidate.blocked() {
            return Err(failure(target, ErrorKind::Blocked, &blocked).with_usage(usage));
        }
        let finish = candidate.finish();
        let reason = candidate.finish_reason.clone();
        let pages = candidate.pages();
        let draft = Draft { text: candidate.into_text(), model: generated.model_version, finish, reason, usage };
        let reply = draft.settle(target, request, form(target, request).map(dialect))?;
        Ok(Reply { pages, ..reply })
    }

    fn decode_error(&self, target: &Target, status: u16, headers: &HeaderMap, body: &Bytes) -> Error {
        let mut complaint = Complaint::read(status, body);
        let details = complaint.detail.get("details").and_then(Value::as_array).cloned().unwrap_or_default();
        let kind = match status {
            400 if is_wrong_key(&complaint, &details) => ErrorKind::Unauthorized,
            429 if details.iter().any(is_daily_quota) => ErrorKind::DailyQuota,
            _ => complaint.kind(status),
        };
        if kind == ErrorKind::DailyQuota {
            complaint.message.insert_str(0, "the quota of the day is used up: ");
        }
        let delay = details.iter().find_map(retry_delay);
        let error = complaint.into_error(target, kind, status, headers);
        if delay.is_some() { error.with_retry_after(delay) } else { error }
    }

    fn encode_stream(&self, target: &Target, request: &Request) -> Result<WireRequest> {
        let mut url = method(target, "streamGenerateContent")?;
        url.query_pairs_mut().append_pair("alt", "sse");
        generate(target, request, url)
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event> {
        let generated: Generated = envelope(data).map_err(|error| target.locate(error))?;
        if generated.error.is_some() {
            return Err(self.decode_error(target, Complaint::read(200, data).status(), &HeaderMap::new(), data));
        }
        let blocked = generated.prompt_feedback.and_then(PromptFeedback::blocked);
        let candidate = generated.candidates.unwrap_or_default().into_iter().next().unwrap_or_default();
        let reason = candidate.finish_reason.clone().filter(|reason| reason != "FINISH_REASON_UNSPECIFIED");
        Ok(Event {
            blocked: blocked.or_else(|| candidate.blocked()),
            model: generated.model_version,
            finish: reason.is_some().then(|| candidate.finish()),
            is_last: reason.is_some(),
            reason,
            usage: generated.usage_metadata.map(|usage| UsageUpdate::Full(usage.disjoint())),
            pages: candidate.pages(),
            text: Some(candidate.into_text()),
            ..Event::default()
        })
    }

    fn models_request(&self, target: &Target) -> Result<WireRequest> {
        let key = key(target)?;
        let mut url = endpoint(target, &["models"])?;
        url.query_pairs_mut().append_pair("pageSize", "1000");
        Ok(get(url, vec![key]))
    }

    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>> {
        let models: Models = envelope(body)?;
        Ok(models.models.into_iter().map(|model| model.name).collect())
    }

    fn context_length(&self, target: &Target) -> Option<u64> {
        thinking::context_length(&target.model)
    }
}

impl PromptFeedback {
    fn blocked(self) -> Option<String> {
        self.block_reason.map(|reason| format!("the prompt was blocked ({reason})"))
    }
}

impl Candidate {
    fn blocked(&self) -> Option<String> {
        let reason = self.finish_reason.as_deref().filter(|reason| is_block(reason))?;
        let more = self.finish_message.as_deref().unwrap_or_default();
        Some(format!("the reply was blocked ({reason}) {more}"))
    }

    fn finish(&self) -> FinishReason {
        match self.finish_reason.as_deref() {
            Some("STOP") => FinishReason::Stop,
            Some("MAX_TOKENS") => FinishReason::Length,
            _ => FinishReason::Other,
        }
    }

    /// What became of the pages that the URL tool was to read.
    fn pages(&self) -> Vec<Page> {
        let told = self.url_context_metadata.as_ref().and_then(|told| told.get("urlMetadata")?.as_array());
        told.into_iter().flatten().filter_map(page).collect()
    }

    /// The text, thoughts left out.
    fn into_text(self) -> String {
        let parts = self.content.and_then(|content| content.parts).unwrap_or_default();
        parts.into_iter().filter(|part| part.thought != Some(true)).filter_map(|part| part.text).collect()
    }
}

impl UsageMetadata {
    /// Tokens read from the cache are counted within the prompt's; all others stand apart.
    fn disjoint(&self) -> Usage {
        let prompt = self.prompt_token_count.0;
        let cached_input = self.cached_content_token_count.0.min(prompt);
        Usage {
            input: prompt - cached_input,
            cached_input,
            output: self.candidates_token_count.0,
            reasoning: self.thoughts_token_count.0,
            tool: self.tool_use_prompt_token_count.0,
        }
    }
}

/// The address of `method` on the target's model.
fn method(target: &Target, method: &str) -> Result<Url> {
    let model = target.model.strip_prefix("models/").unwrap_or(&target.model);
    endpoint(target, &["models", &format!("{model}:{method}")])
}

/// A schema that the older form cannot say is told instead, and so is one beside pages to read, where the model keeps to
/// one of the two.
fn form(target: &Target, request: &Request) -> Option<SchemaForm> {
    let schema = request.schema.as_ref()?;
    let is_unsayable = (request.form == SchemaForm::Older && !schema.lower(Dialect::GeminiOlder).is_strict())
        || (reads_pages(request) && !thinking::reads_pages_by_schema(&target.model));
    Some(if is_unsayable { SchemaForm::Prompted } else { request.form })
}

/// What the schema is written in.
const fn dialect(form: SchemaForm) -> Dialect {
    match form {
        SchemaForm::Native => Dialect::Gemini,
        SchemaForm::Older => Dialect::GeminiOlder,
        SchemaForm::Prompted => Dialect::Prompted,
    }
}

fn generate(target: &Target, request: &Request, url: Url) -> Result<WireRequest> {
    let key = key(target)?;
    let form = form(target, request);
    let schema = request.schema.as_ref().zip(form);
    let lowered = schema.map(|(schema, form)| schema.lower(dialect(form)));
    let sent_as = |wanted| lowered.as_deref().filter(|_| form == Some(wanted));
    let system = system(&request.system, sent_as(SchemaForm::Prompted));
    let generate = Generate {
        system_instruction: (!system.is_empty())
            .then(|| Content { role: None, parts: vec![ContentPart::Text(system)] }),
        contents: contents(request),
        tools: if reads_pages(request) { vec![Tool::UrlContext {}] } else { Vec::new() },
        generation_config: GenerationConfig {
            temperature: request.temperature,
            max_output_tokens: request.max_tokens,
            // Some models take no tool beside it.
            response_mime_type: form
                .filter(|form| *form != SchemaForm::Prompted || !reads_pages(request))
                .map(|_| "application/json"),
            response_json_schema: sent_as(SchemaForm::Native),
            response_schema: sent_as(SchemaForm::Older),
            thinking_config: thinking::config(&target.model, target.tuning.thinking, request.room),
        },
    };
    post(url, vec![key], &generate, request)
}

fn key(target: &Target) -> Result<(HeaderName, HeaderValue)> {
    match target.key.as_ref().map(crate::config::Secret::expose) {
        Some(key) if !key.is_empty() => key_header(target, KEY_HEADER, "", key),
        _ => Err(not_configured(target, "there is no API key: set gemini_api_key or GOOGLE_API_KEY".to_owned())),
    }
}

/// Files stand before the text that asks about them, as Google advises.
fn contents(request: &Request) -> Vec<Content<'_>> {
    let mut parts: Vec<_> = request
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Image { mime, data } => Some(ContentPart::InlineData { mime_type: mime, data: Base64(data) }),
            Part::Pdf { data, .. } => {
                Some(ContentPart::InlineData { mime_type: "application/pdf", data: Base64(data) })
            }
            Part::Text { .. } | Part::Url(_) => None,
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

/// The URL tool reads the addresses it finds in the text.
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

fn reads_pages(request: &Request) -> bool {
    request.parts.iter().any(|part| matches!(part, Part::Url(_)))
}

fn page(told: &Value) -> Option<Page> {
    let status = match told.get("urlRetrievalStatus").and_then(Value::as_str).unwrap_or_default() {
        "URL_RETRIEVAL_STATUS_SUCCESS" => PageStatus::Success,
        "URL_RETRIEVAL_STATUS_ERROR" => PageStatus::Error,
        "URL_RETRIEVAL_STATUS_PAYWALL" => PageStatus::Paywall,
        "URL_RETRIEVAL_STATUS_UNSAFE" => PageStatus::Unsafe,
        _ => PageStatus::Other,
    };
    Some(Page { url: told.get("retrievedUrl")?.as_str()?.to_owned(), status })
}

fn is_block(reason: &str) -> bool {
    matches!(
        reason,
        "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
    )
}

/// Gemini answers a wrong key with 400, gateways with 400 and words alone.
fn is_wrong_key(complaint: &Complaint, details: &[Value]) -> bool {
    let reasons = ["API_KEY_INVALID", "API_KEY_EXPIRED"];
    details.iter().filter_map(|detail| detail.get("reason")?.as_str()).any(|reason| reasons.contains(&reason))
        || (complaint.mentions("api key") && ["not valid", "invalid", "expired"].iter().any(|w| complaint.mentions(w)))
}

fn is_daily_quota(detail: &Value) -> bool {
    let violations = detail.get("violations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    violations.iter().any(|one| one.get("quotaId").and_then(Value::as_str).is_some_and(|id| id.contains("PerDay")))
}

/// Google's `RetryInfo`: a number of seconds, mostly with a fraction, and an `s`.
fn retry_delay(detail: &Value) -> Option<Duration> {
    let seconds: f64 = detail.get("retryDelay")?.as_str()?.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
