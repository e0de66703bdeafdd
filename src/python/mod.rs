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
mod log;
mod loop_queue;
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
    use super::{Bound, PyModule, PyResult, runtime};
    #[pymodule_export]
    use super::{
        agents::{arun_agent, run_agent, schema_of},
        bridge::Pending,
        cache::{cache_clear, cache_stats},
        call::Call,
        config::{LLMConfig, Limits},
        convert::Attempts,
        coordinator::{Coordinator, Run, duplicates, similarity},
        policy::Budget,
        router::{Pattern, Router, Schema},
        simulator::{RecordedRequest, Simulator},
        stream::Stream,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        pyo3::types::PyModuleMethods::add(module, "__version__", env!("CARGO_PKG_VERSION"))?;
        runtime::register_exit(module.py())
    }
}
