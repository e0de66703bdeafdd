//! The router and its calls, as the Python package drives them.

use std::sync::{Arc, Mutex};

use futures_util::future::join;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::attachments::{Attachments, Given};
use super::bridge::{self, Pending, Submission, Work};
use super::config::{self, LLMConfig};
use super::number::{Real, Whole};
use super::policy::{Budget, HedgeAfter};
use super::runtime::Process;
use super::stream::{self, Stream};
use super::{cache, convert, error};
use crate::cache::Stats;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{self, Overrides, Policy, Rejection, StreamOptions};
use crate::sync::lock;

/// A JSON Schema, lowered once per provider.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Schema {
    schema: Arc<crate::schema::Schema>,
}

#[pymethods]
impl Schema {
    /// Takes a schema as JSON text; `name` is what providers see.
    #[new]
    fn new(py: Python<'_>, name: &str, document: &str) -> PyResult<Self> {
        let document = serde_json::from_str(document)
            .map_err(|failure| PyValueError::new_err(format!("the JSON Schema of {name} is not JSON: {failure}")))?;
        let schema = crate::schema::Schema::new(name, document).map_err(|failure| error::to_python(py, &failure))?;
        Ok(Self { schema: Arc::new(schema) })
    }
}

/// One request's configuration and metrics. Building one does no I/O.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Router {
    pub(super) router: Arc<router::Router>,
}

