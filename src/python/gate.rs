//! The caller's say between two stages, as Python code on the caller's event loop.

use futures_util::future::BoxFuture;
use pyo3::prelude::*;

use super::callback::PythonRouter;
use super::runtime::Process;
use crate::coordinator::{Gate, Review, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{CallHooks, Generate as _, Rejection, ReplyValidator};

/// A Python coroutine function that takes a review and returns a verdict, both as JSON text. It is asked in the way in which
/// a router of the caller's own is: on its loop, in its context, and cancelled where nobody waits any more.
pub(super) struct PythonGate {
    ask: PythonRouter,
}

impl PythonGate {
    /// On the loop that runs now.
    pub(super) fn new(py: Python<'_>, process: &Process, ask: Py<PyAny>) -> PyResult<Self> {
        Ok(Self { ask: PythonRouter::new(py, process, ask)? })
    }
}

impl Gate for PythonGate {
    fn review(&self, review: Review) -> BoxFuture<'_, Result<Verdict>> {
        Box::pin(async move {
            let defect = |failure: serde_json::Error| Error::new(ErrorKind::Internal, failure.to_string());
            let question = serde_json::to_string(&review).map_err(defect)?;
            let answer = self.ask.generate(Request::new(question), CallHooks::new(&Unchecked)).await?;
            serde_json::from_str(&answer.text).map_err(defect)
        })
    }
}

/// The verdict is read where it is used.
struct Unchecked;

impl ReplyValidator for Unchecked {
    fn validate(&self, _json: &str) -> Result<(), Rejection> {
        Ok(())
    }
}
