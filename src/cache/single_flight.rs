//! One piece of work for all who ask the same at the same time.
//!
//! The work belongs to those who wait for it: whoever is polled polls it, nothing runs on its own. A waiter that is
//! dropped leaves it to the others; with the last one the work itself is dropped, and its socket closes.

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

/// What is under way, by what it answers.
pub struct SingleFlight<T> {
    map: Arc<Map<T>>,
}

type Map<T> = Mutex<HashMap<Key, Weak<SharedWork<T>>>>;

/// A place among those who wait for one piece of work; a future of its outcome, which may be polled again.
///
/// Whoever joins while a seat is kept is given the same outcome: keep it until the outcome can be found elsewhere.
/// Cancel safety: dropping it leaves the work to the others, and drops the work where there is none.
pub struct Waiter<T> {
    flight: Arc<SharedWork<T>>,
    number: u64,
    is_leader: bool,
}

struct SharedWork<T> {
    key: Key,
    map: Arc<Map<T>>,
    work: Mutex<Work<T>>,
    waiters: Arc<Waiters>,
}

enum Work<T> {
    /// Nobody polls it at the moment.
    Idle(BoxFuture<'static, T>),
    /// One of the waiters polls it.
    Polled,
    Done(T),
    /// It panicked; so does everybody who waits for it.
    Panicked,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { map: Arc::new(Mutex::new(HashMap::new())) }
    }
}

impl<T: Clone> SingleFlight<T> {
    /// A place among those who wait for the work of `key`; `make` makes that where nobody waits for it yet. It is not
    /// polled before the seat is. `make` must not join in turn.
    pub fn join(&self, key: Key, make: impl FnOnce() -> BoxFuture<'static, T>) -> Waiter<T> {
        let mut map = lock(&self.map);
        if let Some(flight) = map.get(&key).and_then(Weak::upgrade) {
            drop(map);
            return Waiter { number: flight.waiters.enter(), flight, is_leader: false };
        }
        let flight = Arc::new(SharedWork {
            key,
            map: Arc::clone(&self.map),
            work: Mutex::new(Work::Idle(make())),
            waiters: Arc::default(),
        });
        map.insert(key, Arc::downgrade(&flight));
        drop(map);
        Waiter { number: flight.waiters.enter(), flight, is_leader: true }
    }
}

impl<T> SingleFlight<T> {
    /// How many pieces of work are under way.
    pub fn len(&self) -> usize {
        lock(&self.map).len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Waiter<T> {
    /// Whether it was the first, whose `make` made the work.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl<T: Clone> Future for Waiter<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let flight = &*self.flight;
        // Before the work is looked at: who polls it meanwhile wakes everybody that is entered when it is done.
        flight.waiters.register(self.number, context.waker());
        let mut work = lock(&flight.work);
        let mut future = match &*work {
            Work::Done(outcome) => return Poll::Ready(outcome.clone()),
            Work::Panicked => {
                drop(work);
                panicked()
            }
            Work::Polled => return Poll::Pending,
            Work::Idle(_) => match std::mem::replace(&mut *work, Work::Polled) {
                Work::Idle(future) => future,
                // Not reached: it was looked at above, under the same lock.
                _ => return Poll::Pending,
            },
        };
        drop(work);
        let waker = Waker::from(Arc::clone(&flight.waiters));
        let mut inner = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut inner))) {
            Ok(Poll::Pending) => {
                *lock(&flight.work) = Work::Idle(future);
                Poll::Pending
            }
            Ok(Poll::Ready(outcome)) => {
                flight.end(Work::Done(outcome.clone()));
                Poll::Ready(outcome)
            }
            Err(panic) => {
                flight.end(Work::Panicked);
                resume_unwind(panic)
            }
        }
    }
}

/// Takes the panic of another waiter on, without a message of its own: that was given where it happened.
fn panicked() -> ! {
    resume_unwind(Box::new("the work that was waited for panicked"))
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        self.flight.waiters.leave(self.number);
    }
}

impl<T> SharedWork<T> {
    /// Whoever joins from now on has the outcome at once, as long as somebody keeps a seat; a panic is nobody else's.
    fn end(&self, work: Work<T>) {
        if matches!(work, Work::Panicked) {
            self.unlist();
        }
        *lock(&self.work) = work;
        self.waiters.wake_all();
    }

    /// Takes itself out of the map, where it still is what the map holds.
    fn unlist(&self) {
        let mut map = lock(&self.map);
        if map.get(&self.key).is_some_and(|listed| std::ptr::eq(listed.as_ptr(), self)) {
            map.remove(&self.key);
        }
    }
}

impl<T> Drop for SharedWork<T> {
    fn drop(&mut self) {
        self.unlist();
    }
}

/// The wakers of those who wait, by the number of their seat.
#[derive(Default)]
struct Waiters {
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    last: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Waiters {
    fn enter(&self) -> u64 {
        let mut seats = lock(&self.seats);
        seats.last += 1;
        seats.last
    }

    fn register(&self, number: u64, waker: &Waker) {
        let mut seats = lock(&self.seats);
        match seats.wakers.get(&number) {
            Some(known) if known.will_wake(waker) => {}
            _ => drop(seats.wakers.insert(number, waker.clone())),
        }
    }

    /// A waiter that was woken and is dropped instead of polling passes the word on: the next one may be asleep while the
    /// work waits to be polled.
    fn leave(&self, number: u64) {
        let next = {
            let mut seats = lock(&self.seats);
            seats.wakers.remove(&number);
            seats.wakers.values().next().cloned()
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }

    fn wake_all(&self) {
        let wakers: Vec<Waker> = lock(&self.seats).wakers.values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The work can go on: everybody is told, since any of them may be gone when it is its turn.
impl Wake for Waiters {
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
            .field("key", &self.flight.key)
            .field("is_leader", &self.is_leader)
            .finish_non_exhaustive()
    }
}
