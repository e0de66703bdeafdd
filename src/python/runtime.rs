//! What the process shares: one tokio runtime, one engine, one lane. Made at the first call, never at import.
//!
//! A forked child has none of its parent's threads. It is told by its process id, leaves the parent's runtime alone and
//! makes its own: routers made before the fork go on working, since they hold no connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::lane::{Lane, LaneThread};
use super::log;
use crate::router::Engine;

/// Worker threads: I/O and JSON, no model runs here.
const WORKERS: usize = 2;

/// How long the end of the interpreter waits for work that is being dropped.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Touched only while attached to Python and never held across Python code, so no fork can find it locked.
static PROCESS: Mutex<Option<Slot>> = Mutex::new(None);

static ENDING: AtomicBool = AtomicBool::new(false);

struct Slot {
    pid: u32,
    process: Arc<Process>,
    runtime: Runtime,
    lane_thread: LaneThread,
}

/// The shared state of this process, for use by calls.
pub(super) struct Process {
    pub(super) handle: tokio::runtime::Handle,
    pub(super) engine: Arc<Engine>,
    pub(super) lane: Lane,
    ending: watch::Sender<bool>,
}

impl Process {
    /// The state of this process, made at the first use. Raises `RuntimeError` while the interpreter ends.
    pub(super) fn get(py: Python<'_>) -> PyResult<Arc<Self>> {
        if ENDING.load(Ordering::Acquire) {
            return Err(PyRuntimeError::new_err("madspark cannot be used while the interpreter is ending"));
        }
        log::refresh_level(py);
        let pid = std::process::id();
        let mut slot = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slot.as_ref().filter(|slot| slot.pid == pid) {
            return Ok(Arc::clone(&slot.process));
        }
        let fresh = Self::start(pid).map_err(|error| {
            PyRuntimeError::new_err(format!("madspark could not start its threads: {error}; is there a thread limit?"))
        })?;
        let process = Arc::clone(&fresh.process);
        // The parent's threads do not exist here, so its runtime could only be joined for ever.
        std::mem::forget(slot.replace(fresh));
        Ok(process)
    }

    fn start(pid: u32) -> std::io::Result<Slot> {
        log::install();
        let (lane, lane_thread) = Lane::start()?;
        let workers_lane = lane.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(WORKERS)
            .thread_name("madspark")
            .on_thread_start(move || log::connect(workers_lane.clone()))
            .enable_all()
            .build()?;
        let process = Arc::new(Self {
            handle: runtime.handle().clone(),
            engine: Arc::new(Engine::new()),
            lane,
            ending: watch::Sender::new(false),
        });
        Ok(Slot { pid, process, runtime, lane_thread })
    }

    /// Returns when the interpreter ends.
    pub(super) async fn ended(&self) {
        // The sender lives as long as `self`.
        drop(self.ending.subscribe().wait_for(|ending| *ending).await);
    }
}

/// Has the interpreter call `shutdown` before it ends, while threads may still attach.
pub(super) fn register_exit(py: Python<'_>) -> PyResult<()> {
    let shutdown = pyo3::types::PyCFunction::new_closure(py, Some(c"_shutdown"), None, |args, _| {
        shutdown(args.py());
    })?;
    py.import("atexit")?.call_method1("register", (shutdown,)).map(drop)
}

/// Ends blocked calls, drops running ones, joins every thread.
fn shutdown(py: Python<'_>) {
    ENDING.store(true, Ordering::Release);
    let slot = PROCESS.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(slot) = slot else { return };
    if slot.pid != std::process::id() {
        std::mem::forget(slot);
        return;
    }
    py.detach(|| {
        slot.process.ending.send_replace(true);
        slot.runtime.shutdown_timeout(SHUTDOWN_GRACE);
        slot.lane_thread.close();
    });
}
