//! The router, as the Python package uses it.

use std::sync::Arc;

use futures_util::future::join;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use super::attachments::{Attachments, FileInput};
use super::bridge::{self, Pending};
use super::call::{Call, NewCall};
use super::config::{self, LLMConfig};
use super::number::{Real, Whole, optional, optional_seconds};
use super::policy::{Budget, HedgeAfter};
use super::runtime::Process;
use super::stream::Stream;
use super::{convert, error, log};
use crate::cache::Stats;
use crate::error::Result;
use crate::message::Request;
use crate::router::{self, Engine, Overrides, Policy, ProviderHealth, StreamOptions};
use crate::schema;

/// A JSON Schema, lowered once per provider.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Schema {
    schema: Arc<schema::Schema>,
}

#[pymethods]
impl Schema {
    /// Parses a schema from JSON text. Requests send it under `name`.
    #[new]
    fn new(py: Python<'_>, name: &str, document: &str) -> PyResult<Self> {
        let document = serde_json::from_str(document)
            .map_err(|failure| error::invalid_input(py, format!("the JSON Schema of {name} is not JSON: {failure}")))?;
        let schema = error::raise(py, schema::Schema::new(name, document))?;
        Ok(Self { schema: Arc::new(schema) })
    }
}

/// A regular expression of a JSON Schema, matched in linear time.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Pattern {
    pattern: schema::Pattern,
}

/// The bytes from which on a text is matched without the interpreter lock.
const LONG_TEXT: usize = 4096;

#[pymethods]
impl Pattern {
    /// Compiles an expression of ECMA-262. Raises `InvalidRequestError` if it is invalid, too large, or needs backtracking.
    #[new]
    fn new(py: Python<'_>, source: &str) -> PyResult<Self> {
        Ok(Self { pattern: error::raise(py, schema::Pattern::new(source))? })
    }

    /// Returns whether a part of `text` matches, and the steps taken. None for the first if it takes more than `most` steps.
    fn find(&self, py: Python<'_>, text: &str, most: usize) -> (Option<bool>, usize) {
        if text.len() < LONG_TEXT {
            return self.pattern.find(text, most);
        }
        py.detach(|| self.pattern.find(text, most))
    }
}

/// The configuration and the metrics of one request's calls. The constructor does no I/O.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Router {
    pub(super) router: Arc<router::Router>,
}

#[pymethods]
impl Router {
    /// Arguments take precedence over the configuration.
    #[new]
    #[pyo3(signature = (
        config, primary_provider = None, fallback_enabled = None, cache_enabled = None, model_tier = None, deadline = None,
        max_attempts = None, budget = None, on_refusal = None, hedge_after = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword argument per setting")]
    fn new(
        py: Python<'_>,
        config: &Bound<'_, LLMConfig>,
        primary_provider: Option<&str>,
        fallback_enabled: Option<bool>,
        cache_enabled: Option<bool>,
        model_tier: Option<&str>,
        deadline: Option<Real>,
        max_attempts: Option<Whole>,
        budget: Option<&Bound<'_, Budget>>,
        on_refusal: Option<&str>,
        hedge_after: Option<HedgeAfter>,
    ) -> PyResult<Self> {
        let overrides = || -> Result<Overrides> {
            let base = Policy::default();
            let policy = Policy {
                deadline: optional_seconds(deadline, "deadline")?,
                max_attempts: max_attempts
                    .map_or(Ok(base.max_attempts), |number| number.at_least(1, "max_attempts"))?,
                budget: budget.map_or(base.budget, |budget| budget.get().budget),
                on_refusal: config::parse(on_refusal)?.unwrap_or(base.on_refusal),
                hedge: hedge_after.map(HedgeAfter::into_hedge).transpose()?,
            };
            policy.validate()?;
            Ok(Overrides {
                primary_provider: config::parse(primary_provider)?,
                fallback_enabled,
                model_tier: config::parse(model_tier)?,
                cache_enabled,
                policy,
            })
        };
        let overrides = error::raise(py, overrides())?;
        Ok(Self { router: Arc::new(router::Router::new(Arc::clone(&config.get().config), overrides)) })
    }

