//! Shares the work of concurrent identical requests.
//!
//! The work has no task of its own: the waiters poll it. A waiter that is dropped leaves the work to the others; when the
//! last one is dropped, so is the work, which closes its socket.
//!
//! `futures_util::future::Shared` is not enough: a waiter that is dropped after it was woken must wake another one, and a
//! panic must wake all of them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;

use super::key::Key;
use crate::sync::{Mutex, lock};

/// The work in progress, by the key of its request.
pub struct SingleFlight<T> {
    map: Arc<Map<T>>,
}

type Map<T> = Mutex<HashMap<Key, Weak<SharedWork<T>>>>;

/// A future of the outcome of shared work. It may be polled again after it has completed.
///
/// Others who join the work while a waiter exists get the same outcome. Keep it until they can find the outcome elsewhere.
///
/// # Cancel safety
///
/// Dropping a waiter leaves the work to the others, or drops it with the last one.
pub struct Waiter<T> {
    work: Arc<SharedWork<T>>,
    id: u64,
    is_leader: bool,
}

struct SharedWork<T> {
    key: Key,
    map: Arc<Map<T>>,
    state: Mutex<State<T>>,
    wakers: Arc<Wakers>,
}

enum State<T> {
    /// No waiter is polling the work.
    Idle(BoxFuture<'static, T>),
    /// A waiter is polling the work.
    Polling,
    Done(T),
    /// The work panicked, and so does every waiter.
    Panicked,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { map: Arc::new(Mutex::new(HashMap::new())) }
    }
}

impl<T: Clone> SingleFlight<T> {
    /// Joins the work of `key`. `make` creates the work if there is none, and must not join in turn. The work is not polled
    /// before a waiter is.
    pub fn join(&self, key: Key, make: impl FnOnce() -> BoxFuture<'static, T>) -> Waiter<T> {
        let mut map = lock(&self.map);
        if let Some(work) = map.get(&key).and_then(Weak::upgrade) {
            drop(map);
            return Waiter { id: work.wakers.next_id(), work, is_leader: false };
        }
        let work = Arc::new(SharedWork {
            key,
            map: Arc::clone(&self.map),
            state: Mutex::new(State::Idle(make())),
            wakers: Arc::default(),
        });
        map.insert(key, Arc::downgrade(&work));
        drop(map);
        Waiter { id: work.wakers.next_id(), work, is_leader: true }
    }
}

impl<T> SingleFlight<T> {
    /// Returns the number of keys with work in progress.
    pub fn len(&self) -> usize {
        lock(&self.map).len()
    }

    /// Returns whether there is no work in progress.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Waiter<T> {
    /// Returns whether this waiter was the first one, whose `make` created the work.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl<T: Clone> Future for Waiter<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let work = &*self.work;
        // Registered before the state is read: a waiter that completes the work meanwhile wakes every registered one.
        work.wakers.register(self.id, context.waker());
        let mut state = lock(&work.state);
        let mut future = match &*state {
            State::Done(outcome) => return Poll::Ready(outcome.clone()),
            State::Panicked => {
                drop(state);
                // The message of the original panic has been printed already.
                resume_unwind(Box::new("the shared work panicked"))
            }
            State::Polling => return Poll::Pending,
            State::Idle(_) => match std::mem::replace(&mut *state, State::Polling) {
                State::Idle(future) => future,
                // Not reached: the state was checked under the same lock.
                _ => return Poll::Pending,
            },
        };
        drop(state);
        let waker = Waker::from(Arc::clone(&work.wakers));
        let mut inner = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut inner))) {
            Ok(Poll::Pending) => {
                *lock(&work.state) = State::Idle(future);
                Poll::Pending
            }
            Ok(Poll::Ready(outcome)) => {
                work.complete(State::Done(outcome.clone()));
                Poll::Ready(outcome)
            }
            Err(panic) => {
                // Later requests start new work.
                work.remove_from_map();
                work.complete(State::Panicked);
                resume_unwind(panic)
            }
        }
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        self.work.wakers.unregister(self.id);
    }
}

impl<T> SharedWork<T> {
    fn complete(&self, state: State<T>) {
        *lock(&self.state) = state;
        self.wakers.wake_all();
    }

    /// Removes this work from the map, unless other work has taken its key.
    fn remove_from_map(&self) {
        let mut map = lock(&self.map);
        if map.get(&self.key).is_some_and(|listed| std::ptr::eq(listed.as_ptr(), self)) {
            map.remove(&self.key);
        }
    }
}

impl<T> Drop for SharedWork<T> {
    fn drop(&mut self) {
        self.remove_from_map();
    }
}

/// The wakers of all waiters, by the id of the waiter.
#[derive(Default)]
struct Wakers {
    inner: Mutex<WakersInner>,
}

#[derive(Default)]
struct WakersInner {
    last_id: u64,
    by_id: BTreeMap<u64, Waker>,
}

impl Wakers {
    fn next_id(&self) -> u64 {
        let mut inner = lock(&self.inner);
        inner.last_id += 1;
        inner.last_id
    }

    fn register(&self, id: u64, waker: &Waker) {
        let mut inner = lock(&self.inner);
        match inner.by_id.get(&id) {
            Some(known) if known.will_wake(waker) => {}
            _ => drop(inner.by_id.insert(id, waker.clone())),
        }
    }

    /// Removes the waker and wakes another waiter: the removed one may have been woken to poll the work, and all others may
    /// be asleep.
    fn unregister(&self, id: u64) {
        let next = {
            let mut inner = lock(&self.inner);
            inner.by_id.remove(&id);
            inner.by_id.values().next().cloned()
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }

    fn wake_all(&self) {
        let wakers: Vec<Waker> = lock(&self.inner).by_id.values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Wakes every waiter when the work is ready to be polled, as any of them may be dropped before it polls.
impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl<T> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("len", &self.len()).finish()
    }
}

impl<T> fmt::Debug for Waiter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("key", &self.work.key)
            .field("is_leader", &self.is_leader)
            .finish_non_exhaustive()
    }
}
