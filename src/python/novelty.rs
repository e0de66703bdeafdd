//! The comparison of texts, as the Python package uses it.

use pyo3::prelude::*;

use crate::coordinator;

/// How alike two texts are, 0.0 to 1.0, in any script.
#[pyfunction]
pub(super) fn similarity(py: Python<'_>, one: &str, two: &str) -> f64 {
    py.detach(|| coordinator::similarity(one, two))
}

/// The texts at least `threshold` similar to an earlier one: (index, index of that one, similarity).
#[pyfunction]
pub(super) fn duplicates(py: Python<'_>, texts: Vec<String>, threshold: f64) -> Vec<(usize, usize, f64)> {
    py.detach(move || {
        let found = coordinator::duplicates(texts.iter().map(String::as_str), threshold);
        found.into_iter().map(|one| (one.index, one.of, one.similarity)).collect()
    })
}
