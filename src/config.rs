//! The immutable configuration of one request.

mod base_url;
mod cache;
mod environment;
mod host;
mod tuning;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

pub use crate::provider_id::Provider;
pub use base_url::BaseUrl;
pub use cache::{Cache, MB};
pub(crate) use host::parse_host;
pub use tuning::{KeepAlive, Thinking, ThinkingLevel, Tuning};

impl FromStr for Provider {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name).ok_or_else(|| {
            Error::invalid_input(format!("unknown provider {name:?}: use ollama, gemini, openai, anthropic or mock"))
        })
    }
}

/// The provider a router starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProviderChoice {
    /// The tier decides: Gemini first for quality, Ollama first otherwise.
    #[default]
    Auto,
    /// The caller pinned this one.
    Pinned(Provider),
}

impl ProviderChoice {
    /// The name users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pinned(provider) => provider.as_str(),
        }
    }
}

impl FromStr for ProviderChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "auto" {
            return Ok(Self::Auto);
        }
        name.parse().map(Self::Pinned).map_err(|_| {
            Error::invalid_input(format!(
                "unknown provider {name:?}: use auto, ollama, gemini, openai, anthropic or mock"
            ))
        })
    }
}

/// How much model the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ModelTier {
    /// The small Ollama model.
    Fast,
    /// The large Ollama model.
    #[default]
    Balanced,
    /// Gemini preferred, unless the caller pinned a provider.
    Quality,
}

impl ModelTier {
    /// The name users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Quality => "quality",
        }
    }
}

impl FromStr for ModelTier {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Fast, Self::Balanced, Self::Quality]
            .into_iter()
            .find(|tier| tier.as_str() == name)
            .ok_or_else(|| Error::invalid_input(format!("unknown model tier {name:?}: use fast, balanced or quality")))
    }
}

