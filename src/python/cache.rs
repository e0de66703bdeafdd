//! Statistics of the response cache, and how it is cleared.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use super::config::LLMConfig;
use super::runtime::Process;
use super::{bridge, convert};

/// Returns the statistics of the cache that `config` describes; blocks.
#[pyfunction]
pub(super) fn cache_stats<'py>(py: Python<'py>, config: &Bound<'py, LLMConfig>) -> PyResult<Bound<'py, PyAny>> {
    let process = Process::get(py)?;
    let store = process.engine.cache().store(&config.get().config.cache);
    let stats = bridge::block(py, &process, async { Ok(store.stats().await) })?;
    convert::to_python(py, &stats)
}

/// Removes every entry of the cache that `config` describes, in every tier, and returns their number; blocks.
///
/// Raises OSError if a tier cannot be cleared.
#[pyfunction]
pub(super) fn cache_clear(py: Python<'_>, config: &Bound<'_, LLMConfig>) -> PyResult<u64> {
    let process = Process::get(py)?;
    let store = process.engine.cache().store(&config.get().config.cache);
    let cleared = bridge::block(py, &process, async { Ok(store.clear().await) })?;
    cleared.ok_or_else(|| PyOSError::new_err("the response cache could not be cleared: see the log for the reason"))
}
