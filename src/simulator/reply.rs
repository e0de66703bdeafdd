//! From a request's facts to the reply to send.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::dialect::{self, Answer, Cause, Dialect, Failure, Operation, Question, tokens};
use super::sample::sample;
use super::script::{Rule, Settings};
use crate::config::Provider;

/// A reply before faults.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) content: Content,
    /// For pacing; zero where nothing was generated.
    pub(super) output_tokens: u64,
}

#[derive(Debug)]
pub(super) enum Content {
    Whole(Bytes),
    Stream(Vec<Bytes>),
}

/// What is known of a request when it is answered.
#[derive(Debug)]
pub(super) struct Received<'r> {
    pub(super) provider: Option<Provider>,
    pub(super) operation: &'r Operation,
    pub(super) headers: &'r HeaderMap,
    pub(super) path: &'r str,
    pub(super) query: Option<&'r str>,
    pub(super) question: Option<Question>,
    pub(super) elapsed: Duration,
}

static ANSWERS: AtomicU64 = AtomicU64::new(0);

/// What the script and the settings make of a request.
pub(super) fn draft(received: Received<'_>, rule: Option<&Rule>, settings: &Checks) -> Draft {
    let dialect = received.provider.and_then(dialect::of);
    let status = rule.and_then(|rule| rule.status);
    if let Some(body) = rule.and_then(|rule| rule.body.clone()) {
        return Draft {
            status: status.unwrap_or(200),
            content_type: "application/json",
            content: Content::Whole(body),
            output_tokens: 0,
        };
    }
    if let Some(pieces) = rule.and_then(|rule| rule.pieces.clone()) {
        let is_ollama = received.provider == Some(Provider::Ollama);
        return Draft {
            status: status.unwrap_or(200),
            content_type: if is_ollama { "application/x-ndjson" } else { "text/event-stream" },
            content: Content::Stream(pieces),
            output_tokens: 0,
        };
    }
    if let Some(status) = status.filter(|status| *status >= 400) {
        let message = reason(status).to_owned();
        return failure(dialect, &Failure { status, message, cause: Cause::Status });
    }
    let Some(dialect) = dialect.filter(|_| received.operation != &Operation::Unknown) else {
        let message = format!("no such path: {}", received.path);
        return failure(dialect, &Failure { status: 404, message, cause: Cause::Status });
    };
    if let Some(refused) = refused(dialect, &received, settings) {
        return failure(Some(dialect), &refused);
    }
    let mut draft = match received.question {
        Some(question) => answered(dialect, received.operation, question, rule, received.elapsed),
        None => whole(200, &dialect.list(received.operation, &settings.models)),
    };
    draft.status = status.unwrap_or(200);
    draft
}

/// The settings that decide about one request, copied so that no lock is held while it is answered.
#[derive(Debug)]
pub(super) struct Checks {
    key: Option<String>,
    models: Vec<String>,
    restricted: bool,
}

impl Checks {
    pub(super) fn of(settings: &Settings, provider: Option<Provider>, operation: &Operation) -> Self {
        let key = settings.keys.iter().find(|(known, _)| Some(*known) == provider).map(|(_, key)| key.clone());
        let needs_models =
            settings.restricted || !matches!(operation, Operation::Complete { .. } | Operation::Generate);
        let models = match &settings.models {
            _ if !needs_models => Vec::new(),
            Some(models) => models.clone(),
            None => provider
                .and_then(dialect::of)
                .map(|dialect| dialect.default_models().iter().map(|name| (*name).to_owned()).collect())
                .unwrap_or_default(),
        };
        Self { key, models, restricted: settings.restricted }
    }

    fn knows(&self, model: &str) -> bool {
        self.models.iter().any(|known| known == model || known.strip_suffix(":latest") == Some(model))
    }
}

