//! Names the models that a server has, in the error of a request for one that it lacks.

use std::time::Duration;

use tokio::time::Instant;

use super::attempt_guard::AttemptGuard;
use super::{Engine, Router};
use crate::config::{ModelTier, Provider};
use crate::error::{Error, ErrorKind};
use crate::provider::{Target, protocol};

/// The time limit of the lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of models that an error names.
const MAX_NAMES: usize = 8;

/// Longer names are not shown.
const MAX_NAME: usize = 80;

/// Adds the models of the server of `guard` to `error`, the outcome of its request, if the server lacks the model. Only for
/// servers of the caller's own; hosted ones list hundreds. A failed lookup changes nothing.
pub(super) async fn describe(engine: &Engine, guard: &AttemptGuard, error: Error) -> Error {
    let target = &guard.target;
    if error.kind() != ErrorKind::ModelMissing || protocol(target.provider).is_concurrent(target) {
        return error;
    }
    // Leaves time for other targets.
    let share = guard.deadline.map_or(LOOKUP_TIMEOUT, |at| at.saturating_duration_since(Instant::now()) / 4);
    // Boxed: the future of a call stays small.
    let looking_up = Box::pin(list(engine, target, LOOKUP_TIMEOUT.min(share)));
    let Some(names) = looking_up.await else { return error };
    let message = format!("{}; {}", error.message(), advice(guard.router(), target.provider, &names));
    error.with_message(message)
}

async fn list(engine: &Engine, target: &Target, limit: Duration) -> Option<Vec<String>> {
    let codec = target.codec()?;
    let reply = engine.transport.send(codec.models_request(target).ok()?, limit).await.ok()?;
    if !reply.is_success() {
        return None;
    }
    let is_shown = |name: &String| name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    let mut names: Vec<String> = codec.decode_models(&reply.body).ok()?.into_iter().filter(is_shown).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

fn advice(router: &Router, provider: Provider, names: &[String]) -> String {
    if names.is_empty() {
        return "no model is installed".to_owned();
    }
    let setting = match (provider, router.tier()) {
        (Provider::Ollama, ModelTier::Fast) => "ollama_model_fast or OLLAMA_MODEL_FAST",
        (Provider::Ollama, _) => "ollama_model_balanced or OLLAMA_MODEL_BALANCED",
        _ => "openai_model or OPENAI_MODEL",
    };
    let more = if names.len() > MAX_NAMES { format!(" and {} more", names.len() - MAX_NAMES) } else { String::new() };
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    format!("installed: {shown}{more}; choose one with {setting}")
}
