//! Background threads that start on first use.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crate::sync::{Mutex, lock};

/// Called by each thread of the cache when it starts.
pub(super) type OnStart = Arc<dyn Fn() + Send + Sync>;

/// A thread that serves a queue of type `Q`. It starts on first use, and ends when its queue is dropped and empty.
pub(super) struct LazyThread<Q> {
    name: &'static str,
    on_start: OnStart,
    state: Mutex<State<Q>>,
}

enum State<Q> {
    Idle,
    Running { queue: Q, ended: Receiver<()>, thread: JoinHandle<()> },
    Closed,
}

impl<Q> LazyThread<Q> {
    /// Creates a thread called `name` without starting it.
    pub(super) fn new(name: &'static str, on_start: &OnStart) -> Self {
        Self { name, on_start: Arc::clone(on_start), state: Mutex::new(State::Idle) }
    }

    /// Calls `send` with the queue. Starts the thread first if necessary, with the queue and the body that `make` returns.
    ///
    /// Returns `None` if the thread is closed, also because `make` returned `None`, or if the system has no thread left, in
    /// which case the next call tries again.
    pub(super) fn send<R, F: FnOnce() + Send + 'static>(
        &self,
        make: impl FnOnce() -> Option<(Q, F)>,
        send: impl FnOnce(&Q) -> R,
    ) -> Option<R> {
        let mut state = lock(&self.state);
        if let State::Idle = *state {
            *state = make().map_or(State::Closed, |(queue, body)| self.start(queue, body));
        }
        state.queue().map(send)
    }

    /// Calls `send` with the queue if the thread is running.
    pub(super) fn send_if_running<R>(&self, send: impl FnOnce(&Q) -> R) -> Option<R> {
        lock(&self.state).queue().map(send)
    }

    /// Closes the queue and waits until its jobs are done or `deadline` has passed. A thread that hangs is left behind.
    pub(super) fn close(&self, deadline: Instant) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Closed);
        let State::Running { queue, ended, thread } = state else { return };
        drop(queue);
        if ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout) {
            drop(thread.join());
        }
    }

    fn start(&self, queue: Q, body: impl FnOnce() + Send + 'static) -> State<Q> {
        let (end, ended) = sync_channel(0);
        let on_start = Arc::clone(&self.on_start);
        let spawned = Builder::new().name(self.name.to_owned()).spawn(move || {
            // Dropped when the thread ends, also by a panic.
            let _end = end;
            on_start();
            body();
        });
        spawned.map_or(State::Idle, |thread| State::Running { queue, ended, thread })
    }
}

impl<Q> State<Q> {
    fn queue(&self) -> Option<&Q> {
        match self {
            Self::Running { queue, .. } => Some(queue),
            Self::Idle | Self::Closed => None,
        }
    }
}

impl<Q> fmt::Debug for LazyThread<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyThread").field("name", &self.name).finish_non_exhaustive()
    }
}
