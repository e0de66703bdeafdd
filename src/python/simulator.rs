//! The simulator, for Python test suites.

use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyBytes, PyDict, PyList, PyString, PyTuple};

use super::convert::to_python;
use super::error::raise;
use crate::config::Provider;
use crate::error::{Error, Result};
use crate::simulator::{self, RawEnd, RawPart, RawReply, Route, Rule};

/// An HTTP server on loopback that speaks the protocols of Ollama, Gemini, OpenAI and Anthropic.
///
/// It answers any JSON Schema with valid, deterministic content made of the words of the prompt, and records every
/// request. It runs on its own thread until `stop()` or the end of its `with` block.
#[pyclass(frozen, subclass, module = "madspark._core")]
pub(super) struct Simulator {
    simulator: simulator::Simulator,
}

#[pymethods]
impl Simulator {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let simulator = raise(py, py.detach(simulator::Simulator::start))?;
        Ok(Self { simulator })
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.stop(py)
    }

    /// Closes every connection and frees the port. The recorded requests stay readable. Idempotent.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        raise(py, py.detach(|| self.simulator.stop()))
    }

    /// For `LLMConfig(ollama_host=...)`.
    #[getter]
    fn ollama_url(&self) -> String {
        self.simulator.ollama_url()
    }

    /// For `LLMConfig(gemini_base_url=...)`.
    #[getter]
    fn gemini_url(&self) -> String {
        self.simulator.gemini_url()
    }

    /// For `LLMConfig(openai_base_url=...)`.
    #[getter]
    fn openai_url(&self) -> String {
        self.simulator.openai_url()
    }

    /// For `LLMConfig(anthropic_base_url=...)`.
    #[getter]
    fn anthropic_url(&self) -> String {
        self.simulator.anthropic_url()
    }

    /// Every request so far.
    #[getter]
    fn requests(&self) -> Vec<RecordedRequest> {
        self.simulator.requests().into_iter().map(|request| RecordedRequest { request }).collect()
    }

    /// The number of requests in flight.
    #[getter]
    fn in_flight(&self) -> usize {
        self.simulator.in_flight()
    }

    /// The highest number of requests in flight so far.
    #[getter]
    fn max_in_flight(&self) -> usize {
        self.simulator.max_in_flight()
    }

    /// Adds a rule. Each request uses the first rule that matches it and has uses left.
    ///
    /// `route` is "ollama", "gemini", "openai", "anthropic", the start of a path, or None for every request. `contains`
    /// matches the prompt and `model` the model; `times` limits the uses. The other arguments describe the response:
    /// `latency` in seconds, `tokens_per_second`, `status` with `headers` and `body`, `pieces` of a streamed body before
    /// a fault, the `text` or `json` of the usual reply, its `prompt_tokens` and `thinking_tokens`, or a `fault`:
    /// "malformed", "truncate", "stall", "stall_after_headers", "stall_mid_body" or "disconnect".
    ///
    /// `reply` is sent byte for byte: text, bytes, or a list of them and of pauses in seconds. If it starts with "HTTP/", it
    /// is the whole reply; otherwise it is the body, in chunks if it is a list, with `status` and `headers`. `split` divides
    /// it into pieces of so many bytes. `end` is what follows: "keep_alive", "close", "reset" or "stall"; None keeps the
    /// connection open if the headers state the end of the body.
    ///
    /// Raises ValueError for a response that cannot be sent.
    #[pyo3(signature = (
        route = None, *, contains = None, model = None, times = None, latency = None, tokens_per_second = None,
        status = None, headers = None, body = None, pieces = None, text = None, json = None, fault = None,
        prompt_tokens = None, thinking_tokens = None, reply = None, split = None, end = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a rule")]
    fn on(
        &self,
        py: Python<'_>,
        route: Option<&str>,
        contains: Option<String>,
        model: Option<String>,
        times: Option<u32>,
        latency: Option<f64>,
        tokens_per_second: Option<f64>,
        status: Option<u16>,
        headers: Option<&Bound<'_, PyDict>>,
        body: Option<&Bound<'_, PyAny>>,
        pieces: Option<Vec<Bound<'_, PyAny>>>,
        text: Option<String>,
        json: Option<&Bound<'_, PyAny>>,
        fault: Option<&str>,
        prompt_tokens: Option<u64>,
        thinking_tokens: Option<u64>,
        reply: Option<&Bound<'_, PyAny>>,
        split: Option<usize>,
        end: Option<&str>,
    ) -> PyResult<()> {
        let header = |(name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| Ok((name.extract()?, value.extract()?));
        let headers = headers.map(|headers| headers.iter().map(header).collect::<PyResult<_>>()).transpose()?;
        let json = json.map(|value| to_json(value)).transpose()?;
        let end = raise(py, end.map(str::parse::<RawEnd>).transpose())?;
        if reply.is_none() && (split.is_some() || end.is_some()) {
            raise(py, Err(Error::invalid_input("`split` and `end` need `reply`")))?;
        }
        let parse =
            |text: &String| serde_json::from_str(text).map_err(|failure| Error::invalid_input(failure.to_string()));
        let rule = Rule {
            route: raise(py, route_of(route))?,
            contains,
            model,
            times,
            latency: raise(py, latency.map(seconds).transpose())?,
            tokens_per_second,
            status,
            headers: headers.unwrap_or_default(),
            body: body.map(raw).transpose()?,
            pieces: pieces.map(|pieces| pieces.iter().map(raw).collect::<PyResult<_>>()).transpose()?,
            text,
            json: raise(py, json.as_ref().map(parse).transpose())?,
            prompt_tokens,
            thinking_tokens,
            fault: raise(py, fault.map(str::parse).transpose())?,
            reply: reply.map(raw_parts).transpose()?.map(|parts| RawReply { parts, end }).map(|reply| match split {
                Some(size) => reply.split(size),
                None => reply,
            }),
        };
        raise(py, self.simulator.on(rule))
    }

    /// Removes the recorded requests. Rules stay.
    fn clear(&self) {
        self.simulator.clear();
    }

    /// Removes all rules.
    fn clear_rules(&self) {
        self.simulator.clear_rules();
    }

    /// Sets the latency of responses whose rule has none, in seconds.
    fn set_latency(&self, py: Python<'_>, latency: f64) -> PyResult<()> {
        self.simulator.set_latency(raise(py, seconds(latency))?);
        Ok(())
    }

    /// Sets the token rate of responses whose rule has none. None sends them at once.
    #[pyo3(signature = (rate))]
    fn set_tokens_per_second(&self, py: Python<'_>, rate: Option<f64>) -> PyResult<()> {
        raise(py, self.simulator.set_tokens_per_second(rate))
    }

    /// Sets the models that every provider lists.
    fn set_models(&self, models: Vec<String>) {
        self.simulator.set_models(models);
    }

    /// Sets whether a request for a model that is not listed is answered with 404.
    fn restrict_models(&self, restricted: bool) {
        self.simulator.restrict_models(restricted);
    }

    /// Makes `provider` accept only `key`.
    fn require_key(&self, py: Python<'_>, provider: &str, key: String) -> PyResult<()> {
        raise(py, provider.parse::<Provider>().and_then(|provider| self.simulator.require_key(provider, key)))
    }

    /// Blocks until `count` requests have arrived. Returns False if `timeout` seconds pass first.
    #[pyo3(signature = (count, timeout = 5.0))]
    fn wait_for_requests(&self, py: Python<'_>, count: usize, timeout: f64) -> PyResult<bool> {
        let timeout = raise(py, seconds(timeout))?;
        Ok(py.detach(|| self.simulator.wait_for_requests(count, timeout)))
    }

    /// Blocks until `count` clients have closed the connection of a pending response. Returns False if `timeout` seconds pass
    /// first.
    #[pyo3(signature = (count, timeout = 5.0))]
    fn wait_for_hang_ups(&self, py: Python<'_>, count: usize, timeout: f64) -> PyResult<bool> {
        let timeout = raise(py, seconds(timeout))?;
        Ok(py.detach(|| self.simulator.wait_for_hang_ups(count, timeout)))
    }

    fn __repr__(&self) -> String {
        format!("<Simulator {}: {} requests>", self.simulator.address(), self.simulator.requests().len())
    }
}

