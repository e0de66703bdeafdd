//! `LLMConfig`: the immutable configuration of one request.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::error;
use crate::config::{Config, ModelTier, ProviderChoice, Secret};
use crate::error::Result;

/// The immutable configuration of one request.
///
/// Every argument is optional. Reads no environment: see `from_env()`.
/// Raises ValueError for a value that cannot work.
#[pyclass(frozen, eq, name = "LLMConfig", module = "madspark")]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LLMConfig {
    pub(super) config: Arc<Config>,
}

#[pymethods]
impl LLMConfig {
    #[new]
    #[pyo3(signature = (
        default_provider = None, model_tier = None, fallback_enabled = None, ollama_host = None, ollama_model_fast = None,
        ollama_model_balanced = None, ollama_timeout = None, gemini_api_key = None, gemini_model = None,
        default_temperature = None, *, gemini_base_url = None, openai_api_key = None, openai_model = None,
        openai_base_url = None, anthropic_api_key = None, anthropic_model = None, anthropic_base_url = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword argument per field, as users know it")]
    fn new(
        py: Python<'_>,
        default_provider: Option<&str>,
        model_tier: Option<&str>,
        fallback_enabled: Option<bool>,
        ollama_host: Option<String>,
        ollama_model_fast: Option<String>,
        ollama_model_balanced: Option<String>,
        ollama_timeout: Option<f64>,
        gemini_api_key: Option<&str>,
        gemini_model: Option<String>,
        default_temperature: Option<f64>,
        gemini_base_url: Option<String>,
        openai_api_key: Option<&str>,
        openai_model: Option<String>,
        openai_base_url: Option<String>,
        anthropic_api_key: Option<&str>,
        anthropic_model: Option<String>,
        anthropic_base_url: Option<String>,
    ) -> PyResult<Self> {
        let build = || -> Result<Config> {
            let base = Config::default();
            let config = Config {
                default_provider: parse(default_provider)?.unwrap_or(base.default_provider),
                model_tier: parse(model_tier)?.unwrap_or(base.model_tier),
                fallback_enabled: fallback_enabled.unwrap_or(base.fallback_enabled),
                ollama_host: ollama_host.unwrap_or(base.ollama_host),
                ollama_model_fast: ollama_model_fast.unwrap_or(base.ollama_model_fast),
                ollama_model_balanced: ollama_model_balanced.unwrap_or(base.ollama_model_balanced),
                ollama_timeout: ollama_timeout.unwrap_or(base.ollama_timeout),
                gemini_api_key: key(gemini_api_key),
                gemini_model: gemini_model.unwrap_or(base.gemini_model),
                gemini_base_url: gemini_base_url.unwrap_or(base.gemini_base_url),
                openai_api_key: key(openai_api_key),
                openai_model,
                openai_base_url: openai_base_url.unwrap_or(base.openai_base_url),
                anthropic_api_key: key(anthropic_api_key),
                anthropic_model,
                anthropic_base_url: anthropic_base_url.unwrap_or(base.anthropic_base_url),
                default_temperature: default_temperature.unwrap_or(base.default_temperature),
            };
            config.validate()?;
            Ok(config)
        };
        build().map(Self::from).map_err(|failure| error::to_python(py, &failure))
    }

    /// The configuration that the process's environment describes.
    ///
    /// Reads MADSPARK_LLM_PROVIDER, MADSPARK_MODEL_TIER, MADSPARK_FALLBACK_ENABLED, OLLAMA_HOST, OLLAMA_MODEL_FAST,
    /// OLLAMA_MODEL_BALANCED, OLLAMA_REQUEST_TIMEOUT, GOOGLE_API_KEY, GOOGLE_GENAI_MODEL, GEMINI_BASE_URL,
    /// OPENAI_API_KEY, OPENAI_MODEL, OPENAI_BASE_URL, ANTHROPIC_API_KEY, ANTHROPIC_MODEL and ANTHROPIC_BASE_URL. A
    /// malformed value logs a warning and the default stands.
    #[classmethod]
    fn from_env(cls: &Bound<'_, PyType>) -> PyResult<Self> {
        let (config, warnings) = Config::from_env();
        if !warnings.is_empty() {
            let logger = cls.py().import("logging")?.call_method1("getLogger", ("madspark.llm.config",))?;
            for warning in warnings {
                logger.call_method1("warning", ("%s", warning))?;
            }
        }
        Ok(Self::from(config))
    }

