//! Python numbers of any size, as arguments. A number that is out of range is a `ValueError` like any other invalid value.

use std::time::Duration;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::error::{Error, Result};

/// An integer; one that is out of range is the largest or smallest `i64`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole(i64);

impl Whole {
    /// Returns the number, which must be `minimum` or more, for the argument `name`.
    pub(super) fn at_least<T: TryFrom<i64>>(self, minimum: i64, name: &str) -> Result<T> {
        let Self(number) = self;
        if number < minimum {
            return Err(Error::invalid_input(format!("{name} must be an integer of at least {minimum}, not {number}")));
        }
        let converted = T::try_from(number).ok().filter(|_| number < i64::MAX);
        converted.ok_or_else(|| Error::invalid_input(format!("{name} is too large")))
    }

    /// Returns the number, or the nearest one in the range of the result.
    pub(super) fn saturated(self) -> usize {
        usize::try_from(self.0.max(0)).unwrap_or(usize::MAX)
    }
}

impl<'py> FromPyObject<'_, 'py> for Whole {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        saturated(object, i64::MIN, i64::MAX).map(Self)
    }
}

/// A number; one that is out of range is infinite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Real(pub(super) f64);

impl Real {
    /// Returns the number as a positive duration, for the argument `name`.
    pub(super) fn seconds(self, name: &str) -> Result<Duration> {
        let Self(seconds) = self;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|duration| !duration.is_zero())
            .ok_or_else(|| Error::invalid_input(format!("{name} must be a positive number of seconds, not {seconds}")))
    }
}

impl<'py> FromPyObject<'_, 'py> for Real {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        saturated(object, f64::NEG_INFINITY, f64::INFINITY).map(Self)
    }
}

/// Returns the optional integer of the argument `name`, which must be `minimum` or more.
pub(super) fn optional<T: TryFrom<i64>>(number: Option<Whole>, minimum: i64, name: &str) -> Result<Option<T>> {
    number.map(|number| number.at_least(minimum, name)).transpose()
}

/// Returns the optional duration of the argument `name`, which must be positive.
pub(super) fn optional_seconds(seconds: Option<Real>, name: &str) -> Result<Option<Duration>> {
    seconds.map(|seconds| seconds.seconds(name)).transpose()
}

/// Extracts a number, or `low` or `high` if it is out of range.
fn saturated<'a, 'py, T>(object: Borrowed<'a, 'py, PyAny>, low: T, high: T) -> PyResult<T>
where
    T: FromPyObject<'a, 'py, Error = PyErr>,
{
    match object.extract::<T>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
            Ok(if object.lt(0)? { low } else { high })
        }
        number => number,
    }
}
