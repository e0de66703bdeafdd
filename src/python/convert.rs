//! Conversions of the core's values to Python objects.

use std::sync::OnceLock;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyDict, PyString, PyTuple};
use serde::Serialize;

use super::once;
use crate::attempt::Attempt;
use crate::message::FinishReason;
use crate::router::{MetricsSnapshot, ProviderSnapshot, Response, StreamEvent};

/// Returns a `madspark.llm.response.Attempt`.
fn attempt<'py>(py: Python<'py>, attempt: &Attempt) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: OnceLock<Py<PyAny>> = OnceLock::new();
    let usage = PyDict::new(py);
    usage.set_item(name!(py, "input"), attempt.usage.input)?;
    usage.set_item(name!(py, "cached_input"), attempt.usage.cached_input)?;
    usage.set_item(name!(py, "output"), attempt.usage.output)?;
    usage.set_item(name!(py, "reasoning"), attempt.usage.reasoning)?;
    usage.set_item(name!(py, "tool"), attempt.usage.tool)?;
    let fields = (
        attempt.provider.as_str(),
        &*attempt.model,
        attempt.ok(),
        attempt.status,
        attempt.error.map(crate::error::ErrorKind::as_str),
        attempt.message.as_deref(),
        attempt.latency.as_secs_f64() * 1000.0,
        usage,
        attempt.skipped_events,
        PyTuple::new(py, attempt.changes.iter().map(|change| change.as_str()))?,
    );
    once::import(&CLASS, py, "madspark.llm.response", "Attempt")?.call(fields, rare_fields(py, attempt)?.as_ref())
}

/// Returns each as a `madspark.llm.response.Attempt`.
pub(super) fn attempts<'py>(py: Python<'py>, attempts: &[Attempt]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, attempts.iter().map(|one| attempt(py, one)).collect::<PyResult<Vec<_>>>()?)
}

/// Returns the fields that few attempts have, `None` if they all have their defaults.
fn rare_fields<'py>(py: Python<'py>, attempt: &Attempt) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Attempt { waited, is_hedge, is_shared, retry_after, is_estimated, pages, omitted, .. } = attempt;
    let is_usual = waited.is_zero() && !is_hedge && !is_shared && retry_after.is_none() && !is_estimated;
    if is_usual && pages.is_empty() && omitted.is_empty() {
        return Ok(None);
    }
    let fields = PyDict::new(py);
    fields.set_item(name!(py, "wait_ms"), waited.as_secs_f64() * 1000.0)?;
    fields.set_item(name!(py, "hedged"), is_hedge)?;
    fields.set_item(name!(py, "shared"), is_shared)?;
    fields.set_item(name!(py, "retry_after"), retry_after.map(|wait| wait.as_secs_f64()))?;
    fields.set_item(name!(py, "estimated"), is_estimated)?;
    let pages = pages.iter().map(|page| {
        let reason = page.problem().map(|problem| ("reason", problem));
        [("url", &*page.url), ("status", page.status.as_str())].into_iter().chain(reason).into_py_dict(py)
    });
    fields.set_item(name!(py, "pages"), PyTuple::new(py, pages.collect::<PyResult<Vec<_>>>()?)?)?;
    fields.set_item(name!(py, "omitted"), PyTuple::new(py, omitted.iter().map(|parameter| parameter.as_str()))?)?;
    Ok(Some(fields))
}

/// Returns the text of a stream as `str`, a structured reply as `(json, is_complete)`, a
/// `madspark.llm.response.Restarted`, or None at the end.
pub(super) fn stream_event<'py>(py: Python<'py>, event: Option<&StreamEvent>) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: OnceLock<Py<PyAny>> = OnceLock::new();
    match event {
        None => Ok(py.None().into_bound(py)),
        Some(StreamEvent::Delta(text)) => Ok(PyString::new(py, text).into_any()),
        Some(StreamEvent::Partial(json)) => Ok((json, false).into_pyobject(py)?.into_any()),
        Some(StreamEvent::Complete(json)) => Ok((json, true).into_pyobject(py)?.into_any()),
        Some(StreamEvent::Restarted(failed)) => {
            once::import(&CLASS, py, "madspark.llm.response", "Restarted")?.call1((
                failed.provider.as_str(),
                &*failed.model,
                failed.error.map(crate::error::ErrorKind::as_str),
                failed.message.as_deref(),
            ))
        }
    }
}

/// The attempts of a response. Converted on demand, because few callers read them.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Attempts(Vec<Attempt>);

#[pymethods]
impl Attempts {
    /// Returns each as a `madspark.llm.response.Attempt`.
    fn made<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        attempts(py, &self.0)
    }
}

/// Returns a `madspark.llm.response.LLMResponse`.
pub(super) fn response(py: Python<'_>, response: Response) -> PyResult<Bound<'_, PyAny>> {
    static MAKE: OnceLock<Py<PyAny>> = OnceLock::new();
    let finish = response.finish.map(|reason| finish_name(py, reason));
    // Most providers use our names.
    let finish_detail = match (&response.finish_detail, finish) {
        (Some(detail), Some(finish)) if response.finish.is_some_and(|reason| reason.as_str() == detail) => {
            Some(finish.clone())
        }
        (detail, _) => detail.as_ref().map(|detail| PyString::new(py, detail)),
    };
    once::import(&MAKE, py, "madspark.llm.response", "answered")?.call1((
        &response.text,
        &*response.provider,
        &*response.model,
        response.tokens,
        response.latency.as_secs_f64() * 1000.0,
        response.cost,
        response.is_cached,
        Attempts(response.attempts),
        finish,
        finish_detail,
        response.reasoning,
    ))
}

/// Returns the name of `reason`, a string that is made once.
fn finish_name(py: Python<'_>, reason: FinishReason) -> &Bound<'_, PyString> {
    static NAMES: [OnceLock<Py<PyString>>; FinishReason::ALL.len()] =
        [const { OnceLock::new() }; FinishReason::ALL.len()];
    once::interned(&NAMES[reason as usize], py, reason.as_str())
}

/// Returns a router's metrics as a dictionary.
pub(super) fn metrics<'py>(py: Python<'py>, metrics: &MetricsSnapshot) -> PyResult<Bound<'py, PyAny>> {
    let providers = PyDict::new(py);
    for one in &metrics.providers {
        providers.set_item(one.provider.as_str(), provider_metrics(py, one)?)?;
    }
    let dict = to_python(py, metrics)?;
    dict.set_item("providers", providers)?;
    Ok(dict)
}

fn provider_metrics<'py>(py: Python<'py>, metrics: &ProviderSnapshot) -> PyResult<Bound<'py, PyDict>> {
    let millis = |latency: Option<Duration>| latency.map(|latency| latency.as_secs_f64() * 1000.0);
    let failures = metrics.failures.iter().map(|(kind, count)| (kind.as_str(), count)).into_py_dict(py)?;
    let dict = PyDict::new(py);
    dict.set_item("calls", metrics.calls)?;
    dict.set_item("attempts", metrics.attempts)?;
    dict.set_item("repairs", metrics.repairs)?;
    dict.set_item("failures", failures)?;
    dict.set_item("p50_latency_ms", millis(metrics.p50_latency))?;
    dict.set_item("p95_latency_ms", millis(metrics.p95_latency))?;
    Ok(dict)
}

/// Returns `value` as the object that Python's `json` reads.
pub(super) fn to_python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value).map_err(|failure| PyValueError::new_err(failure.to_string()))?;
    py.import("json")?.call_method1("loads", (text,))
}
