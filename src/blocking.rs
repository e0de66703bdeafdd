//! Runs calls that may block for long, such as name lookups and file reads, each on a thread of its own.
//!
//! The operating system cannot cancel such a call. If its caller stops waiting, its place is free at once, and its
//! thread ends when the call returns. The number of threads is bounded as well, so that calls that never return use up the pool of
//! their own kind and nothing else.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::sync::{AcquireError, Semaphore, oneshot};

/// Bounds one kind of blocking call.
#[derive(Debug)]
pub(crate) struct BlockingPool {
    thread_name: &'static str,
    /// Held by callers while they wait.
    places: Semaphore,
    /// Held by threads while their call runs.
    threads: Arc<Semaphore>,
}

impl BlockingPool {
    /// Returns a pool for `places` concurrent callers. It has at most `threads` threads, which includes those whose callers have
    /// stopped waiting.
    pub(crate) fn new(thread_name: &'static str, places: usize, threads: usize) -> Self {
        Self { thread_name, places: Semaphore::new(places), threads: Arc::new(Semaphore::new(threads)) }
    }

    /// Runs `work` on a thread of its own, as soon as there is a place and a thread for it.
    ///
    /// # Errors
    /// Returns the error of the operating system if it starts no thread, and an error if `work` panics.
    ///
    /// # Cancel safety
    /// Dropping the future frees its place. Work that has begun continues on its thread; its result is dropped.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let closed = |error: AcquireError| io::Error::other(error);
        let _place = self.places.acquire().await.map_err(closed)?;
        let permit = Arc::clone(&self.threads).acquire_owned().await.map_err(closed)?;
        let (sender, receiver) = oneshot::channel();
        let body = move || {
            let result = work();
            // Before the result: its receiver finds the thread free.
            drop(permit);
            // The receiver is gone if the caller has stopped waiting.
            drop(sender.send(result));
        };
        thread::Builder::new().name(self.thread_name.to_owned()).spawn(body)?;
        receiver.await.map_err(|_| io::Error::other("the thread ended without a result"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    /// Blocks until the sender is dropped.
    fn blocked() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (sender, receiver) = mpsc::channel();
        (sender, move || receiver.recv().unwrap_or_default())
    }

    #[tokio::test]
    async fn calls_run_concurrently_up_to_the_number_of_places() {
        let pool = BlockingPool::new("test", 2, 9);
        let (end, first) = blocked();
        let (end_too, second) = blocked();
        let mut waiting = Box::pin(join_all([pool.run(first).boxed(), pool.run(second).boxed()]));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(pool.run(|| 1).now_or_never().is_none());
        assert_eq!(pool.places.available_permits(), 0);
        drop((end, end_too));
        assert!(waiting.await.iter().all(Result::is_ok));
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
        assert_eq!((pool.places.available_permits(), pool.threads.available_permits()), (2, 9));
    }

    #[tokio::test]
    async fn a_dropped_call_frees_its_place_and_its_thread_is_counted_until_it_ends() {
        let pool = BlockingPool::new("test", 1, 2);
        let (end, silent) = blocked();
        assert!(pool.run(silent).now_or_never().is_none());
        assert_eq!((pool.places.available_permits(), pool.threads.available_permits()), (1, 1));
        assert_eq!(pool.run(|| "answer").await.unwrap(), "answer");
        let (end_too, silent) = blocked();
        assert!(pool.run(silent).now_or_never().is_none());
        let mut waiting = Box::pin(pool.run(|| "later"));
        assert!(waiting.as_mut().now_or_never().is_none(), "both threads are stuck");
        drop((end, end_too));
        assert_eq!(waiting.await.unwrap(), "later");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_thread() {
        let pool = BlockingPool::new("test", 1, 1);
        assert!(pool.run(|| assert_eq!(1, 2)).await.is_err());
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
    }
}
