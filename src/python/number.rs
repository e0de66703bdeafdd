//! Numbers of any size, as Python has them: one that does not fit is as wrong as any other wrong value, a `ValueError`.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::error::{Error, Result};

/// A whole number: one that does not fit is the largest or the smallest that does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole(i64);

impl Whole {
    /// The number given for `name`, which is to be `least` or more.
    pub(super) fn at_least<T: TryFrom<i64>>(self, least: i64, name: &str) -> Result<T> {
        let Self(number) = self;
        if number < least {
            return Err(Error::invalid_input(format!("{name} must be a whole number from {least} on, not {number}")));
        }
        let fitting = T::try_from(number).ok().filter(|_| number < i64::MAX);
        fitting.ok_or_else(|| Error::invalid_input(format!("{name} is too large")))
    }
}

impl<'py> FromPyObject<'_, 'py> for Whole {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<i64>() {
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Ok(Self(if object.lt(0)? { i64::MIN } else { i64::MAX }))
            }
            number => number.map(Self),
        }
    }
}

/// A number: one that does not fit is infinite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Real(pub(super) f64);

impl<'py> FromPyObject<'_, 'py> for Real {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<f64>() {
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Ok(Self(if object.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY }))
            }
            number => number.map(Self),
        }
    }
}
