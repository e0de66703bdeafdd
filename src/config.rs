//! The configuration of a router.

mod base_url;
mod cache;
mod choice;
mod effort;
mod environment;
mod keep_alive;
mod limits;
mod openai_api;
mod secret;
mod thinking;

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::error::{Error, Result};

pub use crate::provider_id::Provider;
pub use base_url::BaseUrl;
pub use cache::{CacheConfig, MB};
pub use choice::{ModelTier, ProviderChoice};
pub use effort::{Effort, Think};
pub use environment::EnvironmentError;
pub use keep_alive::KeepAlive;
pub use limits::{Limits, Price};
pub use openai_api::OpenAiApi;
pub use secret::Secret;
pub use thinking::{Thinking, ThinkingLevel};

/// The maximum length of a prompt in characters if neither the configuration nor a context window sets one.
pub const DEFAULT_MAX_PROMPT_CHARS: usize = 100_000;

/// The configuration of a router. Each request has its own, and it never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The provider to try first.
    pub default_provider: ProviderChoice,
    /// The model tier.
    pub model_tier: ModelTier,
    /// Whether another provider is tried when one fails.
    pub fallback_enabled: bool,
    /// Ollama's base URL.
    pub ollama_host: BaseUrl,
    /// Ollama's model for the fast tier.
    pub ollama_model_fast: String,
    /// Ollama's model for the balanced and the quality tier.
    pub ollama_model_balanced: String,
    /// The timeout of a request to Ollama in seconds, including the time to load the model.
    pub ollama_timeout: f64,
    /// The size of Ollama's context window in tokens; `None` fits it to the prompt.
    pub ollama_num_ctx: Option<u32>,
    /// How long Ollama keeps the model in memory after a request; `None` leaves it to the server.
    pub ollama_keep_alive: Option<KeepAlive>,
    /// The timeout for loading an Ollama model, in seconds.
    pub ollama_load_timeout: f64,
    /// Whether and how much Ollama's model thinks; `None` leaves it to the model.
    pub ollama_think: Option<Think>,
    /// Ollama's API key, for its cloud or a proxy. Local servers need none.
    pub ollama_api_key: Option<Secret>,
    /// Gemini's API key.
    pub gemini_api_key: Option<Secret>,
    /// Gemini's model.
    pub gemini_model: String,
    /// Gemini's base URL, including the version.
    pub gemini_base_url: BaseUrl,
    /// How much Gemini may think; `None` leaves it to the model.
    pub gemini_thinking: Option<Thinking>,
    /// The API key of the OpenAI-compatible server. Local servers need none.
    pub openai_api_key: Option<Secret>,
    /// The model of the OpenAI-compatible server.
    pub openai_model: Option<String>,
    /// The API of the OpenAI-compatible server that requests use.
    pub openai_api: OpenAiApi,
    /// How much the model of the OpenAI-compatible server reasons; `None` leaves it to the model.
    pub openai_reasoning_effort: Option<Effort>,
    /// The header of the API key; `None` decides by the base URL: `api-key` if that has the query parameter `api-version`, as
    /// Azure's have, otherwise `Authorization`.
    pub openai_key_header: Option<String>,
    /// The processing tier, such as `flex` or `priority`; `None` leaves it to the server.
    pub openai_service_tier: Option<String>,
    /// The base URL of the OpenAI-compatible server, including the version.
    pub openai_base_url: BaseUrl,
    /// Anthropic's API key. Compatible servers may need none.
    pub anthropic_api_key: Option<Secret>,
    /// Anthropic's model.
    pub anthropic_model: Option<String>,
    /// How much Anthropic's model works on its answer; `None` leaves it to the model.
    pub anthropic_effort: Option<Effort>,
    /// Anthropic's base URL. `/v1` is added unless it ends with a version.
    pub anthropic_base_url: BaseUrl,
    /// The timeout of a request to a provider other than Ollama, in seconds.
    pub request_timeout: f64,
    /// The maximum length of a prompt in characters. `None` leaves it to the context windows of the models where all are
    /// known, and means [`DEFAULT_MAX_PROMPT_CHARS`] elsewhere.
    pub max_prompt_chars: Option<usize>,
    /// The temperature of calls that use the default; `None` sends none.
    pub default_temperature: Option<f64>,
    /// The response cache.
    pub cache: CacheConfig,
    /// Rate limits by provider.
    pub limits: BTreeMap<Provider, Limits>,
    /// Prices by model. They take precedence over the built-in ones.
    pub prices: BTreeMap<String, Price>,
    /// Hosts outside the public internet that web pages may be fetched from, each `host:port`.
    pub page_hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_provider: ProviderChoice::Auto,
            model_tier: ModelTier::Balanced,
            fallback_enabled: true,
            ollama_host: "http://localhost:11434".into(),
            ollama_model_fast: "gemma3:4b".to_owned(),
            ollama_model_balanced: "gemma3:12b".to_owned(),
            ollama_timeout: 600.0,
            ollama_num_ctx: None,
            ollama_keep_alive: None,
            ollama_load_timeout: 600.0,
            ollama_think: None,
            ollama_api_key: None,
            gemini_api_key: None,
            gemini_model: "gemini-3-flash-preview".to_owned(),
            gemini_base_url: "https://generativelanguage.googleapis.com/v1beta".into(),
            gemini_thinking: None,
            openai_api_key: None,
            openai_model: None,
            openai_api: OpenAiApi::default(),
            openai_reasoning_effort: None,
            openai_key_header: None,
            openai_service_tier: None,
            openai_base_url: "https://api.openai.com/v1".into(),
            anthropic_api_key: None,
            anthropic_model: None,
            anthropic_effort: None,
            anthropic_base_url: "https://api.anthropic.com/v1".into(),
            request_timeout: 600.0,
            max_prompt_chars: None,
            default_temperature: Some(0.7),
            cache: CacheConfig::default(),
            limits: BTreeMap::new(),
            prices: BTreeMap::new(),
            page_hosts: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the configuration from the environment of the process. Nothing else reads the environment.
    ///
    /// # Errors
    ///
    /// Returns an error that lists every malformed variable. No default takes the place of a malformed value: a run would use
    /// another provider, address or limit than the one that was meant.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    pub fn from_env() -> Result<Self, EnvironmentError> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Validates every field.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names the first invalid field.
    pub fn validate(&self) -> Result<()> {
        self.ollama_host.check("ollama_host")?;
        self.gemini_base_url.check("gemini_base_url")?;
        self.openai_base_url.check("openai_base_url")?;
        self.anthropic_base_url.check("anthropic_base_url")?;
        check_text("ollama_model_fast", &self.ollama_model_fast)?;
        check_text("ollama_model_balanced", &self.ollama_model_balanced)?;
        check_text("gemini_model", &self.gemini_model)?;
        self.openai_model.as_deref().map_or(Ok(()), |model| check_text("openai_model", model))?;
        self.anthropic_model.as_deref().map_or(Ok(()), |model| check_text("anthropic_model", model))?;
        check_seconds("ollama_timeout", self.ollama_timeout)?;
        check_seconds("ollama_load_timeout", self.ollama_load_timeout)?;
        check_seconds("request_timeout", self.request_timeout)?;
        self.openai_service_tier.as_deref().map_or(Ok(()), |tier| check_text("openai_service_tier", tier))?;
        if self.openai_key_header.as_deref().is_some_and(|name| !is_header(name)) {
            return Err(Error::invalid_input("openai_key_header must be the name of a header, such as api-key"));
        }
        if self.anthropic_effort.is_some_and(|effort| !Effort::ANTHROPIC.contains(&effort)) {
            return Err(Error::invalid_input("anthropic_effort must be low, medium, high, xhigh or max"));
        }
        if self.max_prompt_chars == Some(0) {
            return Err(Error::invalid_input("max_prompt_chars must be at least 1"));
        }
        if self.ollama_num_ctx == Some(0) {
            return Err(Error::invalid_input("ollama_num_ctx must be at least 1 token"));
        }
        self.ollama_keep_alive.as_ref().map_or(Ok(()), KeepAlive::validate)?;
        self.gemini_thinking.map_or(Ok(()), Thinking::validate)?;
        self.cache.validate()?;
        self.limits.iter().try_for_each(|(provider, limits)| limits.validate(*provider))?;
        self.prices.iter().try_for_each(|(model, price)| price.validate(model))?;
        self.page_hosts.iter().try_for_each(|host| parse_host(host).map(drop))?;
        self.default_temperature.map_or(Ok(()), check_temperature)
    }

    /// The Ollama model of the configured tier.
    pub fn ollama_model(&self) -> &str {
        self.ollama_model_of(self.model_tier)
    }

    /// The Ollama model of `tier`.
    pub fn ollama_model_of(&self, tier: ModelTier) -> &str {
        match tier {
            ModelTier::Fast => &self.ollama_model_fast,
            ModelTier::Balanced | ModelTier::Quality => &self.ollama_model_balanced,
        }
    }

    /// Whether the Gemini key looks like a key: at least 20 characters, and no placeholder. Sends no request.
    pub fn has_plausible_api_key(&self) -> bool {
        self.gemini_api_key.as_ref().is_some_and(Secret::is_plausible_key)
    }
}

