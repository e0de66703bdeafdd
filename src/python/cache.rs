//! Statistics of the response cache, and how it is cleared.

use std::sync::Arc;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::bridge;
use super::config::LLMConfig;
use super::runtime::Process;
use crate::cache::Stats;

/// Returns the statistics of the cache that `config` describes; blocks.
#[pyfunction]
pub(super) fn cache_stats<'py>(py: Python<'py>, config: &Bound<'py, LLMConfig>) -> PyResult<Bound<'py, PyDict>> {
    let process = Process::get(py)?;
    let store = process.engine.cache().store(&config.get().config.cache);
    let stats = bridge::block(py, &process, async { Ok(store.stats().await) })?;
    to_dict(py, &stats)
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

/// Returns `{"enabled": ..., "stats": ...}` for a router's health; `stats` is None if the router does not use the cache.
pub(super) fn health<'py>(py: Python<'py>, stats: Option<&Stats>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("enabled", stats.is_some())?;
    dict.set_item("stats", stats.map(|stats| to_dict(py, stats)).transpose()?)?;
    Ok(dict)
}

/// Returns the statistics of the cache that `router` uses, if it uses one.
pub(super) async fn stats_of(router: &crate::router::Router, engine: &Arc<crate::router::Engine>) -> Option<Stats> {
    if !router.cache_enabled() {
        return None;
    }
    Some(engine.cache().store(&router.config().cache).stats().await)
}

fn to_dict<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let Stats {
        memory_hits,
        disk_hits,
        shared_hits,
        misses,
        memory_entries,
        memory_bytes,
        disk_entries,
        disk_bytes,
        dir,
        is_shared_up,
        errors,
    } = stats;
    let dict = PyDict::new(py);
    dict.set_item("memory_hits", memory_hits)?;
    dict.set_item("disk_hits", disk_hits)?;
    dict.set_item("shared_hits", shared_hits)?;
    dict.set_item("misses", misses)?;
    dict.set_item("memory_entries", memory_entries)?;
    dict.set_item("memory_bytes", memory_bytes)?;
    dict.set_item("disk_entries", disk_entries)?;
    dict.set_item("disk_bytes", disk_bytes)?;
    dict.set_item("dir", dir)?;
    dict.set_item("shared_up", is_shared_up)?;
    dict.set_item("errors", errors)?;
    Ok(dict)
}
