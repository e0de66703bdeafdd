//! A background thread for blocking file access, which can be paused while the process forks.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use super::thread::{LazyThread, OnStart};

/// The number of jobs that may be queued.
const QUEUE: usize = 4096;

/// The number of jobs that are passed to [`Work::run`] together.
const BATCH: usize = 256;

/// What a worker thread does.
pub(super) trait Work: Send + 'static {
    type Job: Send + 'static;

    /// Does `jobs` in their order.
    fn run(&mut self, jobs: Vec<Self::Job>);

    /// Closes every file. Further jobs open them again.
    fn close_files(&mut self);
}

/// A thread that does the jobs of `W`.
pub(super) struct Worker<W: Work> {
    make: Box<dyn Fn() -> W + Send + Sync>,
    thread: LazyThread<SyncSender<Message<W::Job>>>,
}

enum Message<J> {
    Job(J),
    Pause {
        paused: SyncSender<()>,
        /// Disconnected when the pause is over.
        resumed: Receiver<()>,
    },
}

/// A worker thread that has closed its files and waits until this is dropped.
#[derive(Debug)]
pub(super) struct PausedWorker {
    _resume: SyncSender<()>,
}

impl<W: Work> Worker<W> {
    /// Creates a worker on a thread called `name`, which starts with its first job.
    pub(super) fn new(name: &'static str, on_start: &OnStart, make: impl Fn() -> W + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), thread: LazyThread::new(name, on_start) }
    }

    /// Queues `job`. Returns `false` if the queue is full, or if the thread is closed or cannot be started.
    pub(super) fn send(&self, job: W::Job) -> bool {
        let start = || {
            let (queue, messages) = sync_channel(QUEUE);
            let work = (self.make)();
            Some((queue, move || serve(work, &messages)))
        };
        self.thread.send(start, |queue| queue.try_send(Message::Job(job)).is_ok()).unwrap_or(false)
    }

    /// Pauses the thread after the jobs that are queued. Returns `None` if it is not running or not paused by `deadline`.
    pub(super) fn pause(&self, deadline: Instant) -> Option<PausedWorker> {
        let (resume, resumed) = sync_channel(0);
        let (paused, is_paused) = sync_channel(1);
        let mut message = Message::Pause { paused, resumed };
        loop {
            match self.thread.send_if_running(|queue| queue.try_send(message))? {
                Ok(()) => break,
                Err(TrySendError::Full(unsent)) => message = unsent,
                Err(TrySendError::Disconnected(_)) => return None,
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::yield_now();
        }
        is_paused.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        Some(PausedWorker { _resume: resume })
    }

    /// Waits until the queued jobs are done or `deadline` has passed. Accepts no jobs afterwards.
    pub(super) fn close(&self, deadline: Instant) {
        self.thread.close(deadline);
    }
}

fn serve<W: Work>(mut work: W, messages: &Receiver<Message<W::Job>>) {
    while let Ok(first) = messages.recv() {
        let (mut batch, mut pause) = (Vec::new(), None);
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Job(job) => batch.push(job),
                Message::Pause { paused, resumed } => pause = Some((paused, resumed)),
            }
            if pause.is_some() || batch.len() == BATCH {
                break;
            }
        }
        if !batch.is_empty() {
            work.run(batch);
        }
        if let Some((paused, resumed)) = pause {
            work.close_files();
            if paused.send(()).is_ok() {
                // Returns an error when the pause is dropped.
                let _ = resumed.recv();
            }
        }
    }
    work.close_files();
}

impl<W: Work> fmt::Debug for Worker<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("thread", &self.thread).finish_non_exhaustive()
    }
}