/// Fails unless `value` is a sampling temperature, 0.0 to 2.0.
pub fn check_temperature(value: f64) -> Result<()> {
    if (0.0..=2.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::invalid_input(format!("temperature must be between 0.0 and 2.0, not {value}")))
    }
}

/// Parses `host:port`, an entry of [`Config::page_hosts`]. Fails with `InvalidInput` for anything else.
pub(crate) fn parse_host(text: &str) -> Result<(String, u16)> {
    let wrong = || Error::invalid_input(format!("{text:?} is not a host with a port, such as intranet.example:8080"));
    let (name, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let url = Url::parse(&format!("http://{name}/")).map_err(|_| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.port().is_none();
    match url.host_str() {
        Some(name) if is_bare && url.username().is_empty() && url.password().is_none() => Ok((name.to_owned(), port)),
        _ => Err(wrong()),
    }
}

/// Whether `name` can be the name of an HTTP header.
fn is_header(name: &str) -> bool {
    HeaderName::from_str(name).is_ok()
}

/// Whether `value` is a positive duration that `Duration` can hold.
fn is_seconds(value: f64) -> bool {
    value > 0.0 && Duration::try_from_secs_f64(value).is_ok()
}

fn check_seconds(field: &str, value: f64) -> Result<()> {
    if is_seconds(value) {
        return Ok(());
    }
    Err(Error::invalid_input(format!("{field} must be a positive number of seconds, not {value}")))
}

fn check_text(field: &str, value: &str) -> Result<()> {
    if value.trim().is_empty() {
        return Err(Error::invalid_input(format!("{field} must not be blank")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_print_keys() {
        let config = Config {
            gemini_api_key: Some(Secret::new("AIza-secret-secret-secret")),
            anthropic_api_key: Some(Secret::new("sk-ant-secret")),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("secret"));
        assert!(config.has_plausible_api_key());
    }

    #[test]
    fn an_invalid_field_is_rejected_by_name() {
        let limits = Limits { concurrent: Some(1), tokens_per_minute: Some(0), ..Limits::default() };
        let price = Price { input: 1.0, cached_input: 0.0, output: f64::INFINITY };
        let thinking = |tokens| Some(Thinking::Budget(tokens));
        for (config, hint) in [
            (Config { ollama_num_ctx: Some(0), ..Config::default() }, "ollama_num_ctx"),
            (Config { ollama_load_timeout: 0.0, ..Config::default() }, "ollama_load_timeout"),
            (
                Config { ollama_keep_alive: Some(KeepAlive::Text("soon".into())), ..Config::default() },
                "ollama_keep_alive",
            ),
            (Config { gemini_thinking: thinking(-2), ..Config::default() }, "gemini_thinking_budget"),
            (
                Config { limits: [(Provider::Gemini, limits)].into(), ..Config::default() },
                "tokens_per_minute of gemini",
            ),
            (Config { prices: [("m".to_owned(), price)].into(), ..Config::default() }, "\"m\""),
        ] {
            let error = config.validate().unwrap_err();
            assert!(error.message().contains(hint), "{hint}: {error}");
        }
        Config { gemini_thinking: thinking(-1), ..Config::default() }.validate().unwrap();
        Config::default().validate().unwrap();
    }

    #[test]
    fn placeholders_and_short_keys_are_not_plausible() {
        for key in ["short", "YOUR_API_KEY_HERE_PLEASE_123", "xxxxxxxxxxxxxxxxxxxxxxxxx"] {
            let config = Config { gemini_api_key: Some(Secret::new(key)), ..Config::default() };
            assert!(!config.has_plausible_api_key(), "{key}");
        }
    }
}