    /// The provider that calls try first.
    #[getter]
    fn primary_provider(&self) -> &'static str {
        self.router.choice().as_str()
    }

    /// Whether another provider may answer if the first one fails.
    #[getter]
    fn fallback_enabled(&self) -> bool {
        self.router.fallback_enabled()
    }

    /// Whether calls use the response cache.
    #[getter]
    fn cache_enabled(&self) -> bool {
        self.router.cache_enabled()
    }

    /// The model tier.
    #[getter]
    fn model_tier<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        config::tier(py, self.router.tier())
    }

    /// The time limit of a call in seconds; None means no limit.
    #[getter]
    fn deadline(&self) -> Option<f64> {
        self.router.policy().deadline.map(|deadline| deadline.as_secs_f64())
    }

    /// The maximum number of requests of a call.
    #[getter]
    fn max_attempts(&self) -> u32 {
        self.router.policy().max_attempts
    }

    /// The limits of all calls together.
    #[getter]
    fn budget(&self) -> Budget {
        Budget { budget: self.router.policy().budget }
    }

    /// What a call does after a refusal: "stop" raises an error, "next" tries the next provider.
    #[getter]
    fn on_refusal(&self) -> &'static str {
        self.router.policy().on_refusal.as_str()
    }

    /// The delay of a hedged request in seconds, "p95", or None if requests are not hedged.
    #[getter]
    fn hedge_after(&self) -> Option<HedgeAfter> {
        self.router.policy().hedge.map(HedgeAfter::from)
    }

    /// Returns the maximum length of a prompt in characters; None leaves it to the context windows.
    fn prompt_limit(&self, py: Python<'_>, force_provider: Option<&str>) -> PyResult<Option<usize>> {
        let force = error::raise(py, config::parse(force_provider))?;
        Ok(self.router.prompt_limit(force))
    }

    /// Prepares a call. Nothing is sent before `next()` or `anext()`.
    #[expect(clippy::too_many_arguments, reason = "the fields of a call, passed by one caller")]
    fn begin(
        &self,
        py: Python<'_>,
        prompt: &str,
        system: &str,
        temperature: Option<Real>,
        max_tokens: Option<Whole>,
        schema: Option<&Bound<'_, Schema>>,
        files: Vec<FileInput>,
        images: Vec<FileInput>,
        urls: Vec<String>,
        force_provider: Option<&str>,
        use_cache: Option<bool>,
        on_page_error: &str,
    ) -> PyResult<Call> {
        let process = Process::get(py)?;
        let attachments = Attachments::new(files, images, urls, error::raise(py, on_page_error.parse())?);
        let begin = || {
            let mut call =
                self.new_call(prompt, system, temperature, max_tokens, schema, attachments, force_provider)?;
            call.request.use_cache = use_cache;
            Call::new(process, call)
        };
        // The first call with a cache may log that it has no folder.
        let _collector = log::Collector::begin(None);
        let call = error::raise(py, begin())?;
        log::deliver_collected(py)?;
        Ok(call)
    }

    /// Prepares a streamed call. Nothing is sent before `next()` or `anext()`.
    #[expect(clippy::too_many_arguments, reason = "the fields of a call, passed by one caller")]
    fn begin_stream(
        &self,
        py: Python<'_>,
        prompt: &str,
        system: &str,
        temperature: Option<Real>,
        max_tokens: Option<Whole>,
        force_provider: Option<&str>,
        on_stream_error: &str,
        first_token_timeout: Option<Real>,
        first_text_timeout: Option<Real>,
        idle_timeout: Option<Real>,
        total_timeout: Option<Real>,
        schema: Option<&Bound<'_, Schema>>,
        files: Vec<FileInput>,
        images: Vec<FileInput>,
        urls: Vec<String>,
        on_page_error: &str,
    ) -> PyResult<Stream> {
        let process = Process::get(py)?;
        let attachments = Attachments::new(files, images, urls, error::raise(py, on_page_error.parse())?);
        let begin = || {
            let options = StreamOptions {
                on_error: on_stream_error.parse()?,
                first: optional_seconds(first_token_timeout, "first_token_timeout")?,
                first_text: optional_seconds(first_text_timeout, "first_text_timeout")?,
                idle: optional_seconds(idle_timeout, "idle_timeout")?,
                total: optional_seconds(total_timeout, "total_timeout")?,
                uses_cache: false,
            };
            let call = self.new_call(prompt, system, temperature, max_tokens, schema, attachments, force_provider)?;
            Stream::new(process, call, options)
        };
        error::raise(py, begin())
    }

    /// Returns the counters of this router's calls.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::metrics(py, &self.router.metrics())
    }

    /// Sets every counter to zero.
    fn reset_metrics(&self) {
        self.router.reset_metrics();
    }

    /// Probes the providers and reads the statistics of the cache; blocks.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let process = Process::get(py)?;
        let engine = Arc::clone(&process.engine);
        let health = bridge::block(py, &process, async { Ok(health(&self.router, &engine).await) })?;
        health_to_python(py, &health)
    }

    /// Probes the providers and reads the statistics of the cache.
    fn ahealth(&self, py: Python<'_>) -> PyResult<Pending> {
        let process = Process::get(py)?;
        let (router, engine) = (Arc::clone(&self.router), Arc::clone(&process.engine));
        let work = Box::pin(async move { Ok(health(&router, &engine).await) });
        bridge::submit(py, &process, work, |py, health| Ok(health_to_python(py, &health)?.into_any().unbind()))
    }
}

impl Router {
    #[expect(clippy::too_many_arguments, reason = "the fields of a call, passed by its two callers")]
    fn new_call(
        &self,
        prompt: &str,
        system: &str,
        temperature: Option<Real>,
        max_tokens: Option<Whole>,
        schema: Option<&Bound<'_, Schema>>,
        attachments: Attachments,
        force_provider: Option<&str>,
    ) -> Result<NewCall> {
        let request = Request {
            system: Arc::from(system),
            schema: schema.map(|schema| Arc::clone(&schema.get().schema)),
            temperature: temperature.map(|Real(temperature)| temperature),
            max_tokens: optional(max_tokens, 1, "max_tokens")?,
            ..Request::new(prompt)
        };
        Ok(NewCall {
            router: Arc::clone(&self.router),
            request: Box::new(request),
            attachments,
            force: config::parse(force_provider)?,
        })
    }
}

type Health = (Vec<ProviderHealth>, Option<Stats>);

/// Returns the health of the providers, and the statistics of the cache if the router uses it.
async fn health(router: &router::Router, engine: &Arc<Engine>) -> Health {
    let store = router.cache_enabled().then(|| engine.cache().store(&router.config().cache));
    join(router.health(engine), async { Some(store?.stats().await) }).await
}

fn health_to_python<'py>(py: Python<'py>, (providers, stats): &Health) -> PyResult<Bound<'py, PyDict>> {
    let health = PyDict::new(py);
    for one in providers {
        health.set_item(one.provider.as_str(), convert::to_python(py, one)?)?;
    }
    health.set_item("cache", convert::to_python(py, &json!({ "enabled": stats.is_some(), "stats": stats }))?)?;
    Ok(health)
}
