//! Conversions of single configuration values from Python and back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyBool, PyBytes, PyDict, PyFloat, PyInt, PyIterator, PyString};

use super::limits::Limits;
use crate::config::{self, CacheConfig, KeepAlive, MB, ModelTier, Price, Provider, Secret, Think, Thinking};
use crate::error::{Error, Result};
use crate::python::number::{Real, Whole};
use crate::python::{error, once};

/// The argument `limits`: a mapping of provider names to `Limits`.
#[derive(Debug)]
pub(super) struct LimitsByProvider(pub(super) BTreeMap<Provider, config::Limits>);

impl<'py> FromPyObject<'_, 'py> for LimitsByProvider {
    type Error = PyErr;

    fn extract(mapping: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let mut limits = BTreeMap::new();
        for item in items(mapping)? {
            let (name, limit): (String, Bound<'py, Limits>) = item?.extract()?;
            let provider = name.parse().map_err(|failure: Error| {
                error::invalid_setting(mapping.py(), &Error::invalid_input(format!("limits: {}", failure.message())))
            })?;
            limits.insert(provider, limit.get().limits);
        }
        Ok(Self(limits))
    }
}

impl LimitsByProvider {
    pub(super) fn to_dict<'py>(
        py: Python<'py>,
        limits: &BTreeMap<Provider, config::Limits>,
    ) -> PyResult<Bound<'py, PyDict>> {
        limits.iter().map(|(provider, limits)| (provider.as_str(), Limits { limits: *limits })).into_py_dict(py)
    }
}

/// The argument `prices`: a mapping of model names to (input, output) or (input, cached input, output) prices.
#[derive(Debug)]
pub(super) struct PricesByModel(pub(super) BTreeMap<String, Price>);

#[derive(FromPyObject)]
enum Amounts {
    Two(Real, Real),
    Three(Real, Real, Real),
}

impl<'py> FromPyObject<'_, 'py> for PricesByModel {
    type Error = PyErr;

    fn extract(mapping: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let mut prices = BTreeMap::new();
        for item in items(mapping)? {
            let (model, amounts): (String, Bound<'py, PyAny>) = item?.extract()?;
            let price = match amounts.extract() {
                Ok(Amounts::Two(Real(input), Real(output))) => Price { input, cached_input: input, output },
                Ok(Amounts::Three(Real(input), Real(cached_input), Real(output))) => {
                    Price { input, cached_input, output }
                }
                Err(_) => {
                    let message =
                        format!("prices: those of {model:?} must be (input, output) or (input, cached_input, output)");
                    return Err(error::invalid_setting(mapping.py(), &Error::invalid_input(message)));
                }
            };
            prices.insert(model, price);
        }
        Ok(Self(prices))
    }
}

impl PricesByModel {
    pub(super) fn to_dict<'py>(py: Python<'py>, prices: &BTreeMap<String, Price>) -> PyResult<Bound<'py, PyDict>> {
        let amounts = |price: &Price| (price.input, price.cached_input, price.output);
        prices.iter().map(|(model, price)| (model, amounts(price))).into_py_dict(py)
    }
}

/// A key: text, or an object whose method `get_secret_value` returns it.
pub(super) struct SecretText(String);

impl FromPyObject<'_, '_> for SecretText {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        revealed(object)?.extract().map(Self).map_err(|_| PyTypeError::new_err("it must be a str or a secret with one"))
    }
}

/// The address of a server: text, an object of a class of URLs, or a secret with one of them.
pub(super) struct Address(pub(super) String);

impl FromPyObject<'_, '_> for Address {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let object = revealed(object)?;
        if let Ok(text) = object.extract() {
            return Ok(Self(text));
        }
        // Other objects than URLs are not converted to text.
        let py = object.py();
        if object.hasattr(name!(py, "scheme"))? && object.hasattr(name!(py, "host"))? {
            return object.str()?.extract().map(Self);
        }
        Err(PyTypeError::new_err("it must be a str or a URL"))
    }
}

/// Returns the content of a secret; an object that is none, as it is.
fn revealed<'py>(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let reveal = name!(object.py(), "get_secret_value");
    if object.is_instance_of::<PyString>() || !object.hasattr(reveal)? {
        return Ok(object.to_owned());
    }
    let content = object.call_method0(reveal)?;
    match content.cast::<PyBytes>() {
        Ok(bytes) => match std::str::from_utf8(bytes.as_bytes()) {
            Ok(text) => Ok(PyString::new(object.py(), text).into_any()),
            // The exception of the decoder would contain the bytes.
            Err(_) => Err(error::invalid_setting(object.py(), &Error::invalid_input("the secret is not UTF-8 text"))),
        },
        Err(_) => Ok(content),
    }
}

impl FromPyObject<'_, '_> for KeepAlive {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.extract::<&str>() {
            return Ok(Self::Text(Arc::from(text)));
        }
        object
            .extract()
            .map(|Real(seconds)| Self::Seconds(seconds))
            .map_err(|_| PyTypeError::new_err("it must be a number of seconds or a str"))
    }
}

impl<'py> IntoPyObject<'py> for &KeepAlive {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match (self, self.whole_seconds()) {
            (_, Some(seconds)) => Ok(PyInt::new(py, seconds).into_any()),
            (KeepAlive::Seconds(seconds), None) => Ok(seconds.into_pyobject(py)?.into_any()),
            (KeepAlive::Text(text), None) => Ok(PyString::new(py, text).into_any()),
        }
    }
}

