//! What the process shares: one tokio runtime, one engine, one python_thread. Made at the first call, never at import.
//!
//! A forked child has none of its parent's threads. It is told by its process id, leaves the parent's runtime alone and
//! makes its own: routers made before the fork go on working, since they hold no connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use super::log;
use super::loop_queue::LoopQueues;
use super::python_thread::{PythonThread, ThreadHandle};
use super::sync::lock;
use crate::cache::{Cache, Pause};
use crate::router::Engine;

/// Worker threads: I/O and JSON, no model runs here. One serves far more calls than an interpreter can make, a second one
/// takes memory of its own, and what is long is done aside.
const WORKERS: usize = 1;

/// How many threads there may be for files, names of hosts and what is done aside.
const BLOCKING: usize = 4;

/// With fewer calls under way there is little to gather, and a reply is worth more at once.
const BUSY: usize = 4;

/// How long the end of the interpreter waits for work that is being dropped.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Touched only while attached to Python and never held across Python code, so no fork can find it locked.
static PROCESS: Mutex<Option<Slot>> = Mutex::new(None);

static ENDING: AtomicBool = AtomicBool::new(false);

/// The caches that are paused while the process forks; touched only while attached to Python.
static FORKING: Mutex<Vec<Pause>> = Mutex::new(Vec::new());

/// How long a fork waits for the cache to close its files.
const PAUSE_GRACE: Duration = Duration::from_secs(1);

struct Slot {
    pid: u32,
    process: Arc<Process>,
    runtime: Runtime,
    lane_thread: ThreadHandle,
}

/// The shared state of this process, for use by calls.
pub(super) struct Process {
    pub(super) handle: Handle,
    pub(super) engine: Arc<Engine>,
    pub(super) python_thread: PythonThread,
    pub(super) loop_queues: LoopQueues,
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
        register_fork(py)?;
        let pid = std::process::id();
        let mut slot = lock(&PROCESS);
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
        let (python_thread, lane_thread) = PythonThread::start()?;
        let (workers_lane, cache_lane) = (python_thread.clone(), python_thread.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING)
            .thread_name("madspark")
            .on_thread_start(move || log::connect(workers_lane.clone()))
            .on_thread_unpark(give_way)
            .enable_all()
            .build()?;
        let process = Arc::new(Self {
            handle: runtime.handle().clone(),
            engine: Arc::new(Engine::with_cache(Cache::new(move || log::connect(cache_lane.clone())))),
            python_thread,
            loop_queues: LoopQueues::default(),
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
        lock(&self.threads)
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

/// Lets a thread that was interrupted by this worker's waking go on first.
///
/// An event loop that shares its core with the workers would otherwise change places with them for every reply that comes,
/// which costs more than all that madspark does with the reply. Meanwhile further replies gather, and wake nobody. Where
/// nothing else wants the core it returns at once.
fn give_way() {
    if Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_alive_tasks() >= BUSY) {
        std::thread::yield_now();
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

/// Has the interpreter call `before_fork` and its counterparts around every fork, from the first call on.
fn register_fork(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if REGISTERED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let os = py.import("os")?;
    let Ok(register) = os.getattr("register_at_fork") else { return Ok(()) };
    let hook = |name, run: fn(Python<'_>)| {
        pyo3::types::PyCFunction::new_closure(py, Some(name), None, move |args, _| run(args.py()))
    };
    let hooks = PyDict::new(py);
    hooks.set_item("before", hook(c"_before_fork", before_fork)?)?;
    hooks.set_item("after_in_parent", hook(c"_after_fork_in_parent", |_| after_fork(drop))?)?;
    // The threads that wait for the end of the pause are the parent's.
    hooks.set_item("after_in_child", hook(c"_after_fork_in_child", |_| after_fork(std::mem::forget))?)?;
    register.call((), Some(&hooks)).map(drop)
}

/// A child that inherits an open `SQLite` database shares its locks without knowing, and breaks it.
fn before_fork(py: Python<'_>) {
    let process = {
        let slot = lock(&PROCESS);
        slot.as_ref().filter(|slot| slot.pid == std::process::id()).map(|slot| Arc::clone(&slot.process))
    };
    let Some(process) = process else { return };
    let pause = py.detach(|| process.engine.cache().pause(PAUSE_GRACE));
    lock(&FORKING).push(pause);
}

fn after_fork(end: fn(Option<Pause>)) {
    end(lock(&FORKING).pop());
}

/// Ends blocked calls, drops running ones, joins every thread.
fn shutdown(py: Python<'_>) {
    ENDING.store(true, Ordering::Release);
    let slot = lock(&PROCESS).take();
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
        // Answers that were handed over are written first.
        slot.process.engine.cache().close(SHUTDOWN_GRACE);
        slot.lane_thread.close();
    });
}
