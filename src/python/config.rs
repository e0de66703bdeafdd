//! `LLMConfig`: the immutable configuration of one request.

mod limits;
mod values;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy, PyString, PyTuple, PyType};

use super::error;
use super::number::{Real, Whole, optional};
use crate::config::{BaseUrl, Config, Effort, KeepAlive, MB, Secret, Think, Thinking, ThinkingLevel};
use crate::error::Result;
use values::{
    Address, LimitsByProvider, PricesByModel, SecretText, cache, key, seconds, temperature, thinking, without_password,
};

pub(super) use limits::Limits;
pub(super) use values::{parse, tier};

/// The fields in the order of the arguments of the constructor.
const FIELDS: [&str; 39] = [
    "default_provider",
    "model_tier",
    "fallback_enabled",
    "ollama_host",
    "ollama_model_fast",
    "ollama_model_balanced",
    "ollama_timeout",
    "gemini_api_key",
    "gemini_model",
    "default_temperature",
    "cache_enabled",
    "cache_ttl_seconds",
    "cache_max_size_mb",
    "cache_dir",
    "cache_url",
    "gemini_base_url",
    "openai_api_key",
    "openai_model",
    "openai_base_url",
    "anthropic_api_key",
    "anthropic_model",
    "anthropic_base_url",
    "ollama_num_ctx",
    "ollama_keep_alive",
    "ollama_load_timeout",
    "gemini_thinking_budget",
    "gemini_thinking_level",
    "limits",
    "prices",
    "page_hosts",
    "request_timeout",
    "max_prompt_chars",
    "ollama_think",
    "ollama_api_key",
    "openai_api",
    "openai_reasoning_effort",
    "openai_service_tier",
    "openai_key_header",
    "anthropic_effort",
];

/// The immutable configuration of one request.
///
/// Every argument is optional. The constructor does not read the environment; `from_env()` does. A key, or an address
/// with a password, may be an object whose `get_secret_value()` returns it, such as pydantic's `SecretStr`; an address
/// may be an object such as pydantic's `HttpUrl`.
///
/// Raises ValueError for an invalid value.
#[pyclass(frozen, eq, name = "LLMConfig", module = "madspark")]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LLMConfig {
    pub(super) config: Arc<Config>,
}

