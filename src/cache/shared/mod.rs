//! The tier on a Redis or Valkey server, shared by several machines.
//!
//! One thread with one connection serves all calls. A call never waits for a connection to be made: without one, the tier
//! has no entries.

mod connection;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::entry::{Entry, millis};
use super::key::Key;
use super::thread::{LazyThread, OnStart};
use crate::config::Secret;
use connection::{Command, ServerConnection, Status};

/// How long a call waits for the server.
const READ_TIMEOUT: Duration = Duration::from_millis(250);

/// How long clearing the tier may take.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of commands that may be queued.
const QUEUE: usize = 1024;

/// The size in bytes of the largest entry that is sent. Larger ones take longer than a call should wait.
const MAX_ENTRY_BYTES: u64 = 8 * 1024 * 1024;

/// The tier on one server.
pub(super) struct SharedTier {
    url: Secret,
    status: Arc<Status>,
    thread: LazyThread<mpsc::Sender<Command>>,
}

impl SharedTier {
    /// Creates the tier on the server at `url` without connecting to it.
    pub(super) fn new(url: &Secret, on_start: &OnStart) -> Self {
        Self { url: url.clone(), status: Arc::default(), thread: LazyThread::new("madspark-cache-s", on_start) }
    }

    /// Returns the entry of `key`. A server that does not answer in time has no entry.
    pub(super) async fn get(&self, key: &Key) -> Option<Entry> {
        let (reply, found) = oneshot::channel();
        self.send(Command::Get { key: *key, reply });
        let bytes = timeout(READ_TIMEOUT, found).await.ok()?.ok()?;
        let entry = Entry::decode(key, &bytes);
        if entry.is_none() {
            self.remove(key);
        }
        entry
    }

    /// Queues `entry` to be sent. The server deletes it after `max_age`.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, max_age: Duration) {
        if entry.size() <= MAX_ENTRY_BYTES {
            self.send(Command::Put { key, entry, millis: millis(max_age).max(1) });
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        self.send(Command::Remove { key: *key });
    }

    /// Removes every entry of this library and returns their number, or `None` if the server is not reachable.
    pub(super) async fn clear(&self) -> Option<u64> {
        let (reply, cleared) = oneshot::channel();
        self.send(Command::Clear { reply });
        timeout(CLEAR_TIMEOUT, cleared).await.ok()?.ok()
    }

    /// Returns whether the server is connected, or `None` before the first connection attempt.
    pub(super) fn is_up(&self) -> Option<bool> {
        self.status.is_up()
    }

    /// Returns the number of errors so far.
    pub(super) fn errors(&self) -> u64 {
        self.status.errors()
    }

    /// Sends what is queued and ends the thread. Waits until `deadline` at most.
    pub(super) fn close(&self, deadline: Instant) {
        self.thread.close(deadline);
    }

    /// Queues `command`, or drops it if the queue is full.
    fn send(&self, command: Command) {
        let start = || {
            let connection = ServerConnection::new(self.url.expose(), Arc::clone(&self.status))?;
            let (queue, commands) = mpsc::channel(QUEUE);
            let serve = move || {
                // The connection outlives the runtime of the first caller, so it needs its own.
                if let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() {
                    runtime.block_on(connection.serve(commands));
                }
            };
            Some((queue, serve))
        };
        self.thread.send(start, |queue| drop(queue.try_send(command)));
    }
}

/// Omits the address, which may contain a password.
impl fmt::Debug for SharedTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTier").field("status", &self.status).finish_non_exhaustive()
    }
}