/// A recorded request, including its keys. The repr hides them.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct RecordedRequest {
    request: simulator::RecordedRequest,
}

#[pymethods]
impl RecordedRequest {
    /// "ollama", "gemini", "openai" or "anthropic"; None if the path belongs to no provider.
    #[getter]
    fn provider(&self) -> Option<&'static str> {
        self.request.provider.map(Provider::as_str)
    }

    /// "GET" or "POST".
    #[getter]
    fn method(&self) -> &str {
        &self.request.method
    }

    /// The path with its query.
    #[getter]
    fn path(&self) -> &str {
        &self.request.path
    }

    /// The headers, with names in lower case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.request.headers.iter().map(|(name, value)| (name, value)).into_py_dict(py)
    }

    /// The body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.request.body)
    }

    /// The parsed body; None if it is not JSON.
    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.request.json().map(|value| to_python(py, &value)).transpose()
    }

    /// The requested model.
    #[getter]
    fn model(&self) -> Option<&str> {
        self.request.model.as_deref()
    }

    /// The text of the last user message.
    #[getter]
    fn prompt(&self) -> &str {
        &self.request.prompt
    }

    /// The system instruction.
    #[getter]
    fn system(&self) -> &str {
        &self.request.system
    }

    /// The requested schema of the reply.
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.request.schema.as_deref().map(|schema| to_python(py, schema)).transpose()
    }

    /// The time of its arrival in seconds since the start of the simulator.
    #[getter]
    fn started(&self) -> f64 {
        self.request.started.as_secs_f64()
    }

    /// The time when its response was sent or its connection ended, in seconds since the start of the simulator; None before.
    #[getter]
    fn finished(&self) -> Option<f64> {
        self.request.finished.map(|finished| finished.as_secs_f64())
    }

    /// The status of the response; None before it is sent.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.request.status
    }

    /// Whether the client closed the connection before the whole response was sent.
    #[getter]
    fn hung_up(&self) -> bool {
        self.request.hung_up
    }

    /// The number of its connection, from zero.
    #[getter]
    fn connection(&self) -> u64 {
        self.request.connection
    }

    fn __repr__(&self) -> String {
        format!("<RecordedRequest {} {} model={:?}>", self.request.method, self.path(), self.request.model)
    }
}

