//! The tier on a Redis or Valkey server, shared by several machines.
//!
//! One thread with a connection serves all callers, so that a call never waits for a connection to be made: while there is
//! none, the tier has no answers.

mod link;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::entry::{Entry, millis};
use super::key::Key;
use super::worker::OnStart;
use crate::config::Secret;
use crate::sync::{Mutex, lock};
use link::{Job, Link, Status};

/// How long a call waits for the server.
const LIMIT: Duration = Duration::from_millis(250);

/// How long whoever asks for it waits for all entries to be removed.
const CLEAR_LIMIT: Duration = Duration::from_secs(30);

/// How many jobs wait at most.
const QUEUE: usize = 1024;

/// The longest text that is sent to the server, in bytes: more takes longer than a call should wait.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// One server.
pub(super) struct Shared {
    url: Secret,
    on_start: OnStart,
    status: Arc<Status>,
    thread: Mutex<Thread>,
}

enum Thread {
    Idle,
    Running { jobs: mpsc::Sender<Job>, ended: Receiver<()>, thread: JoinHandle<()> },
    Closed,
}

impl Shared {
    /// The server at `url`; it is not asked before the first use.
    pub(super) fn new(url: &Secret, on_start: &OnStart) -> Self {
        Self {
            url: url.clone(),
            on_start: Arc::clone(on_start),
            status: Arc::default(),
            thread: Mutex::new(Thread::Idle),
        }
    }

    /// The entry of `key`. `None` as well where the server does not answer in time.
    pub(super) async fn get(&self, key: &Key) -> Option<Entry> {
        let (reply, found) = oneshot::channel();
        self.send(Job::Get { key: *key, reply });
        let bytes = timeout(LIMIT, found).await.ok()?.ok()?;
        let entry = Entry::decode(key, &bytes);
        if entry.is_none() {
            self.remove(key);
        }
        entry
    }

    /// Hands `entry` over to be sent; the server drops it after `max_age`.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, max_age: Duration) {
        if entry.size() <= MAX_BYTES {
            self.send(Job::Put { key, entry, millis: millis(max_age).max(1) });
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        self.send(Job::Remove { key: *key });
    }

    /// Removes every entry of this library; how many there were. `None` where the server cannot be reached.
    pub(super) async fn clear(&self) -> Option<u64> {
        let (reply, cleared) = oneshot::channel();
        self.send(Job::Clear { reply });
        timeout(CLEAR_LIMIT, cleared).await.ok()?.ok()
    }

    /// Whether the server answers; `None` before it was asked.
    pub(super) fn is_up(&self) -> Option<bool> {
        self.status.is_up()
    }

    /// What went wrong so far.
    pub(super) fn errors(&self) -> u64 {
        self.status.errors()
    }

    /// Sends what was handed over and ends the thread; `until` at the latest.
    pub(super) fn close(&self, until: Instant) {
        let state = std::mem::replace(&mut *lock(&self.thread), Thread::Closed);
        let Thread::Running { jobs, ended, thread } = state else { return };
        drop(jobs);
        if ended.recv_timeout(until.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout) {
            drop(thread.join());
        }
    }

    /// A job that finds no room is dropped: its caller goes on without it.
    fn send(&self, job: Job) {
        let mut thread = lock(&self.thread);
        if let Thread::Idle = *thread {
            *thread = self.start();
        }
        if let Thread::Running { jobs, .. } = &*thread {
            drop(jobs.try_send(job));
        }
    }

    /// `Idle` where no thread can be had: the next job tries again.
    fn start(&self) -> Thread {
        let Some(link) = Link::new(self.url.expose(), Arc::clone(&self.status)) else { return Thread::Closed };
        let (jobs, received) = mpsc::channel(QUEUE);
        let (end, ended) = sync_channel::<()>(0);
        let on_start = Arc::clone(&self.on_start);
        let started = std::thread::Builder::new().name("madspark-cache-s".to_owned()).spawn(move || {
            // Told by being dropped, in a panic too.
            let _end = end;
            on_start();
            // A runtime of its own: the connection outlives whatever runtime the first caller came from.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(link.serve(received));
            }
        });
        started.map_or(Thread::Idle, |thread| Thread::Running { jobs, ended, thread })
    }
}

/// The address may hold a password.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("status", &self.status).finish_non_exhaustive()
    }
}
