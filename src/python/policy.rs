//! Budgets and hedging, as arguments of a router.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::error;
use super::number::{Real, Whole, optional};
use crate::error::{Error, Result};
use crate::router::{self, Hedge};

/// Limits of what all calls of one router spend together. Immutable.
///
/// The limits are checked before each request to a provider. Requests in flight may exceed `max_tokens` or `max_cost`
/// when they end; then no further request is sent. `max_calls` is never exceeded. Retries, repairs and fallbacks count
/// like first requests. A cancelled request counts with an estimate.
///
/// `max_tokens` counts prompts and replies, `max_cost` US dollars, `max_calls` requests to providers. None means no limit.
/// With `max_cost`, a model whose price is unknown is skipped: add its price to `LLMConfig(prices=...)`.
///
/// Raises ValueError for a negative number.
#[pyclass(frozen, eq, module = "madspark")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Budget {
    pub(super) budget: router::Budget,
}

#[pymethods]
impl Budget {
    #[new]
    #[pyo3(signature = (max_tokens = None, max_cost = None, max_calls = None))]
    fn new(
        py: Python<'_>,
        max_tokens: Option<Whole>,
        max_cost: Option<Real>,
        max_calls: Option<Whole>,
    ) -> PyResult<Self> {
        let build = || -> Result<router::Budget> {
            let budget = router::Budget {
                max_tokens: optional(max_tokens, 0, "max_tokens")?,
                // Turns -0.0 into 0.0, whose hash differs.
                max_cost: max_cost.map(|Real(cost)| cost + 0.0),
                max_calls: optional(max_calls, 0, "max_calls")?,
            };
            budget.validate()?;
            Ok(budget)
        };
        error::raise(py, build()).map(|budget| Self { budget })
    }

    /// The limit of tokens of all requests.
    #[getter]
    fn max_tokens(&self) -> Option<u64> {
        self.budget.max_tokens
    }

    /// The limit of US dollars of all requests.
    #[getter]
    fn max_cost(&self) -> Option<f64> {
        self.budget.max_cost
    }

    /// The limit of requests to providers.
    #[getter]
    fn max_calls(&self) -> Option<u64> {
        self.budget.max_calls
    }

    fn __repr__(&self) -> String {
        let shown = |number: Option<String>| number.unwrap_or_else(|| "None".to_owned());
        let router::Budget { max_tokens, max_cost, max_calls } = self.budget;
        format!(
            "Budget(max_tokens={}, max_cost={}, max_calls={})",
            shown(max_tokens.map(|number| number.to_string())),
            shown(max_cost.map(|number| number.to_string())),
            shown(max_calls.map(|number| number.to_string())),
        )
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyTuple::new(py, [self.budget.max_tokens, self.budget.max_cost.map(f64::to_bits), self.budget.max_calls])?
            .hash()
    }

    fn __getnewargs__(&self) -> (Option<u64>, Option<f64>, Option<u64>) {
        (self.budget.max_tokens, self.budget.max_cost, self.budget.max_calls)
    }
}

/// The argument `hedge_after`: seconds or "p95".
#[derive(IntoPyObject)]
pub(super) enum HedgeAfter {
    Seconds(f64),
    Quantile(String),
}

impl<'py> FromPyObject<'_, 'py> for HedgeAfter {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = object.extract() {
            return Ok(Self::Quantile(name));
        }
        let kind = object.get_type().name()?;
        object.extract().map(|Real(seconds)| Self::Seconds(seconds)).map_err(|_| {
            PyTypeError::new_err(format!("hedge_after must be a number of seconds or \"p95\", not {kind}"))
        })
    }
}

impl From<Hedge> for HedgeAfter {
    fn from(hedge: Hedge) -> Self {
        match hedge {
            Hedge::After(delay) => Self::Seconds(delay.as_secs_f64()),
            Hedge::P95 => Self::Quantile("p95".to_owned()),
        }
    }
}

impl HedgeAfter {
    pub(super) fn into_hedge(self) -> Result<Hedge> {
        match self {
            Self::Seconds(seconds) => Real(seconds).seconds("hedge_after").map(Hedge::After),
            Self::Quantile(name) if name == "p95" => Ok(Hedge::P95),
            Self::Quantile(name) => Err(Error::invalid_input(format!(
                "hedge_after must be a positive number of seconds or \"p95\", not {name:?}"
            ))),
        }
    }
}
