//! `Limits`: the rate limits of a provider.

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyDict, PyTuple};

use crate::config;
use crate::error::Result;
use crate::python::error;
use crate::python::number::{Whole, optional};

/// The rate limits of a provider, for all requests of the process. None means no limit.
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
                concurrent: optional(concurrent, 1, "concurrent")?,
                requests_per_minute: optional(requests_per_minute, 1, "requests_per_minute")?,
                tokens_per_minute: optional(tokens_per_minute, 1, "tokens_per_minute")?,
            })
        };
        build().map(|limits| Self { limits }).map_err(|error| error::invalid_setting(py, &error))
    }

    /// The limit of requests in flight.
    #[getter]
    fn concurrent(&self) -> Option<u32> {
        self.limits.concurrent
    }

    /// The limit of requests started in a minute.
    #[getter]
    fn requests_per_minute(&self) -> Option<u32> {
        self.limits.requests_per_minute
    }

    /// The limit of input and output tokens in a minute.
    #[getter]
    fn tokens_per_minute(&self) -> Option<u64> {
        self.limits.tokens_per_minute
    }

    fn __repr__(&self) -> String {
        let shown = self.fields().map(|(name, limit)| limit.map(|limit| format!("{name}={limit}")));
        format!("Limits({})", shown.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        Ok((PyTuple::empty(py), self.fields().into_py_dict(py)?))
    }
}

impl Limits {
    fn fields(&self) -> [(&'static str, Option<u64>); 3] {
        [
            ("concurrent", self.limits.concurrent.map(u64::from)),
            ("requests_per_minute", self.limits.requests_per_minute.map(u64::from)),
            ("tokens_per_minute", self.limits.tokens_per_minute),
        ]
    }
}