#[pymethods]
impl LLMConfig {
    #[new]
    #[pyo3(
        signature = (
            default_provider = None, model_tier = None, fallback_enabled = None, ollama_host = None, ollama_model_fast = None,
            ollama_model_balanced = None, ollama_timeout = None, gemini_api_key = None, gemini_model = None,
            default_temperature = 0.7, cache_enabled = None, cache_ttl_seconds = None, cache_max_size_mb = None,
            cache_dir = None, *, cache_url = None, gemini_base_url = None, openai_api_key = None, openai_model = None,
            openai_base_url = None, anthropic_api_key = None, anthropic_model = None, anthropic_base_url = None,
            ollama_num_ctx = None, ollama_keep_alive = None, ollama_load_timeout = None, gemini_thinking_budget = None,
            gemini_thinking_level = None, limits = None, prices = None, page_hosts = None, request_timeout = None,
            max_prompt_chars = None, ollama_think = None, ollama_api_key = None, openai_reasoning_effort = None,
            openai_service_tier = None, openai_key_header = None, anthropic_effort = None, openai_api = None, **unknown
        ),
        text_signature = "(default_provider=None, model_tier=None, fallback_enabled=None, ollama_host=None, ollama_model_fast=None, \
            ollama_model_balanced=None, ollama_timeout=None, gemini_api_key=None, gemini_model=None, \
            default_temperature=0.7, cache_enabled=None, cache_ttl_seconds=None, cache_max_size_mb=None, cache_dir=None, *, \
            cache_url=None, gemini_base_url=None, openai_api_key=None, openai_model=None, openai_base_url=None, \
            anthropic_api_key=None, anthropic_model=None, anthropic_base_url=None, ollama_num_ctx=None, \
            ollama_keep_alive=None, ollama_load_timeout=None, gemini_thinking_budget=None, gemini_thinking_level=None, \
            limits=None, prices=None, page_hosts=None, request_timeout=None, max_prompt_chars=None, ollama_think=None, \
            ollama_api_key=None, openai_reasoning_effort=None, openai_service_tier=None, openai_key_header=None, \
            anthropic_effort=None, openai_api=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "one keyword argument per field")]
    fn new(
        py: Python<'_>,
        default_provider: Option<&str>,
        model_tier: Option<&str>,
        fallback_enabled: Option<bool>,
        ollama_host: Option<Address>,
        ollama_model_fast: Option<String>,
        ollama_model_balanced: Option<String>,
        ollama_timeout: Option<Real>,
        gemini_api_key: Option<SecretText>,
        gemini_model: Option<String>,
        // `None` has a meaning of its own.
        #[pyo3(from_py_with = temperature)] default_temperature: Option<f64>,
        cache_enabled: Option<bool>,
        cache_ttl_seconds: Option<Real>,
        cache_max_size_mb: Option<Whole>,
        cache_dir: Option<PathBuf>,
        cache_url: Option<Address>,
        gemini_base_url: Option<Address>,
        openai_api_key: Option<SecretText>,
        openai_model: Option<String>,
        openai_base_url: Option<Address>,
        anthropic_api_key: Option<SecretText>,
        anthropic_model: Option<String>,
        anthropic_base_url: Option<Address>,
        ollama_num_ctx: Option<Whole>,
        ollama_keep_alive: Option<KeepAlive>,
        ollama_load_timeout: Option<Real>,
        gemini_thinking_budget: Option<Whole>,
        gemini_thinking_level: Option<&str>,
        limits: Option<LimitsByProvider>,
        prices: Option<PricesByModel>,
        page_hosts: Option<Vec<String>>,
        request_timeout: Option<Real>,
        max_prompt_chars: Option<Whole>,
        ollama_think: Option<Think>,
        ollama_api_key: Option<SecretText>,
        openai_reasoning_effort: Option<&str>,
        openai_service_tier: Option<String>,
        openai_key_header: Option<String>,
        anthropic_effort: Option<&str>,
        openai_api: Option<&str>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        if let Some((name, _)) = unknown.and_then(|unknown| unknown.iter().next()) {
            return Err(unknown_field(&name));
        }
        let build = || -> Result<Config> {
            let base = Config::default();
            let config = Config {
                default_provider: parse(default_provider)?.unwrap_or(base.default_provider),
                model_tier: parse(model_tier)?.unwrap_or(base.model_tier),
                fallback_enabled: fallback_enabled.unwrap_or(base.fallback_enabled),
                ollama_host: ollama_host.map_or(base.ollama_host, |Address(text)| BaseUrl::ollama(&text)),
                ollama_model_fast: ollama_model_fast.unwrap_or(base.ollama_model_fast),
                ollama_model_balanced: ollama_model_balanced.unwrap_or(base.ollama_model_balanced),
                ollama_timeout: ollama_timeout.map_or(base.ollama_timeout, |Real(number)| number),
                ollama_num_ctx: optional(ollama_num_ctx, 1, "ollama_num_ctx")?,
                ollama_keep_alive,
                ollama_load_timeout: ollama_load_timeout.map_or(base.ollama_load_timeout, |Real(number)| number),
                ollama_think,
                ollama_api_key: key(ollama_api_key),
                gemini_api_key: key(gemini_api_key),
                gemini_model: gemini_model.unwrap_or(base.gemini_model),
                gemini_base_url: gemini_base_url.map_or(base.gemini_base_url, |Address(text)| BaseUrl::local(&text)),
                gemini_thinking: thinking(gemini_thinking_budget, gemini_thinking_level)?,
                openai_api_key: key(openai_api_key),
                openai_model,
                openai_api: parse(openai_api)?.unwrap_or(base.openai_api),
                openai_reasoning_effort: openai_reasoning_effort
                    .map(|name| Effort::parse("openai_reasoning_effort", name))
                    .transpose()?,
                openai_service_tier,
                openai_key_header,
                openai_base_url: openai_base_url.map_or(base.openai_base_url, |Address(text)| BaseUrl::local(&text)),
                anthropic_api_key: key(anthropic_api_key),
                anthropic_model,
                anthropic_effort: anthropic_effort.map(|name| Effort::parse("anthropic_effort", name)).transpose()?,
                anthropic_base_url: anthropic_base_url
                    .map_or(base.anthropic_base_url, |Address(text)| BaseUrl::local(&text)),
                request_timeout: request_timeout.map_or(base.request_timeout, |Real(number)| number),
                max_prompt_chars: optional(max_prompt_chars, 1, "max_prompt_chars")?,
                default_temperature,
                cache: cache(cache_enabled, cache_ttl_seconds, cache_max_size_mb, cache_dir, cache_url)?,
                limits: limits.map_or(base.limits, |limits| limits.0),
                prices: prices.map_or(base.prices, |prices| prices.0),
                page_hosts: page_hosts.unwrap_or(base.page_hosts),
            };
            config.validate()?;
            Ok(config)
        };
        build().map(Self::from).map_err(|error| error::invalid_setting(py, &error))
    }

