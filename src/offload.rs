//! Runs long CPU-bound work without blocking the other tasks of an async worker.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// The size from which on work is offloaded, in bytes. Encoding base64 or parsing JSON of this size takes 0.3 ms; handing the
/// tasks of a worker to another thread takes 0.02 ms.
const OFFLOAD_THRESHOLD: usize = 256 * 1024;

/// Runs `work`, moving the worker's other tasks to another thread if it processes 256 KiB or more. Outside a multi-threaded
/// runtime it runs `work` directly.
pub(crate) fn offload<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < OFFLOAD_THRESHOLD || !is_multi_threaded() {
        return work();
    }
    block_in_place(work)
}

fn is_multi_threaded() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    /// Whether another task of the same worker runs while work of `bytes` runs.
    fn runs_another_task(bytes: usize) -> bool {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let (start, started) = tokio::sync::oneshot::channel();
        let work = runtime.spawn(async move {
            start.send(()).unwrap();
            offload(bytes, || {
                receiver.recv_timeout(if bytes < OFFLOAD_THRESHOLD { SHORT } else { 100 * SHORT }).is_ok()
            })
        });
        runtime.spawn(async move {
            started.await.unwrap();
            sender.send(()).unwrap_or_default();
        });
        runtime.block_on(work).unwrap()
    }

    #[test]
    fn large_work_does_not_block_other_tasks() {
        assert!(runs_another_task(OFFLOAD_THRESHOLD));
        assert!(!runs_another_task(OFFLOAD_THRESHOLD - 1));
    }

    #[test]
    fn work_runs_directly_outside_a_multi_threaded_runtime() {
        assert_eq!(offload(OFFLOAD_THRESHOLD, || 1), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { offload(OFFLOAD_THRESHOLD, || 2) }), 2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        assert_eq!(offload(OFFLOAD_THRESHOLD, || 3), 3);
        assert_eq!(runtime.block_on(async { offload(OFFLOAD_THRESHOLD, || 4) }), 4);
    }
}
