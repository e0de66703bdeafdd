//! Python objects that are made once and kept: names of attributes, and classes.
//!
//! `PyOnceLock` gives the interpreter up while it makes its value. A process that another thread forks in that moment
//! would wait for ever for a value that nobody makes. So here the value is made first, and the cell is only filled with it.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// An interned string, as [`pyo3::intern!`] gives it.
macro_rules! name {
    ($py:expr, $text:literal) => {{
        static NAME: std::sync::OnceLock<pyo3::Py<pyo3::types::PyString>> = std::sync::OnceLock::new();
        $crate::python::once::interned(&NAME, $py, $text)
    }};
}

/// The interned `text`, kept in `cell`; see [`name!`].
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

/// What `make` makes, kept in `cell`. Two threads that come first may both make it; one of the two is dropped.
pub(super) fn kept<'py>(
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

/// The attribute `name` of `module`, kept in `cell`.
pub(super) fn import<'py>(
    cell: &'static OnceLock<Py<PyAny>>,
    py: Python<'py>,
    module: &str,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    kept(cell, py, || Ok(py.import(module)?.getattr(name)?.unbind()))
}
