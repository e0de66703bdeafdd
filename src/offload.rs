//! Work that takes long for its size, out of the way of the tasks that share its thread.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// From so many bytes on: writing base64 or reading JSON takes some 0.3 ms for them, handing a thread's tasks over 0.02 ms.
const LONG: usize = 256 * 1024;

/// What `work` gives, which has so many `bytes` to read or write. Where they are many, another thread takes over the tasks
/// that would wait for this one; where there is no thread to share, nothing changes.
pub(crate) fn offload<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < LONG || !is_shared() {
        return work();
    }
    block_in_place(work)
}

fn is_shared() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(200);

    /// On a runtime of one worker, long work waits for another task of that worker.
    fn waits_for_another_task(bytes: usize) -> bool {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (tell, told) = mpsc::channel();
        let (start, started) = tokio::sync::oneshot::channel();
        let long = runtime.spawn(async move {
            start.send(()).unwrap();
            offload(bytes, || told.recv_timeout(if bytes < LONG { MOMENT } else { 100 * MOMENT }).is_ok())
        });
        runtime.spawn(async move {
            started.await.unwrap();
            tell.send(()).unwrap_or_default();
        });
        runtime.block_on(long).unwrap()
    }

    #[test]
    fn long_work_holds_up_no_other_task() {
        assert!(waits_for_another_task(LONG));
        assert!(!waits_for_another_task(LONG - 1));
    }

    #[test]
    fn without_a_thread_to_share_it_is_done_at_once() {
        assert_eq!(offload(LONG, || 1), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { offload(LONG, || 2) }), 2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        assert_eq!(offload(LONG, || 3), 3);
        assert_eq!(runtime.block_on(async { offload(LONG, || 4) }), 4);
    }
}
