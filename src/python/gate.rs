//! A stage gate of the caller, called on the caller's event loop.

use futures_util::future::BoxFuture;
use pyo3::prelude::*;

use super::callback::AsyncCallback;
use super::runtime::Process;
use crate::coordinator::{Decision, Gate, Review};
use crate::error::{Error, ErrorKind, Result};

/// A Python coroutine function that takes a review and returns a decision, both as JSON text.
pub(super) struct PythonGate {
    decide: AsyncCallback,
}

impl PythonGate {
    /// A gate that calls `decide` on the running event loop.
    pub(super) fn new(py: Python<'_>, process: &Process, decide: Py<PyAny>) -> PyResult<Self> {
        Ok(Self { decide: AsyncCallback::new(py, process, decide)? })
    }
}

impl Gate for PythonGate {
    fn review(&self, review: Review) -> BoxFuture<'_, Result<Decision>> {
        Box::pin(async move {
            let invalid = |failure: serde_json::Error| Error::new(ErrorKind::Internal, failure.to_string());
            let review = serde_json::to_string(&review).map_err(invalid)?;
            let decision: String = self.decide.call(move |py| (review,).into_pyobject(py).map(Bound::unbind)).await?;
            serde_json::from_str(&decision).map_err(invalid)
        })
    }
}
