//! Which providers answer now. Asked on demand only: the health of a call is learnt from the call.

use std::time::Duration;

use super::{Engine, Router, plan};
use crate::config::{Config, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::provider;

/// How long a probe waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a probe of one provider found.
#[derive(Debug, Clone)]
pub struct ProviderHealth {
    /// The provider probed.
    pub provider: Provider,
    /// The model a call would ask.
    pub model: String,
    /// Whether the configuration names what the provider needs.
    pub available: bool,
    /// Whether it answered and has the model.
    pub healthy: bool,
    /// Why it is not healthy.
    pub reason: Option<String>,
}

/// Probes every provider that the configuration can reach, all at once.
pub(super) async fn probe(router: &Router, engine: &Engine) -> Vec<ProviderHealth> {
    let named = |provider| router.choice() == crate::config::ProviderChoice::Pinned(provider);
    let openai = (router.config().openai_model.is_some() || named(Provider::OpenAi)).then_some(Provider::OpenAi);
    let anthropic =
        (router.config().anthropic_model.is_some() || named(Provider::Anthropic)).then_some(Provider::Anthropic);
    let mock = named(Provider::Mock).then_some(Provider::Mock);
    let providers = [Some(Provider::Ollama), Some(Provider::Gemini), openai, anthropic, mock];
    futures_util::future::join_all(providers.into_iter().flatten().map(|provider| one(router, engine, provider))).await
}

async fn one(router: &Router, engine: &Engine, provider: Provider) -> ProviderHealth {
    let model = plan::target(router.config(), router.tier(), provider).model.to_string();
    let outcome = ask(router, engine, provider).await;
    ProviderHealth {
        provider,
        available: is_configured(router.config(), provider),
        healthy: outcome.is_ok(),
        reason: outcome.err().map(|error| error.message().to_owned()),
        model,
    }
}

async fn ask(router: &Router, engine: &Engine, provider: Provider) -> Result<()> {
    let target = plan::target(router.config(), router.tier(), provider);
    let Some(adapter) = provider::adapter(provider) else { return Ok(()) };
    let wire = adapter.models_request(&target)?;
    let reply = engine.http().send(wire, PROBE_TIMEOUT.min(target.timeout)).await?;
    if !(200..300).contains(&reply.status) {
        return Err(adapter.decode_error(&target, reply.status, &reply.headers, &reply.body));
    }
    let models = adapter.decode_models(&reply.body)?;
    // Gateways that list nothing still answer calls.
    if models.is_empty() || models.iter().any(|name| is_same_model(name, &target.model)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::ModelMissing, format!("answers, but does not list the model {}", target.model)))
}

fn is_configured(config: &Config, provider: Provider) -> bool {
    match provider {
        Provider::Ollama | Provider::Mock => true,
        Provider::Gemini => config.gemini_api_key.is_some(),
        Provider::OpenAi => config.openai_model.is_some(),
        Provider::Anthropic => config.anthropic_model.is_some(),
    }
}

/// Ollama lists `name:latest` for a model asked for as `name`, Gemini lists `models/name`, Anthropic
/// `name-20250929`.
pub(super) fn is_same_model(listed: &str, asked: &str) -> bool {
    let listed = listed.strip_prefix("models/").unwrap_or(listed);
    let is_dated = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
    };
    listed == asked
        || listed.strip_suffix(":latest") == Some(asked)
        || (!asked.is_empty() && listed.strip_prefix(asked).is_some_and(is_dated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_the_names_its_provider_lists_it_under() {
        for (listed, asked, same) in [
            ("gemma3:4b", "gemma3:4b", true),
            ("gemma3:latest", "gemma3", true),
            ("models/gemini-3-pro", "gemini-3-pro", true),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", true),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4", false),
            ("claude-sonnet-4-5", "claude-sonnet-4", false),
            ("-20250929", "", false),
        ] {
            assert_eq!(is_same_model(listed, asked), same, "{listed} {asked}");
        }
    }
}