fn route_of(route: Option<&str>) -> Result<Route> {
    Ok(match route {
        None => Route::Any,
        Some(path) if path.starts_with('/') => Route::Path(path.to_owned()),
        Some(provider) => Route::Provider(provider.parse()?),
    })
}

fn seconds(value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| Error::invalid_input(format!("{value} is not a non-negative number of seconds")))
}

/// Returns a body: text, bytes, or any other value as JSON.
fn raw(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Bytes::from(text.to_str()?.to_owned()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    to_json(value).map(Bytes::from)
}

/// Returns the parts of a raw reply: text, bytes, or a sequence of them and of pauses in seconds.
fn raw_parts(value: &Bound<'_, PyAny>) -> PyResult<Vec<RawPart>> {
    let part = |value: &Bound<'_, PyAny>| {
        if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
            return raw(value).map(RawPart::Bytes);
        }
        let Ok(pause) = value.extract::<f64>() else {
            return Err(PyTypeError::new_err("`reply` is text, bytes, or a list of them and of pauses in seconds"));
        };
        raise(value.py(), seconds(pause)).map(RawPart::Pause)
    };
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return value.try_iter()?.map(|item| part(&item?)).collect();
    }
    part(value).map(|part| vec![part])
}

fn to_json(value: &Bound<'_, PyAny>) -> PyResult<String> {
    value.py().import("json")?.call_method1("dumps", (value,))?.extract()
}