    /// Returns the configuration that the environment variables describe. The reference of the settings lists the variables.
    ///
    /// Raises InvalidSettingsError, a ValueError, that lists every malformed variable.
    #[classmethod]
    fn from_env(cls: &Bound<'_, PyType>) -> PyResult<Self> {
        Config::from_env().map(Self::from).map_err(|error| error::invalid_environment(cls.py(), &error))
    }

    /// Returns a copy with changed fields. Raises TypeError for an unknown field.
    #[pyo3(signature = (**changes))]
    fn replace<'py>(slf: &Bound<'py, Self>, changes: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let fields = fields(slf)?;
        if let Some(changes) = changes {
            fields.update(changes.as_mapping())?;
        }
        slf.get_type().call((), Some(&fields))
    }

    /// Returns the Ollama model of the configured tier.
    fn get_ollama_model(&self) -> &str {
        self.config.ollama_model()
    }

    /// Returns whether the Gemini key is plausible: at least 20 characters and no placeholder. Sends no request.
    fn validate_api_key(&self) -> bool {
        self.config.has_plausible_api_key()
    }

    /// The provider that calls try first: "auto", "ollama", "gemini", "openai", "anthropic" or "mock".
    #[getter]
    fn default_provider(&self) -> &'static str {
        self.config.default_provider.as_str()
    }

    /// The model tier.
    #[getter]
    fn model_tier<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tier(py, self.config.model_tier)
    }

    /// Whether another provider may answer if the first one fails.
    #[getter]
    fn fallback_enabled(&self) -> bool {
        self.config.fallback_enabled
    }

    /// Ollama's base URL.
    #[getter]
    fn ollama_host(&self) -> &str {
        self.config.ollama_host.as_str()
    }

    /// The Ollama model of the fast tier.
    #[getter]
    fn ollama_model_fast(&self) -> &str {
        &self.config.ollama_model_fast
    }

    /// The Ollama model of the balanced and the quality tier.
    #[getter]
    fn ollama_model_balanced(&self) -> &str {
        &self.config.ollama_model_balanced
    }

    /// The timeout of a request to Ollama in seconds.
    #[getter]
    fn ollama_timeout(&self) -> f64 {
        self.config.ollama_timeout
    }

    /// Gemini's API key in plain text. The repr hides it.
    #[getter]
    fn gemini_api_key(&self) -> Option<&str> {
        self.config.gemini_api_key.as_ref().map(Secret::expose)
    }

    /// Gemini's model.
    #[getter]
    fn gemini_model(&self) -> &str {
        &self.config.gemini_model
    }

    /// The temperature of calls that use the default. None sends none, so that the model's own applies.
    #[getter]
    fn default_temperature(&self) -> Option<f64> {
        self.config.default_temperature
    }

    /// Whether calls use the response cache.
    #[getter]
    fn cache_enabled(&self) -> bool {
        self.config.cache.enabled
    }

    /// The time in seconds after which a cached reply expires.
    #[getter]
    fn cache_ttl_seconds<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        seconds(py, self.config.cache.ttl)
    }

    /// The maximum size of `cache_dir` in MB.
    #[getter]
    fn cache_max_size_mb(&self) -> u64 {
        self.config.cache.max_bytes / MB
    }

    /// The folder of the cache, unexpanded: a leading "~" is the user's home.
    #[getter]
    fn cache_dir(&self) -> String {
        self.config.cache.dir.to_string_lossy().into_owned()
    }

    /// The URL of the Redis or Valkey server of the shared cache, with its password. The repr hides the password.
    #[getter]
    fn cache_url(&self) -> Option<&str> {
        self.config.cache.url.as_ref().map(Secret::expose)
    }

    /// Gemini's base URL, with the version.
    #[getter]
    fn gemini_base_url(&self) -> &str {
        self.config.gemini_base_url.as_str()
    }

    /// The API key of the OpenAI-compatible server in plain text. The repr hides it.
    #[getter]
    fn openai_api_key(&self) -> Option<&str> {
        self.config.openai_api_key.as_ref().map(Secret::expose)
    }

    /// The model of the OpenAI-compatible server.
    #[getter]
    fn openai_model(&self) -> Option<&str> {
        self.config.openai_model.as_deref()
    }

    /// The base URL of the OpenAI-compatible server, with the version.
    #[getter]
    fn openai_base_url(&self) -> &str {
        self.config.openai_base_url.as_str()
    }

    /// Anthropic's API key in plain text. The repr hides it.
    #[getter]
    fn anthropic_api_key(&self) -> Option<&str> {
        self.config.anthropic_api_key.as_ref().map(Secret::expose)
    }

    /// Anthropic's model.
    #[getter]
    fn anthropic_model(&self) -> Option<&str> {
        self.config.anthropic_model.as_deref()
    }

    /// Anthropic's base URL. If it does not end with a version, `/v1` is added.
    #[getter]
    fn anthropic_base_url(&self) -> &str {
        self.config.anthropic_base_url.as_str()
    }

    /// The context window that Ollama allocates, in tokens. None fits it to the prompt.
    #[getter]
    fn ollama_num_ctx(&self) -> Option<u32> {
        self.config.ollama_num_ctx
    }

    /// How long Ollama keeps the model in memory after a call. None uses the server's default.
    #[getter]
    fn ollama_keep_alive(&self) -> Option<&KeepAlive> {
        self.config.ollama_keep_alive.as_ref()
    }

    /// The timeout for Ollama to load a model in seconds.
    #[getter]
    fn ollama_load_timeout(&self) -> f64 {
        self.config.ollama_load_timeout
    }

    /// The limit of Gemini's thinking in tokens. 0 disables it, -1 lets the model choose.
    #[getter]
    fn gemini_thinking_budget(&self) -> Option<i32> {
        match self.config.gemini_thinking {
            Some(Thinking::Budget(tokens)) => Some(tokens),
            _ => None,
        }
    }

    /// Gemini's thinking level: "minimal", "low", "medium" or "high".
    #[getter]
    fn gemini_thinking_level(&self) -> Option<&'static str> {
        match self.config.gemini_thinking {
            Some(Thinking::Level(level)) => Some(ThinkingLevel::as_str(level)),
            _ => None,
        }
    }

    /// The rate limits by provider. Read-only.
    #[getter]
    fn limits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        Ok(PyMappingProxy::new(py, LimitsByProvider::to_dict(py, &self.config.limits)?.as_mapping()))
    }

    /// The prices by model in US dollars per million tokens: (input, cached input, output). Read-only.
    #[getter]
    fn prices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        Ok(PyMappingProxy::new(py, PricesByModel::to_dict(py, &self.config.prices)?.as_mapping()))
    }

    /// The hosts outside the public internet from which web pages may be fetched, each "host:port".
    #[getter]
    fn page_hosts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.config.page_hosts)
    }

    /// The timeout of a request to a provider other than Ollama in seconds.
    #[getter]
    fn request_timeout(&self) -> f64 {
        self.config.request_timeout
    }

    /// The maximum length of a prompt in characters. None means 100 000, or the context window where it is known.
    #[getter]
    fn max_prompt_chars(&self) -> Option<usize> {
        self.config.max_prompt_chars
    }

    /// Whether and how much Ollama's model thinks: True, False, "low", "medium", "high" or "max". None leaves it to the model.
    #[getter]
    fn ollama_think(&self) -> Option<Think> {
        self.config.ollama_think
    }

    /// Ollama's API key in plain text, for its cloud or a proxy. The repr hides it.
    #[getter]
    fn ollama_api_key(&self) -> Option<&str> {
        self.config.ollama_api_key.as_ref().map(Secret::expose)
    }

    /// The API of the OpenAI-compatible server that requests use: "chat" or "responses".
    #[getter]
    fn openai_api(&self) -> &'static str {
        self.config.openai_api.as_str()
    }

    /// How much the model of the OpenAI-compatible server reasons, such as "low". None leaves it to the model.
    #[getter]
    fn openai_reasoning_effort(&self) -> Option<&'static str> {
        self.config.openai_reasoning_effort.map(Effort::as_str)
    }

    /// The processing tier of the OpenAI-compatible server, such as "flex". None leaves it to the server.
    #[getter]
    fn openai_service_tier(&self) -> Option<&str> {
        self.config.openai_service_tier.as_deref()
    }

    /// The header of the OpenAI-compatible server's API key. None decides by the base URL.
    #[getter]
    fn openai_key_header(&self) -> Option<&str> {
        self.config.openai_key_header.as_deref()
    }

    /// How much Anthropic's model works on its answer, such as "low". None leaves it to the model.
    #[getter]
    fn anthropic_effort(&self) -> Option<&'static str> {
        self.config.anthropic_effort.map(Effort::as_str)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (py, fields) = (slf.py(), fields(slf)?);
        let mut shown = Vec::with_capacity(fields.len());
        for (name, value) in &fields {
            let name: String = name.extract()?;
            let value = match value.extract::<&str>() {
                Ok(_) if name.ends_with("_key") => "'***'".to_owned(),
                Ok(address) if name.ends_with("_host") || name.ends_with("_url") => {
                    PyString::new(py, &without_password(address)).repr()?.to_string()
                }
                _ => value.repr()?.to_string(),
            };
            shown.push(format!("{name}={value}"));
        }
        Ok(format!("LLMConfig({})", shown.join(", ")))
    }

    fn __hash__(&self) -> u64 {
        // The derived Debug shows every field except the keys: configurations that differ only in a key have equal hashes.
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.config).hash(&mut hasher);
        hasher.finish()
    }

    fn __getnewargs_ex__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        Ok((PyTuple::empty(slf.py()), fields(slf)?))
    }
}

