//! Which targets a call may ask, in which order.

use std::sync::Arc;
use std::time::Duration;

use super::Router;
use crate::config::{Config, HOSTED_TIMEOUT_SECONDS, ModelTier, Provider, ProviderChoice};
use crate::provider::Target;

/// The targets of one call; never empty.
///
/// `force` wins and stands alone. A pinned provider comes first; `auto` starts with Gemini for the quality tier and with
/// Ollama otherwise. With fallback the other of the two follows. An OpenAI-compatible server, Anthropic and the mock answer only
/// where they were named: a key in the environment is no consent to send prompts there.
pub(super) fn targets(router: &Router, force: Option<Provider>) -> Vec<Target> {
    let config = router.config();
    let order: &[Provider] = match (force, router.choice()) {
        (Some(Provider::Mock), _) | (None, ProviderChoice::Pinned(Provider::Mock)) => &[Provider::Mock],
        (Some(Provider::Ollama), _) => &[Provider::Ollama],
        (Some(Provider::Gemini), _) => &[Provider::Gemini],
        (Some(Provider::OpenAi), _) => &[Provider::OpenAi],
        (Some(Provider::Anthropic), _) => &[Provider::Anthropic],
        (None, ProviderChoice::Pinned(Provider::Gemini)) => &[Provider::Gemini, Provider::Ollama],
        (None, ProviderChoice::Pinned(Provider::OpenAi)) => &[Provider::OpenAi, Provider::Ollama, Provider::Gemini],
        (None, ProviderChoice::Pinned(Provider::Anthropic)) => {
            &[Provider::Anthropic, Provider::Ollama, Provider::Gemini]
        }
        (None, ProviderChoice::Auto) if prefers_gemini(router) => &[Provider::Gemini, Provider::Ollama],
        (None, ProviderChoice::Auto | ProviderChoice::Pinned(Provider::Ollama)) => {
            &[Provider::Ollama, Provider::Gemini]
        }
    };
    let count = if router.fallback_enabled() { order.len() } else { 1 };
    order[..count].iter().map(|provider| target(config, router.tier(), *provider)).collect()
}

/// The target of `provider` under `config`.
pub(super) fn target(config: &Config, tier: ModelTier, provider: Provider) -> Target {
    let (model, base_url, key, seconds) = match provider {
        Provider::Ollama => (config.ollama_model_of(tier), &config.ollama_host, None, config.ollama_timeout),
        Provider::Gemini => (
            config.gemini_model.as_str(),
            &config.gemini_base_url,
            config.gemini_api_key.clone(),
            HOSTED_TIMEOUT_SECONDS,
        ),
        Provider::OpenAi => (
            config.openai_model.as_deref().unwrap_or_default(),
            &config.openai_base_url,
            config.openai_api_key.clone(),
            HOSTED_TIMEOUT_SECONDS,
        ),
        Provider::Anthropic => (
            config.anthropic_model.as_deref().unwrap_or_default(),
            &config.anthropic_base_url,
            config.anthropic_api_key.clone(),
            HOSTED_TIMEOUT_SECONDS,
        ),
        // No address is asked.
        Provider::Mock => ("mock", &config.ollama_host, None, HOSTED_TIMEOUT_SECONDS),
    };
    Target {
        provider,
        model: Arc::from(model),
        base_url: base_url.clone(),
        key,
        timeout: Duration::from_secs_f64(seconds),
        tuning: config.tuning(provider),
        facts: None,
    }
}

/// The quality tier prefers Gemini. Without fallback a missing key would make that preference a certain failure, so
/// the call goes where it can be answered.
fn prefers_gemini(router: &Router) -> bool {
    router.tier() == ModelTier::Quality && (router.fallback_enabled() || router.config().gemini_api_key.is_some())
}