impl FromPyObject<'_, '_> for Think {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(is_on) = object.extract::<bool>() {
            return Ok(if is_on { Self::On } else { Self::Off });
        }
        let name = object.extract::<&str>().map_err(|_| PyTypeError::new_err("it must be a bool or a str"))?;
        Self::level(name).ok_or_else(|| {
            let message =
                format!("ollama_think must be True, False, \"low\", \"medium\", \"high\" or \"max\", not {name:?}");
            error::invalid_setting(object.py(), &Error::invalid_input(message))
        })
    }
}

impl<'py> IntoPyObject<'py> for Think {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::On | Self::Off => Ok(PyBool::new(py, self == Self::On).to_owned().into_any()),
            level => Ok(PyString::new(py, level.as_str()).into_any()),
        }
    }
}

/// Returns the items of `mapping`. PyO3's own check keeps `Mapping` in a cell that a fork can break, see [`once`].
fn items<'py>(mapping: Borrowed<'_, 'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    static MAPPING: OnceLock<Py<PyAny>> = OnceLock::new();
    if !mapping.is_instance(once::import(&MAPPING, mapping.py(), "collections.abc", "Mapping")?)? {
        return Err(PyTypeError::new_err(format!("it must be a mapping, not {}", mapping.get_type().name()?)));
    }
    mapping.call_method0("items")?.try_iter()
}

/// Returns Gemini's thinking setting. Only one of the two arguments may be set.
pub(super) fn thinking(budget: Option<Whole>, level: Option<&str>) -> Result<Option<Thinking>> {
    match (budget, level) {
        (None, None) => Ok(None),
        (None, Some(level)) => level.parse().map(Thinking::Level).map(Some),
        (Some(budget), None) => budget.at_least(-1, "gemini_thinking_budget").map(Thinking::Budget).map(Some),
        (Some(_), Some(_)) => Err(Error::invalid_input(
            "gemini_thinking_budget and gemini_thinking_level exclude each other: newer models take a level, Gemini 2.5 \
             takes a budget",
        )),
    }
}

/// Returns a temperature of any size, or none.
pub(super) fn temperature(number: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    Ok(number.extract::<Option<Real>>()?.map(|Real(number)| number))
}

/// Returns the member of Python's `ModelTier`.
pub(in crate::python) fn tier(py: Python<'_>, tier: ModelTier) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: OnceLock<Py<PyAny>> = OnceLock::new();
    once::import(&CLASS, py, "madspark.llm.tiers", "ModelTier")?.call1((tier.as_str(),))
}

/// Parses the name of a setting.
pub(in crate::python) fn parse<T: std::str::FromStr<Err = Error>>(name: Option<&str>) -> Result<Option<T>> {
    name.map(str::parse).transpose()
}

/// Replaces the password in `address`, if it has one, with `***`.
pub(super) fn without_password(address: &str) -> Cow<'_, str> {
    let Some(mut url) = url::Url::parse(address).ok().filter(|url| url.password().is_some()) else {
        return Cow::Borrowed(address);
    };
    // An address without a host has no password; the configuration rejects it.
    if url.set_password(Some("***")).is_ok() { Cow::Owned(url.into()) } else { Cow::Borrowed("***") }
}

/// Returns the API key; a blank one is none.
pub(super) fn key(text: Option<SecretText>) -> Option<Secret> {
    text.filter(|SecretText(text)| !text.trim().is_empty()).map(|SecretText(text)| Secret::new(&text))
}

/// Returns the cache configuration; an argument that is `None` takes its default.
pub(super) fn cache(
    enabled: Option<bool>,
    ttl_seconds: Option<Real>,
    max_size_mb: Option<Whole>,
    dir: Option<PathBuf>,
    url: Option<Address>,
) -> Result<CacheConfig> {
    let base = CacheConfig::default();
    Ok(CacheConfig {
        enabled: enabled.unwrap_or(base.enabled),
        ttl: ttl_seconds.map_or(Ok(base.ttl), ttl)?,
        max_bytes: max_size_mb.map_or(Ok(base.max_bytes), bytes)?,
        dir: dir.unwrap_or(base.dir),
        url: url.and_then(|Address(text)| key(Some(SecretText(text)))),
    })
}

/// Returns the seconds, as an `int` if they are a whole number.
pub(super) fn seconds(py: Python<'_>, time: Duration) -> Bound<'_, PyAny> {
    if time.subsec_nanos() == 0 {
        PyInt::new(py, time.as_secs()).into_any()
    } else {
        PyFloat::new(py, time.as_secs_f64()).into_any()
    }
}

/// A zero duration, also one below a nanosecond, is rejected by `Config::validate`.
fn ttl(Real(seconds): Real) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        Error::invalid_input(format!("cache_ttl_seconds must be a positive number of seconds, not {seconds}"))
    })
}

fn bytes(megabytes: Whole) -> Result<u64> {
    let size: u64 = megabytes.at_least(1, "cache_max_size_mb")?;
    size.checked_mul(MB).ok_or_else(|| Error::invalid_input("cache_max_size_mb is too large"))
}
