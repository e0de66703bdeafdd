//! Python objects that are made once and kept: attribute names, classes and functions.
//!
//! `PyOnceLock` releases the interpreter while it makes its value. If another thread forks in that moment, the child
//! waits forever for a value that no thread makes. Here the value is made first, and then the cell is filled.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// An interned string, like [`pyo3::intern!`].
macro_rules! name {
    ($py:expr, $text:literal) => {{
        static NAME: std::sync::OnceLock<pyo3::Py<pyo3::types::PyString>> = std::sync::OnceLock::new();
        $crate::python::once::interned(&NAME, $py, $text)
    }};
}

/// Returns the interned `text`, kept in `cell`; see [`name!`].
pub(super) fn interned<'py>(
    cell: &'static OnceLock<Py<PyString>>,
    py: Python<'py>,
    text: &str,
) -> &'py Bound<'py, PyString> {
    let name = cell.get().unwrap_or_else(|| {
        let made = PyString::intern(py, text).unbind();
        cell.get_or_init(|| made)
    });
    name.bind(py)
}

/// Returns the object in `cell`, which `make` makes first if the cell is empty. Two threads may both make one; the cell
/// keeps the first.
pub(super) fn get_or_make<'py>(
    cell: &'static OnceLock<Py<PyAny>>,
    py: Python<'py>,
    make: impl FnOnce() -> PyResult<Py<PyAny>>,
) -> PyResult<&'py Bound<'py, PyAny>> {
    if let Some(object) = cell.get() {
        return Ok(object.bind(py));
    }
    let object = make()?;
    Ok(cell.get_or_init(|| object).bind(py))
}

/// Returns the attribute `name` of `module`, kept in `cell`.
pub(super) fn import<'py>(
    cell: &'static OnceLock<Py<PyAny>>,
    py: Python<'py>,
    module: &str,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    get_or_make(cell, py, || Ok(py.import(module)?.getattr(name)?.unbind()))
}
