//! The target of a request.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::openai_responses::OpenAiResponses;
use super::{Codec, ModelFacts};
use crate::config::{BaseUrl, Effort, KeepAlive, OpenAiApi, Provider, Secret, Think, Thinking};
use crate::error::Error;

/// The timeout of one request if the configured one is no duration.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// One model at one address, with the key to access it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The provider.
    pub provider: Provider,
    /// The model's name at the provider.
    pub model: Arc<str>,
    /// The base URL from the configuration.
    pub base_url: BaseUrl,
    /// The API key; `None` sends none.
    pub key: Option<Secret>,
    /// The timeout of one request.
    pub timeout: Duration,
    /// Settings that only some providers have.
    pub options: ModelOptions,
    /// Facts about the model; `None` if they were not requested or the server does not report them.
    pub facts: Option<Arc<ModelFacts>>,
}

/// Settings of a model that only some providers have. The others ignore them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelOptions {
    /// The size of the context window in tokens; `None` fits it to the prompt. Ollama only.
    pub num_ctx: Option<u32>,
    /// How long the model stays in memory after a call; `None` leaves it to the server. Ollama only.
    pub keep_alive: Option<KeepAlive>,
    /// How long the server may take to load the model; `None` if it does not load models. Ollama only.
    pub load_timeout: Option<Duration>,
    /// How much the model may think; `None` leaves it to the model. Gemini only.
    pub thinking: Option<Thinking>,
    /// Whether and how much the model thinks; `None` leaves it to the model. Ollama only.
    pub think: Option<Think>,
    /// How much the model reasons or works; `None` leaves it to the model. OpenAI and Anthropic only.
    pub effort: Option<Effort>,
    /// The API that requests use. OpenAI only.
    pub api: OpenAiApi,
    /// The header of the key; `None` decides by the base URL. OpenAI only.
    pub key_header: Option<HeaderName>,
    /// The processing tier; `None` leaves it to the server. OpenAI only.
    pub service_tier: Option<Arc<str>>,
}

impl Target {
    /// A target with the default timeout and no further settings.
    pub(crate) fn new(provider: Provider, model: &str, base_url: &BaseUrl, key: Option<&Secret>) -> Self {
        Self {
            provider,
            model: Arc::from(model),
            base_url: base_url.clone(),
            key: key.cloned(),
            timeout: REQUEST_TIMEOUT,
            options: ModelOptions::default(),
            facts: None,
        }
    }

    /// This target with the timeout of `seconds` for one request.
    pub(super) fn with_timeout(self, seconds: f64) -> Self {
        Self { timeout: Duration::try_from_secs_f64(seconds).unwrap_or(REQUEST_TIMEOUT), ..self }
    }

    /// The API key, unless it is empty.
    pub(super) fn api_key(&self) -> Option<&str> {
        self.key.as_ref().map(Secret::expose).filter(|key| !key.is_empty())
    }

    /// The codec of its requests and replies; `None` for the mock, which answers within the process.
    pub fn codec(&self) -> Option<&'static dyn Codec> {
        match (self.provider, self.options.api) {
            (Provider::OpenAi, OpenAiApi::Responses) => Some(&OpenAiResponses),
            (provider, _) => super::codec(provider),
        }
    }

    /// Whether requests to it go over HTTP.
    pub fn is_remote(&self) -> bool {
        self.codec().is_some()
    }

    /// Whether its server loads the model when a request needs it.
    pub fn loads_model(&self) -> bool {
        self.options.load_timeout.is_some()
    }

    /// Attributes `error` to this target.
    pub(crate) fn locate(&self, error: Error) -> Error {
        error.at(self.provider, Arc::clone(&self.model))
    }
}
