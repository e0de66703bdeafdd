//! `Limits`: what a provider is asked for at most at a time.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::config;
use crate::error::Result;
use crate::python::error;
use crate::python::number::Whole;

/// What a provider is asked for at most at a time, in the whole process. `None` is no limit.
///
/// Raises ValueError for a limit below 1.
#[pyclass(frozen, eq, hash, name = "Limits", module = "madspark")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::python) struct Limits {
    pub(super) limits: config::Limits,
}

#[pymethods]
impl Limits {
    #[new]
    #[pyo3(signature = (*, concurrent = None, requests_per_minute = None, tokens_per_minute = None))]
    fn new(
        py: Python<'_>,
        concurrent: Option<Whole>,
        requests_per_minute: Option<Whole>,
        tokens_per_minute: Option<Whole>,
    ) -> PyResult<Self> {
        let build = || -> Result<config::Limits> {
            Ok(config::Limits {
                concurrent: concurrent.map(|number| number.at_least(1, "concurrent")).transpose()?,
                requests_per_minute: requests_per_minute
                    .map(|number| number.at_least(1, "requests_per_minute"))
                    .transpose()?,
                tokens_per_minute: tokens_per_minute
                    .map(|number| number.at_least(1, "tokens_per_minute"))
                    .transpose()?,
            })
        };
        build().map(|limits| Self { limits }).map_err(|failure| error::to_python(py, &failure))
    }

    /// Requests under way at the same time.
    #[getter]
    fn concurrent(&self) -> Option<u32> {
        self.limits.concurrent
    }

    /// Requests begun in one minute.
    #[getter]
    fn requests_per_minute(&self) -> Option<u32> {
        self.limits.requests_per_minute
    }

    /// Tokens in and out in one minute.
    #[getter]
    fn tokens_per_minute(&self) -> Option<u64> {
        self.limits.tokens_per_minute
    }

    fn __repr__(&self) -> String {
        let fields = [
            ("concurrent", self.limits.concurrent.map(u64::from)),
            ("requests_per_minute", self.limits.requests_per_minute.map(u64::from)),
            ("tokens_per_minute", self.limits.tokens_per_minute),
        ];
        let shown = fields.map(|(name, limit)| limit.map(|limit| format!("{name}={limit}")));
        format!("Limits({})", shown.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let fields = PyDict::new(py);
        fields.set_item("concurrent", self.limits.concurrent)?;
        fields.set_item("requests_per_minute", self.limits.requests_per_minute)?;
        fields.set_item("tokens_per_minute", self.limits.tokens_per_minute)?;
        Ok((PyTuple::empty(py), fields))
    }
}