/// A text that no `Debug` prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, without the blanks a copied key often ends with.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text itself, for the header it goes into.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Everything a router needs to know; one request's own copy, never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The provider to start with.
    pub default_provider: ProviderChoice,
    /// How much model.
    pub model_tier: ModelTier,
    /// Whether another provider may answer when the first one fails.
    pub fallback_enabled: bool,
    /// Ollama's base URL.
    pub ollama_host: BaseUrl,
    /// The model of the fast tier.
    pub ollama_model_fast: String,
    /// The model of the balanced tier, and of the quality tier where Ollama answers it.
    pub ollama_model_balanced: String,
    /// Seconds that one request to Ollama may take, the loading of the model included.
    pub ollama_timeout: f64,
    /// The context window asked of Ollama, in tokens; `None` fits it to the prompt.
    pub ollama_num_ctx: Option<u32>,
    /// How long Ollama keeps the model in memory after a call; `None` leaves it to the server.
    pub ollama_keep_alive: Option<KeepAlive>,
    /// Seconds that Ollama may take to load a model.
    pub ollama_load_timeout: f64,
    /// Gemini's API key.
    pub gemini_api_key: Option<Secret>,
    /// Gemini's model.
    pub gemini_model: String,
    /// Gemini's base URL, with the version part.
    pub gemini_base_url: BaseUrl,
    /// How much Gemini may think before it answers; `None` leaves it to the model.
    pub gemini_thinking: Option<Thinking>,
    /// The API key of the OpenAI-compatible server; local servers need none.
    pub openai_api_key: Option<Secret>,
    /// The model at the OpenAI-compatible server.
    pub openai_model: Option<String>,
    /// Base URL of the OpenAI-compatible server, with the version part.
    pub openai_base_url: BaseUrl,
    /// Anthropic's API key; other servers that speak its protocol may need none.
    pub anthropic_api_key: Option<Secret>,
    /// Anthropic's model.
    pub anthropic_model: Option<String>,
    /// Anthropic's base URL; without a version part at its end, `/v1` is added.
    pub anthropic_base_url: BaseUrl,
    /// The temperature of a call that names none.
    pub default_temperature: f64,
    /// What becomes of answers that were given before.
    pub cache: Cache,
    /// What each provider is asked for at most at a time; no entry is no limit.
    pub limits: BTreeMap<Provider, Limits>,
    /// What a model's tokens cost, by the name of the model; beats the built-in table.
    pub prices: BTreeMap<String, Price>,
    /// Hosts beyond the public internet that web pages may be fetched from, each `host:port`.
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
            gemini_api_key: None,
            gemini_model: "gemini-3-flash-preview".to_owned(),
            gemini_base_url: "https://generativelanguage.googleapis.com/v1beta".into(),
            gemini_thinking: None,
            openai_api_key: None,
            openai_model: None,
            openai_base_url: "https://api.openai.com/v1".into(),
            anthropic_api_key: None,
            anthropic_model: None,
            anthropic_base_url: "https://api.anthropic.com/v1".into(),
            default_temperature: 0.7,
            cache: Cache::default(),
            limits: BTreeMap::new(),
            prices: BTreeMap::new(),
            page_hosts: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the configuration from the process's environment. The only place that reads it.
    ///
    /// The second value tells which variables were malformed: each keeps its default.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the environment is read")]
    pub fn from_env() -> (Self, Vec<String>) {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Checks every field that a caller may have set.
    pub fn validate(&self) -> Result<()> {
        self.ollama_host.check("ollama_host")?;
        self.gemini_base_url.check("gemini_base_url")?;
        self.openai_base_url.check("openai_base_url")?;
        self.anthropic_base_url.check("anthropic_base_url")?;
        check_text("ollama_model_fast", &self.ollama_model_fast)?;
        check_text("ollama_model_balanced", &self.ollama_model_balanced)?;
        check_text("gemini_model", &self.gemini_model)?;
        if let Some(model) = &self.openai_model {
            check_text("openai_model", model)?;
        }
        if let Some(model) = &self.anthropic_model {
            check_text("anthropic_model", model)?;
        }
        check_seconds("ollama_timeout", self.ollama_timeout)?;
        check_seconds("ollama_load_timeout", self.ollama_load_timeout)?;
        self.cache.validate()?;
        if self.ollama_num_ctx == Some(0) {
            return Err(Error::invalid_input("ollama_num_ctx must be at least 1 token"));
        }
        self.ollama_keep_alive.iter().try_for_each(KeepAlive::validate)?;
        self.gemini_thinking.map_or(Ok(()), Thinking::validate)?;
        self.limits.iter().try_for_each(|(provider, limits)| limits.validate(*provider))?;
        self.prices.iter().try_for_each(|(model, price)| price.validate(model))?;
        self.page_hosts.iter().try_for_each(|host| parse_host(host).map(drop))?;
        check_temperature(self.default_temperature)
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

    /// Whether the Gemini key looks like a key: at least 20 characters and no placeholder. Asks no server.
    pub fn has_plausible_api_key(&self) -> bool {
        self.gemini_api_key.as_ref().is_some_and(|key| is_plausible_key(key.expose()))
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

fn is_plausible_key(key: &str) -> bool {
    const PLACEHOLDERS: [&str; 7] =
        ["your_api_key", "your-api-key", "your_key", "api_key_here", "placeholder", "changeme", "xxxxxxxx"];
    let lower = key.to_ascii_lowercase();
    key.chars().count() >= 20 && !PLACEHOLDERS.iter().any(|mark| lower.contains(mark))
}

/// A positive time that a clock can hold.
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

/// The URL is not repeated in the message: it may hold a password.
/// What a provider is asked for at most at a time; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Requests under way at the same time.
    pub concurrent: Option<u32>,
    /// Requests begun in one minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in and out in one minute.
    pub tokens_per_minute: Option<u64>,
}

impl Limits {
    fn validate(&self, provider: Provider) -> Result<()> {
        let limits = [
            ("concurrent", self.concurrent.map(u64::from)),
            ("requests_per_minute", self.requests_per_minute.map(u64::from)),
            ("tokens_per_minute", self.tokens_per_minute),
        ];
        match limits.iter().find(|(_, limit)| *limit == Some(0)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid_input(format!("limits: {name} of {provider} must be at least 1"))),
        }
    }
}

/// What a model's tokens cost, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Prompt tokens, pages read by a tool among them.
    pub input: f64,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: f64,
    /// Tokens of the answer and of the model's thoughts.
    pub output: f64,
}

impl Price {
    /// A price in US dollars per million tokens.
    pub const fn new(input: f64, cached_input: f64, output: f64) -> Self {
        Self { input, cached_input, output }
    }

    fn validate(&self, model: &str) -> Result<()> {
        check_text("prices: the name of a model", model)?;
        let is_amount = |amount: f64| amount.is_finite() && amount >= 0.0;
        if [self.input, self.cached_input, self.output].into_iter().all(is_amount) {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "prices: those of {model:?} must be US dollars per million tokens, 0 or more"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_shown() {
        let config = Config {
            gemini_api_key: Some(Secret::new("AIza-secret-secret-secret")),
            anthropic_api_key: Some(Secret::new("sk-ant-secret")),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("secret"));
        assert!(config.has_plausible_api_key());
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
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
    fn placeholder_and_short_keys_are_not_plausible() {
        for key in ["short", "YOUR_API_KEY_HERE_PLEASE_123", "xxxxxxxxxxxxxxxxxxxxxxxxx"] {
            let config = Config { gemini_api_key: Some(Secret::new(key)), ..Config::default() };
            assert!(!config.has_plausible_api_key(), "{key}");
        }
    }
}