    /// A copy with some fields changed. Raises TypeError for an unknown field.
    #[pyo3(signature = (**changes))]
    fn replace<'py>(slf: &Bound<'py, Self>, changes: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let fields = slf.get().fields(slf.py())?;
        if let Some(changes) = changes {
            fields.update(changes.as_mapping())?;
        }
        slf.get_type().call((), Some(&fields))
    }

    /// The Ollama model of the configured tier.
    fn get_ollama_model(&self) -> &str {
        self.config.ollama_model()
    }

    /// Whether the Gemini key looks like a key: at least 20 characters and no placeholder. Asks no server.
    fn validate_api_key(&self) -> bool {
        self.config.has_plausible_api_key()
    }

    /// The provider calls start with: "auto", "ollama", "gemini", "openai", "anthropic" or "mock".
    #[getter]
    fn default_provider(&self) -> &'static str {
        self.config.default_provider.as_str()
    }

    /// How much model.
    #[getter]
    fn model_tier<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tier(py, self.config.model_tier)
    }

    /// Whether another provider may answer when the first one fails.
    #[getter]
    fn fallback_enabled(&self) -> bool {
        self.config.fallback_enabled
    }

    /// Ollama's base URL.
    #[getter]
    fn ollama_host(&self) -> &str {
        &self.config.ollama_host
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

    /// Seconds one request to Ollama may take.
    #[getter]
    fn ollama_timeout(&self) -> f64 {
        self.config.ollama_timeout
    }

    /// Gemini's API key, in the clear; no repr shows it.
    #[getter]
    fn gemini_api_key(&self) -> Option<&str> {
        self.config.gemini_api_key.as_ref().map(Secret::expose)
    }

    /// Gemini's model.
    #[getter]
    fn gemini_model(&self) -> &str {
        &self.config.gemini_model
    }

    /// The temperature of a call that names none.
    #[getter]
    fn default_temperature(&self) -> f64 {
        self.config.default_temperature
    }

    /// Gemini's base URL, with the version part.
    #[getter]
    fn gemini_base_url(&self) -> &str {
        &self.config.gemini_base_url
    }

    /// The key of the OpenAI-compatible server, in the clear; no repr shows it.
    #[getter]
    fn openai_api_key(&self) -> Option<&str> {
        self.config.openai_api_key.as_ref().map(Secret::expose)
    }

    /// The model at the OpenAI-compatible server.
    #[getter]
    fn openai_model(&self) -> Option<&str> {
        self.config.openai_model.as_deref()
    }

    /// Base URL of the OpenAI-compatible server, with the version part.
    #[getter]
    fn openai_base_url(&self) -> &str {
        &self.config.openai_base_url
    }

    /// Anthropic's API key, in the clear; no repr shows it.
    #[getter]
    fn anthropic_api_key(&self) -> Option<&str> {
        self.config.anthropic_api_key.as_ref().map(Secret::expose)
    }

    /// Anthropic's model.
    #[getter]
    fn anthropic_model(&self) -> Option<&str> {
        self.config.anthropic_model.as_deref()
    }

    /// Anthropic's base URL; without a version part at its end, `/v1` is added.
    #[getter]
    fn anthropic_base_url(&self) -> &str {
        &self.config.anthropic_base_url
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let fields = self.fields(py)?;
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
        // The derived Debug shows every field but the keys; two configurations that differ in a key alone collide.
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.config).hash(&mut hasher);
        hasher.finish()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        Ok((PyTuple::empty(py), self.fields(py)?))
    }
}

impl From<Config> for LLMConfig {
    fn from(config: Config) -> Self {
        Self { config: Arc::new(config) }
    }
}

impl LLMConfig {
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("default_provider", self.default_provider())?;
        dict.set_item("model_tier", self.config.model_tier.as_str())?;
        dict.set_item("fallback_enabled", self.fallback_enabled())?;
        dict.set_item("ollama_host", self.ollama_host())?;
        dict.set_item("ollama_model_fast", self.ollama_model_fast())?;
        dict.set_item("ollama_model_balanced", self.ollama_model_balanced())?;
        dict.set_item("ollama_timeout", self.ollama_timeout())?;
        dict.set_item("gemini_api_key", self.gemini_api_key())?;
        dict.set_item("gemini_model", self.gemini_model())?;
        dict.set_item("default_temperature", self.default_temperature())?;
        dict.set_item("gemini_base_url", self.gemini_base_url())?;
        dict.set_item("openai_api_key", self.openai_api_key())?;
        dict.set_item("openai_model", self.openai_model())?;
        dict.set_item("openai_base_url", self.openai_base_url())?;
        dict.set_item("anthropic_api_key", self.anthropic_api_key())?;
        dict.set_item("anthropic_model", self.anthropic_model())?;
        dict.set_item("anthropic_base_url", self.anthropic_base_url())?;
        Ok(dict)
    }
}

/// The Python enum's member of `tier`.
pub(super) fn tier(py: Python<'_>, tier: ModelTier) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CLASS.import(py, "madspark.llm.tiers", "ModelTier")?.call1((tier.as_str(),))
}

/// A name as the choice it stands for.
pub(super) fn parse<T: std::str::FromStr<Err = crate::error::Error>>(name: Option<&str>) -> Result<Option<T>> {
    name.map(str::parse).transpose()
}

/// `address` with stars for its password; as it is where it has none.
fn without_password(address: &str) -> Cow<'_, str> {
    let Some(mut url) = url::Url::parse(address).ok().filter(|url| url.password().is_some()) else {
        return Cow::Borrowed(address);
    };
    // Every address was checked to have a host, so a password can be set.
    if url.set_password(Some("***")).is_ok() { Cow::Owned(url.into()) } else { Cow::Borrowed("***") }
}

/// A blank key is no key.
fn key(text: Option<&str>) -> Option<Secret> {
    text.filter(|text| !text.trim().is_empty()).map(Secret::new)
}

/// The provider choice that `name` stands for.
pub(super) fn choice(name: Option<&str>) -> Result<Option<ProviderChoice>> {
    parse(name)
}
