//! The bindings: the only place that knows Python.
