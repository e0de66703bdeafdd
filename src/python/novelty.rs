//! Text similarity for the Python package.

use pyo3::prelude::*;

use crate::coordinator;

/// Returns the similarity of two texts in any script, 0.0 to 1.0.
#[pyfunction]
pub(super) fn similarity(py: Python<'_>, one: &str, two: &str) -> f64 {
    py.detach(|| coordinator::similarity(one, two))
}

/// Returns the texts at least `threshold` similar to an earlier one, as (index, index of the earlier text, similarity).
#[pyfunction]
pub(super) fn duplicates(py: Python<'_>, texts: Vec<String>, threshold: f64) -> Vec<(usize, usize, f64)> {
    py.detach(move || {
        let found = coordinator::duplicates(texts.iter().map(String::as_str), threshold);
        found.into_iter().map(|one| (one.index, one.of, one.similarity)).collect()
    })
}
