//! The state that a process shares: one tokio runtime, one engine, one Python thread. Created by the first call.
//!
//! A forked child has none of its parent's threads. It is recognised by its process id, abandons the parent's runtime and
//! creates its own. Routers created before the fork keep working, because they hold no connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use super::log;
use super::loop_queue::LoopQueues;
use super::python_thread::PythonThread;
use crate::cache::{Cache, PauseGuard};
use crate::router::Engine;
use crate::sync::lock;

/// Worker threads, for I/O and JSON. One serves far more calls than an interpreter can make, and long work is offloaded.
const WORKERS: usize = 1;

/// The maximum number of threads for offloaded work. Host names and files have threads of their own.
const MAX_BLOCKING_THREADS: usize = 4;

/// From this number of tasks on, replies gather while the worker yields; with fewer, a reply is delivered at once.
const BUSY_TASKS: usize = 4;

/// How long the end of the interpreter waits for each kind of work that is being dropped.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// How long a fork waits for the cache to close its files.
const PAUSE_GRACE: Duration = Duration::from_secs(1);

/// Locked only while attached to Python and never while Python code runs, so that a fork never finds it locked.
static PROCESS: Mutex<Option<Arc<Process>>> = Mutex::new(None);

static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// The caches that are paused while the process forks; locked like [`PROCESS`].
static PAUSES: Mutex<Vec<PauseGuard>> = Mutex::new(Vec::new());

/// The shared state of this process.
pub(super) struct Process {
    pid: u32,
    pub(super) handle: Handle,
    pub(super) engine: Arc<Engine>,
    pub(super) python_thread: PythonThread,
    pub(super) loop_queues: LoopQueues,
    blocking_calls: BlockingCalls,
    ending: watch::Sender<bool>,
    /// Taken when the interpreter ends.
    threads: Mutex<Option<(Runtime, JoinHandle<()>)>>,
}

impl Process {
    /// Returns the state of this process, which the first use creates. Raises `RuntimeError` while the interpreter ends.
    pub(super) fn get(py: Python<'_>) -> PyResult<Arc<Self>> {
        if IS_ENDING.load(Ordering::Acquire) {
            return Err(ending(py));
        }
        log::refresh_level(py)?;
        register_fork(py)?;
        let mut process = lock(&PROCESS);
        if let Some(process) = process.as_ref().filter(|process| process.is_current()) {
            return Ok(Arc::clone(process));
        }
        let started = Self::start().map(Arc::new).map_err(|error| {
            PyRuntimeError::new_err(format!("madspark could not start its threads: {error}; is there a thread limit?"))
        })?;
        // The parent's threads do not exist here: dropping its runtime would wait for them forever.
        std::mem::forget(process.replace(Arc::clone(&started)));
        Ok(started)
    }

    fn start() -> std::io::Result<Self> {
        log::install();
        let (python_thread, thread) = PythonThread::start()?;
        let connect_log = {
            let python_thread = python_thread.clone();
            move || log::connect(python_thread.clone())
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .thread_name("madspark")
            .on_thread_start(connect_log.clone())
            .on_thread_unpark(yield_if_busy)
            .enable_all()
            .build()?;
        Ok(Self {
            pid: std::process::id(),
            handle: runtime.handle().clone(),
            engine: Arc::new(Engine::with_cache(Cache::new(connect_log))),
            python_thread,
            loop_queues: LoopQueues::default(),
            blocking_calls: BlockingCalls::default(),
            ending: watch::Sender::new(false),
            threads: Mutex::new(Some((runtime, thread))),
        })
    }

    /// Whether the state belongs to this process and not to the parent of a fork.
    fn is_current(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Registers a blocking call of this thread. Fails if the interpreter is already ending.
    pub(super) fn enter(&self, py: Python<'_>) -> PyResult<BlockingCall<'_>> {
        if *self.ending.borrow() {
            return Err(ending(py));
        }
        *lock(&self.blocking_calls.count) += 1;
        Ok(BlockingCall(&self.blocking_calls))
    }

    /// Waits until the interpreter ends.
    pub(super) async fn ended(&self) {
        // The sender lives as long as `self`.
        drop(self.ending.subscribe().wait_for(|is_ending| *is_ending).await);
    }

    /// Ends blocking calls, drops running work and joins every thread. Call detached from Python.
    fn shut_down(&self) {
        let Some((runtime, python_thread)) = lock(&self.threads).take() else { return };
        // A thread that attaches after the interpreter has ended crashes the process.
        self.blocking_calls.wait(SHUTDOWN_GRACE);
        runtime.shutdown_timeout(SHUTDOWN_GRACE);
        self.engine.cache().close(SHUTDOWN_GRACE);
        self.python_thread.close();
        // A panic of the thread has been reported by the thread itself.
        drop(python_thread.join());
    }
}

/// Counts the threads inside blocking calls.
#[derive(Default)]
struct BlockingCalls {
    count: Mutex<usize>,
    ended: Condvar,
}

impl BlockingCalls {
    /// Waits until no thread is inside a blocking call, for `timeout` at most.
    fn wait(&self, timeout: Duration) {
        drop(self.ended.wait_timeout_while(lock(&self.count), timeout, |count| *count > 0));
    }
}

/// A thread inside a blocking call, from before it detaches until after it is attached again.
pub(super) struct BlockingCall<'a>(&'a BlockingCalls);

impl Drop for BlockingCall<'_> {
    fn drop(&mut self) {
        *lock(&self.0.count) -= 1;
        self.0.ended.notify_all();
    }
}

/// Lets the thread that this worker's waking has interrupted run first.
///
/// An event loop that shares its core with the worker would otherwise be switched out for every reply, which costs more
/// than all other work for the reply. Meanwhile further replies gather and need no waking. Returns at once if no other
/// thread wants the core.
fn yield_if_busy() {
    if Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_alive_tasks() >= BUSY_TASKS) {
        std::thread::yield_now();
    }
}