#[pymethods]
impl Router {
    /// An argument beats the configuration.
    #[new]
    #[pyo3(signature = (
        config, primary_provider = None, fallback_enabled = None, cache_enabled = None, model_tier = None, deadline = None,
        max_attempts = None, budget = None, on_refusal = None, hedge_after = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword argument per choice, as users know them")]
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
                deadline: stream::limit("deadline", deadline)?,
                max_attempts: max_attempts
                    .map_or(Ok(base.max_attempts), |number| number.at_least(1, "max_attempts"))?,
                budget: budget.map_or(base.budget, |budget| budget.get().budget),
                on_refusal: config::parse(on_refusal)?.unwrap_or(base.on_refusal),
                hedge: hedge_after.map(HedgeAfter::into_hedge).transpose()?,
            };
            policy.validate()?;
            Ok(Overrides {
                primary_provider: config::choice(primary_provider)?,
                fallback_enabled,
                model_tier: config::parse(model_tier)?,
                cache_enabled,
                policy,
            })
        };
        let overrides = overrides().map_err(|failure| error::to_python(py, &failure))?;
        Ok(Self { router: Arc::new(router::Router::new(Arc::clone(&config.get().config), overrides)) })
    }

    /// The provider calls start with.
    #[getter]
    fn primary_provider(&self) -> &'static str {
        self.router.choice().as_str()
    }

    /// Whether another provider may answer.
    #[getter]
    fn fallback_enabled(&self) -> bool {
        self.router.fallback_enabled()
    }

    /// Whether answers are taken from the cache and kept there.
    #[getter]
    fn cache_enabled(&self) -> bool {
        self.router.cache_enabled()
    }

    /// How much model.
    #[getter]
    fn model_tier<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        config::tier(py, self.router.tier())
    }

    /// Seconds one call may take; None for no end.
    #[getter]
    fn deadline(&self) -> Option<f64> {
        self.router.policy().deadline.map(|deadline| deadline.as_secs_f64())
    }

    /// The most requests one call sends.
    #[getter]
    fn max_attempts(&self) -> u32 {
        self.router.policy().max_attempts
    }

    /// What its calls may spend together.
    #[getter]
    fn budget(&self) -> Budget {
        Budget { budget: self.router.policy().budget }
    }

    /// What follows a refusal: "stop" or "next".
    #[getter]
    fn on_refusal(&self) -> &'static str {
        self.router.policy().on_refusal.as_str()
    }

    /// When another provider is asked beside a slow one: seconds, "p95", or None.
    #[getter]
    fn hedge_after(&self) -> Option<HedgeAfter> {
        self.router.policy().hedge.map(HedgeAfter::from)
    }

    /// Prepares a call; nothing is sent before `next()` or `anext()`.
    #[expect(clippy::too_many_arguments, reason = "the fields of one call, named by the one caller")]
    fn begin(
        &self,
        py: Python<'_>,
        prompt: &str,
        system: &str,
        temperature: f64,
        max_tokens: Option<u32>,
        schema: Option<&Bound<'_, Schema>>,
        files: Vec<Given>,
        images: Vec<Given>,
        urls: Vec<String>,
        force_provider: Option<&str>,
        use_cache: Option<bool>,
    ) -> PyResult<Call> {
        let prepare = || -> Result<Prepared> {
            let request = Request {
                system: Arc::from(system),
                schema: schema.map(|schema| Arc::clone(&schema.get().schema)),
                temperature,
                max_tokens,
                ..Request::new(prompt)
            };
            Ok(Prepared {
                router: Arc::clone(&self.router),
                request: Box::new(request),
                attachments: Attachments::new(files, images, urls),
                force: config::parse::<Provider>(force_provider)?,
                use_cache,
            })
        };
        let process = Process::get(py)?;
        let state = prepare()
            .and_then(|prepared| prepared.begin_if_ready(&process))
            .map_err(|failure| error::to_python(py, &failure))?;
        Ok(Call { process, keeping: Mutex::default(), state: Arc::new(Mutex::new(state)) })
    }

    /// Prepares a streamed call; nothing is sent before `next()` or `anext()`.
    #[expect(clippy::too_many_arguments, reason = "the fields of one call, named by the one caller")]
    fn begin_stream(
        &self,
        py: Python<'_>,
        prompt: &str,
        system: &str,
        temperature: f64,
        max_tokens: Option<u32>,
        force_provider: Option<&str>,
        on_stream_error: &str,
        first_token_timeout: Option<Real>,
        idle_timeout: Option<Real>,
        total_timeout: Option<Real>,
        schema: Option<&Bound<'_, Schema>>,
        files: Vec<Given>,
        images: Vec<Given>,
        urls: Vec<String>,
    ) -> PyResult<Stream> {
        let process = Process::get(py)?;
        let prepare = || {
            let request = Request {
                system: Arc::from(system),
                schema: schema.map(|schema| Arc::clone(&schema.get().schema)),
                temperature,
                max_tokens,
                ..Request::new(prompt)
            };
            let options = StreamOptions {
                on_error: on_stream_error.parse()?,
                first: stream::limit("first_token_timeout", first_token_timeout)?,
                idle: stream::limit("idle_timeout", idle_timeout)?,
                total: stream::limit("total_timeout", total_timeout)?,
            };
            let prepared = stream::Prepared {
                router: Arc::clone(&self.router),
                request: Box::new(request),
                attachments: Attachments::new(files, images, urls),
                force: config::parse::<Provider>(force_provider)?,
                options,
            };
            Stream::new(process, prepared)
        };
        prepare().map_err(|failure| error::to_python(py, &failure))
    }

    /// The contract's counters.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::metrics(py, &self.router.metrics())
    }

    /// Sets every counter to zero.
    fn reset_metrics(&self) {
        self.router.reset_metrics();
    }

    /// Probes the providers and counts what is in the cache; blocks.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let process = Process::get(py)?;
        let engine = Arc::clone(&process.engine);
        let found = bridge::block(py, &process, async { Ok(health(&self.router, &engine).await) })?;
        health_to_python(py, &found)
    }

    /// Probes the providers and counts what is in the cache.
    fn ahealth(&self, py: Python<'_>) -> PyResult<Pending> {
        let process = Process::get(py)?;
        let (router, engine) = (Arc::clone(&self.router), Arc::clone(&process.engine));
        let work = Box::pin(async move { Ok(health(&router, &engine).await) });
        bridge::submit(py, &process, work, |py, found| Ok(health_to_python(py, &found)?.into_any().unbind()))
    }
}

/// A call under way: pull a candidate, judge it, pull again or finish.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Call {
    process: Arc<Process>,
    state: Arc<Mutex<State>>,
    /// The answer on its way to the cache.
    keeping: Mutex<Option<router::CacheWrite>>,
}

enum State {
    Prepared(Prepared),
    /// Boxed: it moves into the future of each pull and back.
    Running(Box<router::Call>),
    /// A `next()` has the call; it comes back when that is done.
    Out,
}

struct Prepared {
    router: Arc<router::Router>,
    request: Box<Request>,
    attachments: Attachments,
    force: Option<Provider>,
    use_cache: Option<bool>,
}

