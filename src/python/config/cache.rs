//! The cache fields of a configuration.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::values::key;
use crate::config::{CacheConfig, MB};
use crate::error::{Error, Result};
use crate::python::number::{Real, Whole};

/// Returns the cache configuration; an argument that is `None` takes its default.
pub(super) fn cache(
    enabled: Option<bool>,
    ttl_seconds: Option<Real>,
    max_size_mb: Option<Whole>,
    dir: Option<PathBuf>,
    url: Option<&str>,
) -> Result<CacheConfig> {
    let base = CacheConfig::default();
    Ok(CacheConfig {
        enabled: enabled.unwrap_or(base.enabled),
        ttl: ttl_seconds.map_or(Ok(base.ttl), ttl)?,
        max_bytes: max_size_mb.map_or(Ok(base.max_bytes), bytes)?,
        dir: dir.unwrap_or(base.dir),
        url: key(url),
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