impl From<Config> for LLMConfig {
    fn from(config: Config) -> Self {
        Self { config: Arc::new(config) }
    }
}

/// Returns the error for a field that does not exist; it names the nearest one.
fn unknown_field(name: &Bound<'_, PyAny>) -> PyErr {
    let nearest = || -> PyResult<Option<String>> {
        name.py().import("madspark._nearest")?.call_method1("nearest", (name, FIELDS.to_vec()))?.extract()
    };
    match nearest() {
        Ok(Some(nearest)) => PyTypeError::new_err(format!("unknown field '{name}': did you mean '{nearest}'?")),
        Ok(None) => PyTypeError::new_err(format!("unknown field '{name}': the fields are {}", FIELDS.join(", "))),
        Err(failure) => failure,
    }
}

/// Returns every field as an argument of the constructor, for `repr`, `replace` and pickles.
fn fields<'py>(config: &Bound<'py, LLMConfig>) -> PyResult<Bound<'py, PyDict>> {
    let (py, core) = (config.py(), &config.get().config);
    let dict = PyDict::new(py);
    for name in FIELDS {
        let value = match name {
            "model_tier" => PyString::new(py, core.model_tier.as_str()).into_any(),
            "limits" => LimitsByProvider::to_dict(py, &core.limits)?.into_any(),
            "prices" => PricesByModel::to_dict(py, &core.prices)?.into_any(),
            _ => config.getattr(name)?,
        };
        dict.set_item(name, value)?;
    }
    Ok(dict)
}
