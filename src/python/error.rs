//! Converts errors of the core to Python exceptions.
//!
//! The classes and their documentation are in `madspark.llm.exceptions`.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyDict};

use super::{convert, once};
use crate::config::EnvironmentError;
use crate::error::{Error, ErrorKind};
use crate::webpage::PageError;

/// An exception of the caller's Python code, carried through the core as the source of an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(PyErr);

/// Wraps an exception of the caller's code in an error of the core. [`to_python`] unwraps it.
pub(super) fn external(error: PyErr) -> Error {
    let source: Arc<dyn std::error::Error + Send + Sync> = Arc::new(Raised(error));
    Error::new(ErrorKind::External, "the caller's own code raised an exception").with_source(source)
}

/// Returns the exception for `error`.
pub(super) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    if let Some(Raised(raised)) = source(error) {
        return raised.clone_ref(py);
    }
    build(py, error).unwrap_or_else(|failure| failure)
}

/// Returns the exception for a value that is wrong for every caller: an argument, or text that is not JSON.
pub(super) fn invalid_input(py: Python<'_>, message: impl Into<String>) -> PyErr {
    to_python(py, &Error::invalid_input(message))
}

/// Returns the exception for a setting of the process that is invalid: no request of a client can be the reason.
pub(super) fn invalid_setting(py: Python<'_>, error: &Error) -> PyErr {
    invalid_settings(py, &error.to_string(), &[])
}

/// Returns the exception for malformed environment variables.
pub(super) fn invalid_environment(py: Python<'_>, error: &EnvironmentError) -> PyErr {
    invalid_settings(py, &error.to_string(), &error.variables().collect::<Vec<_>>())
}

fn invalid_settings(py: Python<'_>, message: &str, variables: &[&str]) -> PyErr {
    let build = || {
        let class = py.import("madspark.llm.exceptions")?.getattr("InvalidSettingsError")?;
        class.call((message,), Some(&[("variables", variables)].into_py_dict(py)?)).map(PyErr::from_value)
    };
    build().unwrap_or_else(|failure| failure)
}

/// Returns the output of `result`, or raises the exception of its error.
pub(super) fn raise<T>(py: Python<'_>, result: Result<T, Error>) -> PyResult<T> {
    result.map_err(|error| to_python(py, &error))
}

/// Returns asyncio's `CancelledError`. [`once`] explains why PyO3's own cell for its class is not used.
pub(super) fn cancelled(py: Python<'_>, message: &'static str) -> PyErr {
    static CLASS: OnceLock<Py<PyAny>> = OnceLock::new();
    once::import(&CLASS, py, "asyncio", "CancelledError")
        .and_then(|class| class.call1((message,)))
        .map_or_else(|error| error, PyErr::from_value)
}

/// Returns the underlying error of the type `T`.
fn source<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let source: &(dyn std::error::Error + 'static) = error.source_arc()?.as_ref();
    source.downcast_ref()
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let module = py.import("madspark.llm.exceptions")?;
    let data = PyDict::new(py);
    data.set_item("provider", error.provider().map(crate::config::Provider::as_str))?;
    data.set_item("model", error.model())?;
    data.set_item("status", error.status())?;
    data.set_item("retry_after", error.retry_after().map(|wait| wait.as_secs_f64()))?;
    data.set_item("attempts", convert::attempts(py, error.attempts())?)?;
    let exception = if error.kind() == ErrorKind::AllTargetsFailed {
        let causes = PyDict::new(py);
        for cause in error.causes() {
            let name = cause.provider().map_or("router", crate::config::Provider::as_str);
            causes.set_item(name, to_python(py, cause).into_value(py))?;
        }
        module.getattr("all_failed")?.call((error.to_string(), causes), Some(&data))?
    } else {
        if let (ErrorKind::PageUnavailable, Some(PageError { page, problem })) = (error.kind(), source(error)) {
            data.set_item("page", page)?;
            data.set_item("reason", problem.to_string())?;
        }
        if let Some(rejected) = error.rejected() {
            data.set_item("raw", &rejected.text)?;
            data.set_item("faults", &rejected.faults)?;
        }
        module.getattr(class_of(error.kind()))?.call((error.to_string(),), Some(&data))?
    };
    let waits = PyDict::new(py);
    for cause in error.causes() {
        if let (Some(provider), Some(wait)) = (cause.provider(), cause.ready_in()) {
            waits.set_item(provider.as_str(), wait.as_secs_f64())?;
        }
    }
    if !waits.is_empty() {
        exception.setattr("ready_in", waits)?;
    }
    if let Some(partial) = error.partial() {
        exception.setattr("partial", partial)?;
    }
    let raised = PyErr::from_value(exception);
    if let Some(cause) = error.causes().last() {
        raised.set_cause(py, Some(to_python(py, cause)));
    }
    Ok(raised)
}

const fn class_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidInput => "InvalidRequestError",
        ErrorKind::PromptTooLong => "PromptTooLongError",
        ErrorKind::FileNotFound => "MissingFileError",
        ErrorKind::RateLimited | ErrorKind::DailyQuota | ErrorKind::InsufficientQuota | ErrorKind::Cooldown => {
            "RateLimitError"
        }
        ErrorKind::Unauthorized | ErrorKind::Forbidden => "AuthorizationError",
        ErrorKind::ConnectTimeout
        | ErrorKind::FirstTokenTimeout
        | ErrorKind::IdleTimeout
        | ErrorKind::Timeout
        | ErrorKind::Loading => "ProviderTimeoutError",
        ErrorKind::InvalidOutput
        | ErrorKind::MalformedReply
        | ErrorKind::EmptyReply
        | ErrorKind::Truncated
        | ErrorKind::ThinkingTruncated
        | ErrorKind::ThinkingOnly => "SchemaValidationError",
        ErrorKind::Refused | ErrorKind::Blocked => "ContentRefusedError",
        ErrorKind::ContextTooLong | ErrorKind::ContextTruncated => "ContextLengthError",
        ErrorKind::DeadlineReached => "DeadlineExceededError",
        ErrorKind::BudgetReached => "BudgetExceededError",
        ErrorKind::DeadlineExceeded => "WorkflowTimeoutError",
        ErrorKind::MissingKey => "MissingKeyError",
        ErrorKind::NotConfigured => "NotConfiguredError",
        ErrorKind::ModelMissing => "ModelNotFoundError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::Connect
        | ErrorKind::Dns
        | ErrorKind::Tls
        | ErrorKind::BreakerOpen
        | ErrorKind::Disconnected
        | ErrorKind::Overloaded
        | ErrorKind::Server => "ProviderUnavailableError",
        ErrorKind::PageUnavailable => "PageUnavailableError",
        ErrorKind::Internal => "InternalError",
        _ => "LLMProviderError",
    }
}
