//! The bindings: the only place that knows Python.
//!
//! * `runtime` owns what the process shares: the tokio runtime, the engine and the python_thread, one set per process id.
//! * `python_thread` is the one thread of ours that attaches to Python; `loop_queue` hands finished work to event loops in batches.
//! * `bridge` is the door: `submit` for coroutines, `block` for synchronous calls.
//! * the rest wraps one core type a file.

#![expect(clippy::doc_markdown, reason = "the documentation of Python items is read in Python")]

#[macro_use]
mod once;

mod agents;
mod attachments;
mod bridge;
mod cache;
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
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::agents::{arun_agent, run_agent, schema_of};
    #[pymodule_export]
    use super::bridge::Pending;
    #[pymodule_export]
    use super::cache::{cache_clear, cache_stats};
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
    use super::router::{Call, Router, Schema};
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
