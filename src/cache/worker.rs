//! A thread of the cache's own, for work that waits for a disk.
//!
//! It starts with its first job. It can be paused for the moment in which the process forks, and is closed with what was
//! handed over done, where that takes no longer than its owner waits.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::sync::{Mutex, lock};

/// Run by each thread of the cache when it starts.
pub(super) type OnStart = Arc<dyn Fn() + Send + Sync>;

/// How many jobs wait at most.
const QUEUE: usize = 4096;

/// How many jobs are done together at most.
const BATCH: usize = 256;

/// What the thread does with its jobs.
pub(super) trait Work: Send + 'static {
    /// One thing to do.
    type Job: Send + 'static;

    /// Does all of `jobs`, in their order.
    fn run(&mut self, jobs: Vec<Self::Job>);

    /// Closes every file. Jobs may follow.
    fn let_go(&mut self);
}

/// The owner's side of the thread.
pub(super) struct Worker<W: Work> {
    name: &'static str,
    on_start: OnStart,
    state: Mutex<State<W>>,
}

enum State<W: Work> {
    Idle(W),
    Running { queue: SyncSender<Message<W::Job>>, ended: Receiver<()>, thread: JoinHandle<()> },
    Closed,
}

enum Message<J> {
    Job(J),
    Pause(Pause),
}

struct Pause {
    paused: SyncSender<()>,
    over: Receiver<()>,
}

/// A thread that holds no file open until this is dropped.
pub(super) struct Paused {
    _over: SyncSender<()>,
}

impl<W: Work> Worker<W> {
    /// A thread called `name`, not started yet.
    pub(super) fn new(name: &'static str, work: W, on_start: OnStart) -> Self {
        Self { name, on_start, state: Mutex::new(State::Idle(work)) }
    }

    /// Hands `job` over without waiting. `false` where the thread has more to do than it gets done, or none can be had.
    pub(super) fn send(&self, job: W::Job) -> bool {
        let mut state = lock(&self.state);
        self.start(&mut state);
        match &*state {
            State::Running { queue, .. } => queue.try_send(Message::Job(job)).is_ok(),
            State::Idle(_) | State::Closed => false,
        }
    }

    /// Has the thread close its files and wait, after what was handed over before. `None` where there is no thread, or
    /// where it does not get to it before `until`.
    pub(super) fn pause(&self, until: Instant) -> Option<Paused> {
        let (over, wait) = mpsc::sync_channel(0);
        let (paused, told) = mpsc::sync_channel(1);
        let mut message = Message::Pause(Pause { paused, over: wait });
        loop {
            {
                let State::Running { queue, .. } = &*lock(&self.state) else { return None };
                match queue.try_send(message) {
                    Ok(()) => break,
                    Err(TrySendError::Full(back)) => message = back,
                    Err(TrySendError::Disconnected(_)) => return None,
                }
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::yield_now();
        }
        told.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
        Some(Paused { _over: over })
    }

    /// Takes no more jobs, and waits until those handed over are done; `until` at the latest.
    pub(super) fn close(&self, until: Instant) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Closed);
        let State::Running { queue, ended, thread } = state else { return };
        drop(queue);
        // One that hangs on its disk is left behind.
        if ended.recv_timeout(until.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout) {
            drop(thread.join());
        }
    }

    /// Without a thread (there may be a limit) it stays idle, and the next job tries again.
    fn start(&self, state: &mut State<W>) {
        let State::Idle(_) = state else { return };
        let State::Idle(work) = std::mem::replace(state, State::Closed) else { return };
        let slot = Arc::new(Mutex::new(Some(work)));
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let (on_start, given) = (Arc::clone(&self.on_start), Arc::clone(&slot));
        let started = std::thread::Builder::new().name(self.name.to_owned()).spawn(move || {
            // Told by being dropped, in a panic too.
            let _end = end;
            on_start();
            if let Some(work) = lock(&given).take() {
                serve(work, &jobs);
            }
        });
        *state = match started {
            Ok(thread) => State::Running { queue, ended, thread },
            Err(_) => lock(&slot).take().map_or(State::Closed, State::Idle),
        };
    }
}

fn serve<W: Work>(mut work: W, jobs: &Receiver<Message<W::Job>>) {
    let mut first = jobs.recv().ok();
    while let Some(message) = first.take() {
        let mut batch = Vec::new();
        let mut pause = None;
        let mut next = Ok(message);
        loop {
            match next {
                Ok(Message::Job(job)) => batch.push(job),
                Ok(Message::Pause(asked)) => pause = Some(asked),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            if pause.is_some() || batch.len() == BATCH {
                break;
            }
            next = jobs.try_recv();
        }
        if !batch.is_empty() {
            work.run(batch);
        }
        if let Some(Pause { paused, over }) = pause {
            work.let_go();
            if paused.send(()).is_ok() {
                // Ends with an error when the pause is dropped.
                let _ = over.recv();
            }
        }
        first = jobs.recv().ok();
    }
    work.let_go();
}

impl<W: Work> fmt::Debug for Worker<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paused")
    }
}