fn refused(dialect: &dyn Dialect, received: &Received<'_>, checks: &Checks) -> Option<Failure> {
    let key = dialect.key(received.headers, received.query);
    match (key, &checks.key) {
        (Some(key), Some(wanted)) if key != wanted => return Some(dialect.refuse(Cause::WrongKey, "")),
        (None, wanted) if wanted.is_some() || dialect.wants_key() => {
            return Some(dialect.refuse(Cause::MissingKey, ""));
        }
        _ => {}
    }
    if let Some(mistake) = received.question.as_ref().and_then(|question| question.mistake.clone()) {
        return Some(Failure { status: 400, message: mistake, cause: Cause::Status });
    }
    let model = match (&received.question, received.operation) {
        (Some(question), _) => question.model.as_deref(),
        (None, Operation::ShowModel(model)) => model.as_deref(),
        _ => None,
    };
    model
        .filter(|model| checks.restricted && !checks.knows(model))
        .map(|model| dialect.refuse(Cause::UnknownModel, model))
}

fn answered(
    dialect: &dyn Dialect,
    operation: &Operation,
    mut question: Question,
    rule: Option<&Rule>,
    elapsed: Duration,
) -> Draft {
    let scripted = rule.and_then(|rule| rule.text.clone().or_else(|| rule.json.as_ref().map(Value::to_string)));
    let mut text = scripted.unwrap_or_else(|| generated(operation, &mut question));
    let mut output_tokens = tokens(&text);
    let wanted = rule.and_then(|rule| rule.thinking_tokens).unwrap_or_default();
    let most = question.max_tokens.unwrap_or(u64::MAX);
    let thinking_tokens = wanted.min(question.max_thinking.unwrap_or(u64::MAX)).min(most);
    let limit = Some(most - thinking_tokens).filter(|limit| *limit < output_tokens);
    if let Some(limit) = limit {
        let characters = usize::try_from(limit * 4).unwrap_or(usize::MAX);
        let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
        text.truncate(end);
        output_tokens = limit;
    }
    let earlier: u64 = question.earlier.iter().map(|text| tokens(text)).sum();
    let answer = Answer {
        text,
        prompt_tokens: rule
            .and_then(|rule| rule.prompt_tokens)
            .unwrap_or_else(|| tokens(&question.prompt) + tokens(&question.system) + earlier),
        output_tokens,
        thinking_tokens,
        is_cut: limit.is_some(),
        number: ANSWERS.fetch_add(1, Ordering::Relaxed),
        elapsed,
    };
    if question.stream {
        let (pieces, content_type) = dialect.stream(operation, &question, &answer);
        Draft { status: 200, content_type, content: Content::Stream(pieces), output_tokens }
    } else {
        Draft { output_tokens, ..whole(200, &dialect.whole(operation, &question, answer)) }
    }
}

/// What the model says. Earlier messages count too: a request to mend a reply names neither topic nor labels.
fn generated(operation: &Operation, question: &mut Question) -> String {
    if *operation == Operation::Generate && question.prompt.is_empty() {
        return String::new();
    }
    let whole;
    let prompt = if question.earlier.is_empty() {
        &question.prompt
    } else {
        whole = format!("{}\n\n{}", question.prompt, question.earlier.join("\n\n"));
        &whole
    };
    if let Some(schema) = &question.schema {
        return sample(schema, prompt).to_string();
    }
    if question.wants_json {
        let schema = json!({"type": "object", "properties": {
            "title": {"type": "string"},
            "answer": {"type": "string"},
            "points": {"type": "array", "items": {"type": "string"}},
        }});
        return sample(&schema, prompt).to_string();
    }
    let sentences = json!({"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3});
    let sentences = sample(&sentences, prompt);
    let sentences: Vec<_> = sentences.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    sentences.join(" ")
}

fn whole(status: u16, body: &Value) -> Draft {
    Draft {
        status,
        content_type: "application/json",
        content: Content::Whole(Bytes::from(body.to_string())),
        output_tokens: 0,
    }
}

fn failure(dialect: Option<&dyn Dialect>, failure: &Failure) -> Draft {
    let body = dialect.map_or_else(|| json!({"error": failure.message}), |dialect| dialect.error(failure));
    whole(failure.status, &body)
}

fn reason(status: u16) -> &'static str {
    match status {
        401 => "Request had invalid authentication credentials.",
        403 => "The caller does not have permission.",
        404 => "Requested entity was not found.",
        408 => "The request timed out.",
        429 => "Resource has been exhausted (e.g. check quota).",
        400..=499 => "Request contains an invalid argument.",
        503 => "server busy, please try again.  maximum pending requests exceeded",
        529 => "Overloaded",
        _ => "An internal error has occurred.",
    }
}