/// Returns the exception of a call that is made while the interpreter ends. A thread other than the main one is a daemon
/// thread, which `SystemExit` ends without a message.
pub(super) fn ending(py: Python<'_>) -> PyErr {
    const MESSAGE: &str = "madspark cannot be used while the interpreter is ending";
    match is_main_thread(py) {
        Ok(false) => PySystemExit::new_err(MESSAGE),
        Ok(true) => PyRuntimeError::new_err(MESSAGE),
        Err(error) => error,
    }
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    Ok(threading.call_method0("current_thread")?.is(&threading.call_method0("main_thread")?))
}

/// Registers `shutdown` with `atexit`, which runs it while threads may still attach.
pub(super) fn register_exit(py: Python<'_>) -> PyResult<()> {
    let shutdown = hook(py, c"_shutdown", shutdown)?;
    py.import("atexit")?.call_method1("register", (shutdown,)).map(drop)
}

/// Registers the hooks that run around every fork.
fn register_fork(py: Python<'_>) -> PyResult<()> {
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
    if IS_REGISTERED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let Ok(register) = py.import("os")?.getattr("register_at_fork") else { return Ok(()) };
    let hooks = PyDict::new(py);
    hooks.set_item("before", hook(py, c"_before_fork", before_fork)?)?;
    hooks.set_item("after_in_parent", hook(py, c"_after_fork_in_parent", |_| after_fork(drop))?)?;
    // The threads that wait for the end of the pause are the parent's.
    hooks.set_item("after_in_child", hook(py, c"_after_fork_in_child", |_| after_fork(std::mem::forget))?)?;
    register.call((), Some(&hooks)).map(drop)
}

fn hook<'py>(py: Python<'py>, name: &'static std::ffi::CStr, run: fn(Python<'_>)) -> PyResult<Bound<'py, PyCFunction>> {
    PyCFunction::new_closure(py, Some(name), None, move |args, _| run(args.py()))
}

/// Closes the cache's database, whose locks a child would share without knowing, and keeps the open spans locked.
fn before_fork(py: Python<'_>) {
    let process = lock(&PROCESS).clone();
    if let Some(process) = process.filter(|process| process.is_current()) {
        let pause = py.detach(|| process.engine.cache().pause(PAUSE_GRACE));
        lock(&PAUSES).push(pause);
    }
    log::lock_for_fork();
}

fn after_fork(end: fn(Option<PauseGuard>)) {
    log::unlock_after_fork();
    end(lock(&PAUSES).pop());
}

fn shutdown(py: Python<'_>) {
    IS_ENDING.store(true, Ordering::Release);
    let Some(process) = lock(&PROCESS).take() else { return };
    if !process.is_current() {
        std::mem::forget(process);
        return;
    }
    // Still attached: a call that begins after this fails.
    process.ending.send_replace(true);
    py.detach(|| process.shut_down());
}