#[pymethods]
impl Call {
    /// The next candidate's text; blocks. `faults` tells why the last one was not taken.
    #[pyo3(signature = (faults = None))]
    fn next(&self, py: Python<'_>, faults: Option<Vec<String>>) -> PyResult<String> {
        bridge::block(py, &self.process, self.advance(faults)?)
    }

    /// The next candidate's text.
    #[pyo3(signature = (faults = None))]
    fn anext<'py>(&self, py: Python<'py>, faults: Option<Vec<String>>) -> PyResult<Submission<'py>> {
        let text = |py: Python<'_>, text: String| Ok(text.into_pyobject(py)?.into_any().unbind());
        // Files are written into a request's body in its first step, which takes too long for the loop's own thread.
        let is_light = matches!(&*lock(&self.state), State::Running(call) if !call.has_attachments());
        let work = self.advance(faults)?;
        if is_light {
            bridge::submit_eager(py, &self.process, work, text)
        } else {
            bridge::submit(py, &self.process, work, text).map(Submission::Pending)
        }
    }

    /// Ends the call with the last candidate; its `LLMResponse`.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let State::Running(call) = std::mem::replace(&mut *lock(&self.state), State::Out) else {
            return Err(PyRuntimeError::new_err("finish() without a candidate"));
        };
        let (response, keeping) = call.finish().map_err(|failure| error::to_python(py, &failure))?;
        *lock(&self.keeping) = keeping;
        convert::response(py, response)
    }

    /// Waits until the answer is in the cache, where it is to be kept there: nothing can lose it then. Blocks.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        self.keeping().map_or(Ok(()), |keeping| bridge::block(py, &self.process, settled(keeping)))
    }

    /// Does as `settle`, without blocking; `None` where there is nothing to wait for.
    fn asettle(&self, py: Python<'_>) -> PyResult<Option<Pending>> {
        let submit = |keeping| bridge::submit(py, &self.process, Box::pin(settled(keeping)), |py, ()| Ok(py.None()));
        self.keeping().map(submit).transpose()
    }
}

async fn settled(keeping: router::CacheWrite) -> Result<()> {
    keeping.settled().await;
    Ok(())
}

impl Call {
    fn keeping(&self) -> Option<router::CacheWrite> {
        lock(&self.keeping).take()
    }

    fn advance(&self, faults: Option<Vec<String>>) -> PyResult<Work<String>> {
        let state = Arc::clone(&self.state);
        let engine = Arc::clone(&self.process.engine);
        let taken = std::mem::replace(&mut *lock(&state), State::Out);
        if matches!(taken, State::Out) {
            return Err(PyRuntimeError::new_err("the call is in use or has ended"));
        }
        Ok(Box::pin(async move {
            let mut call = match taken {
                State::Running(call) => call,
                State::Prepared(prepared) => Box::new(prepared.begin(&engine).await?),
                State::Out => return Err(Error::new(ErrorKind::Internal, "the call has ended")),
            };
            let text = call.next(faults.map(|faults| Rejection { faults })).await?.to_owned();
            *lock(&state) = State::Running(call);
            Ok(text)
        }))
    }
}

impl Prepared {
    /// Without attachments the caller's errors come out at once, before anything is awaited.
    fn begin_if_ready(self, process: &Process) -> Result<State> {
        if self.attachments.is_empty() {
            let call = self.router.call(&process.engine, *self.request, self.force, self.use_cache)?;
            return Ok(State::Running(Box::new(call)));
        }
        Ok(State::Prepared(self))
    }

    async fn begin(mut self, engine: &Arc<router::Engine>) -> Result<router::Call> {
        self.request.parts = self.attachments.load(&self.router, engine, self.force).await?;
        self.router.call(engine, *self.request, self.force, self.use_cache)
    }
}

/// What is known of the providers and of the cache.
type Findings = (Vec<router::ProviderHealth>, Option<Stats>);

async fn health(router: &router::Router, engine: &Arc<router::Engine>) -> Findings {
    join(router.health(engine), cache::stats_of(router, engine)).await
}

fn health_to_python<'py>(py: Python<'py>, (providers, stats): &Findings) -> PyResult<Bound<'py, PyDict>> {
    let health = convert::health(py, providers)?;
    health.set_item("cache", cache::health(py, stats.as_ref())?)?;
    Ok(health)
}
