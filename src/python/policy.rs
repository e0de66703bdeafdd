//! What a router may choose about its calls: their budget and their hedging.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::error;
use super::number::{Real, Whole};
use crate::error::{Error, Result};
use crate::router::{self, Hedge};

/// Upper bounds of what all calls of one router spend together. Immutable.
///
/// They are looked at before each request to a provider: the requests in flight at that moment may carry the sum past
/// `max_tokens` or `max_cost`, and no further one is sent; `max_calls` is never exceeded. Retries, repairs and
/// fallbacks count like first requests; a request that was given up counts at an estimate.
///
/// `max_tokens` counts prompts and answers, `max_cost` US dollars, `max_calls` requests to providers. None is no bound.
/// With `max_cost` a model whose price is not known is passed over: name it in `LLMConfig(prices=...)`.
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
                max_tokens: max_tokens.map(|number| number.at_least(0, "max_tokens")).transpose()?,
                // -0.0 is 0.0, for hashes too.
                max_cost: max_cost.map(|Real(cost)| cost + 0.0),
                max_calls: max_calls.map(|number| number.at_least(0, "max_calls")).transpose()?,
            };
            budget.validate()?;
            Ok(budget)
        };
        build().map(|budget| Self { budget }).map_err(|failure| error::to_python(py, &failure))
    }

    /// Tokens of all requests together.
    #[getter]
    fn max_tokens(&self) -> Option<u64> {
        self.budget.max_tokens
    }

    /// US dollars of all requests together.
    #[getter]
    fn max_cost(&self) -> Option<f64> {
        self.budget.max_cost
    }

    /// Requests to providers.
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

/// `hedge_after`: seconds, or "p95".
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
            Self::Seconds(seconds) => match Duration::try_from_secs_f64(seconds) {
                Ok(delay) if !delay.is_zero() => Ok(Hedge::After(delay)),
                _ => Err(Error::invalid_input(format!(
                    "hedge_after must be a positive number of seconds or \"p95\", not {seconds}"
                ))),
            },
            Self::Quantile(name) if name == "p95" => Ok(Hedge::P95),
            Self::Quantile(name) => Err(Error::invalid_input(format!(
                "hedge_after must be a positive number of seconds or \"p95\", not {name:?}"
            ))),
        }
    }
}
