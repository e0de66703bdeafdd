//! The Python bindings: the only module that uses PyO3.
//!
//! * `runtime` owns the state of the process: the tokio runtime, the engine and the Python thread, one set per process id.
//! * `bridge` runs the core's work: `submit` for coroutines, `block` for synchronous calls.
//! * `loop_queue` delivers finished work to event loops; `python_thread` is the only thread of the crate that attaches to
//!   Python; `log` delivers records and spans to `logging`.
//! * Each of the other modules wraps one type of the core.

#![expect(clippy::doc_markdown, reason = "the doc comments of Python items are docstrings")]

#[macro_use]
mod once;

mod agents;
mod attachments;
mod bridge;
mod cache;
mod call;
mod callback;
mod config;
mod convert;
mod coordinator;
mod error;
mod gate;
mod log;
mod loop_queue;
mod novelty;
mod number;
mod policy;
mod python_thread;
mod router;
mod runtime;
mod simulator;
mod stream;

use pyo3::prelude::*;

/// The compiled core of madspark. Private: import from `madspark`.
// Not `gil_used = false` before the whole suite has passed on a free-threaded interpreter.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use super::agents::{arun_agent, run_agent, schema_of};
    #[pymodule_export]
    use super::bridge::Pending;
    #[pymodule_export]
    use super::cache::{cache_clear, cache_stats};
    #[pymodule_export]
    use super::call::Call;
    #[pymodule_export]
    use super::config::{LLMConfig, Limits};
    #[pymodule_export]
    use super::convert::Attempts;
    #[pymodule_export]
    use super::coordinator::{Coordinator, Run};
    #[pymodule_export]
    use super::novelty::{duplicates, similarity};
    #[pymodule_export]
    use super::policy::Budget;
    #[pymodule_export]
    use super::router::{Router, Schema};
    #[pymodule_export]
    use super::simulator::{RecordedRequest, Simulator};
    #[pymodule_export]
    use super::stream::Stream;
    use super::{Bound, PyModule, PyResult, runtime};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        pyo3::types::PyModuleMethods::add(module, "__version__", env!("CARGO_PKG_VERSION"))?;
        runtime::register_exit(module.py())
    }
}
