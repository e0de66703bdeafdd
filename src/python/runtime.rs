//! What the process shares: one tokio runtime, one engine, one lane. Made at the first call, never at import.
//!
//! A forked child has none of its parent's threads. It is told by its process id, leaves the parent's runtime alone and
//! makes its own: routers made before the fork go on working, since they hold no connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PySystemExit};
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
    blocked: Blocked,
}

/// Counts the threads inside synchronous calls.
#[derive(Default)]
struct Blocked {
    threads: Mutex<usize>,
    fewer: Condvar,
}

/// A thread's presence in a synchronous call, from before it detaches until after it is attached again.
pub(super) struct Presence<'a>(&'a Blocked);

impl Process {
    /// The state of this process, made at the first use. Raises `RuntimeError` while the interpreter ends.
    pub(super) fn get(py: Python<'_>) -> PyResult<Arc<Self>> {
        if ENDING.load(Ordering::Acquire) {
            return Err(ending(py));
        }
        log::refresh_level(py)?;
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
            blocked: Blocked::default(),
        });
        Ok(Slot { pid, process, runtime, lane_thread })
    }

    /// Counts this thread as blocked; fails where the interpreter is ending already.
    pub(super) fn enter(&self, py: Python<'_>) -> PyResult<Presence<'_>> {
        if *self.ending.borrow() {
            return Err(ending(py));
        }
        *self.blocked.lock() += 1;
        Ok(Presence(&self.blocked))
    }

    /// Returns when the interpreter ends.
    pub(super) async fn ended(&self) {
        // The sender lives as long as `self`.
        drop(self.ending.subscribe().wait_for(|ending| *ending).await);
    }
}

impl Blocked {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no thread is inside, `limit` at most.
    fn wait(&self, limit: Duration) {
        drop(self.fewer.wait_timeout_while(self.lock(), limit, |threads| *threads > 0));
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.fewer.notify_all();
    }
}

/// What a call raises once the interpreter is ending. A thread other than the main one is a daemon that nobody waits
/// for: `SystemExit` ends it without a word.
pub(super) fn ending(py: Python<'_>) -> PyErr {
    const TOLD: &str = "madspark cannot be used while the interpreter is ending";
    match on_main_thread(py) {
        Ok(false) => PySystemExit::new_err(TOLD),
        Ok(true) => PyRuntimeError::new_err(TOLD),
        Err(error) => error,
    }
}

fn on_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    Ok(threading.call_method0("current_thread")?.is(&threading.call_method0("main_thread")?))
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
    // Still attached: whoever enters after this is turned away.
    slot.process.ending.send_replace(true);
    py.detach(|| {
        // A thread that would attach after the interpreter has ended takes the process down.
        slot.process.blocked.wait(SHUTDOWN_GRACE);
        slot.runtime.shutdown_timeout(SHUTDOWN_GRACE);
        slot.lane_thread.close();
    });
}
